// Ordered calls of a service with one member, nanoseconds each.
#pragma once

#include <cstddef>
#include <string>

namespace bench {

struct CallCosts {
    double hpp_ns;  // derecho.hpp
    double dll_ns;  // the stub DLL's functions
};

// Founds a group that listens at `listen`, and another. Throws derecho::Error or std::runtime_error.
CallCosts measure_calls(const std::string& listen, size_t payload_bytes);

}  // namespace bench
