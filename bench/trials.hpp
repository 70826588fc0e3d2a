// The subcommands that run a group.
#pragma once

#include "settings.hpp"

namespace bench {

int run_member(Settings& settings);
int run_group(Settings& settings);
int run_failover(Settings& settings);
int run_ffi(Settings& settings);
int run_idle(Settings& settings);

}  // namespace bench
