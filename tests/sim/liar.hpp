// A member that obeys the wire format and writes what it likes: its process is honest, what leaves its host is not. One
// lie a run: one counter, word, frame or decision, from some moment on. All its peers are told the same.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "group/shard_epoch.hpp"
#include "sim/random.hpp"
#include "sim/sim_fabric.hpp"
#include "view/view_change.hpp"

namespace libderecho::sim {

class Liar {
public:
    Liar(Random random, uint32_t shards, uint64_t ring_bytes);

    // From now on, as a member of this view.
    std::function<Instant()> now;
    void begin(const View& view, Rank self, SimFabric& fabric);
    bool lies() const { return began_; }
    // Others that are given this member's messages, or its state, may have been given something else.
    bool about_frames() const { return what_ == What::frame; }
    const std::string& lie() const { return said_; }

    // What is about to leave.
    void distort(RegionId region, size_t offset, std::span<std::byte> bytes);

private:
    enum class What : uint8_t { counter, word, frame, decision };
    enum class How : uint8_t { zero, back, frozen, ahead, far, below_limit, huge, unaligned, random };
    uint64_t lied(uint64_t truth);
    void choose_counter();
    void choose_word();
    void distort_word(size_t offset, std::span<std::byte> bytes);
    void distort_frames(size_t offset, std::span<std::byte> bytes);
    void distort_frame(std::byte* frame, size_t room);
    void forge(SimFabric& fabric);
    void forge_decision(Decision& decision);

    Random random_;
    const Random drawn_;
    const uint32_t shards_;
    const uint64_t ring_bytes_;
    View view_;
    size_t self_ = 0, members_ = 0;
    What what_{};
    How how_{};
    RegionId region_{};
    size_t column_ = 0;
    uint64_t ballot_ = 0;
    std::vector<std::byte> proposal_;  // with its length in front
    std::optional<uint64_t> first_;
    Instant first_at_{};
    uint64_t frames_left_ = 0;
    bool began_ = false;
    std::string said_;
};

}  // namespace libderecho::sim
