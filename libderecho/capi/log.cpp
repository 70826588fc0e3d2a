// derecho_log_to.
#include "base/log.hpp"

#include <fcntl.h>

#include "capi/errors.hpp"

using namespace libderecho;

derecho_status derecho_log_to(int fd, int32_t level) {
    if (level < 0 || level > 3) return capi::fail(DERECHO_INVALID, "level is not from 0 to 3");
    if (level > 0 && ::fcntl(fd, F_GETFD) < 0) return capi::fail(DERECHO_INVALID, "fd is not an open descriptor");
    return capi::guarded([&] {
        log::set(fd, static_cast<log::Level>(level));
        return DERECHO_OK;
    });
}
