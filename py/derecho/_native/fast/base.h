// What all of the message path uses.
#pragma once

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
