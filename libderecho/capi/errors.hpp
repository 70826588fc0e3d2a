// What the last failed call of a thread had to say, and the edge that no exception crosses.
#pragma once

#include <exception>
#include <new>
#include <string>

#include <derecho.h>

#include "base/status.hpp"

namespace libderecho::capi {

// DERECHO_OK, of the type that functions return.
inline constexpr derecho_status kOk = DERECHO_OK;

// Remember what went wrong, for derecho_last_error(); answer the code. A literal costs no allocation.
derecho_status fail(derecho_status code, const char* literal);
derecho_status fail(Status status);
// For those that tell a caller to try again, and others that need no more than their name.
derecho_status fail(derecho_status code);

const char* last_error();

// Run the body of a call.
template <class Body>
derecho_status guarded(Body&& body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return fail(DERECHO_NO_MEMORY, "the system gave no memory");
    } catch (const std::exception& error) {
        try {
            return fail(Status{DERECHO_INTERNAL, std::string("a bug in libderecho: ") + error.what()});
        } catch (...) {
            return fail(DERECHO_INTERNAL, "a bug in libderecho");
        }
    } catch (...) {
        return fail(DERECHO_INTERNAL, "a bug in libderecho");
    }
}

}  // namespace libderecho::capi

// A null argument is refused by name.
#define DERECHO_REQUIRE(argument) \
    if (!(argument)) return ::libderecho::capi::fail(DERECHO_INVALID, #argument " is NULL")
