// The message path of a Python member: polls into lists of Message objects, gathers call arguments, fills claims.
//
// Compiled into the extension that cffi writes (build_native.py includes this file there), as a second module, _fast.
// cffi serves everything that happens once; what happens per message is here, because crossing cffi field by field costs
// more than a message may. Every function runs with the GIL held, which also orders "the call was sent" before "its reply
// is dispatched"; only waiting and large copies let go of it.
#include <derecho.h>
#include <string.h>
#include <structmember.h>

#define EVENTS_PER_POLL 512
#define GATHER_BYTES 4096          // gathered on the stack; more goes straight into a claim
#define COPY_WITHOUT_GIL (256 << 10)

static PyObject *make_error = NULL; // callable (status, text) -> exception

static PyObject *fail(derecho_status status) {
    const char *text = derecho_last_error();
    if (make_error == NULL) {
        PyErr_Format(PyExc_RuntimeError, "%s: %s", derecho_status_name(status), text);
        return NULL;
    }
    PyObject *error = PyObject_CallFunction(make_error, "is", (int)status, text);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

static void *handle(unsigned long long number) { return (void *)(uintptr_t)number; }

// ------------------------------------------------------------------------------------------------- Lease, Message
// A lease holds the data of one poll; it is released when the last message of it, and the last view of their data, is
// dropped. Leases of all groups, and the messages of each lease, are linked, so that messages which somebody keeps without
// looking at their data can be moved out of the ring (spill): a loop variable must not hold back the senders.

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

// ------------------------------------------------------------------------------------------------- Claim

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

static PyObject *Claiming_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return Py_NewRef(((Claiming *)self)->view);
}

static PyObject *Claiming_exit(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Claiming *it = (Claiming *)self;
    Claim *c = it->claim;
    PyObject *done = PyObject_CallMethod(it->view, "release", NULL);
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

static Claiming *Claiming_make(Claim *claim, PyObject *retry) {
    Claiming *it = PyObject_New(Claiming, &Claiming_Type);
    if (it == NULL)
        return NULL;
    it->claim = (Claim *)Py_NewRef(claim);
    it->retry = Py_NewRef(retry);
    it->view = PyMemoryView_FromObject((PyObject *)claim);
    if (it->view != NULL)
        return it;
    Py_DECREF(it);
    return NULL;
}

// ------------------------------------------------------------------------------------------------- parts
// The arguments of a call: a tuple of buffers that follow each other.

typedef struct {
    Py_buffer *views;
    Py_ssize_t count;
    size_t total;
    Py_buffer few[8];
} Parts;

static void parts_release(Parts *parts) {
    for (Py_ssize_t i = 0; i < parts->count; i++)
        PyBuffer_Release(&parts->views[i]);
    if (parts->views != parts->few)
        PyMem_Free(parts->views);
}

static int parts_open(Parts *parts, PyObject *tuple) {
    parts->count = 0;
    parts->total = 0;
    parts->views = parts->few;
    if (!PyTuple_Check(tuple)) {
        PyErr_SetString(PyExc_TypeError, "parts must be a tuple of buffers");
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    if (count > (Py_ssize_t)(sizeof parts->few / sizeof *parts->few)) {
        parts->views = PyMem_New(Py_buffer, (size_t)count);
        if (parts->views == NULL) {
            parts->views = parts->few;
            PyErr_NoMemory();
            return -1;
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(tuple, i), &parts->views[i], PyBUF_SIMPLE) != 0) {
            parts_release(parts);
            return -1;
        }
        parts->count++;
        parts->total += (size_t)parts->views[i].len;
    }
    return 0;
}

static void parts_copy(const Parts *parts, char *to) {
    for (Py_ssize_t i = 0; i < parts->count; i++) {
        memcpy(to, parts->views[i].buf, (size_t)parts->views[i].len);
        to += parts->views[i].len;
    }
}

// Makes the parts one run of bytes: the only part itself, the caller's stack, or memory for *heap, to be freed.
static const void *parts_join(const Parts *parts, char *stack, char **heap) {
    *heap = NULL;
    if (parts->count == 0)
        return "";
    if (parts->count == 1)
        return parts->views[0].buf;
    char *to = stack;
    if (parts->total > GATHER_BYTES) {
        to = *heap = PyMem_Malloc(parts->total);
        if (to == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    parts_copy(parts, to);
    return to;
}

// ------------------------------------------------------------------------------------------------- polling

// One poll, without the GIL while it waits.
typedef struct {
    derecho_event events[EVENTS_PER_POLL];
    size_t count;
    uint64_t lease;
    derecho_status status;
} Polled;

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

static PyObject *fast_poll(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "poll(group, timeout_ns)");
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
    PyObject *runs = lease == NULL ? NULL : runs_of(&polled, lease);
    Py_XDECREF(lease);
    return runs;
}

// ------------------------------------------------------------------------------------------------- Right
// The right to poll a group and to dispatch what came. The GIL makes taking it and giving it back atomic.

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

// ------------------------------------------------------------------------------------------------- functions

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

// claiming(claim, retry) -> a context manager; retry(claim) commits what could not be committed at once
static PyObject *fast_claiming(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 2 || !Py_IS_TYPE(args[0], &Claim_Type)) {
        PyErr_SetString(PyExc_TypeError, "claiming(claim, retry)");
        return NULL;
    }
    return (PyObject *)Claiming_make((Claim *)args[0], args[1]);
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

static PyObject *fast_set_make_error(PyObject *module, PyObject *callable) {
    (void)module;
    Py_INCREF(callable);
    Py_XSETREF(make_error, callable);
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
    {"set_make_error", fast_set_make_error, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef fast_module = {
    PyModuleDef_HEAD_INIT, "derecho._native._fast", "The message path (fast.c).", -1, fast_methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__fast(void);
PyMODINIT_FUNC PyInit__fast(void) {
    PyTypeObject *types[] = {&Lease_Type, &Message_Type, &Claim_Type, &Claiming_Type, &Right_Type};
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
