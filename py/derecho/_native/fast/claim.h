// Claimed room in the ring: filled in place, then committed.
#pragma once

#include "base.h"

typedef struct {
    PyObject_HEAD
    derecho_shard *shard;
    derecho_claim claim;
    Py_ssize_t views; // buffers handed out; the ring's memory must not be given on while there are any
    int open;
} Claim;

static int Claim_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    Claim *c = (Claim *)self;
    if (!c->open) {
        PyErr_SetString(PyExc_BufferError, "the claim was committed or aborted");
        view->obj = NULL;
        return -1;
    }
    void *data = c->claim.size_bytes != 0 ? c->claim.data : (void *)"";
    if (PyBuffer_FillInfo(view, self, data, (Py_ssize_t)c->claim.size_bytes, 0, flags) != 0)
        return -1;
    c->views++;
    return 0;
}

static void Claim_releasebuffer(PyObject *self, Py_buffer *view) {
    (void)view;
    ((Claim *)self)->views--;
}

static PyBufferProcs Claim_buffer = {.bf_getbuffer = Claim_getbuffer, .bf_releasebuffer = Claim_releasebuffer};

static int Claim_check(Claim *c) {
    if (!c->open)
        PyErr_SetString(PyExc_ValueError, "the claim was committed or aborted");
    else if (c->views != 0)
        PyErr_SetString(PyExc_BufferError, "views of the claimed memory are still in use: release them first");
    else
        return 0;
    return -1;
}

// Notes who waits for the answers of call `id`. Right after the call was sent, and before the GIL is let go of.
static int remember(PyObject *pending, uint64_t id, PyObject *future) {
    if (pending == Py_None || future == Py_None)
        return 0;
    PyObject *key = PyLong_FromUnsignedLongLong(id);
    int result = key == NULL ? -1 : PyDict_SetItem(pending, key, future);
    Py_XDECREF(key);
    return result;
}

static PyObject *Claim_send(Claim *c, size_t used, PyObject *pending, PyObject *future) {
    derecho_status status = derecho_claim_commit(c->shard, &c->claim, used);
    if (status != DERECHO_AGAIN && status != DERECHO_WEDGED && status != DERECHO_INVALID)
        c->open = 0;
    if (status != DERECHO_OK)
        return fail(status);
    return remember(pending, c->claim.id, future) != 0 ? NULL : PyLong_FromUnsignedLongLong(c->claim.id);
}

static PyObject *Claim_commit(PyObject *self, PyObject *args) {
    PyObject *pending = Py_None, *future = Py_None;
    unsigned long long used;
    if (!PyArg_ParseTuple(args, "K|OO", &used, &pending, &future) || Claim_check((Claim *)self) != 0)
        return NULL;
    return Claim_send((Claim *)self, (size_t)used, pending, future);
}

static PyObject *Claim_abort(PyObject *self, PyObject *unused) {
    (void)unused;
    Claim *c = (Claim *)self;
    if (Claim_check(c) != 0)
        return NULL;
    c->open = 0;
    derecho_status status = derecho_claim_abort(c->shard, &c->claim);
    if (status != DERECHO_OK && status != DERECHO_CLOSED)
        return fail(status);
    Py_RETURN_NONE;
}

static PyObject *Claim_id(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(((Claim *)self)->claim.id);
}

static PyObject *Claim_size(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(((Claim *)self)->claim.size_bytes);
}

static PyObject *Claim_open(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(((Claim *)self)->open);
}

static void Claim_dealloc(PyObject *self) {
    Claim *c = (Claim *)self;
    if (c->open) // dropped without commit: an open claim would hold back all later messages
        derecho_claim_abort(c->shard, &c->claim);
    PyObject_Free(self);
}

static PyGetSetDef Claim_getset[] = {
    {"id", Claim_id, NULL, "int: the ticket, or the call", NULL},
    {"size", Claim_size, NULL, "int: bytes claimed", NULL},
    {"open", Claim_open, NULL, "bool: neither committed nor aborted", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef Claim_methods[] = {
    {"commit", Claim_commit, METH_VARARGS,
     "commit(used_bytes, pending=None, future=None)\n--\n\nSend it; return its id. A call's future is noted in pending."},
    {"abort", Claim_abort, METH_NOARGS, "abort()\n--\n\nGive it back unsent."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject Claim_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "derecho._native._fast.Claim",
    .tp_basicsize = sizeof(Claim),
    .tp_dealloc = Claim_dealloc,
    .tp_as_buffer = &Claim_buffer,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = Claim_methods,
    .tp_getset = Claim_getset,
};

static Claim *Claim_make(derecho_shard *shard, uint32_t method, uint32_t flags, size_t size_bytes) {
    Claim *c = PyObject_New(Claim, &Claim_Type);
    if (c == NULL)
        return NULL;
    c->shard = shard;
    c->views = 0;
    memset(&c->claim, 0, sizeof c->claim);
    derecho_status status = derecho_shard_claim(shard, method, flags, size_bytes, &c->claim);
    c->open = status == DERECHO_OK;
    if (status == DERECHO_OK)
        return c;
    Py_DECREF(c);
    return (Claim *)fail(status);
}

// ------------------------------------------------------------------------------------------------- Claiming
// Room for one message while a with block fills it: sent when the block ends well.

typedef struct {
    PyObject_HEAD
    Claim *claim;
    PyObject *view, *retry;
} Claiming;

static PyObject *release_name; // "release", interned

static PyObject *Claiming_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return Py_NewRef(((Claiming *)self)->view);
}

static PyObject *Claiming_exit(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Claiming *it = (Claiming *)self;
    Claim *c = it->claim;
    PyObject *done = PyObject_CallMethodNoArgs(it->view, release_name);
    if (done == NULL)
        return NULL;
    Py_DECREF(done);
    if (count > 0 && args[0] != Py_None) {
        done = Claim_abort((PyObject *)c, NULL);
        if (done == NULL && PyErr_ExceptionMatches(PyExc_BufferError)) {
            PyErr_Clear(); // views live on in the exception's frames: it is aborted when they are gone
            Py_RETURN_NONE;
        }
        return done;
    }
    if (Claim_check(c) != 0)
        return NULL;
    done = Claim_send(c, (size_t)c->claim.size_bytes, Py_None, Py_None);
    if (done == NULL && c->open) {
        PyErr_Clear();
        done = PyObject_CallOneArg(it->retry, (PyObject *)c);
    }
    if (done == NULL)
        return NULL;
    Py_DECREF(done);
    Py_RETURN_NONE;
}

static void Claiming_dealloc(PyObject *self) {
    Claiming *it = (Claiming *)self;
    Py_XDECREF(it->view); // before the claim, which is aborted if it is open
    Py_DECREF(it->claim);
    Py_DECREF(it->retry);
    PyObject_Free(self);
}

static PyMethodDef Claiming_methods[] = {
    {"__enter__", Claiming_enter, METH_NOARGS, "The memory to fill, a memoryview."},
    {"__exit__", (PyCFunction)(void (*)(void))Claiming_exit, METH_FASTCALL, "Send it, or abort it after an exception."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject Claiming_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "derecho._native._fast.Claiming",
    .tp_doc = "Room for one message while a with block fills it; see RawShard.claim.",
    .tp_basicsize = sizeof(Claiming),
    .tp_dealloc = Claiming_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = Claiming_methods,
};

// Takes over the claim.
static Claiming *Claiming_make(Claim *claim, PyObject *retry) {
    Claiming *it = PyObject_New(Claiming, &Claiming_Type);
    if (it == NULL) {
        Py_DECREF(claim);
        return NULL;
    }
    it->claim = claim;
    it->retry = Py_NewRef(retry);
    it->view = PyMemoryView_FromObject((PyObject *)claim);
    if (it->view != NULL)
        return it;
    Py_DECREF(it);
    return NULL;
}
