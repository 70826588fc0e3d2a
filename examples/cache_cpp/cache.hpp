// Service Cache: what a member implements, and what a caller calls. See docs/cpp.md.
// Written by `derecho stubs` from cache.py; do not edit.
#pragma once

#include <derecho.hpp>

namespace cache {

/** Of the service's methods and types: members whose hashes differ do not join each other. */
inline constexpr uint64_t kSchemaHash = 0xffa36669e67d256a;

/** Bytes by name. */
class Cache {
public:
    virtual ~Cache() = default;

    /** Store a value; return how many there are now. */
    virtual int64_t put(std::string_view key, derecho::BytesView value) = 0;

    /** Forget a value; return whether there was one. */
    virtual bool drop(std::string_view key) = 0;

    /** Return a value, or nothing. */
    virtual std::optional<derecho::Bytes> get(std::string_view key) const = 0;

    /** Return the values' sizes in bytes, by key. */
    virtual std::vector<uint64_t> sizes() const = 0;

    /** The state as of now, for a member that joins. */
    virtual derecho::Map<std::string, derecho::Bytes> save_state() const = 0;
    /** Replace the state by one that another member saved. */
    virtual void load_state(derecho::Map<std::string, derecho::Bytes> state) = 0;
    /** Instead of save_state(), if it is not empty: bytes that are made as they are sent; meanwhile the
     * ordered calls of this service are held back here. */
    virtual derecho::StatePieces save_state_pieces() const { return {}; }

    static constexpr auto derecho_service = derecho::service(
        "Cache",
        derecho::state<derecho::Map<std::string, derecho::Bytes>>(),
        derecho::ordered<&Cache::put>("put", "key", "value"),
        derecho::ordered<&Cache::drop>("drop", "key"),
        derecho::query<&Cache::get>("get", "key"),
        derecho::query<&Cache::sizes>("sizes"));
};

static_assert(derecho::schema_hash<Cache>() == kSchemaHash, "the stub was made for other headers of libderecho");

}  // namespace cache
