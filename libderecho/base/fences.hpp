// A fence that costs the frequent side nothing: it stores, light()s, and looks at what the rare side stores, which
// heavy()s in between likewise. Whoever is second sees the other. So the sender of a message learns that the driver
// sleeps, who commits that its claim was given up, and who enters a handle that it is being closed.
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
