#include "group/newcomers.hpp"

namespace libderecho {
namespace {

constexpr uint64_t kLooks = 8;  // while one is silent for too long

}  // namespace

void Newcomers::peer_event(const PeerEvent& event, Instant now) {
    if (event.kind == PeerEvent::Kind::up && !event.client) linked_.push_back({{event.peer, event.incarnation}, now});
    if (event.kind == PeerEvent::Kind::lost) forget(event.peer);
}

void Newcomers::heard_from(NodeId node, Instant now) {
    for (Newcomer& each : linked_)
        if (each.life.node == node) each.heard = now;
}

void Newcomers::forget(NodeId node) {
    std::erase_if(linked_, [&](const Newcomer& each) { return each.life.node == node; });
}

std::vector<NodeId> Newcomers::take_silent(const View& view, Instant now) {
    std::vector<NodeId> silent;
    if (now < next_look_) return silent;
    next_look_ = now + Duration{patience_.ns / kLooks};
    for (Newcomer& each : linked_) {
        if (view.holds(each.life.node, each.life.incarnation)) each.heard = now;
        if (now >= each.heard + patience_) silent.push_back(each.life.node);
    }
    for (const NodeId node : silent) forget(node);
    return silent;
}

}  // namespace libderecho
