// Which ordered calls the application has still to answer, and what they count towards: an open-addressing table, so
// that a call costs a few nanoseconds and no allocation. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace libderecho {

template <class Of>
class OwedAnswers {
public:
    struct Entry {
        uint64_t call = 0;  // 0: an empty place
        uint32_t caller = 0;
        uint64_t version = 0;
        Of* of = nullptr;
    };

    OwedAnswers() : places_(kPlacesAtFirst) {}
    size_t size() const { return size_; }

    // A call of the same name that was never answered is forgotten: its caller lives anew. Which it counted towards,
    // or null.
    Of* put(const Entry& entry) {
        if (2 * (size_ + 1) > places_.size()) grow();
        Entry& place = places_[find(entry.caller, entry.call)];
        Of* const before = place.call != 0 ? place.of : nullptr;
        size_ += place.call == 0;
        place = entry;
        return before;
    }

    std::optional<Entry> take(uint32_t caller, uint64_t call) {
        const size_t at = find(caller, call);
        if (places_[at].call == 0) return std::nullopt;
        const Entry found = places_[at];
        remove(at);
        return found;
    }

    void forget(const Of* of) {
        std::vector<Entry> before(places_.size());
        std::swap(before, places_);
        size_ = 0;
        for (const Entry& entry : before)
            if (entry.call != 0 && entry.of != of) put(entry);
    }

private:
    static constexpr size_t kPlacesAtFirst = 1 << 10;

    size_t home(uint32_t caller, uint64_t call) const {
        const uint64_t mixed = (call ^ uint64_t{caller} << 40) * 0x9e3779b97f4a7c15ull;
        return static_cast<size_t>(mixed >> 20) & (places_.size() - 1);
    }
    size_t next(size_t at) const { return (at + 1) & (places_.size() - 1); }

    // Where it is, or would be.
    size_t find(uint32_t caller, uint64_t call) const {
        size_t at = home(caller, call);
        while (places_[at].call != 0 && (places_[at].call != call || places_[at].caller != caller)) at = next(at);
        return at;
    }

    // Whatever was pushed on by it moves back.
    void remove(size_t hole) {
        --size_;
        const size_t mask = places_.size() - 1;
        for (size_t at = next(hole); places_[at].call != 0; at = next(at)) {
            const size_t wants = home(places_[at].caller, places_[at].call);
            if (((at - wants) & mask) < ((at - hole) & mask)) continue;
            places_[hole] = places_[at];
            hole = at;
        }
        places_[hole].call = 0;
    }

    void grow() {
        std::vector<Entry> before(2 * places_.size());
        std::swap(before, places_);
        size_ = 0;
        for (const Entry& entry : before)
            if (entry.call != 0) put(entry);
    }

    std::vector<Entry> places_;
    size_t size_ = 0;
};

}  // namespace libderecho
