#include "fabric/bootstrap/crowd.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace libderecho {

size_t who_gives_way(std::span<const std::string_view> sources) {
    DERECHO_ASSERT(!sources.empty());
    size_t chosen = 0;
    std::ptrdiff_t most = 0;
    for (size_t i = 0; i < sources.size(); ++i) {
        const std::ptrdiff_t count = std::ranges::count(sources, sources[i]);
        if (count > most) most = count, chosen = i;
    }
    return chosen;
}

}  // namespace libderecho
