#include "rpc/outbox.hpp"

#include <cstring>

namespace libderecho {
namespace {

// What a queue keeps for good once it is empty; more was an exception.
constexpr size_t kKeptBytes = 1 << 20;

}  // namespace

Outbox::Front Outbox::Queue::front() const {
    Head head;
    std::memcpy(&head, bytes.data() + first, sizeof head);
    return {static_cast<uint8_t>(head.kind_word), head.size_bytes};
}

bool Outbox::post(NodeId to, uint8_t kind, std::span<const std::byte> header, std::span<const std::byte> data) {
    Queue& queue = queues_[to];
    const size_t waiting_bytes = queue.bytes.size() - queue.first;
    if (waiting_bytes > 0 && waiting_bytes + data.size() > kReceiverBytesMax) return false;
    const Head head{static_cast<uint32_t>(header.size() + data.size()), kind};
    const auto* raw_head = reinterpret_cast<const std::byte*>(&head);
    queue.bytes.insert(queue.bytes.end(), raw_head, raw_head + sizeof head);
    queue.bytes.insert(queue.bytes.end(), header.begin(), header.end());
    queue.bytes.insert(queue.bytes.end(), data.begin(), data.end());
    waiting_.fetch_add(1, std::memory_order_release);
    return true;
}

uint64_t Outbox::waiting_bytes(NodeId to) const {
    const auto queue = queues_.find(to);
    return queue == queues_.end() ? 0 : queue->second.bytes.size() - queue->second.first;
}

void Outbox::pop(Queue& queue) {
    queue.first += sizeof(Head) + queue.front().size_bytes;
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    if (queue.first == queue.bytes.size()) {
        queue.bytes.clear();
        queue.first = 0;
        if (queue.bytes.capacity() > kKeptBytes) queue.bytes.shrink_to_fit();
    } else if (queue.first > queue.bytes.size() / 2 && queue.first > kKeptBytes) {
        queue.bytes.erase(queue.bytes.begin(), queue.bytes.begin() + static_cast<ptrdiff_t>(queue.first));
        queue.first = 0;
    }
}

void Outbox::drop(NodeId to) {
    const auto found = queues_.find(to);
    if (found == queues_.end()) return;
    Queue& queue = found->second;
    while (queue.first < queue.bytes.size()) pop(queue);
    queues_.erase(found);
}

}  // namespace libderecho
