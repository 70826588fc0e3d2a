// Predicates over a column: pure questions to a table about a set of its rows. Because counters only grow, an answer of
// "yes" stays true.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "sst/table.hpp"

namespace libderecho {

// A set of ranks as one word.
using RankSet = uint64_t;
constexpr RankSet just(size_t rank) { return 1ull << rank; }
constexpr RankSet below(size_t rank) { return just(rank) - 1; }
constexpr RankSet first_ranks(size_t count) { return count >= 64 ? ~0ull : just(count) - 1; }
constexpr bool has(RankSet set, size_t rank) { return (set >> rank & 1) != 0; }
constexpr size_t count(RankSet set) { return static_cast<size_t>(std::popcount(set)); }
constexpr size_t lowest(RankSet set) { return static_cast<size_t>(std::countr_zero(set)); }

template <class Visit>
void for_each(RankSet set, Visit&& visit) {
    for (; set != 0; set &= set - 1) visit(lowest(set));
}

inline uint64_t least(const Table& table, RankSet rows, size_t column) {
    uint64_t result = ~0ull;
    for_each(rows, [&](size_t r) { result = std::min(result, table.value(r, column)); });
    return result;
}

inline uint64_t greatest(const Table& table, RankSet rows, size_t column) {
    uint64_t result = 0;
    for_each(rows, [&](size_t r) { result = std::max(result, table.value(r, column)); });
    return result;
}

// Those of `rows` whose value is at least / exactly so much, or has all these bits.
inline RankSet at_least(const Table& table, RankSet rows, size_t column, uint64_t bound) {
    RankSet result = 0;
    for_each(rows, [&](size_t r) { result |= table.value(r, column) >= bound ? just(r) : 0; });
    return result;
}

inline RankSet equal_to(const Table& table, RankSet rows, size_t column, uint64_t value) {
    RankSet result = 0;
    for_each(rows, [&](size_t r) { result |= table.value(r, column) == value ? just(r) : 0; });
    return result;
}

inline RankSet containing(const Table& table, RankSet rows, size_t column, uint64_t bits) {
    RankSet result = 0;
    for_each(rows, [&](size_t r) { result |= (table.value(r, column) & bits) == bits ? just(r) : 0; });
    return result;
}

}  // namespace libderecho
