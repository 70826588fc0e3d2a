// What a group is told when it starts. Values are checked by whoever reads the configuration (capi/config).
#pragma once

#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"
#include "group/marker.hpp"

namespace libderecho {

struct ServiceInfo {
    std::string name;
    uint64_t schema_hash = 0;
    std::vector<std::string> schema = {};  // what the hash is of, by line, if it was told
};

// Whether replicas are what they should be: a digest of what they answer, or are, every so many calls of a service.
struct DigestOptions {
    enum class Of : uint8_t { off, answers, state };
    enum class Policy : uint8_t { report, eject, stop };
    Of of = Of::off;
    uint32_t every = 1000;  // calls of one service in one view; the rest at its end
    Policy policy = Policy::report;
};

struct GroupOptions {
    NodeId self{};
    uint64_t incarnation = 0;                  // grows from one life of a node id to the next
    std::string address;                       // where others reach this node: "host:port"
    std::vector<std::string> contacts;         // nodes that know the group
    std::vector<std::string> initial_members;  // a majority of them founds the group; contacts, too
    bool found = false;                        // this node founds the group, alone
    GroupId new_group;                         // random: what it is called if this node founds it
    Marker marker;                             // what was kept of an earlier incarnation
    std::vector<ServiceInfo> services;         // shard k of the view replicates services[k]
    bool client = false;                       // never in a view
    bool require_majority = true;              // a view needs more than half of those that vote in the one before
    uint32_t members_max = limits::members_max;
    uint64_t ring_bytes = 4 << 20;                 // of one sender in one shard; a power of two
    uint64_t message_max_bytes = 1 << 20;          // at most ring_bytes / 4
    uint64_t sequence_max = limits::sequence_max;  // in one view; then it is changed
    Duration heartbeat = milliseconds(100);
    Duration suspect_after = milliseconds(2000);  // no heartbeat for so long
    Duration slow_after{};                        // an application that holds others up for so long; 0: it may
    Duration clock_drift = milliseconds(500);     // members' clocks may differ by so much
    Duration retry_contact = milliseconds(50);    // between attempts to reach a contact
    DigestOptions digest;
    Duration seek_contacts = milliseconds(5000);  // as a member, those that are in no view: is there another group?
};

}  // namespace libderecho
