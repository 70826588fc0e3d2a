// Peers that are linked with this node and in no view. Whoever does not ask to join is dropped, for it takes a place
// that others need. Driver only.
#pragma once

#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "fabric/fabric.hpp"
#include "view/view.hpp"

namespace libderecho {

class Newcomers {
public:
    // Nobody who joins is silent for so long: it asks every few dozen milliseconds.
    explicit Newcomers(Duration patience) : patience_(patience) {}

    void peer_event(const PeerEvent& event, Instant now);
    void heard_from(NodeId node, Instant now);
    void forget(NodeId node);
    // Those in no view that were silent for too long. Members begin anew once they are none any more.
    std::vector<NodeId> take_silent(const View& view, Instant now);

private:
    struct Newcomer {
        NodeLife life;
        Instant heard{};
    };
    Duration patience_;
    Instant next_look_{};
    std::vector<Newcomer> linked_;  // all peers but clients
};

}  // namespace libderecho
