// A handful of nodes in one process, so that the same contract tests run over every wire and over the simulator.
//
// An implementation makes fabrics, moves time and the network on, and kills nodes. Tests do the rest through Fabric
// itself. Everything happens on the test's thread, but for the tests of waiting (FabricContractInTime).
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "fabric/fabric.hpp"

namespace libderecho::test {

class World {
public:
    virtual ~World() = default;

    // --- to be implemented per wire ---

    // Start a node that listens. Its id may be that of a node killed before, with another incarnation.
    virtual Fabric& start(NodeId id, uint64_t incarnation = 1) = 0;
    // As kill -9: the node stops at once and says nothing. Its Fabric is gone; own mirrors of it elsewhere stay.
    virtual void kill(NodeId id) = 0;
    virtual Fabric& node(NodeId id) = 0;
    virtual std::string address(NodeId id) = 0;  // also of a killed node: nobody listens there any more
    virtual std::vector<NodeId> alive() = 0;

    virtual Instant now() = 0;
    // Let a little time pass in the network (the simulator: up to its next event; real ones: nothing to do).
    virtual void advance() = 0;

    // --- for tests ---

    // One round: poll every node (or one), keep their events.
    void pump() {
        advance();
        for (const NodeId id : alive()) pump(id);
    }
    void pump(NodeId id) { node(id).poll(now(), events_of(id)); }

    // Pump until `done` or `at_most` has passed; whether it was done.
    bool pump_until(const std::function<bool()>& done, Duration at_most = milliseconds(5000)) {
        const Instant end = now() + at_most;
        while (!done()) {
            if (now() > end) return false;
            pump();
        }
        return true;
    }
    // Pump for so long.
    void settle(Duration how_long = milliseconds(20)) {
        pump_until([] { return false; }, how_long);
    }
    // Start nodes 1..count and connect all pairs.
    void start_connected(uint32_t count) {
        for (uint32_t n = 1; n <= count; ++n) start(NodeId{n});
        for (uint32_t a = 1; a <= count; ++a)
            for (uint32_t b = a + 1; b <= count; ++b) join(NodeId{a}, NodeId{b});
    }
    // Connect `from` to `to`; whether both are up.
    bool join(NodeId from, NodeId to) {
        node(from).connect(address(to));
        return pump_until([&] { return node(from).connected(to) && node(to).connected(from); });
    }

    // Events that a node's polls gave, oldest first; a test may clear them.
    std::vector<PeerEvent>& events_of(NodeId id) {
        for (auto& entry : events_)
            if (entry.id == id) return entry.events;
        events_.push_back({id, {}});
        return events_.back().events;
    }
    size_t count(NodeId at, PeerEvent::Kind kind) {
        size_t n = 0;
        for (const PeerEvent& event : events_of(at)) n += event.kind == kind;
        return n;
    }

private:
    struct NodeEvents {
        NodeId id;
        std::vector<PeerEvent> events;
    };
    std::deque<NodeEvents> events_;  // references to its elements stay valid
};

// A wire under test: how the suite makes worlds of it, and its name in test names.
struct WorldFactory {
    std::string name;
    std::function<std::unique_ptr<World>()> make;
};
inline void PrintTo(const WorldFactory& factory, std::ostream* out) { *out << factory.name; }

}  // namespace libderecho::test
