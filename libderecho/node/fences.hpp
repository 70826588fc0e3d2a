// A fence that costs the frequent side nothing. The sender of a message stores, light()s, and looks whether the driver
// sleeps; a driver about to sleep says so, heavy()s, and looks for messages. Whoever is second sees the other.
#pragma once

#include <atomic>

namespace libderecho {

class Fences {
public:
    // Known at load time: whether the kernel can make every running thread of this process fence on demand.
    static bool asymmetric() { return asymmetric_; }

    static void light() {
        if (asymmetric_) [[likely]] {
            std::atomic_signal_fence(std::memory_order_seq_cst);
        } else {
            std::atomic_thread_fence(std::memory_order_seq_cst);
        }
    }
    static void heavy();

private:
    static const bool asymmetric_;
};

}  // namespace libderecho
