#include "crew.hpp"

#include <unistd.h>
#include <algorithm>
#include <memory>

#include "machine.hpp"

namespace bench {
namespace {

// Carries one child's result.
class Pipe {
public:
    Pipe() {
        if (pipe(ends_) != 0) throw std::runtime_error("no pipe");
    }
    ~Pipe() {
        close(ends_[0]);
        if (ends_[1] >= 0) close(ends_[1]);
    }
    Pipe(const Pipe&) = delete;
    void say(const std::string& text) const {
        if (write(ends_[1], text.data(), text.size()) < 0) throw std::runtime_error("the pipe broke");
    }
    std::string hear() {
        close(ends_[1]);
        ends_[1] = -1;
        std::string text;
        char buffer[4096];
        for (ssize_t n; (n = read(ends_[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
        return text;
    }

private:
    int ends_[2] = {-1, -1};
};

}  // namespace

Crew::Crew(const SessionOptions& common, uint32_t members) : common_(common) {
    while (ports_.size() < members) {
        const uint16_t port = free_port();
        if (std::ranges::find(ports_, port) == ports_.end()) ports_.push_back(port);
    }
}

SessionOptions Crew::options_of(uint32_t node) const {
    const auto address = [](uint16_t port) { return "127.0.0.1:" + std::to_string(port); };
    SessionOptions options = common_;
    options.node = node;
    options.listen = address(ports_[node]);
    options.contact = address(ports_[0]);
    return options;
}

std::vector<std::string> in_children(uint32_t count, uint64_t deadline_ns,
                                     const std::function<std::string(uint32_t)>& body) {
    std::vector<std::unique_ptr<Pipe>> pipes;
    std::vector<Child> children;
    for (uint32_t k = 0; k < count; ++k) {
        pipes.push_back(std::make_unique<Pipe>());
        children.emplace_back([&, k] {
            pipes[k]->say(body(k));
            return 0;
        });
    }
    for (uint32_t running = count; running > 0; usleep(2000)) {
        for (Child& child : children) {
            int code = 0;
            if (!child.running() || !child.ended(code)) continue;
            --running;
            if (code != 0) throw std::runtime_error("a member failed, with exit code " + std::to_string(code));
        }
        if (now_ns() > deadline_ns) throw std::runtime_error("gave up waiting for the members to end");
    }
    std::vector<std::string> results;
    for (auto& pipe : pipes) results.push_back(pipe->hear());
    return results;
}

std::string json_list(const std::vector<std::string>& items) {
    std::string out = "[";
    for (const std::string& item : items) out += (out.size() > 1 ? ",\n " : "") + item;
    return out + "]";
}

}  // namespace bench
