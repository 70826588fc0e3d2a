// A MarkerStore in a file. What is saved is written by a thread of its own, beside the file and then in its place, so
// that a crash leaves the old text or the new one, and a slow disk holds up nobody.
#pragma once

#include <memory>

#include "base/status.hpp"
#include "store/marker_store.hpp"

namespace libderecho {

// Open what lies at `path`, whose folders are made. `text_out` is what was kept there; empty if nothing was.
// DERECHO_INVALID: it can be neither read nor written; the detail says why.
Status open_marker_file(const std::string& path, std::unique_ptr<MarkerStore>& store_out, std::string& text_out);

}  // namespace libderecho
