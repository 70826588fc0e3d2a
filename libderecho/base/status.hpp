// A status code of derecho.h with the sentence that explains it.
#pragma once

#include <string>
#include <utility>

#include <derecho.h>

namespace libderecho {

struct Status {
    derecho_status code = DERECHO_OK;
    std::string detail;  // what was wrong and what to do; empty when ok

    bool ok() const { return code == DERECHO_OK; }
};

inline Status failure(derecho_status code, std::string detail) { return {code, std::move(detail)}; }

const char* status_name(derecho_status code);

}  // namespace libderecho
