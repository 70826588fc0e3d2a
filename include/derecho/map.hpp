// A map that keeps the order of insertion, as maps of services do in every language: replicas that enumerate one see
// the same order at every member, whoever gave them their state.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <list>
#include <map>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

namespace derecho {

/**
 * As std::map, in the order of insertion: a new key goes to the end, an old one stays at its place. Iterators and
 * references stay valid until their entry is erased.
 */
template <class K, class V>
class Map {
    struct Less {
        using is_transparent = void;
        template <class A, class B>
        bool operator()(const A& a, const B& b) const {
            return key_of(a) < key_of(b);
        }
        static const K& key_of(const K* key) { return *key; }
        template <class Other>
        static const Other& key_of(const Other& key) {
            return key;
        }
    };
    using Entries = std::list<std::pair<const K, V>>;

public:
    using key_type = K;
    using mapped_type = V;
    using value_type = std::pair<const K, V>;
    using iterator = typename Entries::iterator;
    using const_iterator = typename Entries::const_iterator;

    Map() = default;
    Map(std::initializer_list<value_type> entries) {
        for (const value_type& entry : entries) emplace(entry.first, entry.second);
    }
    template <class Iterator>
    Map(Iterator first, Iterator last) {
        for (; first != last; ++first) emplace(first->first, first->second);
    }
    Map(const Map& other) : Map(other.begin(), other.end()) {}
    Map(Map&& other) noexcept { swap(other); }
    Map& operator=(Map other) noexcept {
        swap(other);
        return *this;
    }
    void swap(Map& other) noexcept {
        entries_.swap(other.entries_);
        index_.swap(other.index_);
    }

    iterator begin() { return entries_.begin(); }
    iterator end() { return entries_.end(); }
    const_iterator begin() const { return entries_.begin(); }
    const_iterator end() const { return entries_.end(); }
    size_t size() const { return entries_.size(); }
    bool empty() const { return entries_.empty(); }

    template <class Key>
    iterator find(const Key& key) {
        const auto found = index_.find(key);
        return found == index_.end() ? end() : found->second;
    }
    template <class Key>
    const_iterator find(const Key& key) const {
        const auto found = index_.find(key);
        return found == index_.end() ? end() : const_iterator(found->second);
    }
    template <class Key>
    bool contains(const Key& key) const {
        return index_.find(key) != index_.end();
    }
    /** @throws std::out_of_range */
    template <class Key>
    V& at(const Key& key) {
        return checked(find(key))->second;
    }
    template <class Key>
    const V& at(const Key& key) const {
        return const_cast<Map*>(this)->at(key);
    }
    V& operator[](K key) { return emplace(std::move(key)).first->second; }

    /** At the end, unless the key is there. @return its entry, and whether it is new. */
    template <class... Value>
    std::pair<iterator, bool> emplace(K key, Value&&... value) {
        if (const iterator found = find(key); found != end()) return {found, false};
        entries_.emplace_back(std::piecewise_construct, std::forward_as_tuple(std::move(key)),
                              std::forward_as_tuple(std::forward<Value>(value)...));
        const iterator added = std::prev(entries_.end());
        index_.emplace(&added->first, added);
        return {added, true};
    }
    std::pair<iterator, bool> insert_or_assign(K key, V value) {
        const auto [entry, added] = emplace(std::move(key));
        entry->second = std::move(value);
        return {entry, added};
    }
    iterator erase(const_iterator entry) {
        index_.erase(&entry->first);
        return entries_.erase(entry);
    }
    template <class Key>
    size_t erase(const Key& key) requires(!std::is_convertible_v<const Key&, const_iterator>) {
        const iterator found = find(key);
        if (found == end()) return 0;
        erase(const_iterator(found));
        return 1;
    }
    void clear() {
        index_.clear();
        entries_.clear();
    }

    /** The same entries, in whatever order. */
    bool operator==(const Map& other) const {
        if (size() != other.size()) return false;
        for (const auto& [key, value] : entries_) {
            const const_iterator found = other.find(key);
            if (found == other.end() || !(found->second == value)) return false;
        }
        return true;
    }

private:
    iterator checked(iterator found) {
        if (found == end()) throw std::out_of_range("derecho::Map::at: no such key");
        return found;
    }

    Entries entries_;
    std::map<const K*, iterator, Less> index_;
};

}  // namespace derecho
