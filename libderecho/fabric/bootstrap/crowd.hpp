// Who gives way when strangers are too many. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace libderecho {

// `sources`: where each comes from, the oldest first; at least one. The oldest of the source that has most, so that
// whoever fills the place from one host drives out its own.
size_t who_gives_way(std::span<const std::string_view> sources);

}  // namespace libderecho
