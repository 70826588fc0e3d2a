#include "store/marker_file.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "base/log.hpp"
#include "base/signals.hpp"

namespace libderecho {
namespace {

constexpr size_t kBytesMax = 64 << 10;  // a view of 64 members takes a tenth
constexpr std::chrono::seconds kLastSave{2};

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }

private:
    int fd_;
};

Status trouble(const std::string& what) { return failure(DERECHO_INVALID, what + ": " + std::strerror(errno)); }

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

Status make_folders(const std::string& folder) {
    for (size_t at = folder.find('/', 1);; at = folder.find('/', at + 1)) {
        const std::string part = folder.substr(0, at);
        if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return trouble("cannot make folder " + part);
        if (at == std::string::npos) return {};
    }
}

Status read_file(const std::string& path, std::string& text) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) return errno == ENOENT ? Status{} : trouble("cannot read " + path);
    text.resize(kBytesMax + 1);
    const ssize_t n = ::read(file.get(), text.data(), text.size());
    if (n < 0) return trouble("cannot read " + path);
    text.resize(static_cast<size_t>(n));
    return text.size() <= kBytesMax ? Status{} : failure(DERECHO_INVALID, path + " is too long to be ours");
}

bool sync_folder(const std::string& folder) {
    const Descriptor at(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return at.get() >= 0 && ::fsync(at.get()) == 0;
}

// Beside the file, and then in its place.
Status replace_file(const std::string& path, const std::string& text) {
    if (text.empty()) {
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) return trouble("cannot remove " + path);
        return sync_folder(folder_of(path)) ? Status{} : trouble("cannot remove " + path);
    }
    const std::string fresh = path + ".new";
    const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const bool written = file.get() >= 0 &&
                         ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                         ::fsync(file.get()) == 0 && ::rename(fresh.c_str(), path.c_str()) == 0;
    return written && sync_folder(folder_of(path)) ? Status{} : trouble("cannot write " + path);
}

// What the thread works on. It outlives the store when the disk does not answer.
struct Work {
    explicit Work(std::string where) : path(std::move(where)) {}

    void run() {
        std::unique_lock lock(mutex);
        while (true) {
            changed.wait(lock, [this] { return closing || due; });
            if (!due) return;
            const std::string text = *std::exchange(due, std::nullopt);
            lock.unlock();
            const Status status = replace_file(path, text);
            lock.lock();
            // A full disk is no reason to stop a service that needs none: what then cannot be known, the docs say.
            if (!status.ok()) log::warn("what this node remembers of its group is not up to date: " + status.detail);
            if (!due) settled = true;
            changed.notify_all();
        }
    }

    const std::string path;
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<std::string> due;
    bool settled = true;
    bool closing = false;
};

class MarkerFile final : public MarkerStore {
public:
    explicit MarkerFile(std::string path) : work_(std::make_shared<Work>(std::move(path))) {}
    ~MarkerFile() override;
    void save(std::string text) override;
    bool saved() override {
        const std::lock_guard lock(work_->mutex);
        return work_->settled;
    }
    const std::string& place() const override { return work_->path; }

private:
    bool start();

    std::shared_ptr<Work> work_;
    std::thread thread_;
};

MarkerFile::~MarkerFile() {
    if (!thread_.joinable()) return;
    std::unique_lock lock(work_->mutex);
    work_->changed.wait_for(lock, kLastSave, [this] { return work_->settled; });
    const bool stuck = !work_->settled;
    work_->closing = true;
    work_->changed.notify_all();
    lock.unlock();
    if (stuck) log::warn("the disk with " + work_->path + " does not answer");
    stuck ? thread_.detach() : thread_.join();
}

bool MarkerFile::start() {
    try {
        const SignalsBlocked blocked;
        thread_ = std::thread([work = work_] { work->run(); });
        pthread_setname_np(thread_.native_handle(), "derecho-marker");
    } catch (const std::system_error&) {
    }
    return thread_.joinable();
}

void MarkerFile::save(std::string text) {
    if (!thread_.joinable() && !start()) {  // no thread to be had: here and now
        if (const Status status = replace_file(work_->path, text); !status.ok()) log::warn(status.detail);
        return;
    }
    const std::lock_guard lock(work_->mutex);
    work_->due = std::move(text);
    work_->settled = false;
    work_->changed.notify_all();
}

}  // namespace

Status open_marker_file(const std::string& path, std::unique_ptr<MarkerStore>& store_out, std::string& text_out) {
    text_out.clear();
    if (Status status = make_folders(folder_of(path)); !status.ok()) return status;
    if (Status status = read_file(path, text_out); !status.ok()) return status;
    // Better to learn now than in the middle of a view change that nothing can be written.
    if (::access(folder_of(path).c_str(), W_OK | X_OK) != 0) return trouble("cannot write to " + folder_of(path));
    store_out = std::make_unique<MarkerFile>(path);
    return {};
}

}  // namespace libderecho
