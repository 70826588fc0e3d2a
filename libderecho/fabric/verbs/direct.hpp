// DirectAccess over RDMA.
#pragma once

#include <memory>

#include "fabric/direct.hpp"

namespace libderecho {

class VerbsDirect : public DirectAccess {
public:
    // The peer is lost: all connections end, here and now. Driver thread.
    virtual void shut() = 0;
};

}  // namespace libderecho
