// One of three members of a replicated cache: cache_member NODE LISTEN CONTACT
#include <iostream>

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

int main(int, char** arguments) {
    const std::string node = arguments[1];
    derecho::Config config;
    config.set("node", node).listen(arguments[2]).contacts(arguments[3]);
    CacheMember member;
    auto group = derecho::Group::join(config, member);
    auto calls = group.replicated<cache::Cache>();
    group.wait_view(3, std::chrono::minutes(1));
    for (const auto& [who, count] :
         calls.ordered<&cache::Cache::put>("from " + node, derecho::bytes_of("hello")).all()) {
        std::cout << "member " << who << " has " << count << "\n";
    }
    std::cout << "this one has " << calls.query<&cache::Cache::get>(calls.nearest(), "from " + node).get()->size()
              << " bytes\n";
}
