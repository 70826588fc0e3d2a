#include "base/status.hpp"

#include <array>

namespace libderecho {

const char* status_name(derecho_status code) {
    static constexpr std::array names{
        "DERECHO_OK",           "DERECHO_AGAIN",        "DERECHO_TIMEOUT",        "DERECHO_INVALID",
        "DERECHO_BAD_HANDLE",   "DERECHO_CLOSED",       "DERECHO_TOO_LARGE",      "DERECHO_NOT_MEMBER",
        "DERECHO_WEDGED",       "DERECHO_EJECTED",      "DERECHO_NO_MAJORITY",    "DERECHO_UNREACHABLE",
        "DERECHO_INCOMPATIBLE", "DERECHO_DUPLICATE",    "DERECHO_ADDRESS_IN_USE", "DERECHO_NO_MEMORY",
        "DERECHO_REMOVED",      "DERECHO_REMOTE_ERROR", "DERECHO_UNKNOWN_METHOD", "DERECHO_STATE_LOST",
        "DERECHO_INTERNAL",     "DERECHO_DIFFERS",
    };
    static_assert(names.size() == DERECHO_DIFFERS + 1);
    return code >= 0 && static_cast<size_t>(code) < names.size() ? names[static_cast<size_t>(code)] : "DERECHO_?";
}

}  // namespace libderecho
