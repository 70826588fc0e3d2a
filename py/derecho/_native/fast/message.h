// A lease holds the data of one poll; it is released when the last message of it, and the last view of their data, is
// dropped. Leases of all groups, and the messages of each lease, are linked, so that messages which somebody keeps without
// looking at their data can be moved out of the ring (spill): a loop variable must not hold back the senders.
#pragma once

#include "base.h"

typedef struct Message Message;

typedef struct Lease {
    PyObject_HEAD
    derecho_group *group;
    uint64_t lease;
    struct Lease *previous, *next;
    Message *messages; // borrowed: each takes itself off when it goes
} Lease;

struct Message {
    PyObject_HEAD
    derecho_event event;
    PyObject *owner; // what keeps event.data valid: a Lease, bytes, or NULL when there is none
    Message *previous, *next; // of the same lease
    Py_ssize_t views;         // of the data, in use
    int spilled;
};

static Lease *leases = NULL;       // borrowed
static Py_ssize_t spilled_bytes = 0; // in messages that are still alive

static PyTypeObject Lease_Type, Message_Type;

static Lease *Lease_make(derecho_group *group, uint64_t lease_id) {
    Lease *lease = PyObject_New(Lease, &Lease_Type);
    if (lease == NULL)
        return NULL;
    lease->group = group;
    lease->lease = lease_id;
    lease->messages = NULL;
    lease->previous = NULL;
    lease->next = leases;
    if (leases != NULL)
        leases->previous = lease;
    leases = lease;
    return lease;
}

static void Lease_dealloc(PyObject *self) {
    Lease *lease = (Lease *)self;
    if (lease->next != NULL)
        lease->next->previous = lease->previous;
    if (lease->previous != NULL)
        lease->previous->next = lease->next;
    else
        leases = lease->next;
    if (lease->lease != 0)
        derecho_release(lease->group, lease->lease); // after the group was closed it still ends what is held
    PyObject_Free(self);
}

static PyTypeObject Lease_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "derecho._native._fast.Lease",
    .tp_basicsize = sizeof(Lease),
    .tp_dealloc = Lease_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
};

static PyObject *Message_make(const derecho_event *event, PyObject *owner) {
    Message *message = PyObject_New(Message, &Message_Type);
    if (message == NULL)
        return NULL;
    message->event = *event;
    message->previous = message->next = NULL;
    message->views = 0;
    message->spilled = 0;
    if (event->size_bytes == 0 || event->data == NULL) {
        message->event.data = "";
        message->event.size_bytes = 0;
        owner = NULL;
    }
    Py_XINCREF(owner);
    message->owner = owner;
    if (owner != NULL && Py_TYPE(owner) == &Lease_Type) {
        Lease *lease = (Lease *)owner;
        message->next = lease->messages;
        if (lease->messages != NULL)
            lease->messages->previous = message;
        lease->messages = message;
    }
    return (PyObject *)message;
}

static void Message_unlink(Message *message) {
    if (message->owner == NULL || Py_TYPE(message->owner) != &Lease_Type)
        return;
    if (message->next != NULL)
        message->next->previous = message->previous;
    if (message->previous != NULL)
        message->previous->next = message->next;
    else
        ((Lease *)message->owner)->messages = message->next;
    message->previous = message->next = NULL;
}

static void Message_dealloc(PyObject *self) {
    Message *message = (Message *)self;
    Message_unlink(message);
    if (message->spilled)
        spilled_bytes -= (Py_ssize_t)message->event.size_bytes;
    Py_XDECREF(message->owner);
    PyObject_Free(self);
}

// Moves a message's data out of the ring, into bytes of its own. The lease may go with it.
static int Message_spill(Message *message) {
    PyObject *copy = PyBytes_FromStringAndSize(message->event.data, (Py_ssize_t)message->event.size_bytes);
    if (copy == NULL)
        return -1;
    PyObject *lease = message->owner;
    Message_unlink(message);
    message->owner = copy;
    message->event.data = PyBytes_AsString(copy);
    message->spilled = 1;
    spilled_bytes += (Py_ssize_t)message->event.size_bytes;
    Py_DECREF(lease);
    return 0;
}

static int Message_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    const derecho_event *event = &((Message *)self)->event;
    if (PyBuffer_FillInfo(view, self, (void *)event->data, (Py_ssize_t)event->size_bytes, 1, flags) != 0)
        return -1;
    ((Message *)self)->views++;
    return 0;
}

static void Message_releasebuffer(PyObject *self, Py_buffer *view) {
    (void)view;
    ((Message *)self)->views--;
}

static PyBufferProcs Message_buffer = {.bf_getbuffer = Message_getbuffer, .bf_releasebuffer = Message_releasebuffer};

static Py_ssize_t Message_length(PyObject *self) { return (Py_ssize_t)((Message *)self)->event.size_bytes; }

static PySequenceMethods Message_sequence = {.sq_length = Message_length};

static PyObject *Message_data(PyObject *self, void *unused) {
    (void)unused;
    return PyMemoryView_FromObject(self);
}

static PyObject *Message_tobytes(PyObject *self, PyObject *unused) {
    (void)unused;
    const derecho_event *event = &((Message *)self)->event;
    return PyBytes_FromStringAndSize(event->data, (Py_ssize_t)event->size_bytes);
}

static PyObject *Message_detach(PyObject *self, PyObject *unused) {
    PyObject *copy = Message_tobytes(self, unused);
    if (copy == NULL)
        return NULL;
    derecho_event event = ((Message *)self)->event;
    event.data = PyBytes_AsString(copy);
    PyObject *message = Message_make(&event, copy);
    Py_DECREF(copy);
    return message;
}

#define FIELD(name, convert)                                                                                           \
    static PyObject *Message_##name(PyObject *self, void *unused) {                                                    \
        (void)unused;                                                                                                  \
        return convert(((Message *)self)->event.name);                                                                 \
    }
FIELD(kind, PyLong_FromUnsignedLong)
FIELD(node, PyLong_FromUnsignedLong)
FIELD(version, PyLong_FromUnsignedLongLong)
FIELD(timestamp_ns, PyLong_FromUnsignedLongLong)
FIELD(id, PyLong_FromUnsignedLongLong)
FIELD(method, PyLong_FromUnsignedLong)
FIELD(shard, PyLong_FromUnsignedLong)
FIELD(status, PyLong_FromLong)
FIELD(flags, PyLong_FromUnsignedLong)

static PyObject *Message_own(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong((((Message *)self)->event.flags & DERECHO_FLAG_OWN) != 0);
}

static PyObject *Message_repr(PyObject *self) {
    const derecho_event *e = &((Message *)self)->event;
    return PyUnicode_FromFormat("<Message from %lu, version %llu, %llu bytes>", (unsigned long)e->node,
                                (unsigned long long)e->version, (unsigned long long)e->size_bytes);
}

static PyGetSetDef Message_getset[] = {
    {"data", Message_data, NULL, "memoryview: the payload in place, read-only", NULL},
    {"sender", Message_node, NULL, "int: the node that sent it", NULL},
    {"version", Message_version, NULL, "int: grows with every ordered message of a shard", NULL},
    {"timestamp", Message_timestamp_ns, NULL, "int: hybrid logical time of the send, ns", NULL},
    {"id", Message_id, NULL, "int: the ticket, if this node sent it; the call, request or view otherwise", NULL},
    {"own", Message_own, NULL, "bool: whether this node sent it", NULL},
    {"kind", Message_kind, NULL, "int: DERECHO_EVENT_*", NULL},
    {"method", Message_method, NULL, "int: of a call", NULL},
    {"shard", Message_shard, NULL, "int: index of the service", NULL},
    {"status", Message_status, NULL, "int: of a reply, or of the end", NULL},
    {"flags", Message_flags, NULL, "int: DERECHO_FLAG_*", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef Message_methods[] = {
    {"tobytes", Message_tobytes, METH_NOARGS, "tobytes()\n--\n\nReturn a copy of the payload."},
    {"detach", Message_detach, METH_NOARGS,
     "detach()\n--\n\nReturn the same message with a copy of the payload, which holds nothing of the ring."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject Message_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "derecho.Message",
    .tp_doc = "One message, its payload in place. Dropping it, and every view of its data, frees its place in the ring.",
    .tp_basicsize = sizeof(Message),
    .tp_dealloc = Message_dealloc,
    .tp_repr = Message_repr,
    .tp_as_buffer = &Message_buffer,
    .tp_as_sequence = &Message_sequence,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = Message_methods,
    .tp_getset = Message_getset,
};
