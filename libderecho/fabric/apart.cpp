#include "fabric/apart.hpp"

#include <csignal>
#include <system_error>
#include <thread>

namespace libderecho {

void run_apart(std::function<void()> what) {
    // The process's signals are not for this thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread(std::move(what)).detach();
    } catch (const std::system_error&) {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace libderecho
