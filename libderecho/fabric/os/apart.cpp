#include "fabric/os/apart.hpp"

#include <thread>

#include "base/signals.hpp"

namespace libderecho {

void run_apart(std::function<void()> what) {
    const SignalsBlocked blocked;
    std::thread(std::move(what)).detach();
}

}  // namespace libderecho
