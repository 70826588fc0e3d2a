// Memory of simulated regions and mirrors: whole pages of their own, never given out twice in a run, so that whoever
// touches one after its end faults at once, with or without a sanitizer.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace libderecho::sim {

class Pages {
public:
    // Zeroed. Those that will be shared can be seen through mirrors made by share().
    static std::shared_ptr<Pages> make(size_t size_bytes, bool to_be_shared);
    ~Pages();
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    std::span<std::byte> bytes() { return {at_, size_bytes_}; }
    // Another, read-only mapping of the same memory.
    std::shared_ptr<Pages> share();
    // Cut loose from what it shares: it stays as it is now, at the same address.
    void freeze();
    // From now on nobody may touch it.
    void close();

private:
    Pages(std::byte* at, size_t size_bytes) : at_(at), size_bytes_(size_bytes) {}

    std::byte* at_;
    size_t size_bytes_;
    bool shares_ = false;  // a read-only mapping of another's memory
};

}  // namespace libderecho::sim
