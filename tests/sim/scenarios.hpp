// The stories that seeds are run through: which faults come when. Chance within a story follows from the seed.
#pragma once

#include <vector>

#include "sim/world.hpp"

namespace libderecho::sim {

const std::vector<Scenario>& scenarios();
const Scenario& scenario(const std::string& name);

}  // namespace libderecho::sim
