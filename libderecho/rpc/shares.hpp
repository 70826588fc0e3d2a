// What each kind of peer has to show to a node of this group, which is what it may cost there. Pure.
#pragma once

#include "fabric/regions/shares.hpp"
#include "group/options.hpp"

namespace libderecho {

Shares shares_of(const GroupOptions& options, uint64_t mail_bytes);

}  // namespace libderecho
