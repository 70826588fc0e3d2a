// Letters on their way out. Any thread hands them in; the driver passes them on as the rings of the receivers have
// room. Bounded for each receiver, so that one who does not read cannot hold up the others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/ids.hpp"
#include "base/limits.hpp"

namespace libderecho {

// The caller holds a lock around everything but any_waiting().
class Outbox {
public:
    // Bytes for one receiver; one letter is always taken, whatever its size.
    static constexpr uint64_t kReceiverBytesMax = limits::outbox_bytes_max / 8;

    // False if too much awaits this receiver. `header` is one of letters.hpp.
    bool post(NodeId to, uint8_t kind, std::span<const std::byte> header, std::span<const std::byte> data);
    uint64_t waiting_bytes(NodeId to) const;
    // Forget what awaits a node that is gone.
    void drop(NodeId to);

    bool any_waiting() const { return waiting_.load(std::memory_order_relaxed) > 0; }

    // Pass on what send(node, kind, bytes) takes: it answers false when there is no room. True if anything went.
    template <class Send>
    bool drain(Send&& send) {
        bool moved = false;
        for (auto& [node, queue] : queues_)
            while (queue.first < queue.bytes.size() && send(node, queue.front().kind, queue.front_bytes())) {
                pop(queue);
                moved = true;
            }
        return moved;
    }

private:
    struct Head {
        uint32_t size_bytes;
        uint32_t kind_word;
    };
    struct Front {
        uint8_t kind;
        uint32_t size_bytes;
    };
    struct Queue {
        std::vector<std::byte> bytes;  // heads and letters, from `first` on
        size_t first = 0;
        Front front() const;
        std::span<const std::byte> front_bytes() const {
            return {bytes.data() + first + sizeof(Head), front().size_bytes};
        }
    };
    void pop(Queue& queue);

    std::map<NodeId, Queue> queues_;
    std::atomic<uint64_t> waiting_{0};  // letters
};

}  // namespace libderecho
