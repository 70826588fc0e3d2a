// The configurations that are open.
#pragma once

#include <atomic>
#include <memory>

#include "capi/handles.hpp"
#include "capi/options.hpp"

namespace libderecho::capi {

struct OpenConfig {
    Options options;
    std::string answer;  // of the last derecho_config_get
    // For joins with it, which may outlive it.
    std::shared_ptr<std::atomic<bool>> join_cancelled = std::make_shared<std::atomic<bool>>(false);
};

LockedTable<OpenConfig, HandleKind::config>& configs();

}  // namespace libderecho::capi
