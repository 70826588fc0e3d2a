#include "capi/threads.hpp"

namespace libderecho::capi {
namespace {

std::atomic<ThreadRecord*> all_records{nullptr};

// Gives the record back when its thread ends.
struct Returner {
    ThreadRecord* record = nullptr;
    ~Returner() {
        this_thread = nullptr;
        if (!record) return;
        record->inside.store(nullptr, std::memory_order_release);
        record->error = "";
        record->taken.store(false, std::memory_order_release);
    }
};

ThreadRecord* reuse_record() {
    for (ThreadRecord* r = all_records.load(std::memory_order_acquire); r; r = r->next) {
        bool taken = false;
        if (!r->taken.load(std::memory_order_relaxed) && r->taken.compare_exchange_strong(taken, true)) return r;
    }
    return nullptr;
}

ThreadRecord* new_record() {
    auto* record = new ThreadRecord;
    record->taken.store(true, std::memory_order_relaxed);
    record->next = all_records.load(std::memory_order_relaxed);
    while (!all_records.compare_exchange_weak(record->next, record, std::memory_order_acq_rel)) {
    }
    return record;
}

}  // namespace

constinit thread_local ThreadRecord* this_thread __attribute__((tls_model("initial-exec"))) = nullptr;

ThreadRecord& register_thread() {
    static thread_local Returner returner;
    ThreadRecord* record = reuse_record();
    if (!record) record = new_record();
    returner.record = record;
    this_thread = record;
    return *record;
}

// Their records are not used again: a thread may have been in the middle of writing its error.
void forget_other_threads() {
    for (ThreadRecord* r = all_records.load(std::memory_order_acquire); r; r = r->next)
        r->inside.store(nullptr, std::memory_order_relaxed);
}

bool anybody_inside(const void* slot) {
    for (ThreadRecord* r = all_records.load(std::memory_order_acquire); r; r = r->next)
        if (r->inside.load(std::memory_order_acquire) == slot) return true;
    return false;
}

}  // namespace libderecho::capi
