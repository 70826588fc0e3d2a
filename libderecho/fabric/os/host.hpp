// The host that this node runs on, and whether the nodes there have cores enough.
#pragma once

#include <span>

#include "fabric/wire_format.hpp"

namespace libderecho {

HostIdentity identify_host();
// None if the system does not say.
CoreSet cores_of_this_process();

// Whether there are more nodes than cores for them: among those that may only run where this one may, or among all.
// Who then spins, spins away another's time. Pure.
bool crowded(const CoreSet& ours, std::span<const CoreSet> theirs);

}  // namespace libderecho
