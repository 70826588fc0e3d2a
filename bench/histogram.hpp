// Latencies by value, to within a thousandth, in fixed memory: like HdrHistogram.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "json.hpp"

namespace bench {

class Histogram {
public:
    Histogram() : counts_((64 - kBits) << kBits) {}

    void record(uint64_t ns) {
        ++counts_[index_of(ns)];
        ++count_;
        sum_ += static_cast<double>(ns);
        max_ = std::max(max_, ns);
    }
    uint64_t count() const { return count_; }

    // The value that `share` of all do not exceed; 0 without any.
    uint64_t quantile(double share) const {
        const auto rank = static_cast<uint64_t>(share * static_cast<double>(count_));
        uint64_t seen = 0;
        for (size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen > rank) return std::min(highest_at(i), max_);
        }
        return max_;
    }
    Json json() const {
        Json out;
        out.count("count", count_).number("mean", count_ ? sum_ / static_cast<double>(count_) : 0);
        out.count("p50", quantile(0.5)).count("p90", quantile(0.9)).count("p99", quantile(0.99));
        return out.count("p999", quantile(0.999)).count("max", max_);
    }

private:
    static constexpr unsigned kBits = 10;

    static size_t index_of(uint64_t value) {
        if (value >> kBits == 0) return value;
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - kBits;
        return (static_cast<size_t>(shift) << (kBits - 1)) + (value >> shift);
    }
    static uint64_t highest_at(size_t index) {
        if (index >> kBits == 0) return index;
        const auto shift = static_cast<unsigned>(index >> (kBits - 1)) - 1;
        const uint64_t top = index - (static_cast<size_t>(shift) << (kBits - 1));
        return ((top + 1) << shift) - 1;
    }

    std::vector<uint64_t> counts_;
    uint64_t count_ = 0;
    uint64_t max_ = 0;
    double sum_ = 0;
};

}  // namespace bench
