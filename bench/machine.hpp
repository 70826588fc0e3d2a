// What the benchmarks ask of the operating system: time, processors, memory, child processes that never outlive them.
#pragma once

#include <sched.h>
#include <sys/types.h>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bench {

uint64_t now_ns();  // CLOCK_MONOTONIC: the same in every process

double cpu_seconds();  // of this process, all its threads
struct Memory {
    uint64_t rss_bytes = 0;
    uint64_t pss_bytes = 0;  // what is shared, in proportion
};
Memory memory_used();

std::vector<int> processors();  // that this process may run on
void pin_to(int processor);     // the calling thread; a request, not a promise
// For as long as it lives the calling thread, and what it starts, runs on one processor.
class Pinned {
public:
    explicit Pinned(int processor);
    ~Pinned();
    Pinned(const Pinned&) = delete;

private:
    cpu_set_t before_;
};

void die_with_parent();

// A port of the loopback interface that nobody listened on a moment ago.
uint16_t free_port();

// Bytes a reader has to look at for "reads every byte": their sum, so that it cannot be left out.
uint64_t sum_of(const void* data, size_t size_bytes);

// A process that runs `body` and ends. Killed and reaped with this object.
class Child {
public:
    explicit Child(const std::function<int()>& body);
    ~Child();
    Child(Child&& other) noexcept : pid_(other.pid_) { other.pid_ = 0; }
    Child& operator=(Child&&) = delete;

    void kill();  // SIGKILL, and reap
    bool running() const { return pid_ != 0; }
    bool ended(int& exit_code);  // has it? Then it is reaped

private:
    pid_t pid_ = 0;
};

// Zeroed memory that children made later share with this process.
void* shared_memory(size_t size_bytes);
template <class T>
T* shared() {
    return new (shared_memory(sizeof(T))) T;
}

}  // namespace bench
