// What the child of a fork() must not keep. A process is one member: its child inherits the descriptors and the memory
// of it, but none of its threads. Descriptors would keep connections and ports from being seen closed when the parent
// dies; memory that peers read would show them what the child writes. So both are known here, and taken from a child
// before fork() returns in it. Any thread.
#pragma once

#include <cstddef>
#include <utility>

namespace libderecho::after_fork {

// A descriptor that the child is to close. Sockets are opened in without_fork(), so that no fork comes between opening
// and this; copies of others nobody notices.
void own(int fd);
void close(int fd);

// Memory that this process shares with others by `fd`, which stays open as long as it is mapped. The child gets a
// private copy in its place, so that it reads what was there and changes nothing of the parent's.
void own(void* at, size_t size_bytes, int fd);
void disown(void* at);

// While it lives, fork() waits. Not to be nested.
class NoFork {
public:
    NoFork();
    ~NoFork();
    NoFork(const NoFork&) = delete;
    NoFork& operator=(const NoFork&) = delete;
};

template <class Open>
auto without_fork(Open&& open) {
    const NoFork no_fork;
    return std::forward<Open>(open)();
}

// For pthread_atfork(), after everything else of this library that waits there.
void before_fork();
void in_parent();
void in_child();

}  // namespace libderecho::after_fork
