// The group as services see it: join it with replicas, call them, watch its views, leave it.
//
//   derecho::Config config;
//   config.node(1).listen("127.0.0.1:7001").found();
//   Cache cache;                                            // described as in derecho/service.hpp
//   auto group = derecho::Group::join(config, cache);
//   auto replicated = group.replicated<Cache>();
//   replicated.ordered<&Cache::put>("k", value).all();      // every member has applied it
//   replicated.query<&Cache::get>(2, "k").get();            // member 2's
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine.hpp"
#include "host.hpp"
#include "replies.hpp"
#include "service.hpp"
#include "transfer.hpp"

namespace derecho {

/** Calls of a service that every member of the group replicates. Freely copied; lives as long as it likes. */
template <Service T>
class Replicated {
public:
    Replicated(std::shared_ptr<detail::Engine> engine, Shard shard) : engine_(std::move(engine)), shard_(shard) {}

    /**
     * Call a method at every member, in order with all calls. Its arguments are written straight into the ring. Waits
     * for room, and for a view change to finish, at most the group's time-out.
     * @throws RingFull, ViewChanging, TooLarge, EncodeError, what ended the group
     */
    template <auto Pointer, class... Given>
    requires OrderedMethod<T, Pointer> && ArgumentsOf<Pointer, Given...>
    auto ordered(Given&&... arguments) {
        using Result = typename detail::Signature<decltype(Pointer)>::Result;
        auto state = std::make_shared<detail::RepliesState<Result>>(where<Pointer>());
        call<Pointer>(state, arguments...);
        return Replies<Result>(engine_, state);
    }

    /** As ordered(), without asking for answers: the fastest form. */
    template <auto Pointer, class... Given>
    requires OrderedMethod<T, Pointer> && ArgumentsOf<Pointer, Given...>
    void send(Given&&... arguments) { call<Pointer>(nullptr, arguments...); }

    /** Call a method at one member, out of order with ordered calls. @throws NotMember, and as ordered() */
    template <auto Pointer, class... Given>
    requires QueryMethod<T, Pointer> && ArgumentsOf<Pointer, Given...>
    auto query(uint32_t node, Given&&... arguments) {
        using Signature = detail::Signature<decltype(Pointer)>;
        auto state = std::make_shared<detail::ReplyState<typename Signature::Result>>(where<Pointer>(), node);
        engine_->query(shard_, node, number<Pointer>(), Signature::Arguments::encode(arguments...), state);
        return Reply<typename Signature::Result>(engine_, state);
    }

    /** This node if it is a member, else the first member: whom to query when it does not matter. */
    uint32_t nearest() const {
        const View view = engine_->view();
        if (view.members.empty()) throw Closed("there is no view to send a query to");
        return view.members[view.self_rank == View::kNoRank ? 0 : view.self_rank].node;
    }

private:
    template <auto Pointer>
    static constexpr uint32_t number() {
        return static_cast<uint32_t>(Description<T>::template find<Pointer>());
    }
    /** The method's name in errors; never destroyed, for a call may outlive main(). */
    template <auto Pointer>
    static const std::string& where() {
        static const auto& text =
            *new std::string(std::string(T::derecho_service.name) + "." +
                             std::string(std::get<number<Pointer>()>(T::derecho_service.methods).name));
        return text;
    }
    template <auto Pointer, class... Given>
    void call(std::shared_ptr<detail::Pending> pending, const Given&... arguments) {
        using Arguments = typename detail::Signature<decltype(Pointer)>::Arguments;
        engine_->call(
            shard_, number<Pointer>(), Arguments::size(arguments...),
            [&](std::byte* to) { Arguments::write(to, arguments...); }, std::move(pending));
    }

    std::shared_ptr<detail::Engine> engine_;
    Shard shard_;
};

/** A shard for plain messages, for Group::join(): `function` is given each, in place, by the thread that drives. */
struct RawShard {
    std::string name;
    std::function<void(const derecho_event&)> function;
};

/**
 * This process's part in one group. Any thread may use it. Handlers run one at a time, in order, on a thread that waits
 * for the group, or on a background thread while none does. Leaves in good order when it goes out of scope, also by an
 * exception. In a child of fork() everything but close() throws Closed.
 */
class Group {
public:
    static constexpr std::chrono::seconds kTimeout{10};
    static constexpr std::chrono::seconds kLeaveAfterFailure{2};

    /**
     * Come into a group: join it, or found it, as the options say (docs/founding.md). Returns once this node is in
     * a view, every service has its state, and this node votes.
     * @param config     options; the services are declared in it, and it declares no others.
     * @param services   replicas, and RawShards, the same at every member and in the same order. They outlive the
     * group.
     * @throws InvalidArgument, Unreachable, Incompatible, DuplicateNode, AddressInUse, Timeout, StateError
     */
    template <class... Services>
    requires((SavesState<std::remove_reference_t<Services>> ||
              std::same_as<std::remove_cvref_t<Services>, RawShard>)&&...) static Group
        join(Config& config, Services&&... services) {
        return join(config, kTimeout, services...);
    }

    /** ... with a time-out for joining, and as the default of every later wait. */
    template <class... Services>
    requires((SavesState<std::remove_reference_t<Services>> ||
              std::same_as<std::remove_cvref_t<Services>, RawShard>)&&...) static Group
        join(Config& config, std::chrono::nanoseconds timeout, Services&&... services) {
        return join(config, timeout, nullptr, services...);
    }

    /** ... and a function that is told of every piece of state that comes. The time-out counts from the last one. */
    template <class... Services>
    requires((SavesState<std::remove_reference_t<Services>> ||
              std::same_as<std::remove_cvref_t<Services>, RawShard>)&&...) static Group
        join(Config& config, std::chrono::nanoseconds timeout, std::function<void(const Progress&)> on_progress,
             Services&&... services) {
        declare(config, {identity(services)...});
        const size_t piece_bytes = std::stoul(config.get("mail_bytes")) / 8;  // room for frames, and for others' mail
        auto engine = std::make_shared<detail::Engine>(RawGroup::join(config, timeout), timeout, piece_bytes);
        (engine->hosts.push_back(make_host(*engine, services)), ...);
        engine->on_progress = std::move(on_progress);
        await_state(*engine, timeout);
        engine->pump.start(engine);
        return Group(std::move(engine));
    }

    Group(Group&& other) noexcept = default;
    Group& operator=(Group&& other) noexcept {
        std::swap(engine_, other.engine_);
        return *this;
    }
    ~Group() {
        if (!engine_) return;
        if (!engine_->has_ended()) {  // an exception's way out is not to wait long for the others
            const bool unwinding = std::uncaught_exceptions() != 0;
            const std::chrono::nanoseconds patience =
                unwinding ? std::min<std::chrono::nanoseconds>(engine_->timeout, kLeaveAfterFailure) : engine_->timeout;
            derecho_group_leave(engine_->raw.handle(), milliseconds(patience));
        }
        close();
    }

    /** Leave in good order, then close. @throws Timeout when the others did not confirm; it is closed all the same. */
    void leave() { leave(engine_->timeout); }
    void leave(std::chrono::nanoseconds timeout) {
        if (engine_->inherited()) std::rethrow_exception(engine_->ended());
        const derecho_status status =
            engine_->has_ended() ? DERECHO_OK : derecho_group_leave(engine_->raw.handle(), milliseconds(timeout));
        const std::string text = derecho_last_error();
        close();
        if (status != DERECHO_OK) raise(status, text);
    }

    /** Stop at once, as a crash would. Pending replies fail with Closed. A second time does nothing. */
    void close() {
        if (engine_->inherited()) return;  // the group is the parent's
        derecho_group_close(engine_->raw.handle());
        engine_->pump.stop();
        engine_->end(DERECHO_CLOSED, "this node closed the group");
    }

    /** The calls of a service. @throws InvalidArgument when it was not given to join() */
    template <Service T>
    Replicated<T> replicated() const {
        return Replicated<T>(engine_, engine_->raw.shard(std::string(T::derecho_service.name)));
    }

    /** A shard by name, for plain messages. */
    Shard shard(const std::string& name) const { return engine_->raw.shard(name); }

    /** The current view, as of the events applied here; and all since joining. */
    View view() const { return engine_->view(); }
    std::vector<View> views() const { return engine_->views(); }

    /** Call a function for every view: those since joining at once, later ones in order with calls by who drives. */
    void on_view(std::function<void(const View&)> function) { engine_->on_view(std::move(function)); }

    /** Call a function when option digest finds that replicas differ: once for each member that does, at every member,
     *  that one included. What then becomes of it is for option digest_policy to say. */
    void on_difference(std::function<void(const Difference&)> function) { engine_->on_difference(std::move(function)); }

    /** Call a function with what a handler threw when no caller waits for its answer. By default nothing hears of it.
     */
    void on_failure(std::function<void(const std::string& where, std::exception_ptr)> function) {
        engine_->on_failure(std::move(function));
    }

    /** Register a buffer, so that members who are given a key may read or write it, one-sidedly. @param access what
     * they may do: DERECHO_MEMORY_* or'ed. */
    RegisteredMemory register_memory(std::span<std::byte> bytes, uint32_t access) {
        return engine_->raw.register_memory(bytes, access);
    }

    /** Likewise memory of another device, a GPU's above all, by its dma-buf, which is duplicated; docs/memory.md tells
     *  what reaches it. */
    RegisteredMemory register_dmabuf(int fd, uint64_t offset, uint64_t size_bytes, uint32_t access) {
        return engine_->raw.register_dmabuf(fd, offset, size_bytes, access);
    }

    /** Begin to copy a run of a member's memory into pieces of this node's, one after the other. Operations on one
     *  member's memory are carried out in the order they were begun; the application there takes no part. */
    Transfer read(uint32_t node, const MemoryKey& key, uint64_t offset, std::span<const derecho_piece> into) {
        return transfer("read", node, into,
                        [&](uint64_t* id) { return engine_->raw.try_read(node, key, offset, into, id); });
    }

    /** Begin to copy pieces of this node's memory to a run of a member's. Once it is done the bytes are there, and what
     * is sent afterwards is delivered after them; after a failure a part of them may be. */
    Transfer write(uint32_t node, const MemoryKey& key, uint64_t offset, std::span<const derecho_piece> from) {
        return transfer("write", node, from,
                        [&](uint64_t* id) { return engine_->raw.try_write(node, key, offset, from, id); });
    }

    /** Wait for a view of so many members, or more, that vote. @throws Timeout naming the view there is instead */
    View wait_view(size_t members) const { return wait_view(members, engine_->timeout); }
    View wait_view(size_t members, std::chrono::nanoseconds timeout) const {
        return wait_for_view(std::to_string(members) + " or more", timeout,
                             [members](const View& view) { return view.voters().size() >= members; });
    }

    /** Wait for a view of so many members, no more and no fewer, all of which vote. @throws Timeout naming the view
     * there is instead */
    View wait_view_exactly(size_t members) const { return wait_view_exactly(members, engine_->timeout); }
    View wait_view_exactly(size_t members, std::chrono::nanoseconds timeout) const {
        return wait_for_view("exactly " + std::to_string(members), timeout, [members](const View& view) {
            return view.members.size() == members && view.voters().size() == members;
        });
    }

    /**
     * A descriptor for poll, epoll and event loops: readable when an answer or a view has come since it was read last
     * (read 8 bytes). It belongs to the group. Reply::done(), Replies::done() and view() tell what there is.
     */
    int news_fd() const { return engine_->news_fd(); }

    /** Why the group ended for this node; null while it goes on. */
    std::exception_ptr ended() const { return engine_->ended(); }

    /** Call `function` once, with the reason, when the group ends for this node (an exception of raw.hpp's: Closed when
     * it left or was closed, Ejected, NoMajority, StateLost, NoMemory), on the thread that drives or closes; at once if
     * it has. */
    void on_end(std::function<void(std::exception_ptr)> function) { engine_->on_end(std::move(function)); }

    /** What this node found out that no call can report, a sentence each, also logged as warnings: above all that there
     * is another group of this name. The last 16 are kept. */
    std::vector<std::string> troubles() const { return engine_->raw.troubles(); }

    /** The handle underneath, for stats() and fd(). Do not poll it: the group does. */
    RawGroup& raw() { return engine_->raw; }

private:
    explicit Group(std::shared_ptr<detail::Engine> engine) : engine_(std::move(engine)) {}

    template <class Wanted>
    View wait_for_view(const std::string& what, std::chrono::nanoseconds timeout, Wanted wanted) const {
        if (!engine_->wait([&] { return wanted(engine_->view()); }, timeout, "a view of " + what)) {
            const View there = engine_->view();
            throw Timeout("no view of " + what + " members within " + detail::seconds_text(timeout) + "; there are " +
                          std::to_string(there.members.size()) + ", of which " + std::to_string(there.voters().size()) +
                          " vote");
        }
        return view();
    }

    template <class Begin>
    Transfer transfer(const char* what, uint32_t node, std::span<const derecho_piece> pieces, Begin begin) {
        uint64_t size = 0;
        for (const derecho_piece& piece : pieces) size += piece.size_bytes;
        const std::string where =
            std::string(what) + " of " + std::to_string(size) + " bytes at node " + std::to_string(node);
        auto state = std::make_shared<detail::TransferState>(where, node, size);
        engine_->begin(begin, state);
        return {engine_, std::move(state)};
    }

    template <Service T>
    static ServiceIdentity identity(const T&) {
        return {std::string(T::derecho_service.name), schema_hash<T>(), schema_text<T>()};
    }
    static ServiceIdentity identity(const RawShard& shard) { return {shard.name, 0}; }

    /** Events number services as they were declared, so the config declares these and no others. */
    static void declare(Config& config, const std::vector<ServiceIdentity>& services) {
        if (config.services() == services) return;  // a second attempt to join
        if (!config.services().empty()) {
            throw InvalidArgument("this Config declares other services already (the first is " +
                                  config.services().front().name +
                                  "): Group::join() declares those it is given, so use a Config of its own for it");
        }
        for (const ServiceIdentity& service : services)
            config.service(service.name, service.schema_hash, service.schema);
    }

    template <Service T>
    static std::unique_ptr<detail::Host> make_host(detail::Engine& engine, T& service) {
        return std::make_unique<detail::ServiceHost<T>>(engine, service);
    }
    static std::unique_ptr<detail::Host> make_host(detail::Engine& engine, const RawShard& shard) {
        return std::make_unique<detail::RawHost>(engine, shard.name, shard.function);
    }

    static void await_state(detail::Engine& engine, std::chrono::nanoseconds timeout) {
        const auto missing = [&engine] {
            std::string names;
            for (const auto& host : engine.hosts) {
                if (host->loading) names += (names.empty() ? "" : ", ") + host->name();
            }
            return names;
        };
        const auto failed = [&engine] {
            return std::ranges::any_of(engine.hosts, [](const auto& host) { return host->load_error != nullptr; });
        };
        const auto votes = [](const View& view) {
            if (view.members.empty()) return false;
            return view.self_rank == View::kNoRank || view.members[view.self_rank].votes;
        };
        bool loaded = false;
        const auto ready = [&] {
            const View view = engine.view();
            if (!loaded && !view.members.empty() && missing().empty()) {
                loaded = true;
                engine.last_progress = detail::Clock::now();  // loading may have taken long
            }
            return failed() || (votes(view) && missing().empty());
        };
        engine.last_progress = detail::Clock::now();
        for (std::chrono::nanoseconds left = timeout; !engine.wait(ready, left, "joining");) {
            left = engine.last_progress + timeout - detail::Clock::now();
            if (left > std::chrono::nanoseconds(0)) continue;
            throw Timeout(
                "joined, but " + (missing().empty() ? "a view in which it votes" : "the state of " + missing()) +
                " did not come: nothing of it for " + detail::seconds_text(timeout) + engine.because(engine.donor()));
        }
        for (const auto& host : engine.hosts) {
            if (host->load_error) std::rethrow_exception(host->load_error);
        }
    }

    std::shared_ptr<detail::Engine> engine_;
};

}  // namespace derecho
