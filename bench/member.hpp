// One member of a measured group: comes in, starts together with the others, sends or only receives, measures a steady
// window, and stops together with the others.
//
// They agree on start and stop by ordered messages of the group itself. The first byte of a message says what it is:
//   ready   sent by each member once it sees all of them; all start when the last of these is delivered
//   data    what is measured
//   stop    sent by the first member when its time is over; senders then send no more
//   done    sent by each member after the stop; all end when the last of these is delivered
#pragma once

#include <span>

#include "histogram.hpp"
#include "machine.hpp"
#include "session.hpp"

namespace bench {

enum class Send {
    claim,  // derecho_shard_claim, fill in place, commit
    copy,   // derecho_shard_send from a buffer
    many,   // derecho_shard_send_many from buffers, as many at a time as there are
};

struct Workload {
    uint32_t members = 2;
    uint32_t senders = 1;  // by rank, from 0
    size_t payload_bytes = 100;
    bool one_at_a_time = false;  // latency; otherwise as many as possible
    double warm_s = 0.3;
    double window_s = 1;
    bool write = true;  // each payload afresh
    bool read = false;  // every byte of each delivery
    Send send = Send::claim;
    size_t burst = 256;    // messages handed in between two polls
    uint64_t full_ns = 0;  // how long to wait in a poll when the ring is full
    int processor = -1;    // to run on; -1: any
};

Workload workload(Settings& settings);

class Member {
public:
    Member(const SessionOptions& options, const Workload& work);
    Json run();

private:
    enum Tag : unsigned char { kReady = 1, kData = 2, kStop = 3, kDone = 4 };
    // What grows while the group runs, at one instant.
    struct Reading {
        uint64_t at_ns = 0;
        uint64_t delivered = 0;
        uint64_t polls = 0;
        double cpu_s = 0;
        derecho_stats stats{};
    };

    void take(const derecho_event& event);
    size_t poll(int64_t timeout_ns);
    void start_together();
    void pump();
    void send_burst();
    bool send_one();
    bool send_many(size_t count);
    void send_one_and_wait();
    bool send_claimed();
    bool send_copied();
    void fill(unsigned char* payload);
    void tell(Tag tag);
    Reading reading() const;
    void watch_clock();
    Json result() const;
    Json stats_of_window() const;

    const Workload work_;
    Session session_;
    std::span<unsigned char> source_;      // of messages; at the beginning of a page, as in the other languages
    std::vector<derecho_bytes> messages_;  // of send_many
    bool sender_ = false;
    uint64_t sent_ = 0;
    uint64_t delivered_ = 0;
    uint64_t own_delivered_ = 0;
    uint64_t polls_ = 0;
    uint64_t sum_ = 0;
    uint32_t ready_ = 0;
    uint32_t done_ = 0;
    bool stop_seen_ = false;
    bool stop_sent_ = false;
    bool done_sent_ = false;
    bool full_ = false;
    uint64_t warm_until_ns_ = 0;
    uint64_t window_until_ns_ = 0;
    Reading begin_, end_;
    Memory memory_;
    Histogram latency_;
};

}  // namespace bench
