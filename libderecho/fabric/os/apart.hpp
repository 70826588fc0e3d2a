// What may take seconds, on a thread of its own that nobody waits for: the driver looks now and then whether there is
// an answer, and who gives it up drops the future.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>

namespace libderecho {

// Throws std::system_error: no thread to be had.
void run_apart(std::function<void()> what);

template <class What>
std::future<std::invoke_result_t<What>> apart(What what) {
    // std::function wants to be able to copy what it holds.
    auto task = std::make_shared<std::packaged_task<std::invoke_result_t<What>()>>(std::move(what));
    auto answer = task->get_future();
    run_apart([task] { (*task)(); });
    return answer;
}

template <class Answer>
bool is_there(const std::future<Answer>& answer) {
    return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

}  // namespace libderecho
