// One of two members, alone in its process, that measures registered memory through the C ABI: beside the device's own
// tools, and directly beside by mail.
//
//   derecho_memory_end listen=HOST:PORT [contact=HOST:PORT] [bytes=N] [rounds=N] [wait_ms=0] [OPTION=VALUE...]
//
// Who has a contact measures, and prints JSON, a line for each kind and size: the middle time of one operation after
// the other, ns; bytes a second with some under way all the time; the middle time of one on a fresh buffer that is
// registered for it and deregistered after it, ns. Both ends poll without a pause, unless they are to wait.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <derecho.h>

namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kLargest = 1 << 20;
constexpr size_t kWindow = 16;

void check(derecho_status status, const char* what) {
    if (status != DERECHO_OK)
        throw std::runtime_error(std::string(what) + ": " + derecho_status_name(status) + ": " + derecho_last_error());
}

double since_ns(Clock::time_point begun) {
    return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun).count());
}

double middle(std::vector<double>& values) {
    std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

class End {
public:
    explicit End(std::map<std::string, std::string> settings) : measures_(settings.contains("contact")) {
        const auto take = [&](const char* name) {
            const auto found = settings.extract(name);
            return found ? std::stoull(found.mapped()) : 0;
        };
        bytes_only_ = take("bytes");
        rounds_ = take("rounds");
        wait_ns_ = static_cast<int64_t>(take("wait_ms")) * 1'000'000;
        derecho_config* config = nullptr;
        check(derecho_config_create(&config), "config");
        const auto set = [&](const std::string& key, const std::string& value) {
            check(derecho_config_set(config, key.c_str(), value.c_str()), key.c_str());
        };
        set("node", measures_ ? "2" : "1");
        set("wire", "verbs");
        set("spin_us", "1000000");
        if (!settings.contains("contact")) set("found", "true");
        for (const auto& [key, value] : settings) set(key == "contact" ? "contacts" : key, value);
        check(derecho_config_add_service(config, "raw", 1), "service");
        check(derecho_group_join(config, 30'000, &group_), "joining");
        check(derecho_config_close(config), "config");
        check(derecho_shard_open(group_, "raw", &shard_), "shard");
        bytes_.resize(kLargest);
        check(derecho_memory_register(group_, bytes_.data(), bytes_.size(), DERECHO_MEMORY_READ | DERECHO_MEMORY_WRITE,
                                      &memory_),
              "registering");
    }

    // Until it is killed.
    [[noreturn]] void serve() {
        for (;;) {
            poll();
            if (members_ < 2 || told_) continue;
            derecho_memory_key key{};
            check(derecho_memory_key_for(memory_, 2, &key), "key");
            told_ = derecho_shard_send(shard_, &key, sizeof key, nullptr) == DERECHO_OK;
        }
    }

    void measure() {
        while (!has_key_) poll();
        for (const bool read : {true, false})
            for (const size_t size : {size_t{8}, size_t{4} << 10, size_t{16} << 10, size_t{64} << 10, kLargest})
                if (bytes_only_ == 0 || bytes_only_ == size) report(read, size);
    }

private:
    void poll() {
        derecho_event events[32];
        size_t count = 0;
        uint64_t lease = 0;
        check(derecho_poll(group_, events, 32, wait_ns_, &count, &lease), "polling");
        for (const derecho_event& event : std::vector(events, events + count)) {
            if (event.kind == DERECHO_EVENT_VIEW) members_ = view_members();
            if (event.kind == DERECHO_EVENT_STATE_REQUEST)
                check(derecho_group_state(group_, event.node, event.id, nullptr, 0, 1), "state");
            if (event.kind == DERECHO_EVENT_MESSAGE && measures_ && event.size_bytes == sizeof key_) {
                std::memcpy(&key_, event.data, sizeof key_);
                has_key_ = true;
            }
            if (event.kind != DERECHO_EVENT_MEMORY) continue;
            check(event.status, "an operation");
            ++ended_;
        }
        if (lease) check(derecho_release(group_, lease), "release");
    }
    uint32_t view_members() {
        derecho_view view{};
        view.struct_bytes = sizeof view;
        check(derecho_group_view(group_, &view), "view");
        return view.member_count;
    }
    void begin(bool read, derecho_memory* memory, size_t size) {
        const derecho_piece piece{memory, 0, size};
        uint64_t id = 0;
        check((read ? derecho_memory_read : derecho_memory_write)(group_, 1, &key_, 0, &piece, 1, &id), "beginning");
        ++begun_;
    }
    void finish() {
        while (ended_ < begun_) poll();
    }
    void report(bool read, size_t size) {
        const size_t rounds = rounds_ ? rounds_ : size >= kLargest ? 30 : 200;
        for (size_t i = 0; i < 3; ++i) begin(read, memory_, size), finish();
        std::vector<double> times, fresh;
        for (size_t i = 0; i < rounds; ++i) {
            const auto begun = Clock::now();
            begin(read, memory_, size);
            finish();
            times.push_back(since_ns(begun));
        }
        const auto begun = Clock::now();
        for (size_t i = 0; i < 2 * rounds; ++i) {
            begin(read, memory_, size);
            while (begun_ - ended_ >= kWindow) poll();
        }
        finish();
        const double rate = static_cast<double>(2 * rounds * size) / since_ns(begun) * 1e9;
        for (size_t i = 0; i < rounds; ++i) {
            std::vector<char> one(size, 'x');
            const auto registered = Clock::now();
            derecho_memory* memory = nullptr;
            check(derecho_memory_register(group_, one.data(), size, 0, &memory), "registering");
            begin(read, memory, size);
            finish();
            check(derecho_memory_deregister(memory, 1000), "deregistering");
            fresh.push_back(since_ns(registered));
        }
        std::printf("{\"read\": %s, \"bytes\": %zu, \"ns\": %.0f, \"bytes_per_s\": %.0f, \"fresh_ns\": %.0f}\n",
                    read ? "true" : "false", size, middle(times), rate, middle(fresh));
        std::fflush(stdout);
    }

    const bool measures_;
    uint64_t bytes_only_ = 0, rounds_ = 0;
    int64_t wait_ns_ = 0;
    derecho_group* group_ = nullptr;
    derecho_shard* shard_ = nullptr;
    derecho_memory* memory_ = nullptr;
    std::vector<char> bytes_;
    derecho_memory_key key_{};
    bool has_key_ = false, told_ = false;
    uint32_t members_ = 0;
    uint64_t begun_ = 0, ended_ = 0;
};

}  // namespace

int main(int argc, char** argv) try {
    std::map<std::string, std::string> settings;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        settings[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    }
    End end(settings);
    if (!settings.contains("contact")) end.serve();
    end.measure();
    std::_Exit(0);  // the other end need not be told
} catch (const std::exception& error) {
    std::fprintf(stderr, "derecho_memory_end: %s\n", error.what());
    return 1;
}
