// The right to poll a group and to dispatch what came. The GIL makes taking it and giving it back atomic.
//
// It is held by C code while that calls a function, never between two steps of Python code: the handler of a signal
// (Ctrl-C) may raise between any two of those, and the right would be held for ever. The same goes for the counts.
#pragma once

#include "polling.h"

typedef struct {
    PyObject_HEAD
    derecho_group *group;
    PyObject *backlog;         // list: runs that were polled and not yet dispatched
    unsigned long driver;      // the thread that has it; 0: free
    unsigned long long entries; // grows whenever somebody starts to wait, so that the background thread stands aside
    Py_ssize_t waiters;        // threads and loops that want to drive or follow
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

static PyObject *call_with(PyObject *const *args, Py_ssize_t count) {
    if (count > 0)
        return PyObject_Vectorcall(args[0], args + 1, (size_t)count - 1, NULL);
    PyErr_SetString(PyExc_TypeError, "a function is missing");
    return NULL;
}

// drive(function, *args) -> what function(*args) returns, called while this thread has the right; None: another has it
static PyObject *Right_drive(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Right *right = (Right *)self;
    if (right->driver != 0)
        Py_RETURN_NONE;
    right->driver = PyThread_get_thread_ident();
    PyObject *result = call_with(args, count);
    right->driver = 0;
    return result;
}

// wait(function, *args) -> what function(*args) returns, called while this thread is counted among those that wait
static PyObject *Right_wait(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Right *right = (Right *)self;
    right->waiters++;
    right->entries++;
    PyObject *result = call_with(args, count);
    right->waiters--;
    return result;
}

// follow(function, *args) -> what function(*args) returns, called while this thread is counted among the followers
static PyObject *Right_follow(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Right *right = (Right *)self;
    right->followers++;
    PyObject *result = call_with(args, count);
    right->followers--;
    return result;
}

static PyObject *take_polled(Right *right, unsigned long shard, size_t most, int64_t timeout_ns, PyObject *found) {
    Polled polled;
    poll_group(right->group, timeout_ns, &polled);
    if (polled.status != DERECHO_OK)
        Py_RETURN_FALSE;
    if (polled.count == 0)
        Py_RETURN_TRUE;
    Lease *lease = Lease_of(right->group, &polled);
    if (lease == NULL)
        return NULL;
    const int simple = polled.events[0].kind == DERECHO_EVENT_MESSAGE && polled.events[0].shard == shard &&
                       polled.count <= most && run_length(polled.events, polled.count) == polled.count;
    const int result = simple ? append_all(found, messages_of(polled.events, polled.count, lease))
                              : append_all(right->backlog, runs_of(&polled, lease));
    Py_DECREF(lease);
    return result == 0 ? PyBool_FromLong(simple) : NULL;
}

// take(shard, queue, most, timeout_s, longest_s, found): the short way of a thread that polls for plain messages, of which
// none is in the queue; they are added to the list `found`. Whatever is not as simple as that (another driver, other
// events, more than `most`, an error) is left to the long way, which the caller takes when this returns False. The right
// is given back last: what others dispatch comes after.
static PyObject *Right_take(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 6 || !PyList_Check(args[5])) {
        PyErr_SetString(PyExc_TypeError, "take(shard, queue, most, timeout_s, longest_s, found)");
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
        Py_RETURN_FALSE;
    right->driver = PyThread_get_thread_ident();
    right->entries++;
    PyObject *result = take_polled(right, shard, most, timeout_ns, args[5]);
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
    {"waiters", T_PYSSIZET, offsetof(Right, waiters), READONLY, "int: threads and loops that want to drive or follow"},
    {"followers", T_PYSSIZET, offsetof(Right, followers), READONLY, "int: threads that sleep until something was dispatched"},
    {"must_retry", T_BOOL, offsetof(Right, must_retry), 0, "bool: something waits for room"},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef Right_getset[] = {
    {"mine", Right_mine, NULL, "bool: whether the calling thread has it", NULL},
    {"held", Right_held, NULL, "bool: whether a thread has it", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef Right_methods[] = {
    {"drive", (PyCFunction)(void (*)(void))Right_drive, METH_FASTCALL,
     "drive(function, *args)\n--\n\nCall a function while this thread has it; None if another has."},
    {"wait", (PyCFunction)(void (*)(void))Right_wait, METH_FASTCALL,
     "wait(function, *args)\n--\n\nCall a function while this thread counts as one that waits."},
    {"follow", (PyCFunction)(void (*)(void))Right_follow, METH_FASTCALL,
     "follow(function, *args)\n--\n\nCall a function while this thread counts as a follower."},
    {"take", (PyCFunction)(void (*)(void))Right_take, METH_FASTCALL,
     "take(shard, queue, most, timeout_s, longest_s, found)\n--\n\nAdd messages of a shard to found; False: there is more to do."},
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
