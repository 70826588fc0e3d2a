// A group's members as child processes of this one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "session.hpp"

namespace bench {

class Crew {
public:
    Crew(const SessionOptions& common, uint32_t members);
    // What node `k` is to be: it listens on a port of its own; node 0 founds the group.
    SessionOptions options_of(uint32_t node) const;

private:
    SessionOptions common_;
    std::vector<uint16_t> ports_;
};

// Run `body(k)` in a child process each, and collect what they return. Throws as soon as one fails, or after the
// deadline; none is left behind.
std::vector<std::string> in_children(uint32_t count, uint64_t deadline_ns,
                                     const std::function<std::string(uint32_t)>& body);

std::string json_list(const std::vector<std::string>& items);

}  // namespace bench
