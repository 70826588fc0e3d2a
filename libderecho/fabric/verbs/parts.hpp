// What the files of this folder have in common: objects of libibverbs that clean up after themselves, one port, queue
// pairs.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "fabric/verbs/device.hpp"
#include "fabric/verbs/direct.hpp"
#include "fabric/verbs/library.hpp"
#include "fabric/verbs/pair.hpp"

namespace libderecho {

template <typename Object>
using Owned = std::unique_ptr<Object, int (*)(Object*)>;
template <typename Object>
Owned<Object> owned(Object* object, int (*destroy)(Object*)) {
    return {object, destroy};
}

// The opened port. Everything made from it holds on to it.
struct VerbsPort {
    explicit VerbsPort(const VerbsLibrary& library)
        : verbs(library),
          context(nullptr, library.close_device),
          domain(nullptr, library.dealloc_pd),
          channel(nullptr, library.destroy_comp_channel),
          completions(nullptr, library.destroy_cq) {}
    ~VerbsPort();

    const VerbsLibrary& verbs;
    VerbsOptions options;
    std::string name;
    uint8_t number = 1;
    uint8_t gid_index = 0;
    ibv_mtu mtu = IBV_MTU_1024;
    uint32_t queue_depth = 0;
    uint32_t write_bytes_max = 0;
    VerbsAddress address;

    Owned<ibv_context> context;
    Owned<ibv_pd> domain;
    Owned<ibv_comp_channel> channel;
    Owned<ibv_cq> completions;

    std::atomic<uint64_t> locked_bytes = 0;
    std::atomic<uint64_t> due_bytes = 0;   // what is, or will be, locked for this node and the peers that it has
    std::atomic<uint64_t> lent_bytes = 0;  // what is locked beside it, of the application's
    Fabric::RdmaCounts counts;
    // Whose completions are whose.
    class Taker {
    public:
        virtual ~Taker() = default;
        virtual void take(const ibv_wc& completion) = 0;
    };
    std::unordered_map<uint32_t, Taker*> pairs;  // by queue pair number

    // Hand completions to their queue pairs.
    void poll();

    // What the device can do between applications' buffers.
    static constexpr uint32_t kPiecesMax = 16;
    struct {
        uint32_t pieces_max = 1;
        uint32_t reads_asked_max = 1, reads_served_max = 1;
    } direct;
    // Has completions of its own, which are to end a sleep.
    class Awaited {
    public:
        virtual ~Awaited() = default;
        virtual void arm() = 0;
    };
    std::vector<Awaited*> awaited;
    std::atomic<uint32_t> connecting = 0;  // queue pairs, each by a thread that wakes nobody when it is done

    // Receive requests that the shared completion queue can hold of each pair: its wakes.
    static constexpr uint32_t kWakesMax = 32;
};

// `due_bytes`: what will be locked for this peer; noted in the port's while the pair exists.
Status make_verbs_pair(std::shared_ptr<VerbsPort> port, uint64_t due_bytes, std::unique_ptr<VerbsPair>& out);

// `bury` destroys what may take long; it is not used once the access is shut.
std::shared_ptr<VerbsDirect> make_verbs_direct(std::shared_ptr<VerbsPort> port,
                                               std::function<void(std::shared_ptr<void>)> bury);

// Whether so much of the application's memory may be locked, and leave enough for what is due.
Status check_lent_memory(const VerbsPort& port, uint64_t size_bytes);

// ---- the states that a queue pair goes through (verbs_states.cpp)

// Drawn, so that what is left of an earlier connection is not taken for this one's.
uint32_t first_packet_number();
// `access`: what the peer may do over it to memory that is shown to it.
Status initialize_pair(const VerbsPort& port, ibv_qp* pair, unsigned access);
struct PairTerms {
    uint32_t first_packet = 0;
    bool sends = true;  // who only serves sends nothing but answers
    uint8_t reads_asked = 0, reads_served = 0;
};
// `theirs` may be a lie; memory in it is not looked at.
Status connect_pair(const VerbsPort& port, ibv_qp* pair, const VerbsEndpoint& theirs, const PairTerms& terms);
// The same apart from the driver, for it may take a second. The pair may be stopped, and given up, meanwhile.
class PairConnection {
public:
    PairConnection() = default;
    ~PairConnection() { forget(); }
    PairConnection(const PairConnection&) = delete;
    PairConnection& operator=(const PairConnection&) = delete;

    void begin(std::shared_ptr<VerbsPort> port, std::shared_ptr<ibv_qp> pair, const VerbsEndpoint& theirs,
               const PairTerms& terms);
    // Nothing while it is under way.
    std::optional<Status> outcome();

private:
    void forget();

    std::shared_ptr<VerbsPort> port_;  // while it is under way
    std::future<Status> answer_;
    Status outcome_;
};
// It drops what arrives, and gives back its requests.
Status stop_pair(const VerbsPort& port, ibv_qp* pair);

std::string verbs_error(const char* what, int error);

}  // namespace libderecho
