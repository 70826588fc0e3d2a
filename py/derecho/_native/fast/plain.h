// What MessagePack would take for bytes, and give back as bytes, is refused.
#pragma once

#include "base.h"

static int refuse_buffers(PyObject *value);

static int refuse_in_dict(PyObject *dict) {
    PyObject *key, *value;
    for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);)
        if (refuse_buffers(key) != 0 || refuse_buffers(value) != 0)
            return -1;
    return 0;
}

static int refuse_in_list(PyObject *list) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        if (refuse_buffers(PyList_GET_ITEM(list, i)) != 0)
            return -1;
    return 0;
}

// Runs no Python code, so nothing changes meanwhile.
static int refuse_buffers(PyObject *value) {
    if (PyByteArray_CheckExact(value) || PyMemoryView_Check(value)) {
        PyErr_Format(PyExc_TypeError, "can not serialize '%s' object", Py_TYPE(value)->tp_name);
        return -1;
    }
    const int is_dict = PyDict_CheckExact(value);
    if (!is_dict && !PyList_CheckExact(value))
        return 0;
    if (Py_EnterRecursiveCall(" while saving a state") != 0)
        return -1;
    const int result = is_dict ? refuse_in_dict(value) : refuse_in_list(value);
    Py_LeaveRecursiveCall();
    return result;
}

// refuse_buffers(value): TypeError if it is, or has in lists and dicts, a bytearray or a memoryview
static PyObject *fast_refuse_buffers(PyObject *module, PyObject *value) {
    (void)module;
    if (refuse_buffers(value) != 0)
        return NULL;
    Py_RETURN_NONE;
}
