// The part of a handshake that tries RDMA.
#include "base/log.hpp"
#include "fabric/bootstrap/bootstrap.hpp"

namespace libderecho {

// Each tells the other how to connect to its queue pair; then the dialer tries whether a write gets across.
void Bootstrap::open_verbs_link(Handshake& shake) {
    if (Status status = make_verbs(shake); !status.ok()) return without_verbs(shake, status);
    shake.stage = Stage::verbs_due;
    send(shake, encode(shake.verbs.endpoint()));
}

void Bootstrap::take_endpoint(Handshake& shake, std::span<const std::byte> body) {
    const auto theirs = decode_endpoint(body);
    if (!theirs || !verbs_ || (!shake.dialer && shake.verbs.pair))
        return refuse(shake, failure(DERECHO_INCOMPATIBLE, "malformed VERBS message"));
    Status status;
    if (!theirs->address.possible)
        status = failure(DERECHO_UNREACHABLE, "its end cannot be opened, and its log says why");
    if (status.ok() && !shake.dialer) status = make_verbs(shake);
    if (!status.ok()) return without_verbs(shake, status);
    shake.verbs.connect(*theirs);
    shake.stage = Stage::pair_due;
}

void Bootstrap::take_connection(Handshake& shake) {
    const std::optional<Status> outcome = shake.verbs.pair->connected();
    if (!outcome) return;
    if (!shake.dialer) shake.stage = Stage::ready_due;
    if (!outcome->ok()) return without_verbs(shake, *outcome);
    if (!shake.dialer) return send(shake, encode(shake.verbs.endpoint()));
    shake.verbs.probe();
    shake.stage = Stage::probe_due;
    shake.probe_deadline = now_ + Duration{(shake.deadline - now_).ns / 2};
    impatient_ = true;
}

void Bootstrap::take_probe(Handshake& shake) {
    verbs_->poll();
    const VerbsPair& pair = *shake.verbs.pair;
    if (pair.landed() == pair.added()) return send_ready(shake, Wire::verbs);
    if (!pair.broken().ok()) return without_verbs(shake, pair.broken());
    if (now_ >= shake.probe_deadline)
        return without_verbs(shake, failure(DERECHO_UNREACHABLE, "no write over RDMA reached it"));
    impatient_ = true;
}

Status Bootstrap::make_verbs(Handshake& shake) {
    return shake.verbs.make(*verbs_, !options_.hello.client && !shake.theirs->client);
}

// TCP instead, unless somebody insists. An answerer says so by an end that is none.
void Bootstrap::without_verbs(Handshake& shake, Status why) {
    drop_verbs(shake);
    if (options_.hello.wire != Wire::verbs && shake.theirs->wire != Wire::verbs) {
        log::warn("RDMA with " + shake.address + " does not work, so it is TCP: " + why.detail);
        return shake.dialer ? send_ready(shake, Wire::tcp) : send(shake, encode(VerbsEndpoint{}));
    }
    refuse(shake, failure(why.code, "wire verbs is wanted, but RDMA with node " +
                                        std::to_string(raw(shake.theirs->node)) + " does not work: " + why.detail));
}

void Bootstrap::drop_verbs(Handshake& shake) {
    if (verbs_) VerbsParts::bury(std::move(shake.verbs), *verbs_);
    shake.verbs = {};
}

}  // namespace libderecho
