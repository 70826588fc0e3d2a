// What a service's schema says, line by line (docs/layout.md), and where those of two nodes differ, in words. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace libderecho {

// Its lines, if all of it can be shown; none otherwise.
std::vector<std::string> schema_lines(std::string_view text);

// What differs, method by method, as far as it is told in a sentence; "" if one of the two is not known.
// `there_is_cut`: there may be more methods than those.
std::string schema_differences(const std::vector<std::string>& here, const std::vector<std::string>& there,
                               bool there_is_cut = false);

}  // namespace libderecho
