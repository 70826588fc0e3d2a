// How often libderecho.so has called operator new, to show that steady state does not.
#pragma once

#include <cstdint>

namespace libderecho {

// By the whole library since it was loaded. Stays 0 where the core is linked without --wrap
// (cmake/DerechoLibrary.cmake).
uint64_t allocations();

}  // namespace libderecho
