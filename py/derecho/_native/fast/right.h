// The right to poll a group and to dispatch what came. The GIL makes taking it and giving it back atomic.
#pragma once

#include "polling.h"

typedef struct {
    PyObject_HEAD
    derecho_group *group;
    PyObject *backlog;         // list: runs that were polled and not yet dispatched
    unsigned long driver;      // the thread that has it; 0: free
    unsigned long long entries; // grows whenever somebody starts to wait, so that the background thread stands aside
    Py_ssize_t followers;      // threads that sleep until the driver has dispatched something
    char must_retry;           // something waits for room
} Right;

static PyObject *Right_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    unsigned long long group;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "K", &group))
        return NULL;
    Right *right = (Right *)type->tp_alloc(type, 0);
    if (right == NULL)
        return NULL;
    right->group = handle(group);
    right->backlog = PyList_New(0);
    if (right->backlog == NULL)
        Py_CLEAR(right);
    return (PyObject *)right;
}

static void Right_dealloc(PyObject *self) {
    Py_XDECREF(((Right *)self)->backlog);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *Right_acquire(PyObject *self, PyObject *unused) {
    (void)unused;
    Right *right = (Right *)self;
    if (right->driver != 0)
        Py_RETURN_FALSE;
    right->driver = PyThread_get_thread_ident();
    Py_RETURN_TRUE;
}

static PyObject *Right_release(PyObject *self, PyObject *unused) {
    (void)unused;
    ((Right *)self)->driver = 0;
    Py_RETURN_NONE;
}

static PyObject *take_polled(Right *right, unsigned long shard, size_t most, int64_t timeout_ns) {
    Polled polled;
    poll_group(right->group, timeout_ns, &polled);
    if (polled.status != DERECHO_OK)
        Py_RETURN_NONE;
    if (polled.count == 0)
        return PyList_New(0);
    Lease *lease = Lease_of(right->group, &polled);
    if (lease == NULL)
        return NULL;
    PyObject *result = NULL;
    if (polled.events[0].kind == DERECHO_EVENT_MESSAGE && polled.events[0].shard == shard && polled.count <= most &&
        run_length(polled.events, polled.count) == polled.count) {
        result = messages_of(polled.events, polled.count, lease);
    } else {
        PyObject *runs = runs_of(&polled, lease);
        const Py_ssize_t end = PyList_GET_SIZE(right->backlog);
        if (runs != NULL && PyList_SetSlice(right->backlog, end, end, runs) == 0)
            result = Py_NewRef(Py_None);
        Py_XDECREF(runs);
    }
    Py_DECREF(lease);
    return result;
}

// take(shard, queue, most, timeout_s, longest_s): the short way of a thread that polls for plain messages, of which none
// is in the queue. Whatever is not as simple as that (another driver, other events, more than `most`, an error) is left
// to the long way, which the caller takes when this returns None. The right is given back last: what others dispatch
// comes after.
static PyObject *Right_take(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "take(shard, queue, most, timeout_s, longest_s)");
        return NULL;
    }
    unsigned long shard = PyLong_AsUnsignedLong(args[0]);
    PyObject *queue = args[1];
    size_t most = args[2] == Py_None ? SIZE_MAX : PyLong_AsSize_t(args[2]);
    double timeout_s = PyFloat_AsDouble(args[3]), longest_s = PyFloat_AsDouble(args[4]);
    if (PyErr_Occurred())
        return NULL;
    timeout_s = timeout_s > 0 ? timeout_s : 0; // not a number is 0, too
    const int64_t timeout_ns = (int64_t)((timeout_s < longest_s ? timeout_s : longest_s) * 1e9);
    Right *right = (Right *)self;
    if (right->driver != 0 || right->followers != 0 || right->must_retry || PyList_GET_SIZE(right->backlog) != 0 ||
        PyObject_Size(queue) != 0)
        Py_RETURN_NONE;
    right->driver = PyThread_get_thread_ident();
    right->entries++;
    PyObject *result = take_polled(right, shard, most, timeout_ns);
    right->driver = 0;
    return result;
}

static PyObject *Right_mine(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(((Right *)self)->driver == PyThread_get_thread_ident());
}

static PyObject *Right_held(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(((Right *)self)->driver != 0);
}

static PyMemberDef Right_members[] = {
    {"backlog", T_OBJECT, offsetof(Right, backlog), READONLY, "list: runs that were polled and not yet dispatched"},
    {"entries", T_ULONGLONG, offsetof(Right, entries), 0, "int: grows whenever somebody starts to wait"},
    {"followers", T_PYSSIZET, offsetof(Right, followers), 0, "int: threads that sleep until something was dispatched"},
    {"must_retry", T_BOOL, offsetof(Right, must_retry), 0, "bool: something waits for room"},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef Right_getset[] = {
    {"mine", Right_mine, NULL, "bool: whether the calling thread has it", NULL},
    {"held", Right_held, NULL, "bool: whether a thread has it", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef Right_methods[] = {
    {"acquire", Right_acquire, METH_NOARGS, "acquire()\n--\n\nTake it if it is free; whether it was."},
    {"release", Right_release, METH_NOARGS, "release()\n--\n\nGive it back."},
    {"take", (PyCFunction)(void (*)(void))Right_take, METH_FASTCALL,
     "take(shard, queue, most, timeout_s, longest_s)\n--\n\nReturn messages of a shard, or None when there is more to do."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject Right_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "derecho._native._fast.Right",
    .tp_doc = "The right to poll a group and to dispatch what came.",
    .tp_basicsize = sizeof(Right),
    .tp_dealloc = Right_dealloc,
    .tp_new = Right_new,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_members = Right_members,
    .tp_methods = Right_methods,
    .tp_getset = Right_getset,
};
