// What a node's disk keeps of its group. A write takes a while; of what was under way when the process died, either
// nothing is there or all of it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "sim/random.hpp"
#include "sim/sim_network.hpp"
#include "store/marker_store.hpp"

namespace libderecho::sim {

class SimMarker final : public MarkerStore {
public:
    static constexpr Duration kSlowest = microseconds(5'500);  // a little less than members wait for it

    // `disk` outlives the processes that write to it.
    SimMarker(std::string& disk, const Network& network, Random random)
        : disk_(disk), network_(network), random_(random), slow_(random_.chance(0.3)) {}
    ~SimMarker() override {
        settle();
        if (!due_.empty() && random_.chance(0.5)) disk_ = due_.front().second;
    }

    void save(std::string text) override {
        settle();
        due_.emplace_back(
            network_.now() + Duration{random_.magnitude(slow_ ? 2'000'000 : 1'000, slow_ ? kSlowest.ns : 3'000'000)},
            std::move(text));
    }
    bool saved() override {
        settle();
        return due_.empty();
    }
    const std::string& place() const override { return place_; }

private:
    void settle() {
        while (!due_.empty() && due_.front().first <= network_.now()) {
            disk_ = std::move(due_.front().second);
            due_.erase(due_.begin());
        }
    }

    std::string& disk_;
    const Network& network_;
    Random random_;
    const bool slow_;
    const std::string place_ = "the simulated disk";
    std::vector<std::pair<Instant, std::string>> due_;
};

}  // namespace libderecho::sim
