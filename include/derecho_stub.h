/*
 * What C stubs made by `derecho stubs --lang c` stand on: values to messages and back (docs/layout.md), memory for what
 * was read, and answers that wait for room. C99, static functions only; nothing of it is in libderecho.so.
 *
 * In C a value lies as the message has it, except that a reference (text, bytes, list, map) is a pointer and a count.
 * So what has no references is read in place or copied as it is, and the stub is tables: a derecho_type for every type.
 */
#ifndef DERECHO_STUB_H
#define DERECHO_STUB_H

#include "derecho/stub/calls.h"
#include "derecho/stub/codec.h"
#include "derecho/stub/failure.h"
#include "derecho/stub/replica.h"
#include "derecho/stub/values.h"

#endif /* DERECHO_STUB_H */
