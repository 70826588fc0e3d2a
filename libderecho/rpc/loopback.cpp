#include "rpc/loopback.hpp"

#include <bit>
#include <cstring>

#include "base/assert.hpp"
#include "smc/frame.hpp"

namespace libderecho {

// Not zeroed: pages are touched as the ring first reaches them.
Loopback::Loopback(uint64_t ring_bytes) : ring_bytes_(ring_bytes), ring_(new std::byte[ring_bytes]) {
    DERECHO_ASSERT(std::has_single_bit(ring_bytes));
}

bool Loopback::send(uint8_t kind, std::span<const std::byte> letter) {
    const uint64_t need = sizeof(Header) + align8(letter.size());
    DERECHO_ASSERT(need <= ring_bytes_ / 2);
    const uint64_t to_end = ring_bytes_ - (end_ & (ring_bytes_ - 1));
    const uint64_t begin = need <= to_end ? end_ : end_ + to_end;
    if (begin + need > released_.position + ring_bytes_) return false;
    if (begin != end_) *header_at(end_) = {0, 0};
    *header_at(begin) = {static_cast<uint32_t>(letter.size()), kind};
    if (!letter.empty()) std::memcpy(header_at(begin) + 1, letter.data(), letter.size());
    end_ = begin + need;
    return true;
}

bool Loopback::read(Letter& letter) {
    if (read_ == end_) return false;
    if (header_at(read_)->kind == 0) read_ += ring_bytes_ - (read_ & (ring_bytes_ - 1));
    const Header* header = header_at(read_);
    letter.kind = static_cast<uint8_t>(header->kind);
    letter.bytes = {reinterpret_cast<const std::byte*>(header + 1), header->size_bytes};
    read_ += sizeof(Header) + align8(header->size_bytes);
    letter.mark = {&released_, read_};
    return true;
}

}  // namespace libderecho
