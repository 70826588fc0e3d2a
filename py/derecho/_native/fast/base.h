// What all of the message path uses.
#pragma once

#include <derecho.h>
#include <string.h>
#include <structmember.h>

#define EVENTS_PER_POLL 512
#define GATHER_BYTES 4096          // gathered on the stack; more goes straight into a claim
#define COPY_WITHOUT_GIL (256 << 10)

static PyObject *errors = NULL; // dict: status -> class of exception

// Raises what the core said; NULL.
static PyObject *fail(derecho_status status) {
    PyObject *number = PyLong_FromLong(status);
    PyObject *found = number != NULL && errors != NULL ? PyDict_GetItemWithError(errors, number) : NULL;
    Py_XDECREF(number);
    if (found != NULL)
        PyErr_SetString(found, derecho_last_error());
    else if (!PyErr_Occurred()) // there is none for statuses that no local call has
        PyErr_Format(PyExc_SystemError, "%s: %s", derecho_status_name(status), derecho_last_error());
    return NULL;
}

static void *handle(unsigned long long number) { return (void *)(uintptr_t)number; }
