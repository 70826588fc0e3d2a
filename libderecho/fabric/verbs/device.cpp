#include "fabric/verbs/device.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/log.hpp"
#include "fabric/os/undertaker.hpp"
#include "fabric/verbs/parts.hpp"
#include "fabric/verbs/sysfs.hpp"

namespace libderecho {
namespace {

constexpr int kCompletionsAtOnce = 32;
constexpr int kCompletionQueueMax = 1 << 16;
constexpr size_t kHugePageBytes = 2 << 20;

bool is_zero(const ibv_gid& gid) {
    return std::all_of(std::begin(gid.raw), std::end(gid.raw), [](uint8_t byte) { return byte == 0; });
}
bool is_link_local(const ibv_gid& gid) {
    constexpr uint8_t kIpv4LinkLocal[14] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254};
    return (gid.raw[0] == 0xfe && (gid.raw[1] & 0xc0) == 0x80) ||
           std::equal(std::begin(kIpv4LinkLocal), std::end(kIpv4LinkLocal), gid.raw);
}

// How good a GID is to be reached by: routable RoCE v2 first, then any RoCE v2, then what there is. 0: none.
int worth(const ibv_gid& gid, const std::string& type, bool ethernet) {
    if (is_zero(gid)) return 0;
    if (!ethernet) return 1;
    if (type != "RoCE v2") return 1;
    return is_link_local(gid) ? 2 : 3;
}

// Bytes of memory this process may lock; the greatest number if there is no limit.
uint64_t memlock_limit() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("CapEff:") && (std::stoull(line.substr(7), nullptr, 16) >> 14 & 1)) return UINT64_MAX;
    rlimit limit{};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return limit.rlim_cur;
}

constexpr char kRaiseMemlock[] =
    "; raise it with `ulimit -l unlimited`, memlock in /etc/security/limits.conf, systemd's LimitMEMLOCK=infinity, or "
    "docker's --ulimit memlock=-1";

Status memlock_exceeded(size_t size_bytes, uint64_t locked_bytes, const std::string& limit) {
    return failure(DERECHO_NO_MEMORY, "the RDMA device cannot lock another " + std::to_string(size_bytes) +
                                          " bytes of memory: the limit is " + limit + ", of which this node uses " +
                                          std::to_string(locked_bytes) + kRaiseMemlock);
}

// Whether so much more may come to be locked.
Status check_memlock(const VerbsPort& port, uint64_t more_bytes) {
    const uint64_t limit = memlock_limit(), lent = port.lent_bytes, due = port.due_bytes + more_bytes + lent;
    if (due <= limit) return {};
    return failure(DERECHO_NO_MEMORY, "with " + std::to_string(port.pairs.size() + 1) +
                                          " peer(s) over RDMA this node would lock up to " + std::to_string(due) +
                                          " bytes of memory, for ring_bytes and mail_bytes as they are" +
                                          (lent > 0 ? " and memory that is registered with it" : "") +
                                          ", but the limit is " + std::to_string(limit) + " bytes" + kRaiseMemlock);
}

class Memory final : public VerbsMemory {
public:
    Memory(std::shared_ptr<VerbsPort> port, ibv_mr* region, size_t size_bytes)
        : port_(std::move(port)), region_(owned(region, port_->verbs.dereg_mr)), size_bytes_(size_bytes) {
        local_key_ = region->lkey;
        remote_key_ = region->rkey;
        port_->locked_bytes += size_bytes_;
    }
    ~Memory() override { port_->locked_bytes -= size_bytes_; }

private:
    std::shared_ptr<VerbsPort> port_;
    Owned<ibv_mr> region_;
    size_t size_bytes_;
};

class Device final : public VerbsDevice {
public:
    explicit Device(std::shared_ptr<VerbsPort> port) : port_(std::move(port)) {}

    const std::string& name() const override { return port_->name; }
    const VerbsAddress& address() const override { return port_->address; }
    Status register_memory(std::span<std::byte> memory, bool remote, std::shared_ptr<VerbsMemory>& out) override;
    Status make_pair(bool rings, std::unique_ptr<VerbsPair>& out) override;
    void poll() override { port_->poll(); }
    bool connecting() const override { return port_->connecting > 0; }
    std::shared_ptr<VerbsDirect> make_direct() override {
        if (!port_->options.direct) return nullptr;
        return make_verbs_direct(port_, [this](std::shared_ptr<void> remains) { bury(std::move(remains)); });
    }
    void arm() override {
        ::ibv_req_notify_cq(port_->completions.get(), 1);
        for (VerbsPort::Awaited* awaited : port_->awaited) awaited->arm();
    }
    int wake_fd() const override { return port_->channel->fd; }
    int event_fd() const override { return port_->context->async_fd; }
    Status take_events() override;
    void bury(std::shared_ptr<void> remains) override { undertaker_.bury(std::move(remains)); }
    Fabric::RdmaCounts counts() const override { return port_->counts; }

private:
    std::shared_ptr<VerbsPort> port_;
    Undertaker undertaker_;
};

Status Device::register_memory(std::span<std::byte> memory, bool remote, std::shared_ptr<VerbsMemory>& out) {
    const uint64_t limit = memlock_limit();
    if (memory.size() > limit - std::min(limit, port_->locked_bytes.load()))
        return memlock_exceeded(memory.size(), port_->locked_bytes, std::to_string(limit) + " bytes");
    // Of huge pages if the system gives them: the device then has fewer addresses to translate. No error otherwise.
    if (memory.size() >= kHugePageBytes) ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
    const int access = remote ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;
    ibv_mr* const region = port_->verbs.reg_mr(port_->domain.get(), memory.data(), memory.size(), access);
    if (!region && errno == ENOMEM) return memlock_exceeded(memory.size(), port_->locked_bytes, "the system's");
    if (!region) return failure(DERECHO_NO_MEMORY, verbs_error("registering memory", errno));
    out = std::make_shared<Memory>(port_, region, memory.size());
    return {};
}

Status Device::make_pair(bool rings, std::unique_ptr<VerbsPair>& out) {
    const uint64_t due = port_->options.mail_bytes + (rings ? port_->options.rings_bytes : 0);
    if (Status status = check_memlock(*port_, due); !status.ok()) return status;
    return make_verbs_pair(port_, due, out);
}

Status Device::take_events() {
    ibv_cq* queue = nullptr;
    void* context = nullptr;
    while (port_->verbs.get_cq_event(port_->channel.get(), &queue, &context) == 0) port_->verbs.ack_cq_events(queue, 1);
    Status status;
    ibv_async_event event{};
    while (port_->verbs.get_async_event(port_->context.get(), &event) == 0) {
        const std::string text = port_->verbs.event_type_str(event.event_type);
        log::info("RDMA device " + port_->name + ": " + text);
        if (event.event_type == IBV_EVENT_DEVICE_FATAL || event.event_type == IBV_EVENT_CQ_ERR)
            status = failure(DERECHO_UNREACHABLE, "RDMA device " + port_->name + " is gone: " + text);
        port_->verbs.ack_async_event(&event);
    }
    // Whether reading fails then depends on the kernel; this does not.
    std::array<pollfd, 2> ends{{{port_->channel->fd, 0, 0}, {port_->context->async_fd, 0, 0}}};
    if (status.ok() && ::poll(ends.data(), ends.size(), 0) > 0)
        status = failure(DERECHO_UNREACHABLE, "RDMA device " + port_->name + " was removed");
    return status;
}

// ------------------------------------------------------------------------------------------------- opening

bool set_nonblocking(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

// Choose the port's GID and note how it is reached.
Status settle_address(VerbsPort& port, const ibv_port_attr& attributes) {
    const bool ethernet = attributes.link_layer == IBV_LINK_LAYER_ETHERNET;
    const std::string where = "RDMA device " + port.name + " port " + std::to_string(port.number);
    int best = 0;
    std::string indices;
    for (int i = 0; i < attributes.gid_tbl_len; ++i) {
        ibv_gid gid{};
        if (port.verbs.query_gid(port.context.get(), port.number, i, &gid) != 0) continue;
        const int value = worth(gid, gid_type(port.name, port.number, i), ethernet);
        if (value > 0) indices += (indices.empty() ? "" : ", ") + std::to_string(i);
        if (value <= best || (port.options.gid_index >= 0 && i != port.options.gid_index)) continue;
        best = value;
        port.gid_index = static_cast<uint8_t>(i);
        std::memcpy(port.address.gid.data(), gid.raw, sizeof gid.raw);
        port.address.routable = ethernet && value == 3;
    }
    if (indices.empty())
        return failure(DERECHO_INVALID, where + " has no GID: give its network interface an IP address");
    if (best == 0)
        return failure(DERECHO_INVALID, where + " has no GID with index " + std::to_string(port.options.gid_index) +
                                            " (rdma_gid_index); it has " + indices);
    if (port.options.pkey_index >= attributes.pkey_tbl_len)
        return failure(DERECHO_INVALID, where + " has no partition key with index " +
                                            std::to_string(port.options.pkey_index) + " (rdma_pkey_index), only 0 to " +
                                            std::to_string(attributes.pkey_tbl_len - 1));
    port.mtu = attributes.active_mtu;
    port.address.possible = true;
    port.address.ethernet = ethernet;
    port.address.lid = attributes.lid;
    port.address.mtu = static_cast<uint8_t>(attributes.active_mtu);
    port.write_bytes_max = std::min(attributes.max_msg_sz, 1u << 30);
    return {};
}

// Beyond its own link: a subnet of InfiniBand's, or RoCE with a routable address.
bool reaches_far(const VerbsAddress& address) { return !address.ethernet || address.routable; }

uint32_t at_least_one(int count, uint32_t at_most) {
    return std::min(static_cast<uint32_t>(std::max(count, 1)), at_most);
}

void note_limits(VerbsPort& port, const ibv_device_attr& device) {
    port.queue_depth = std::min(port.options.queue_depth, static_cast<uint32_t>(device.max_qp_wr));
    port.direct.pieces_max = at_least_one(std::min(device.max_sge, device.max_sge_rd), VerbsPort::kPiecesMax);
    port.direct.reads_asked_max = at_least_one(device.max_qp_init_rd_atom, kDirectRequestsMax);
    port.direct.reads_served_max = at_least_one(device.max_qp_rd_atom, kDirectRequestsMax);
}

// The port that is wanted, or the first active one, of those that hosts beyond the link reach if there are any.
Status find_port(VerbsPort& port) {
    ibv_device_attr device{};
    if (port.verbs.query_device(port.context.get(), &device) != 0)
        return failure(DERECHO_INVALID, verbs_error("querying an RDMA device", errno));
    note_limits(port, device);
    Status why =
        failure(DERECHO_INVALID, "RDMA device " + port.name + " has no port " + std::to_string(port.options.port) +
                                     " (rdma_port), only 1 to " + std::to_string(device.phys_port_cnt));
    uint8_t found = 0;
    const auto settle = [&](uint8_t number) {
        ibv_port_attr attributes{};  // the function fills in the older, shorter part: enough
        port.number = number;
        port.address = {};
        if (port.verbs.query_port(port.context.get(), number, &attributes) != 0) return false;
        why = attributes.state == IBV_PORT_ACTIVE
                  ? settle_address(port, attributes)
                  : failure(DERECHO_INVALID, "port " + std::to_string(number) + " of RDMA device " + port.name +
                                                 " is not active: is its link up?");
        return why.ok();
    };
    for (uint8_t number = 1; number <= device.phys_port_cnt; ++number) {
        if ((port.options.port != 0 && number != port.options.port) || !settle(number)) continue;
        if (reaches_far(port.address)) return {};
        if (found == 0) found = number;
    }
    if (found != 0 && !settle(found)) return why;
    return found != 0 ? Status{} : why;
}

Status make_objects(VerbsPort& port) {
    const VerbsLibrary& verbs = port.verbs;
    port.domain.reset(verbs.alloc_pd(port.context.get()));
    if (!port.domain) return failure(DERECHO_NO_MEMORY, verbs_error("a protection domain", errno));
    port.channel.reset(verbs.create_comp_channel(port.context.get()));
    if (!port.channel) return failure(DERECHO_NO_MEMORY, verbs_error("a completion channel", errno));
    ibv_device_attr device{};
    verbs.query_device(port.context.get(), &device);
    const int entries = std::min(device.max_cqe, kCompletionQueueMax);
    port.completions.reset(verbs.create_cq(port.context.get(), entries, nullptr, port.channel.get(), 0));
    if (!port.completions) return failure(DERECHO_NO_MEMORY, verbs_error("a completion queue", errno));
    if (!set_nonblocking(port.channel->fd) || !set_nonblocking(port.context->async_fd))
        return failure(DERECHO_NO_MEMORY, verbs_error("an event channel", errno));
    return {};
}

}  // namespace

// Of a device that is gone nothing can be destroyed. Its channel, left open, would keep it from going.
VerbsPort::~VerbsPort() {
    completions.reset();
    const int fd = channel ? channel->fd : -1;
    if (channel && verbs.destroy_comp_channel(channel.release()) != 0) ::close(fd);
}

void VerbsPort::poll() {
    std::array<ibv_wc, kCompletionsAtOnce> some;
    for (int n = kCompletionsAtOnce; n == kCompletionsAtOnce;) {
        n = ::ibv_poll_cq(completions.get(), kCompletionsAtOnce, some.data());
        for (int i = 0; i < n; ++i) {
            const ibv_wc& completion = some[static_cast<size_t>(i)];
            ++counts.completions;
            if (const auto pair = pairs.find(completion.qp_num); pair != pairs.end()) pair->second->take(completion);
        }
    }
}

Status check_lent_memory(const VerbsPort& port, uint64_t size_bytes) {
    const uint64_t limit = memlock_limit(), used = port.due_bytes + port.lent_bytes;
    if (size_bytes <= limit - std::min(limit, used)) return {};
    return failure(DERECHO_NO_MEMORY, "of the limit on locked memory, " + std::to_string(limit) + " bytes, all but " +
                                          std::to_string(limit - std::min(limit, used)) + " are used or needed" +
                                          kRaiseMemlock);
}

std::string verbs_error(const char* what, int error) { return std::string(what) + ": " + std::strerror(error); }

namespace {

Status open_port(const VerbsLibrary& verbs, ibv_device* device, const VerbsOptions& options,
                 std::shared_ptr<VerbsPort>& out) {
    auto port = std::make_shared<VerbsPort>(verbs);
    port->options = options;
    port->name = verbs.get_device_name(device);
    port->context.reset(verbs.open_device(device));
    if (!port->context) return failure(DERECHO_INVALID, "RDMA device " + port->name + why_not_opened(port->name));
    if (Status status = find_port(*port); !status.ok()) return status;
    if (Status status = make_objects(*port); !status.ok()) return status;
    port->due_bytes = options.rings_bytes;
    if (Status status = check_memlock(*port, options.rings_bytes + options.mail_bytes); !status.ok()) return status;
    out = std::move(port);
    return {};
}

}  // namespace

Status open_verbs(const VerbsOptions& options, std::unique_ptr<VerbsDevice>& out) {
    // Most hosts have none, and then there is no need to load anything.
    const std::vector<std::string> here = rdma_devices();
    if (here.empty())
        return failure(DERECHO_INVALID, "this host has no RDMA device (there is nothing in /sys/class/infiniband)");
    std::string names;
    for (const std::string& name : here) names += (names.empty() ? "" : ", ") + name;
    if (!options.device.empty() && std::ranges::find(here, options.device) == here.end())
        return failure(DERECHO_INVALID, "there is no RDMA device " + options.device + "; there are: " + names);
    Status why;
    const VerbsLibrary* const verbs = verbs_library(why);
    if (!verbs) return why;
    int count = 0;
    ibv_device** const list = verbs->get_device_list(&count);
    if (!list) return failure(DERECHO_INVALID, verbs_error("listing RDMA devices", errno));
    std::shared_ptr<VerbsPort> chosen;
    for (const std::string& name : here) {
        if (!options.device.empty() && name != options.device) continue;
        ibv_device** const device = std::find_if(
            list, list + count, [&](ibv_device* listed) { return verbs->get_device_name(listed) == name; });
        std::shared_ptr<VerbsPort> port;
        const Status status = device == list + count
                                  ? failure(DERECHO_INVALID, "RDMA device " + name + why_not_listed(name))
                                  : open_port(*verbs, *device, options, port);
        if (!status.ok() && why.ok()) why = status;
        if (!port || (chosen && !reaches_far(port->address))) continue;
        chosen = std::move(port);
        if (reaches_far(chosen->address)) break;
    }
    verbs->free_device_list(list);
    if (!chosen) return why;
    out = std::make_unique<Device>(std::move(chosen));
    return {};
}

}  // namespace libderecho
