// What a stranger says on a fresh connection: read off a real socket in pieces, decoded, and compared with what this
// node is. Whatever is accepted must mean exactly the bytes that came.
#include "fabric/bootstrap/handshake.hpp"
#include "fabric/bootstrap/schemas.hpp"

#include <sys/socket.h>

#include "input.hpp"

namespace libderecho {
namespace {

using fuzz::Input;
using fuzz::require;

Hello ours() {
    Hello hello;
    hello.abi_hash = 0x1234567890;
    hello.page_bytes = 4096;
    hello.limits = {65536, 65536, 1024};
    hello.group_name = "group";
    hello.services = {{"Cache", 7}, {"Log", 8}};
    hello.node = NodeId{3};
    hello.incarnation = 99;
    hello.shm_possible = true;
    hello.address = "127.0.0.1:7001";
    hello.unix_name = "derecho-1";
    return hello;
}

Refusal refusal() {
    return {failure(DERECHO_INCOMPATIBLE, "differs"), "S", {"service S", "query get(a:i64)->str", "state i64"}};
}

// One message in three: anything at all, one of ours with damage, a right header before anything.
std::vector<std::byte> message(Input& input) {
    const size_t how = input.below(8);
    if (how == 0) {
        const auto rest = input.rest();
        return {rest.begin(), rest.end()};
    }
    if (how == 1) return input.damaged(encode(refusal()));
    if (how == 2) return input.damaged(encode(Ready{}));
    if (how <= 5) return input.damaged(encode(ours()));
    std::vector<std::byte> bytes = encode_empty(static_cast<BootstrapKind>(input.below(8)));
    const auto body = input.bytes(input.number<uint16_t>());
    BootstrapHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.length_bytes = static_cast<uint32_t>(body.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes.insert(bytes.end(), body.begin(), body.end());
    return bytes;
}

void understand(const MessageReader& reader) {
    const auto same = [&](const std::vector<std::byte>& encoded) {
        return std::ranges::equal(std::span(encoded).subspan(sizeof(BootstrapHeader)), reader.body());
    };
    if (const auto hello = decode_hello(reader.body())) {
        require(same(encode(*hello)));
        Wire wire{};
        if (compare(ours(), *hello).ok()) (void)choose_wire(ours(), *hello, wire);
    }
    if (const auto refused = decode_refused(reader.body())) {
        require(!refused->why.ok() && (refused->schema_is_cut || same(encode(*refused))));
        (void)schema_differences({"service S", "query get()->i64"}, refused->schema, refused->schema_is_cut);
    }
    if (const auto ready = decode_ready(reader.body())) require(same(encode(*ready)));
    if (const auto endpoint = decode_endpoint(reader.body())) require(same(encode(*endpoint)));
}

}  // namespace
}  // namespace libderecho

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace libderecho;
    Input input(data, size);
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    const UniqueFd stranger(ends[0]), here(ends[1]);
    MessageReader reader;
    Status why;
    while (input.more()) {
        const size_t piece = 1 + input.number<uint8_t>() * 4;
        const std::vector<std::byte> bytes = message(input);
        for (std::span<const std::byte> rest = bytes; !rest.empty();) {
            const size_t n = std::min(piece, rest.size());
            require(send_whole(stranger.get(), rest.first(n)));
            rest = rest.subspan(n);
            for (;;) {
                const MessageReader::Result result = reader.read(here.get(), why);
                if (result == MessageReader::Result::nothing) break;
                if (result == MessageReader::Result::failed) return 0;
                understand(reader);
            }
        }
    }
    return 0;
}
