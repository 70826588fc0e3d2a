#include "base/log.hpp"

#include <unistd.h>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string_view>

namespace libderecho::log {
namespace {

constexpr std::array<std::string_view, 4> kNames{"off", "warn", "info", "debug"};

struct Sink {
    std::atomic<int> fd{2};
    std::atomic<int> level{0};

    Sink() {
        const char* wish = std::getenv("DERECHO_LOG");
        if (!wish) return;
        for (size_t known = 0; known < kNames.size(); ++known)
            if (kNames[known] == wish) {
                level = static_cast<int>(known);
                return;
            }
        std::fprintf(stderr, "derecho: DERECHO_LOG=%s is none of off, warn, info, debug: nothing is logged\n", wish);
    }
};

Sink& sink() {
    static Sink the_sink;
    return the_sink;
}

}  // namespace

bool enabled(Level level) { return static_cast<int>(level) <= sink().level.load(std::memory_order_relaxed); }

void set(int fd, Level level) {
    sink().fd = fd;
    sink().level = static_cast<int>(level);
}

void write(Level level, const std::string& line) {
    if (!enabled(level)) return;
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    char head[64];
    const int n =
        std::snprintf(head, sizeof head, "%lld.%06ld derecho[%d] %s: ", static_cast<long long>(t.tv_sec),
                      t.tv_nsec / 1000, static_cast<int>(getpid()), kNames[static_cast<size_t>(level)].data());
    const std::string whole = std::string(head, static_cast<size_t>(n)) + line + "\n";
    [[maybe_unused]] const ssize_t written = ::write(sink().fd.load(), whole.data(), whole.size());
}

}  // namespace libderecho::log
