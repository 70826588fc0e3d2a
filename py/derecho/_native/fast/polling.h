// From one poll to lists of messages.
#pragma once

#include "message.h"

typedef struct {
    derecho_event events[EVENTS_PER_POLL];
    size_t count;
    uint64_t lease;
    derecho_status status;
} Polled;

// Without the GIL while it waits.
static void poll_group(derecho_group *group, int64_t timeout_ns, Polled *polled) {
    polled->count = 0;
    polled->lease = 0;
    Py_BEGIN_ALLOW_THREADS
    polled->status =
        derecho_poll(group, polled->events, EVENTS_PER_POLL, timeout_ns, &polled->count, &polled->lease);
    Py_END_ALLOW_THREADS
}

static Lease *Lease_of(derecho_group *group, const Polled *polled) {
    Lease *lease = Lease_make(group, polled->lease);
    if (lease == NULL && polled->lease != 0)
        derecho_release(group, polled->lease);
    return lease;
}

static PyObject *messages_of(const derecho_event *events, size_t count, Lease *lease) {
    PyObject *messages = PyList_New((Py_ssize_t)count);
    if (messages == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        PyObject *message = Message_make(&events[i], (PyObject *)lease);
        if (message == NULL) {
            Py_DECREF(messages);
            return NULL;
        }
        PyList_SET_ITEM(messages, (Py_ssize_t)i, message);
    }
    return messages;
}

// The length of a run, at the beginning of `events`: consecutive events of one kind and shard.
static size_t run_length(const derecho_event *events, size_t count) {
    size_t end = count == 0 ? 0 : 1;
    while (end < count && events[end].kind == events[0].kind && events[end].shard == events[0].shard)
        end++;
    return end;
}

// As iterators: a handler that is interrupted leaves the rest of its run to the next driver.
static PyObject *runs_of(const Polled *polled, Lease *lease) {
    PyObject *runs = PyList_New(0);
    for (size_t begin = 0, length; runs != NULL && begin < polled->count; begin += length) {
        const derecho_event *first = &polled->events[begin];
        length = run_length(first, polled->count - begin);
        PyObject *messages = messages_of(first, length, lease);
        PyObject *iterator = messages == NULL ? NULL : PyObject_GetIter(messages);
        Py_XDECREF(messages);
        PyObject *run = iterator == NULL ? NULL : Py_BuildValue("(IIN)", first->kind, first->shard, iterator);
        if (run == NULL || PyList_Append(runs, run) != 0)
            Py_CLEAR(runs);
        Py_XDECREF(run);
    }
    return runs;
}

// Adds `found`, a list or NULL, to the end of `list`; takes `found` over.
static int append_all(PyObject *list, PyObject *found) {
    const Py_ssize_t end = PyList_GET_SIZE(list);
    const int result = found == NULL ? -1 : PyList_SetSlice(list, end, end, found);
    Py_XDECREF(found);
    return result;
}

// poll(group, timeout_ns, backlog): adds what came to the list `backlog` itself. Returned, it would be lost when a signal's
// handler raises, which the interpreter lets it do right after this call.
static PyObject *fast_poll(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 3 || !PyList_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "poll(group, timeout_ns, backlog)");
        return NULL;
    }
    derecho_group *group = handle(PyLong_AsUnsignedLongLong(args[0]));
    int64_t timeout_ns = PyLong_AsLongLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    Polled polled;
    poll_group(group, timeout_ns, &polled);
    if (polled.status != DERECHO_OK)
        return fail(polled.status);
    Lease *lease = Lease_of(group, &polled);
    const int result = lease == NULL ? -1 : append_all(args[2], runs_of(&polled, lease));
    Py_XDECREF(lease);
    if (result != 0)
        return NULL;
    Py_RETURN_NONE;
}
