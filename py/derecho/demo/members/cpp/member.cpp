// A member of the demo in C++: README.md beside this file says what it reads and writes.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <derecho.hpp>
#include <derecho/sha256.hpp>

#include "file_store.hpp"

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

constexpr size_t kWindow = 8;  // calls under way
constexpr size_t kPieceBytes = 128 << 10;
constexpr auto kDeadline = 30s;

// ------------------------------------------------------------------------------------------------- the replica

class Replica : public file_store::FileStore {
public:
    bool put(std::string_view path, uint32_t index, uint32_t count, derecho::BytesView piece) override {
        const std::lock_guard lock(mutex_);
        auto& pieces = state_.partial[std::string(path)];
        if (index == 0) pieces.clear();
        if (index != pieces.size()) throw std::logic_error(std::string(path) + ": a piece is missing");
        pieces.emplace_back(piece.begin(), piece.end());
        if (pieces.size() < count) return false;
        derecho::Bytes& file = state_.files[std::string(path)];
        stored_bytes_ -= file.size();
        file.clear();
        for (const derecho::Bytes& each : pieces) file.insert(file.end(), each.begin(), each.end());
        stored_bytes_ += file.size();
        state_.partial.erase(std::string(path));
        return true;
    }
    std::optional<derecho::Bytes> get(std::string_view path) const override {
        const std::lock_guard lock(mutex_);
        const auto found = state_.files.find(std::string(path));
        return found == state_.files.end() ? std::nullopt : std::optional(found->second);
    }
    file_store::Stored save_state() const override {
        const std::lock_guard lock(mutex_);
        return state_;
    }
    void load_state(file_store::Stored state) override {
        const std::lock_guard lock(mutex_);
        state_ = std::move(state);
        for (const auto& [path, content] : state_.files) stored_bytes_ += content.size();
    }

    bool has(const std::string& path) const {
        const std::lock_guard lock(mutex_);
        return state_.files.contains(path);
    }
    size_t files() const {
        const std::lock_guard lock(mutex_);
        return state_.files.size();
    }
    size_t stored_bytes() const { return stored_bytes_; }

    /** SHA-256 over the files by path, each part preceded by its length. */
    std::string digest() const {
        const std::lock_guard lock(mutex_);
        derecho::detail::Sha256 whole;
        const auto put = [&whole](std::string_view part) {
            const uint64_t size = part.size();
            whole.put({reinterpret_cast<const char*>(&size), sizeof size});
            whole.put(part);
        };
        std::map<std::string_view, const derecho::Bytes*> by_path;
        for (const auto& [path, content] : state_.files) by_path.emplace(path, &content);
        for (const auto& [path, content] : by_path) {
            put(path);
            put({reinterpret_cast<const char*>(content->data()), content->size()});
        }
        std::string hex;
        for (const uint8_t byte : whole.digest()) {
            hex += "0123456789abcdef"[byte / 16];
            hex += "0123456789abcdef"[byte % 16];
        }
        return hex;
    }

private:
    mutable std::mutex mutex_;  // handlers run on one thread, reports on another
    file_store::Stored state_;
    std::atomic<size_t> stored_bytes_ = 0;
};

// ------------------------------------------------------------------------------------------------- lines

/** Write an event: its name, and the rest of its fields as JSON. */
void tell(const std::string& event, const std::string& fields) {
    static std::mutex output;
    const std::lock_guard lock(output);
    std::cout << "{\"event\": \"" << event << "\", " << fields << "}" << std::endl;
}

std::string field(const char* name, auto number) { return '"' + std::string(name) + "\": " + std::to_string(number); }

std::string quoted(const std::string& text) {
    std::string made;
    for (const char c : text) {
        if (c == '"' || c == '\\') made += '\\';
        made += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return '"' + made + '"';
}

std::string decoded(const std::string& word) {
    std::string text;
    for (size_t i = 0; i < word.size(); i++) {
        const bool escape = word[i] == '%';
        text += escape ? static_cast<char>(std::stoi(word.substr(i + 1, 2), nullptr, 16)) : word[i];
        if (escape) i += 2;
    }
    return text;
}

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream words(line);
    std::vector<std::string> found;
    for (std::string word; words >> word;) found.push_back(decoded(word));
    return found;
}

// ------------------------------------------------------------------------------------------------- the member

class Member {
public:
    void run(const std::vector<std::string>& words) {
        if (words[0] == "member") task_ = words;
        if (words[0] == "path") paths_.push_back(words[1]);
        if (words[0] == "go") std::thread([this] { join_and_send(); }).detach();
        if (words[0] == "report") report();
        if (words[0] == "leave") leave();
    }

private:
    struct UnderWay {
        derecho::Replies<bool> replies;
        Clock::time_point began;
    };

    void join_and_send() {
        try {
            join();
            send();
        } catch (const std::exception& error) {
            tell("failed", "\"text\": " + quoted(error.what()));
            std::_Exit(1);
        }
    }

    void join() {
        derecho::Config config;
        config.node(static_cast<uint32_t>(std::stoul(task_[1]))).listen(task_[2]).initial_members(task_[3]);
        config.group(task_[4]).wire(task_[5]);
        group_.emplace(derecho::Group::join(config, kDeadline, replica_));
        group_->on_view(tell_view);
        tell("joined", field("files", replica_.files()) + ", " + field("bytes", replica_.stored_bytes()));
        std::thread([this] { tell_progress(); }).detach();
        group_->wait_view(std::stoul(task_[6]), kDeadline);
    }

    static void tell_view(const derecho::View& view) {
        std::string nodes;
        for (const uint32_t node : view.nodes()) nodes += (nodes.empty() ? "" : ", ") + std::to_string(node);
        tell("view", field("id", view.id) + ", \"nodes\": [" + nodes + "]");
    }

    void tell_progress() const {
        for (size_t last = SIZE_MAX;; std::this_thread::sleep_for(20ms)) {
            if (const size_t now = replica_.stored_bytes(); now != last)
                tell("progress", field("stored_bytes", last = now));
        }
    }

    /** Send what the replica has not got; return when every member has all of it. */
    void send() {
        auto store = group_->replicated<file_store::FileStore>();
        const Clock::time_point started = Clock::now();
        size_t sent_files = 0, sent_bytes = 0;
        for (const std::string& path : paths_) {
            if (replica_.has(path)) continue;
            std::ifstream file(task_[7] + "/" + path, std::ios::binary);
            const std::string content{std::istreambuf_iterator<char>(file), {}};
            const auto count =
                static_cast<uint32_t>(std::max<size_t>(1, (content.size() + kPieceBytes - 1) / kPieceBytes));
            for (uint32_t index = 0; index < count; index++) {
                if (under_way_.size() == kWindow) wait_for_oldest();
                const auto piece = derecho::bytes_of(content).subspan(
                    index * kPieceBytes, std::min(kPieceBytes, content.size() - index * kPieceBytes));
                const Clock::time_point began = Clock::now();
                under_way_.push_back({store.ordered<&file_store::FileStore::put>(path, index, count, piece), began});
            }
            sent_files++;
            sent_bytes += content.size();
        }
        while (!under_way_.empty()) wait_for_oldest();
        const std::chrono::duration<double> seconds = Clock::now() - started;
        std::sort(latencies_.begin(), latencies_.end());
        const auto at = [this](double share) {
            const size_t index = static_cast<size_t>(static_cast<double>(latencies_.size()) * share);
            return latencies_.empty() ? std::string("null")
                                      : std::to_string(latencies_[std::min(index, latencies_.size() - 1)]);
        };
        tell("sent", field("sent_files", sent_files) + ", " + field("sent_bytes", sent_bytes) + ", " +
                         field("seconds", seconds.count()) + ", " + field("calls", latencies_.size()) +
                         ", \"p50_s\": " + at(0.5) + ", \"p99_s\": " + at(0.99));
    }

    void wait_for_oldest() {
        under_way_.front().replies.all(kDeadline);
        latencies_.push_back(std::chrono::duration<double>(Clock::now() - under_way_.front().began).count());
        under_way_.pop_front();
    }

    void report() const {
        tell("report", field("files", replica_.files()) + ", " + field("bytes", replica_.stored_bytes()) +
                           ", \"digest\": \"" + replica_.digest() + "\"");
    }

    void leave() {
        if (group_) group_->leave();
        std::_Exit(0);
    }

    Replica replica_;  // outlives the group
    std::vector<std::string> task_, paths_;
    std::optional<derecho::Group> group_;
    std::deque<UnderWay> under_way_;
    std::vector<double> latencies_;
};

}  // namespace

int main() {
    static Member member;  // static: its threads end with the process
    for (std::string line; std::getline(std::cin, line);) member.run(words_of(line));
    std::_Exit(1);  // the supervisor is gone
}
