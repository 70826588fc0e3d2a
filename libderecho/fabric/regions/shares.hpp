// What peers may cost by what they are. Links and memory are kept for the members of the view; whoever is in none has a
// share that strangers may use up, and no more.
#pragma once

#include <cstdint>

#include "base/limits.hpp"
#include "fabric/regions/mirrors.hpp"

namespace libderecho {

enum class Standing : uint8_t {
    newcomer,  // neither of the others: it joins, or says so
    client,
    member,
};

struct Shares {
    uint32_t clients_max = limits::clients_max;
    // Memory of one peer's that is seen here. The defaults are those of nodes that know no views.
    MirrorTable::Limits member = kGenerous, newcomer = kGenerous, client = kGenerous;
    // Of newcomers with more than `newcomer_idle_bytes`, together: only those who are about to be members have so much.
    uint64_t newcomers_bytes_max = UINT64_MAX;
    uint64_t newcomer_idle_bytes = 0;

    static constexpr MirrorTable::Limits kGenerous{.region_bytes_max = (1ull << 30) + (64 << 20),
                                                   .total_bytes_max = 8ull << 30};

    const MirrorTable::Limits& of(Standing standing) const {
        return standing == Standing::member ? member : standing == Standing::client ? client : newcomer;
    }
};

}  // namespace libderecho
