// What fork() means for handles: a process is one member, so in a child no group is open. Calls with the handles it
// inherited are refused in a sentence, and its end touches nothing. base/after_fork.hpp has what lies beneath.
#include <pthread.h>

#include "base/after_fork.hpp"
#include "capi/buffer.hpp"
#include "capi/config.hpp"
#include "capi/groups.hpp"
#include "capi/memory.hpp"
#include "capi/threads.hpp"

namespace libderecho::capi {
namespace {

// In the order in which other threads take them: memory is registered, and descriptors are opened, under a table's
// lock.
void before_fork() {
    memories().lock();
    buffers().lock();
    configs().lock();
    after_fork::before_fork();
}

void unlock_tables() {
    configs().unlock();
    buffers().unlock();
    memories().unlock();
}

void in_parent() {
    after_fork::in_parent();
    unlock_tables();
}

void in_child() {
    after_fork::in_child();
    forget_other_threads();
    forget_groups_after_fork();
    unlock_tables();
}

}  // namespace

bool handle_forks() { return ::pthread_atfork(before_fork, in_parent, in_child) == 0; }

}  // namespace libderecho::capi
