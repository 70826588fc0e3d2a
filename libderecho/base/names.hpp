// What groups, services and other things with names may be called. Names cross wires and end up in errors: one rule for
// all. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/status.hpp"

namespace libderecho {

// UTF-8 without control characters.
bool is_printable(std::string_view text);
// The beginning that is, of at most so many bytes.
std::string printable_start(std::string_view text, size_t bytes_max);
// In quotation marks, with whatever is not printable as an escape.
std::string quoted(std::string_view text);
// Of `what`, such as "the group": DERECHO_INVALID with a sentence that says what a name may be.
Status check_name(std::string_view what, std::string_view name);

}  // namespace libderecho
