// The configurations that are open.
#pragma once

#include "capi/handles.hpp"
#include "capi/options.hpp"

namespace libderecho::capi {

struct OpenConfig {
    Options options;
    std::string answer;  // of the last derecho_config_get
};

LockedTable<OpenConfig, HandleKind::config>& configs();

}  // namespace libderecho::capi
