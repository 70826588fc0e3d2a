// Named situations that the simulator's runs came into, counted; those of the core are in base/coverage.hpp.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace libderecho::sim {

class Coverage {
public:
    void hit(const char* situation) { ++counts_[situation]; }
    void add(const Coverage& other) {
        for (const auto& [name, count] : other.counts_) counts_[name] += count;
    }
    uint64_t count(const std::string& situation) const {
        const auto found = counts_.find(situation);
        return found == counts_.end() ? 0 : found->second;
    }
    const std::map<std::string, uint64_t>& counts() const { return counts_; }

private:
    std::map<std::string, uint64_t> counts_;
};

}  // namespace libderecho::sim
