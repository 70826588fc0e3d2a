#include "machine.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <stdexcept>

namespace bench {

uint64_t now_ns() {
    timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return static_cast<uint64_t>(at.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(at.tv_nsec);
}

double cpu_seconds() {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Memory memory_used() {
    Memory memory;
    FILE* file = std::fopen("/proc/self/smaps_rollup", "r");
    if (!file) return memory;
    char line[256];
    while (std::fgets(line, sizeof line, file)) {
        unsigned long kb = 0;
        if (std::sscanf(line, "Rss: %lu kB", &kb) == 1) memory.rss_bytes = kb * 1024;
        if (std::sscanf(line, "Pss: %lu kB", &kb) == 1) memory.pss_bytes = kb * 1024;
    }
    std::fclose(file);
    return memory;
}

std::vector<int> processors() {
    std::vector<int> found;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return found;
    for (int i = 0; i < CPU_SETSIZE; ++i) {
        if (CPU_ISSET(i, &set)) found.push_back(i);
    }
    return found;
}

void pin_to(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof set, &set);
}

Pinned::Pinned(int processor) {
    if (sched_getaffinity(0, sizeof before_, &before_) != 0) throw std::runtime_error("cannot ask for the affinity");
    pin_to(processor);
}

Pinned::~Pinned() { sched_setaffinity(0, sizeof before_, &before_); }

void die_with_parent() {
    const pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || parent == 1) _exit(1);  // it died before
}

uint16_t free_port() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    const bool ok = fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
    if (fd >= 0) close(fd);
    if (!ok) throw std::runtime_error("no free port on the loopback interface");
    return ntohs(address.sin_port);
}

uint64_t sum_of(const void* data, size_t size_bytes) {
    const auto* at = static_cast<const unsigned char*>(data);
    uint64_t sum = 0, word = 0;
    size_t i = 0;
    for (; i + 8 <= size_bytes; i += 8) {
        std::memcpy(&word, at + i, 8);
        sum += word;
    }
    for (; i < size_bytes; ++i) sum += at[i];
    return sum;
}

Child::Child(const std::function<int()>& body) {
    std::fflush(nullptr);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("cannot start a process");
    if (pid_ > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int code = 1;
    try {
        code = body();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "derecho-bench: %s\n", problem.what());
    }
    std::fflush(nullptr);
    _exit(code);
}

Child::~Child() {
    if (pid_ > 0) kill();
}

void Child::kill() {
    ::kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
}

bool Child::ended(int& exit_code) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
    pid_ = 0;
    exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

void* shared_memory(size_t size_bytes) {
    void* memory = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no memory");
    return memory;
}

}  // namespace bench
