// What an ordered call and its answer cost in a group of one: through derecho.hpp, and through the untyped functions of
// the stub DLL of examples/cache_cpp, which relay to it.
#include "ffi_calls.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cache.hpp"
#include "cache_dll.h"
#include "machine.hpp"

std::unique_ptr<cache::Cache> make_cache();  // cache_service.cpp's

namespace bench {
namespace {

constexpr size_t kCalls = 2'000;  // of one trial
constexpr int kTrials = 31;
constexpr uint32_t kTimeoutMs = 10'000;

class Typed {
public:
    explicit Typed(const std::string& listen) : replica_(make_cache()), group_(join(listen, *replica_)) {}
    void call(const derecho::Bytes& value) { calls_.ordered<&cache::Cache::put>("key", value).get(); }

private:
    static derecho::Group join(const std::string& listen, cache::Cache& replica) {
        derecho::Config config;
        return derecho::Group::join(config.node(1).listen(listen).found(), replica);
    }
    std::unique_ptr<cache::Cache> replica_;
    derecho::Group group_;
    derecho::Replicated<cache::Cache> calls_ = group_.replicated<cache::Cache>();
};

class Untyped {
public:
    explicit Untyped(const std::string& listen) {
        require(cache_open(("node=1;found=true;listen=" + listen).c_str(), &member_), "open");
    }
    ~Untyped() { cache_close(member_); }
    Untyped(const Untyped&) = delete;

    void call(const derecho::Bytes& value) {
        cache_call* call = nullptr;
        int64_t result = 0;
        require(cache_put(member_, "key", 3, value.data(), value.size(), &call), "put");
        require(cache_wait(call, kTimeoutMs), "wait");
        require(cache_put_result(call, &result), "result");
        cache_call_close(call);
    }

private:
    static void require(int status, const char* what) {
        if (status != 0) throw std::runtime_error(std::string("cache_") + what + ": " + derecho_last_error());
    }
    cache_member* member_ = nullptr;
};

template <class Caller>
double trial(Caller& caller, const derecho::Bytes& value) {
    const uint64_t begin = now_ns();
    for (size_t i = 0; i < kCalls; ++i) caller.call(value);
    return static_cast<double>(now_ns() - begin) / kCalls;
}

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + kTrials / 2, values.end());
    return values[kTrials / 2];
}

}  // namespace

CallCosts measure_calls(const std::string& listen, size_t payload_bytes) {
    const derecho::Bytes value(payload_bytes);
    // Groups of their own, one trial of each in turn: a slow moment of the machine touches both alike.
    Typed typed(listen);
    Untyped untyped("127.0.0.1:0");
    std::vector<double> hpp, dll;
    for (int i = 0; i < kTrials; ++i) {
        hpp.push_back(trial(typed, value));
        dll.push_back(trial(untyped, value));
    }
    return {median(std::move(hpp)), median(std::move(dll))};
}

}  // namespace bench
