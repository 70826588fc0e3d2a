#include "sim/sim_direct.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "sim/sim_network.hpp"

namespace libderecho::sim {
namespace {

class SimMemory final : public DirectMemory {
public:
    SimMemory(std::shared_ptr<DeviceKeys> keys, uint32_t key) : keys_(std::move(keys)) { key_ = key; }
    ~SimMemory() override { keys_->memory.erase(key_); }

private:
    std::shared_ptr<DeviceKeys> keys_;
};

DirectEndpoint endpoint_of(uint64_t number) {
    DirectEndpoint endpoint{};
    std::memcpy(endpoint.data(), &number, sizeof number);
    return endpoint;
}

// An end's way into a connection: known after a while, to who has not gone by then.
struct Connecting {
    bool open = true;
    std::optional<Status> outcome;
};

void begin(const std::shared_ptr<Connecting>& connecting, Network& network, SimFabric& self) {
    Devices& devices = network.devices();
    const Duration lasts{devices.random.magnitude(200, 20'000'000)};
    const bool fails = devices.random.chance(devices.fail);
    network.at(network.now() + lasts, [connecting, fails, &network, &self] {
        if (!connecting->open) return;
        connecting->outcome = fails ? failure(DERECHO_UNREACHABLE, "there is no way to the peer") : Status{};
        network.wake(self);
    });
}

bool within(std::span<const std::byte> whole, uint64_t address, uint64_t size_bytes) {
    const auto first = reinterpret_cast<uintptr_t>(whole.data());
    return address >= first && size_bytes <= whole.size() && address - first <= whole.size() - size_bytes;
}

}  // namespace

Devices::Devices(Random from)
    : random(from),
      possible(random.chance(0.7)),
      refuse(random.chance(0.5) ? 0 : 0.2),
      fail(random.chance(0.2)   ? 0.5
           : random.chance(0.4) ? 0
                                : 0.01) {}

class SimServer final : public DirectServer {
public:
    SimServer(std::shared_ptr<SimAccess> access, std::shared_ptr<DeviceKeys> keys)
        : access_(std::move(access)), keys_(std::move(keys)) {
        Devices& devices = access_->network().devices();
        number_ = ++devices.servers_made;
        devices.servers[number_] = this;
        access_->servers.push_back(this);
        begin(connecting_, access_->network(), access_->self());
    }
    ~SimServer() override {
        shut();
        std::erase(access_->servers, this);
    }
    void shut() {
        connecting_->open = false;
        access_->network().devices().servers.erase(number_);
    }
    DirectEndpoint endpoint() const override { return endpoint_of(number_); }
    std::optional<Status> connected() override { return connecting_->outcome; }
    SimFabric& process() const { return access_->self(); }

    // Whether the key opens that; if not, this end serves nobody any more.
    bool opens(uint32_t key, bool read, uint64_t address, uint64_t size_bytes) {
        DERECHO_ASSERT(connecting_->outcome && connecting_->outcome->ok());  // or it should not have been granted
        const auto found = keys_->memory.find(key);
        if (broken_ || found == keys_->memory.end()) return broken_ = true, false;
        const auto& [bytes, rights] = found->second;
        broken_ = !(read ? rights.read : rights.write) || !within(bytes, address, size_bytes);
        return !broken_;
    }

private:
    std::shared_ptr<SimAccess> access_;
    std::shared_ptr<DeviceKeys> keys_;
    std::shared_ptr<Connecting> connecting_ = std::make_shared<Connecting>();
    uint64_t number_ = 0;
    bool broken_ = false;
};

namespace {

// What outlives the asking end: requests that have left.
struct Connection {
    uint64_t server = 0;
    bool open = true;     // the asking end
    bool failed = false;  // one of them
    bool stuck = false;   // one was not carried out: nor will be those behind it
    uint64_t posted = 0, back = 0;
    uint32_t done = 0;
    Instant last_served{}, last_read{}, last_back{};
    Status broken;
};

struct UnderWay {
    bool read = false;
    bool fenced = false;
    uint64_t address = 0;
    uint32_t key = 0;
    std::vector<DirectAsker::Piece> pieces;
    std::vector<std::byte> bytes;
    bool has_bytes = false;
    bool failed = false;
    uint64_t size_bytes = 0;

    void gather() {
        bytes.clear();
        for (const auto& piece : pieces) bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
        has_bytes = true;
    }
    void scatter() const {
        auto from = bytes.begin();
        for (const auto& piece : pieces) {
            std::copy_n(from, piece.bytes.size(), piece.bytes.begin());
            from += static_cast<ptrdiff_t>(piece.bytes.size());
        }
    }
};

}  // namespace

class SimAsker final : public DirectAsker {
public:
    SimAsker(std::shared_ptr<SimAccess> access, std::shared_ptr<DeviceKeys> keys)
        : access_(std::move(access)), keys_(std::move(keys)) {
        access_->askers.push_back(this);
    }
    ~SimAsker() override {
        connection_->open = connecting_->open = false;
        std::erase(access_->askers, this);
    }
    void shut() {
        connection_->open = connecting_->open = false;
        connecting_->outcome = failure(DERECHO_UNREACHABLE, "the peer is lost");
        if (connection_->broken.ok()) connection_->broken = failure(DERECHO_UNREACHABLE, "the peer is lost");
        connection_->back = connection_->posted;
    }

    DirectEndpoint endpoint() const override { return endpoint_of(1); }
    void connect(const DirectEndpoint& theirs) override {
        std::memcpy(&connection_->server, theirs.data(), sizeof connection_->server);
        begin(connecting_, access_->network(), access_->self());
    }
    std::optional<Status> connected() override { return connecting_->outcome; }
    void post(const Request& request) override;
    uint32_t take_done() override { return std::exchange(connection_->done, 0); }
    const Status& broken() const override { return connection_->broken; }
    bool settled() const override { return !broken().ok() && connection_->back == connection_->posted; }

private:
    void check(const Request& request) const;
    static void serve(Network& network, SimFabric& self, Connection& connection, UnderWay& one);

    std::shared_ptr<SimAccess> access_;
    std::shared_ptr<DeviceKeys> keys_;
    std::shared_ptr<Connecting> connecting_ = std::make_shared<Connecting>();
    std::shared_ptr<Connection> connection_ = std::make_shared<Connection>();
};

// ------------------------------------------------------------------------------------------------- requests

void SimAsker::check(const Request& request) const {
    DERECHO_ASSERT(connection_->posted - connection_->back < kDirectRequestsMax);
    DERECHO_ASSERT(request.pieces.size() <= access_->limits().pieces_max);
    for (const Piece& piece : request.pieces) {
        const auto found = keys_->memory.find(piece.key);
        DERECHO_ASSERT(found != keys_->memory.end());
        DERECHO_ASSERT(
            within(found->second.bytes, reinterpret_cast<uintptr_t>(piece.bytes.data()), piece.bytes.size()));
    }
}

void SimAsker::post(const Request& request) {
    Connection& connection = *connection_;
    if (!connection.broken.ok()) return;
    DERECHO_ASSERT(connecting_->outcome && connecting_->outcome->ok());
    check(request);
    Network& network = access_->network();
    SimFabric& self = access_->self();
    Random& random = network.devices().random;
    auto one = std::make_shared<UnderWay>();
    one->read = request.read;
    one->fenced = request.fenced;
    one->address = request.address;
    one->key = request.remote_key;
    one->pieces.assign(request.pieces.begin(), request.pieces.end());
    for (const Piece& piece : request.pieces) one->size_bytes += piece.bytes.size();
    if (!request.read && random.chance(0.5)) one->gather();
    ++connection.posted;

    const auto later = [&](Instant than) {
        return std::max(than, network.now()) + Duration{random.magnitude(200, 20'000)};
    };
    Instant served = later(connection.last_served);
    if (request.fenced) served = std::max(served, connection.last_read);
    connection.last_served = served;
    if (request.read) {
        served = later(served);  // a write behind it need not wait for that
        connection.last_read = std::max(connection.last_read, served);
        served = connection.last_read;
    }
    connection.last_back = later(std::max(connection.last_back, served));
    network.at(served, [connection = connection_, one, &network, &self] { serve(network, self, *connection, *one); });
    network.at(connection.last_back, [connection = connection_, one, &network, &self] {
        if (!connection->open || !connection->broken.ok()) return;
        if (one->failed) {
            connection->broken = failure(DERECHO_UNREACHABLE, "a request failed");
            connection->back = connection->posted;
        } else {
            if (one->read) one->scatter();
            ++connection->back;
            ++connection->done;
        }
        network.wake(self);
    });
}

void SimAsker::serve(Network& network, SimFabric& self, Connection& connection, UnderWay& one) {
    Devices& devices = network.devices();
    const auto fail = [&](bool stuck) {
        one.failed = connection.failed = true;
        connection.stuck = connection.stuck || stuck;
    };
    const auto server = devices.servers.find(connection.server);
    if (connection.stuck || (one.fenced && connection.failed) || server == devices.servers.end() ||
        network.is_blocked(self.self(), server->second->process().self()))
        return fail(true);
    if (!one.read && !one.has_bytes) {
        if (!connection.open) return fail(true);  // it never left
        one.gather();
    }
    if (!server->second->opens(one.key, one.read, one.address, one.size_bytes)) return fail(true);
    const bool fails = devices.random.chance(devices.fail);
    auto* const there = reinterpret_cast<std::byte*>(one.address);
    const uint64_t size = fails && devices.random.chance(0.5) ? one.size_bytes / 2 : one.size_bytes;
    if (one.read)
        one.bytes.assign(there, there + one.size_bytes);
    else
        std::memcpy(there, one.bytes.data(), size);
    // If all of it was done, those behind it are as well, until one is fenced: the reads before that did not come back.
    if (fails) fail(size < one.size_bytes);
}

// ------------------------------------------------------------------------------------------------- access

Status SimAccess::enter(DeviceKeys::Memory memory, const std::shared_ptr<DeviceKeys>& keys,
                        std::unique_ptr<DirectMemory>& out) {
    Devices& devices = network_.devices();
    if (devices.random.chance(devices.refuse)) return failure(DERECHO_NO_MEMORY, "the device has no room");
    keys->memory[++devices.keys_made] = memory;
    out = std::make_unique<SimMemory>(keys, devices.keys_made);
    return {};
}

Status SimAccess::register_pieces(const DirectBuffer& buffer, std::unique_ptr<DirectMemory>& out) {
    return enter({buffer.bytes, {}}, self_.own_keys(), out);
}

Status SimAccess::show(const DirectBuffer& buffer, Rights rights, std::unique_ptr<DirectMemory>& out) {
    return enter({buffer.bytes, rights}, peers_, out);
}

Status SimAccess::ask(std::unique_ptr<DirectAsker>& out) {
    if (shut_) return failure(DERECHO_UNREACHABLE, "the peer is lost");
    out = std::make_unique<SimAsker>(shared_from_this(), self_.own_keys());
    return {};
}

Status SimAccess::serve(const DirectEndpoint& asker, std::unique_ptr<DirectServer>& out) {
    DERECHO_ASSERT(asker == endpoint_of(1));
    if (shut_) return failure(DERECHO_UNREACHABLE, "the peer is lost");
    out = std::make_unique<SimServer>(shared_from_this(), peers_);
    return {};
}

void SimAccess::shut() {
    shut_ = true;
    for (SimAsker* asker : askers) asker->shut();
    for (SimServer* server : servers) server->shut();
}

}  // namespace libderecho::sim
