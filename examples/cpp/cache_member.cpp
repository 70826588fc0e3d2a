// One of three members of a replicated cache: cache_member NODE ADDRESSES
#include <iostream>
#include <sstream>

#include "cache.hpp"  // derecho stubs cache.py --lang cpp --out .

class CacheMember : public cache::Cache {
public:
    int64_t put(std::string_view key, derecho::BytesView value) override {
        items_[std::string(key)].assign(value.begin(), value.end());
        return static_cast<int64_t>(items_.size());
    }
    std::optional<derecho::Bytes> get(std::string_view key) const override {
        const auto found = items_.find(std::string(key));
        return found == items_.end() ? std::nullopt : std::optional(found->second);
    }
    using Items = derecho::Map<std::string, derecho::Bytes>;
    Items save_state() const override { return items_; }
    void load_state(Items state) override { items_ = std::move(state); }

private:
    Items items_;
};

int main(int count, char** arguments) try {
    if (count != 3) return std::cerr << "usage: cache_member NODE HOST:PORT,HOST:PORT,HOST:PORT\n", 2;
    std::istringstream addresses(arguments[2]);
    std::string listen, line;
    for (int n = std::stoi(arguments[1]); n > 0; --n) std::getline(addresses, listen, ',');
    derecho::Config config;
    config.set("node", arguments[1]).listen(listen).initial_members(arguments[2]);
    CacheMember member;
    auto group = derecho::Group::join(config, std::chrono::minutes(1), member);
    auto calls = group.replicated<cache::Cache>();
    group.on_view([](const derecho::View& view) {
        std::cout << "view " << view.id << ':';
        for (const auto& each : view.members) std::cout << ' ' << each.node << (each.votes ? "" : " joining");
        std::cout << std::endl;
    });
    while (std::getline(std::cin, line))  // each is put, until the end of the input (Ctrl-D)
        for (const auto& [who, answer] : calls.ordered<&cache::Cache::put>(line, derecho::bytes_of("hello")).all())
            std::cout << "member " << who << " says " << answer << std::endl;
} catch (const std::exception& error) {
    return std::cerr << error.what() << std::endl, 1;
}
