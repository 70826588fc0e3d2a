// The message path of a Python member: polls into lists of Message objects, gathers call arguments, fills claims.
//
// Compiled into the extension that cffi writes (build_native.py includes this file there), as a second module, _fast.
// cffi serves everything that happens once; what happens per message is here, because crossing cffi field by field costs
// more than a message may. Every function runs with the GIL held, which also orders "the call was sent" before "its reply
// is dispatched"; only waiting and large copies let go of it.
#include "fast/claim.h"
#include "fast/parts.h"
#include "fast/plain.h"
#include "fast/right.h"

// spill(group, limit): moves messages without views out of the ring, until spilled ones take `limit` bytes.
static PyObject *fast_spill(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long number;
    Py_ssize_t limit;
    if (!PyArg_ParseTuple(args, "Kn", &number, &limit))
        return NULL;
    for (Lease *lease = leases; lease != NULL;) {
        Py_INCREF(lease);
        for (Message *m = lease->messages, *next; lease->group == handle(number) && m != NULL; m = next) {
            next = m->next;
            if (m->views == 0 && spilled_bytes < limit && Message_spill(m) != 0) {
                Py_DECREF(lease);
                return NULL;
            }
        }
        Lease *done = lease;
        lease = lease->next;
        Py_DECREF(done);
    }
    Py_RETURN_NONE;
}

static PyObject *fast_send(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "send(shard, data)");
        return NULL;
    }
    derecho_shard *shard = handle(PyLong_AsUnsignedLongLong(args[0]));
    Py_buffer data;
    if (PyErr_Occurred() || PyObject_GetBuffer(args[1], &data, PyBUF_SIMPLE) != 0)
        return NULL;
    uint64_t ticket = 0;
    derecho_status status = derecho_shard_send(shard, data.buf, (size_t)data.len, &ticket);
    PyBuffer_Release(&data);
    return status == DERECHO_OK ? PyLong_FromUnsignedLongLong(ticket) : fail(status);
}

enum { BATCH_ITEMS = 64 };

// Hand over the next items, as many as one batch takes; adds to *sent. -1: an item is no buffer.
static int send_batch(derecho_shard *shard, PyObject *items, Py_ssize_t first, Py_ssize_t count, size_t *sent,
                      derecho_status *status) {
    Py_buffer data[BATCH_ITEMS];
    derecho_bytes messages[BATCH_ITEMS];
    Py_ssize_t held = 0;
    int ok = 0;
    for (; held < count; held++) {
        if (PyObject_GetBuffer(PySequence_Fast_GET_ITEM(items, first + held), &data[held], PyBUF_SIMPLE) != 0) {
            ok = -1;
            break;
        }
        messages[held].data = data[held].buf;
        messages[held].size_bytes = (uint64_t)data[held].len;
    }
    size_t taken = 0;
    if (ok == 0)
        *status = derecho_shard_send_many(shard, messages, (size_t)count, &taken, NULL);
    *sent += taken;
    while (held > 0)
        PyBuffer_Release(&data[--held]);
    return ok;
}

// Returns how many of items[start:] were taken: fewer than all when the ring is full or the view is changing.
static PyObject *fast_send_many(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "send_many(shard, items, start)");
        return NULL;
    }
    derecho_shard *shard = handle(PyLong_AsUnsignedLongLong(args[0]));
    Py_ssize_t start = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred())
        return NULL;
    if (start < 0) {
        PyErr_SetString(PyExc_ValueError, "start must not be negative");
        return NULL;
    }
    PyObject *items = PySequence_Fast(args[1], "send_many takes a sequence of bytes-like objects");
    if (items == NULL)
        return NULL;
    Py_ssize_t length = PySequence_Fast_GET_SIZE(items);
    size_t sent = 0;
    derecho_status status = DERECHO_OK;
    for (Py_ssize_t at = start; at < length; at = start + (Py_ssize_t)sent) {
        Py_ssize_t count = length - at < BATCH_ITEMS ? length - at : BATCH_ITEMS;
        size_t before = sent;
        if (send_batch(shard, items, at, count, &sent, &status) != 0) {
            Py_DECREF(items);
            return NULL;
        }
        if (status != DERECHO_OK || sent - before < (size_t)count)
            break;
    }
    Py_DECREF(items);
    if (status == DERECHO_OK || sent > 0 || status == DERECHO_AGAIN || status == DERECHO_WEDGED)
        return PyLong_FromSize_t(sent);
    return fail(status);
}

// claim(shard, method, flags, size) -> an open Claim
static PyObject *fast_claim(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "claim(shard, method, flags, size)");
        return NULL;
    }
    derecho_shard *shard = handle(PyLong_AsUnsignedLongLong(args[0]));
    uint32_t method = (uint32_t)PyLong_AsUnsignedLong(args[1]), flags = (uint32_t)PyLong_AsUnsignedLong(args[2]);
    size_t size = PyLong_AsSize_t(args[3]);
    return PyErr_Occurred() ? NULL : (PyObject *)Claim_make(shard, method, flags, size);
}

// claiming(shard, size, retry) -> a context manager over room for a plain message; retry(claim) commits what could not
// be committed at once
static PyObject *fast_claiming(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "claiming(shard, size, retry)");
        return NULL;
    }
    derecho_shard *shard = handle(PyLong_AsUnsignedLongLong(args[0]));
    size_t size = PyLong_AsSize_t(args[1]);
    Claim *c = PyErr_Occurred() ? NULL : Claim_make(shard, 0, DERECHO_CLAIM_MESSAGE, size);
    return c == NULL ? NULL : (PyObject *)Claiming_make(c, args[2]);
}

static PyObject *call_in_claim(derecho_shard *shard, uint32_t method, uint32_t flags, const Parts *parts,
                               PyObject *pending, PyObject *future) {
    Claim *c = Claim_make(shard, method, flags, parts->total);
    if (c == NULL)
        return NULL;
    if (parts->total > COPY_WITHOUT_GIL) {
        Py_BEGIN_ALLOW_THREADS
        parts_copy(parts, c->claim.data);
        Py_END_ALLOW_THREADS
    } else {
        parts_copy(parts, c->claim.data);
    }
    PyObject *result = Claim_send(c, parts->total, pending, future);
    if (result == NULL && c->open) { // the view changed and the new ring is full: the caller polls and commits again
        PyErr_Clear();
        return (PyObject *)c;
    }
    Py_DECREF(c);
    return result;
}

// call(shard, method, flags, parts, pending, future) -> id, or an open Claim that could not be committed yet
static PyObject *fast_call(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 6) {
        PyErr_SetString(PyExc_TypeError, "call(shard, method, flags, parts, pending, future)");
        return NULL;
    }
    derecho_shard *shard = handle(PyLong_AsUnsignedLongLong(args[0]));
    uint32_t method = (uint32_t)PyLong_AsUnsignedLong(args[1]), flags = (uint32_t)PyLong_AsUnsignedLong(args[2]);
    Parts parts;
    if (PyErr_Occurred() || parts_open(&parts, args[3]) != 0)
        return NULL;
    PyObject *result = NULL;
    if (parts.count > 1 && parts.total > GATHER_BYTES) {
        result = call_in_claim(shard, method, flags, &parts, args[4], args[5]);
    } else {
        char stack[GATHER_BYTES], *heap;
        uint64_t id = 0;
        const void *data = parts_join(&parts, stack, &heap);
        derecho_status status = derecho_shard_call(shard, method, flags, data, parts.total, &id);
        if (status != DERECHO_OK)
            fail(status);
        else if (remember(args[4], id, args[5]) == 0)
            result = PyLong_FromUnsignedLongLong(id);
    }
    parts_release(&parts);
    return result;
}

// query(shard, node, method, parts, pending, future) -> id
static PyObject *fast_query(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 6) {
        PyErr_SetString(PyExc_TypeError, "query(shard, node, method, parts, pending, future)");
        return NULL;
    }
    derecho_shard *shard = handle(PyLong_AsUnsignedLongLong(args[0]));
    uint32_t node = (uint32_t)PyLong_AsUnsignedLong(args[1]), method = (uint32_t)PyLong_AsUnsignedLong(args[2]);
    Parts parts;
    if (PyErr_Occurred() || parts_open(&parts, args[3]) != 0)
        return NULL;
    char stack[GATHER_BYTES], *heap;
    uint64_t id = 0;
    PyObject *result = NULL;
    const void *data = parts_join(&parts, stack, &heap);
    if (data != NULL) {
        derecho_status status = derecho_shard_query(shard, node, method, data, parts.total, &id);
        if (status != DERECHO_OK)
            fail(status);
        else if (remember(args[4], id, args[5]) == 0)
            result = PyLong_FromUnsignedLongLong(id);
    }
    PyMem_Free(heap);
    parts_release(&parts);
    return result;
}

// reply(group, node, call, status, parts) -> whether it was taken; False: too many answers await this caller
static PyObject *fast_reply(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "reply(group, node, call, status, parts)");
        return NULL;
    }
    derecho_group *group = handle(PyLong_AsUnsignedLongLong(args[0]));
    uint32_t node = (uint32_t)PyLong_AsUnsignedLong(args[1]);
    uint64_t call = PyLong_AsUnsignedLongLong(args[2]);
    derecho_status answer = (derecho_status)PyLong_AsLong(args[3]);
    Parts parts;
    if (PyErr_Occurred() || parts_open(&parts, args[4]) != 0)
        return NULL;
    char stack[GATHER_BYTES], *heap;
    PyObject *result = NULL;
    const void *data = parts_join(&parts, stack, &heap);
    if (data != NULL) {
        derecho_status status = derecho_group_reply(group, node, call, answer, data, parts.total);
        if (status == DERECHO_OK || status == DERECHO_AGAIN)
            result = PyBool_FromLong(status == DERECHO_OK);
        else
            fail(status);
    }
    PyMem_Free(heap);
    parts_release(&parts);
    return result;
}

// state(group, node, request, piece, last) -> whether it was taken
static PyObject *fast_state(PyObject *module, PyObject *args) {
    (void)module;
    unsigned long long group, request;
    unsigned int node;
    Py_buffer piece;
    int last;
    if (!PyArg_ParseTuple(args, "KIKy*p", &group, &node, &request, &piece, &last))
        return NULL;
    derecho_status status = derecho_group_state(handle(group), node, request, piece.buf, (size_t)piece.len, last);
    PyBuffer_Release(&piece);
    if (status == DERECHO_OK || status == DERECHO_AGAIN)
        return PyBool_FromLong(status == DERECHO_OK);
    return fail(status);
}

static PyObject *fast_set_errors(PyObject *module, PyObject *by_status) {
    (void)module;
    Py_INCREF(by_status);
    Py_XSETREF(errors, by_status);
    Py_RETURN_NONE;
}

#define FASTCALL(name) {#name, (PyCFunction)(void (*)(void))fast_##name, METH_FASTCALL, NULL}
static PyMethodDef fast_methods[] = {
    FASTCALL(poll),
    FASTCALL(send),
    FASTCALL(send_many),
    FASTCALL(call),
    FASTCALL(query),
    FASTCALL(reply),
    FASTCALL(claim),
    FASTCALL(claiming),
    {"spill", fast_spill, METH_VARARGS, NULL},
    {"state", fast_state, METH_VARARGS, NULL},
    {"refuse_buffers", fast_refuse_buffers, METH_O, NULL},
    {"set_errors", fast_set_errors, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef fast_module = {
    PyModuleDef_HEAD_INIT, "derecho._native._fast", "The message path (fast.c).", -1, fast_methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__fast(void);
PyMODINIT_FUNC PyInit__fast(void) {
    PyTypeObject *types[] = {&Lease_Type, &Message_Type, &Claim_Type, &Claiming_Type, &Right_Type};
    if ((release_name = PyUnicode_InternFromString("release")) == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (PyType_Ready(types[i]) != 0)
            return NULL;
    PyObject *module = PyModule_Create(&fast_module);
    if (module == NULL)
        return NULL;
    PyObject *hash = PyLong_FromUnsignedLongLong(DERECHO_BUILT_AGAINST);
    if (PyModule_AddObjectRef(module, "Message", (PyObject *)&Message_Type) != 0 ||
        PyModule_AddObjectRef(module, "Claim", (PyObject *)&Claim_Type) != 0 ||
        PyModule_AddObjectRef(module, "Claiming", (PyObject *)&Claiming_Type) != 0 ||
        PyModule_AddObjectRef(module, "Right", (PyObject *)&Right_Type) != 0 || hash == NULL ||
        PyModule_AddObjectRef(module, "BUILT_AGAINST", hash) != 0) {
        Py_XDECREF(hash);
        Py_DECREF(module);
        return NULL;
    }
    Py_DECREF(hash);
    return module;
}
