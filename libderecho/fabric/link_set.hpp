// Sets of a node's links.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/limits.hpp"

namespace libderecho {

// Links have slots, so that a set of them is a few words and pushing to many costs no more than pushing to one.
inline constexpr uint32_t kLinksMax = limits::links_max;

class LinkSet {
public:
    void add(uint32_t slot) { words_[slot / 64] |= 1ull << slot % 64; }
    void remove(uint32_t slot) { words_[slot / 64] &= ~(1ull << slot % 64); }
    bool has(uint32_t slot) const { return words_[slot / 64] >> slot % 64 & 1; }
    bool any() const { return (words_[0] | words_[1] | words_[2] | words_[3]) != 0; }
    void clear() { words_ = {}; }
    LinkSet& operator|=(const LinkSet& other) {
        for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
        return *this;
    }
    template <typename Visit>
    void for_each(Visit&& visit) const {
        for (uint32_t i = 0; i < words_.size(); ++i)
            for (uint64_t rest = words_[i]; rest != 0; rest &= rest - 1)
                visit(i * 64 + static_cast<uint32_t>(std::countr_zero(rest)));
    }

private:
    std::array<uint64_t, kLinksMax / 64> words_{};
};

}  // namespace libderecho
