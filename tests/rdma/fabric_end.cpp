// One end of a link of the fabric, alone in its process, for what gtest cannot show: measured against the device's own
// tools, and tried against a peer with none of our code.
//
//   derecho_fabric_end lat|bw listen=HOST:PORT [contact=HOST:PORT] [wire=verbs] [device=rxe0] [rounds=N] [bytes=N]
//
// Who has a contact measures, and prints JSON: lat half a round trip of 8-byte counters, ns, both ends spinning; bw
// bytes a second of data in pushes of `bytes`, at most `window` of them unacknowledged: a counter tells of eight,
// another acknowledges half a window, and an end that has nothing to do sleeps.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "fabric/net/net_fabric.hpp"

namespace libderecho {
namespace {

constexpr RegionId kRegion{7};
constexpr size_t kCounterBytes = 64;
constexpr uint64_t kPushesPerCounter = 8;
constexpr Duration kPatience = milliseconds(60'000);

class End {
public:
    explicit End(std::map<std::string, std::string> settings) : settings_(std::move(settings)) {
        NetFabricOptions options;
        measures_ = settings_.contains("contact");
        options.self = NodeId{measures_ ? 2u : 1u};
        options.incarnation = 1;
        options.listen = settings_.at("listen");
        options.group_name = "end";
        options.limits = {.ring_bytes = 1 << 20, .mail_bytes = 1 << 18, .message_max_bytes = 1 << 16};
        const std::string wire = settings_.contains("wire") ? settings_["wire"] : "verbs";
        for (const Wire each : {Wire::shm, Wire::tcp, Wire::verbs})
            if (wire == wire_name(each)) options.wire = each;
        options.verbs.device = settings_["device"];
        options.connect_timeout = milliseconds(20'000);
        const Status status = open_net_fabric(std::move(options), fabric_);
        if (!status.ok()) throw std::runtime_error(status.detail);
    }

    void meet(size_t region_bytes) {
        if (measures_) fabric_->connect(settings_["contact"]);
        const NodeId other{measures_ ? 1u : 2u};
        wait([&] { return fabric_->connected(other); }, "the other end");
        region_ = fabric_->expose(kRegion, region_bytes, {&other, 1});
        if (!region_) throw std::runtime_error("no memory");
        wait([&] { return !(mirror_ = fabric_->mirror(other, kRegion)).empty(); }, "the other end's region");
    }

    void lat(uint64_t rounds) {
        meet(4096);
        std::vector<int64_t> taken;
        for (uint64_t i = 1; i <= rounds; ++i) {
            const Instant begin = monotonic_now();
            if (measures_) say(i);
            wait([&] { return heard() >= i; }, "a counter");
            if (!measures_) say(i);
            taken.push_back((monotonic_now() - begin).ns / 2);
        }
        std::ranges::nth_element(taken, taken.begin() + static_cast<std::ptrdiff_t>(taken.size() / 2));
        if (measures_) std::printf("{\"latency_ns\": %lld}\n", static_cast<long long>(taken[taken.size() / 2]));
        linger();
    }

    void bw(uint64_t rounds, size_t bytes, uint64_t window) {
        meet(kCounterBytes + bytes * window);
        const Instant begin = monotonic_now();
        for (uint64_t i = 1; i <= rounds; ++i) {
            if (!measures_) {
                i = std::min(i + window / 2 - 1, rounds);
                sleep_until([&] { return heard() >= i; }, "data");
                say(i);
                continue;
            }
            if (heard() + window < i) sleep_until([&] { return heard() + window >= i; }, "room");
            const size_t at = kCounterBytes + (i - 1) % window * bytes;
            for (const size_t word : {at, at + bytes - sizeof i})  // so that who sees the counter can look for its data
                std::memcpy(region_->bytes().data() + word, &i, sizeof i);
            fabric_->push_data(*region_, at, bytes);
            if (i % kPushesPerCounter == 0 || i == rounds) say(i);
        }
        sleep_until([&] { return heard() >= rounds; }, "the last acknowledgement");
        const double seconds = static_cast<double>((monotonic_now() - begin).ns) / 1e9;
        if (measures_) std::printf("{\"bytes_per_s\": %.0f}\n", static_cast<double>(rounds * bytes) / seconds);
        linger();
    }

private:
    void say(uint64_t value) {
        auto* word = reinterpret_cast<uint64_t*>(region_->bytes().data());
        std::atomic_ref(*word).store(value, std::memory_order_release);
        fabric_->push_counters(*region_, 0, sizeof value);
        fabric_->flush();
    }
    uint64_t heard() const {
        auto* word = reinterpret_cast<uint64_t*>(const_cast<std::byte*>(mirror_.data()));
        return std::atomic_ref(*word).load(std::memory_order_acquire);
    }
    template <typename Done>
    void wait(Done done, const char* what) {
        for (const Instant end = monotonic_now() + kPatience; !done();) poll(end, what);
    }
    template <typename Done>
    void sleep_until(Done done, const char* what) {
        for (const Instant end = monotonic_now() + kPatience; !done();) {
            poll(end, what);
            if (done()) return;
            fabric_->arm();
            done() ? fabric_->disarm() : fabric_->wait(milliseconds(100));
        }
    }
    void poll(Instant end, const char* what) {
        const Instant now = monotonic_now();
        fabric_->poll(now, events_);
        for (const PeerEvent& event : events_) {
            if (event.kind == PeerEvent::Kind::lost) throw std::runtime_error(event.status.detail);
            if (event.kind == PeerEvent::Kind::refused)
                fabric_->connect(settings_["contact"]);  // it may not listen yet
        }
        events_.clear();
        if (now > end) throw std::runtime_error(std::string("waited in vain for ") + what);
    }
    // Until the other end has all that it waits for.
    void linger() {
        for (const Instant end = monotonic_now() + milliseconds(300); monotonic_now() < end;)
            fabric_->poll(monotonic_now(), events_);
    }

    std::map<std::string, std::string> settings_;
    bool measures_ = false;
    std::unique_ptr<NetFabric> fabric_;
    Region* region_ = nullptr;
    std::span<const std::byte> mirror_;
    std::vector<PeerEvent> events_;
};

int run(int argc, char** argv) {
    if (argc < 3) throw std::runtime_error("say lat or bw, and listen=HOST:PORT");
    std::map<std::string, std::string> settings;
    for (int i = 2; i < argc; ++i) {
        const std::string word = argv[i];
        const size_t at = std::min(word.find('='), word.size() - 1);
        settings[word.substr(0, at)] = word.substr(at + 1);
    }
    const auto number = [&](const char* key, uint64_t fallback) {
        return settings.contains(key) ? std::strtoull(settings[key].c_str(), nullptr, 10) : fallback;
    };
    const std::string what = argv[1];
    const uint64_t rounds = number("rounds", 2000), bytes = number("bytes", 65536), window = number("window", 64);
    End end(settings);
    if (what == "lat") return end.lat(rounds), 0;
    if (what == "bw") return end.bw(rounds, bytes, window), 0;
    throw std::runtime_error("neither lat nor bw: " + what);
}

}  // namespace
}  // namespace libderecho

int main(int argc, char** argv) {
    try {
        return libderecho::run(argc, argv);
    } catch (const std::exception& error) {
        std::cerr << "derecho_fabric_end: " << error.what() << "\n";
        return 1;
    }
}
