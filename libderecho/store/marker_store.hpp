// Where a node keeps, from one incarnation to the next, a few lines about the group that it is in.
#pragma once

#include <string>

namespace libderecho {

class MarkerStore {
public:
    virtual ~MarkerStore() = default;

    // Keep this from now on, instead of what was kept before; empty: nothing. Returns at once.
    virtual void save(std::string text) = 0;
    // Whether what was handed in last would outlive this process and its host.
    virtual bool saved() = 0;
    // For messages to people.
    virtual const std::string& place() const = 0;
};

}  // namespace libderecho
