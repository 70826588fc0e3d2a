// The arguments of a call: a tuple of buffers that follow each other.
#pragma once

#include "base.h"

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
