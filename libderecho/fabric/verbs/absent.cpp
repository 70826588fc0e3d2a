// In place of the other files of this folder that know libibverbs, where there was no <infiniband/verbs.h> when the
// library was built.
#include "fabric/verbs/device.hpp"
#include "fabric/verbs/pair.hpp"

namespace libderecho {

Status open_verbs(const VerbsOptions&, std::unique_ptr<VerbsDevice>&) {
    return failure(
        DERECHO_INVALID,
        "this library was built without RDMA: install libibverbs-dev (or rdma-core-devel) and build it again");
}

}  // namespace libderecho
