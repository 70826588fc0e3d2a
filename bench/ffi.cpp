// What a message costs a program of its own, in a group of one: no other member, no wire, so that languages can be
// compared by what their binding adds. Each other language has a program that does the same (py/derecho/bench/ffi.py).
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "ffi_calls.hpp"
#include "json.hpp"
#include "machine.hpp"
#include "session.hpp"
#include "trials.hpp"

namespace bench {
namespace {

constexpr size_t kBatch = 64;           // messages between two polls
constexpr size_t kMessages = 64 * 200;  // of one trial
constexpr size_t kCalls = 200'000;      // of one trial of the bare call
constexpr int kTrials = 15;

double median(std::vector<double>& values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
}

// Nanoseconds for one of `count`, the median of trials.
template <class Trial>
double measure(size_t count, Trial trial) {
    std::vector<double> found;
    for (int i = 0; i < kTrials; ++i) {
        const uint64_t begin = now_ns();
        trial();
        found.push_back(static_cast<double>(now_ns() - begin) / static_cast<double>(count));
    }
    return median(found);
}

class Alone {
public:
    Alone(const SessionOptions& options, size_t payload_bytes)
        : session_(options), payload_(payload_bytes, 0x5a), messages_(kBatch, {payload_.data(), payload_.size()}) {
        session_.wait_for_members(1);
    }

    // Send kMessages in batches, each batch by `send_batch`, and take them, reading the first byte in place.
    template <class Send>
    double per_message(Send send_batch) {
        return measure(kMessages, [&] {
            for (size_t sent = 0; sent < kMessages; sent += kBatch) {
                send_batch();
                for (size_t taken = 0; taken < kBatch;)
                    session_.poll(0, [&](const derecho_event& event) {
                        sum_ += *static_cast<const unsigned char*>(event.data);
                        ++taken;
                    });
            }
        });
    }

    void send_copied() {
        for (size_t i = 0; i < kBatch; ++i)
            require(derecho_shard_send(session_.shard(), payload_.data(), payload_.size(), nullptr), "send");
    }
    void send_claimed() {
        derecho_claim claim;
        for (size_t i = 0; i < kBatch; ++i) {
            require(derecho_shard_claim(session_.shard(), 0, DERECHO_CLAIM_MESSAGE, payload_.size(), &claim), "claim");
            std::memcpy(claim.data, payload_.data(), payload_.size());
            require(derecho_claim_commit(session_.shard(), &claim, payload_.size()), "commit");
        }
    }
    void send_many() {
        size_t sent = 0;
        require(derecho_shard_send_many(session_.shard(), messages_.data(), kBatch, &sent, nullptr), "send");
        if (sent != kBatch) fail("a batch did not go in one piece", DERECHO_AGAIN);
    }
    uint64_t sum() const { return sum_; }

private:
    Session session_;
    std::vector<unsigned char> payload_;
    std::vector<derecho_bytes> messages_;
    uint64_t sum_ = 0;
};

}  // namespace

int run_ffi(Settings& settings) {
    die_with_parent();
    SessionOptions options = session_options(settings);
    const size_t payload_bytes = settings.number("bytes", 100);
    settings.all_known();
    uint64_t versions = 0;
    const double bare = measure(kCalls, [&] {
        for (size_t i = 0; i < kCalls; ++i) versions += derecho_abi_version();
    });
    const CallCosts calls = measure_calls(options.listen, payload_bytes);
    Alone alone(options, payload_bytes);
    Json out;
    out.number("bare_ns", bare);
    out.number("send_ns", alone.per_message([&] { alone.send_copied(); }));
    out.number("claim_ns", alone.per_message([&] { alone.send_claimed(); }));
    out.number("many_ns", alone.per_message([&] { alone.send_many(); }));
    out.number("call_hpp_ns", calls.hpp_ns);
    out.number("call_dll_ns", calls.dll_ns);
    std::puts(out.count("sum", alone.sum() + versions).str().c_str());
    return 0;
}

}  // namespace bench
