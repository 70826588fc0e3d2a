// Where a node of a real process keeps what it remembers of its group.
#pragma once

#include <memory>

#include "base/status.hpp"
#include "node/node.hpp"

namespace libderecho {

// Open it, and read what an earlier incarnation kept into `options.group.marker`. No store, and nothing read, for a
// client, and where the node could not be told from another one, or nothing can be written, unless it was told where
// to. DERECHO_INVALID: data_dir is of no use, or what was kept is damaged.
Status open_marker(NodeOptions& options, std::unique_ptr<MarkerStore>& out);

}  // namespace libderecho
