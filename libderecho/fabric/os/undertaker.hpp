// Destroys what may take seconds on a thread of its own, so that the driver goes on telling the others that it lives.
// Thread: any one at a time, but for the destruction.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace libderecho {

class Undertaker {
public:
    Undertaker() = default;
    Undertaker(const Undertaker&) = delete;
    Undertaker& operator=(const Undertaker&) = delete;
    ~Undertaker();  // when everything is destroyed

    // In the order of the calls. The thread begins with the first, and rests when there is nothing to do.
    void bury(std::shared_ptr<void> remains);

private:
    bool start();
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::shared_ptr<void>> due_;
    bool closing_ = false;
    std::thread thread_;
};

}  // namespace libderecho
