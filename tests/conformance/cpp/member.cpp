// The member program (tests/conformance/README.md) in C++: Everything over its stub, told what to do on standard input.
#include <atomic>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <derecho.hpp>

#include "everything.hpp"
#include "words.hpp"

namespace {

using conformance::from_hex;
using conformance::to_hex;
using everything::Everything;
using everything::Totals;
using everything::Values;
using Words = std::vector<std::string>;

class Replica : public Everything {
public:
    Values echo(const Values& values) override { return values; }
    Values echo_here(const Values& values) const override { return values; }
    derecho::Bytes echo_bytes(derecho::BytesView value) override {
        totals_.last.assign(value.begin(), value.end());
        totals_.calls++;
        return totals_.last;
    }
    std::string mix(int8_t a, std::string_view b, double c, bool d, std::span<const int32_t> e) override {
        int64_t sum = 0;
        for (const int32_t each : e) sum += each;
        char number[512];
        std::snprintf(number, sizeof number, "%.2f", c);
        return std::to_string(a) + "|" + std::string(b) + "|" + number + "|" + (d ? "true" : "false") + "|" +
               std::to_string(sum);
    }
    int64_t add(int64_t amount) override {
        totals_.calls++;
        return totals_.sum += amount;
    }
    int64_t total() const override { return totals_.sum; }
    void spoil() { totals_.sum++; }  // becomes another than the other replicas
    void fail(std::string_view kind, std::string_view text) override { fail_here(kind, text); }
    void fail_here(std::string_view kind, std::string_view text) const override {
        if (kind == "argument") throw std::invalid_argument(std::string(text));
        if (kind == "state") throw std::runtime_error(std::string(text));
    }
    std::string moment() override { return moment_here(); }
    std::string moment_here() const override {
        const derecho::CallContext call = derecho::context();
        return std::to_string(call.caller) + ":" + std::to_string(call.version) + ":" + std::to_string(call.time_ns);
    }
    Totals save_state() const override { return totals_; }
    void load_state(Totals state) override { totals_ = std::move(state); }

private:
    Totals totals_;
};

std::string nodes_of(const derecho::View& view) {
    std::string text;
    for (const uint32_t node : view.nodes()) text += (text.empty() ? "" : ",") + std::to_string(node);
    return text;
}

class Member {
public:
    /** Do a line; @return the words of the answer. */
    Words run(const std::string& what, const Words& words) { return lines_.at(what)(words); }

private:
    static uint32_t node(const std::string& word) { return static_cast<uint32_t>(std::stoul(word)); }
    derecho::Replicated<Everything>& calls() { return *calls_; }

    Words join(const Words& w) {
        derecho::Config config;
        config.node(node(w[0])).listen(w[1]).initial_members(w[2]).wire(w[3]).group(w[4]);
        group_.emplace(derecho::Group::join(config, replica_));
        calls_.emplace(group_->replicated<Everything>());
        return {nodes_of(group_->view())};
    }
    Words echo(const Words& w) {
        std::string text;
        for (const auto& [member, values] : calls().ordered<&Everything::echo>(decode(w[0])).all()) {
            text += (text.empty() ? "" : ",") + std::to_string(member) + "=" + to_hex(derecho::encode(values));
        }
        return {text};
    }
    Words moment() {
        std::string text;
        for (const auto& [member, answer] : calls().ordered<&Everything::moment>().all())
            text += (text.empty() ? "" : ",") + std::to_string(member) + "=" + answer;
        return {text};
    }
    static Values decode(const std::string& hex) { return derecho::decode<Values>(from_hex(hex)); }

    Words mixed(const Words& w) {
        std::vector<int32_t> numbers;
        for (const std::string& each : conformance::split(w[4], ',')) numbers.push_back(std::stoi(each));
        const auto a = static_cast<int8_t>(std::stoi(w[0]));
        return {calls().ordered<&Everything::mix>(a, w[1], std::stod(w[2]), w[3] == "true", numbers).get()};
    }
    Words flood(const Words& w) {
        for (int i = 0; i < std::stoi(w[0]); i++) {
            calls().send<&Everything::echo_bytes>(derecho::Bytes(std::stoul(w[1]), static_cast<std::byte>(i % 256)));
        }
        calls().ordered<&Everything::add>(0).all();
        return {};
    }
    Words threads(const Words& w) {
        std::vector<std::thread> threads;
        std::atomic<int> failed = 0;
        for (int t = 0; t < std::stoi(w[0]); t++) {
            threads.emplace_back([this, &failed, count = std::stoi(w[1])] {
                try {
                    for (int i = 0; i < count; i++) calls().ordered<&Everything::add>(1).get();
                } catch (const derecho::Error& error) {
                    std::cerr << error.what() << "\n";
                    failed++;
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        if (failed != 0) throw std::runtime_error(std::to_string(failed) + " threads failed");
        return {};
    }
    Words pending(const Words& w) {
        const int count = std::stoi(w[0]);
        std::atomic<int> started = 0, answered = 0, closed = 0;
        std::vector<std::thread> threads;
        for (int t = 0; t < count; t++) {
            threads.emplace_back([&] {
                started++;
                try {
                    calls().ordered<&Everything::add>(0).get();
                    answered++;
                } catch (const derecho::Closed&) {
                    closed++;
                }
            });
        }
        while (started < count) std::this_thread::yield();
        group_->close();
        for (std::thread& thread : threads) thread.join();
        return {std::to_string(answered), std::to_string(closed)};
    }

    const std::map<std::string, std::function<Words(const Words&)>> lines_ = {
        {"join", [this](const Words& w) { return join(w); }},
        {"wait", [this](const Words& w) { return Words{nodes_of(group_->wait_view(std::stoul(w[0])))}; }},
        {"wait_exactly",
         [this](const Words& w) { return Words{nodes_of(group_->wait_view_exactly(std::stoul(w[0])))}; }},
        {"echo", [this](const Words& w) { return echo(w); }},
        {"ask",
         [this](const Words& w) {
             return Words{
                 to_hex(derecho::encode(calls().query<&Everything::echo_here>(node(w[0]), decode(w[1])).get()))};
         }},
        {"bytes",
         [this](const Words& w) {
             return Words{to_hex(calls().ordered<&Everything::echo_bytes>(from_hex(w[0])).get())};
         }},
        {"mixed", [this](const Words& w) { return mixed(w); }},
        {"add",
         [this](const Words& w) {
             return Words{std::to_string(calls().ordered<&Everything::add>(std::stoll(w[0])).get())};
         }},
        {"addall",
         [this](const Words& w) {
             std::string text;
             for (const auto& [member, sum] : calls().ordered<&Everything::add>(std::stoll(w[0])).all())
                 text += (text.empty() ? "" : ",") + std::to_string(member) + "=" + std::to_string(sum);
             return Words{text};
         }},
        {"spoil",
         [this](const Words&) {
             replica_.spoil();
             return Words{};
         }},
        {"send",
         [this](const Words& w) {
             calls().send<&Everything::add>(std::stoll(w[0]));
             return Words{};
         }},
        {"total",
         [this](const Words&) {
             return Words{std::to_string(calls().query<&Everything::total>(calls().nearest()).get())};
         }},
        {"fail",
         [this](const Words& w) {
             calls().ordered<&Everything::fail>(w[0], w[1]).all();
             return Words{};
         }},
        {"failat",
         [this](const Words& w) {
             calls().query<&Everything::fail_here>(node(w[0]), w[1], w[2]).get();
             return Words{};
         }},
        {"moment", [this](const Words&) { return moment(); }},
        {"moment_at",
         [this](const Words& w) { return Words{calls().query<&Everything::moment_here>(node(w[0])).get()}; }},
        {"moment_of_none", [this](const Words&) { return Words{replica_.moment()}; }},
        {"troubles", [this](const Words&) { return group_->troubles(); }},
        {"unknown", [](const Words&) { return Words{"skip"}; }},  // the typed calls know no other methods
        {"flood", [this](const Words& w) { return flood(w); }},
        {"threads", [this](const Words& w) { return threads(w); }},
        {"pending", [this](const Words& w) { return pending(w); }},
        {"leave",
         [this](const Words&) {
             group_->leave();
             return Words{};
         }},
        {"close",
         [this](const Words&) {
             group_->close();
             return Words{};
         }},
    };
    Replica replica_;  // outlives the group
    std::optional<derecho::Group> group_;
    std::optional<derecho::Replicated<Everything>> calls_;
};

Words failure() {
    try {
        throw;
    } catch (const derecho::RemoteError& error) {
        return {"error", "RemoteError", std::to_string(error.member()), error.type_name(), error.text()};
    } catch (...) {
        const std::string said = derecho::detail::describe_current_exception();
        const size_t colon = said.find(": ");
        return {"error", said.substr(0, colon), said.substr(colon + 2)};
    }
}

void answer(const Words& words) {
    for (size_t i = 0; i < words.size(); i++) {
        const std::string& word = words[i];
        std::cout << (i == 0 ? "" : " ") << (word.empty() ? "-" : word == "-" ? "%2D" : conformance::encode(word, " "));
    }
    std::cout << std::endl;
}

}  // namespace

int main() {
    Member member;
    for (std::string line; std::getline(std::cin, line);) {
        Words words = conformance::split(line, ' ');
        for (std::string& word : words) word = word == "-" ? "" : conformance::decode(word);
        try {
            Words said = member.run(words[0], {words.begin() + 1, words.end()});
            if (said != Words{"skip"}) said.insert(said.begin(), "ok");
            answer(said);
        } catch (...) {
            answer(failure());
        }
    }
}
