#include "fabric/os/host.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <bit>

#include "fabric/os/memory.hpp"

namespace libderecho {
namespace {

size_t count(const CoreSet& cores) {
    size_t all = 0;
    for (const uint64_t word : cores) all += static_cast<size_t>(std::popcount(word));
    return all;
}

bool within(const CoreSet& part, const CoreSet& whole) {
    for (size_t i = 0; i < part.size(); ++i)
        if (part[i] & ~whole[i]) return false;
    return true;
}

}  // namespace

HostIdentity identify_host() {
    HostIdentity host;
    UniqueFd file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    char text[36] = {};
    if (!file.valid() || ::read(file.get(), text, sizeof text) != sizeof text) return host;
    size_t digit = 0;
    for (const char c : text) {
        if (c == '-' || digit >= 32) continue;
        const int value = c >= 'a' ? c - 'a' + 10 : c - '0';
        host.boot_id[digit / 2] = static_cast<uint8_t>(host.boot_id[digit / 2] << 4 | value);
        ++digit;
    }
    struct stat space {};
    if (::stat("/proc/self/ns/net", &space) == 0) host.network_namespace = space.st_ino;
    host.user = ::geteuid();
    return host;
}

CoreSet cores_of_this_process() {
    CoreSet cores{};
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return cores;
    for (size_t core = 0; core < std::min<size_t>(CPU_SETSIZE, cores.size() * 64); ++core)
        if (CPU_ISSET(core, &set)) cores[core / 64] |= uint64_t{1} << core % 64;
    return cores;
}

bool crowded(const CoreSet& ours, std::span<const CoreSet> theirs) {
    CoreSet all = ours;
    size_t confined = 1;
    for (const CoreSet& cores : theirs) {
        confined += within(cores, ours);
        for (size_t i = 0; i < all.size(); ++i) all[i] |= cores[i];
    }
    return confined > count(ours) || theirs.size() + 1 > count(all);
}

}  // namespace libderecho
