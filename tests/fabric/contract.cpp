// The contract of fabric.hpp, sentence by sentence, for any wire.
#include "contract.hpp"

#include <cstring>
#include <thread>

namespace libderecho::test {

// ------------------------------------------------------------------------------------------------- regions

TEST_P(FabricContract, fresh_memory_is_zero_and_aligned_at_owner_and_readers) {
    Region* region = start_with_region(2);
    ASSERT_NE(region, nullptr);
    EXPECT_EQ(region->bytes().size(), kRegionBytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(region->bytes().data()) % 64, 0u);
    const auto seen = mirror(kB, kA, 7);
    ASSERT_EQ(seen.size(), kRegionBytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(seen.data()) % 64, 0u);
    for (size_t at = 0; at < kRegionBytes; at += 8) {
        ASSERT_EQ(word(region->bytes(), at), 0u);
        ASSERT_EQ(word(seen, at), 0u);
    }
}

TEST_P(FabricContract, a_mirror_that_has_not_arrived_is_empty) {
    world_->start_connected(2);
    EXPECT_TRUE(mirror(kB, kA, 7).empty());
    EXPECT_TRUE(mirror(kB, NodeId{99}, 7).empty());
}

TEST_P(FabricContract, only_its_readers_get_a_region) {
    world_->start_connected(3);
    const NodeId readers[] = {kB};
    ASSERT_NE(at(kA).expose({7}, 4096, readers), nullptr);
    ASSERT_TRUE(arrives(kB, kA, 7));
    world_->settle();
    EXPECT_TRUE(mirror(kC, kA, 7).empty());
}

TEST_P(FabricContract, what_is_pushed_becomes_visible_at_every_reader) {
    Region* region = start_with_region(3);
    push_word(kA, *region, 64, 42);
    at(kA).flush();
    EXPECT_TRUE(shows(kB, kA, 7, 64, 42));
    EXPECT_TRUE(shows(kC, kA, 7, 64, 42));
}

TEST_P(FabricContract, a_reader_that_connects_later_gets_the_region_with_what_was_pushed_before) {
    world_->start(kA);
    const NodeId readers[] = {kB};
    Region* row = at(kA).expose({7}, kRegionBytes, readers);
    Region* ring = at(kA).expose({8}, kRegionBytes, readers);
    std::memset(ring->bytes().data() + 10000, 0x5a, 50000);
    at(kA).push_data(*ring, 10000, 50000);
    push_word(kA, *row, 0, 50000);
    at(kA).flush();

    world_->start(kB);
    ASSERT_TRUE(world_->join(kB, kA));
    // Both come together: the counter is never seen without the data.
    ASSERT_TRUE(arrives(kB, kA, 7));
    ASSERT_FALSE(mirror(kB, kA, 8).empty());
    EXPECT_EQ(word(mirror(kB, kA, 7), 0), 50000u);
    EXPECT_EQ(std::memcmp(mirror(kB, kA, 8).data(), ring->bytes().data(), kRegionBytes), 0);

    push_word(kA, *row, 0, 60000);
    at(kA).flush();
    EXPECT_TRUE(shows(kB, kA, 7, 0, 60000));
}

TEST_P(FabricContract, regions_exposed_while_connected_arrive_whatever_their_number) {
    world_->start_connected(2);
    const NodeId readers[] = {kB};
    for (uint64_t id = 100; id < 400; ++id) ASSERT_NE(at(kA).expose({id}, 4096, readers), nullptr);
    EXPECT_TRUE(arrives(kB, kA, 399));
    for (uint64_t id = 100; id < 400; ++id) EXPECT_EQ(mirror(kB, kA, id).size(), 4096u);
}

TEST_P(FabricContract, memory_is_given_back_when_retired_and_forgotten) {
    const auto used = [&](NodeId id) { return at(id).stats().memory_bytes; };
    world_->start_connected(2);
    const uint64_t a_before = used(kA), b_before = used(kB);
    const NodeId readers[] = {kB};
    Region* region = at(kA).expose({7}, kRegionBytes, readers);
    ASSERT_TRUE(arrives(kB, kA, 7));
    EXPECT_GE(used(kA), a_before + kRegionBytes);
    EXPECT_GE(used(kB), b_before + kRegionBytes);
    at(kA).retire(region);
    at(kB).forget(kA, {7});
    world_->settle();
    EXPECT_EQ(used(kA), a_before);
    EXPECT_EQ(used(kB), b_before);
    EXPECT_TRUE(mirror(kB, kA, 7).empty());
}

TEST_P(FabricContract, a_retired_region_stays_readable_at_its_readers_with_all_that_was_pushed) {
    Region* region = start_with_region(2);
    std::memset(region->bytes().data() + 4096, 7, 100000);
    at(kA).push_data(*region, 4096, 100000);
    push_word(kA, *region, 0, 100000);
    at(kA).flush();
    at(kA).retire(region);
    EXPECT_TRUE(shows(kB, kA, 7, 0, 100000));
    EXPECT_EQ(mirror(kB, kA, 7)[4096 + 99999], std::byte{7});
}

// Its reader may have been paused when it came, and not have looked.
TEST_P(FabricContract, what_a_member_showed_last_can_be_asked_for_when_its_end_is_reported) {
    world_->start_connected(2);
    const std::vector<NodeLife> members{{kA, 1}, {kB, 1}};
    at(kB).set_members(members);
    world_->settle();
    const NodeId readers[] = {kB};
    Region* region = at(kA).expose({7}, kRegionBytes, readers);
    push_word(kA, *region, 0, 60000);
    at(kA).flush();
    world_->settle(milliseconds(100));
    world_->kill(kA);
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kB, PeerEvent::Kind::lost) == 1; }));
    ASSERT_FALSE(mirror(kB, kA, 7).empty());
    EXPECT_EQ(word(mirror(kB, kA, 7), 0), 60000u);
    world_->settle();
    EXPECT_EQ(word(mirror(kB, kA, 7), 0), 60000u);
}

TEST_P(FabricContract, a_mirror_forgotten_before_it_arrives_is_refused) {
    world_->start_connected(2);
    const uint64_t before = at(kB).stats().memory_bytes;
    at(kB).forget(kA, {7});
    const NodeId readers[] = {kB};
    Region* region = at(kA).expose({7}, kRegionBytes, readers);
    Region* other = at(kA).expose({8}, 4096, readers);
    push_word(kA, *region, 0, 1);
    push_word(kA, *other, 0, 2);
    at(kA).flush();
    EXPECT_TRUE(shows(kB, kA, 8, 0, 2));
    EXPECT_TRUE(mirror(kB, kA, 7).empty());
    EXPECT_EQ(at(kB).stats().memory_bytes, before + 4096);
}

TEST_P(FabricContract, pushes_to_a_forgotten_mirror_harm_nobody) {
    Region* region = start_with_region(3);
    at(kB).forget(kA, {7});
    for (uint64_t i = 1; i <= 100; ++i) {
        at(kA).push_data(*region, 4096, 64 << 10);
        push_word(kA, *region, 0, i);
        at(kA).flush();
        world_->pump();
    }
    EXPECT_TRUE(shows(kC, kA, 7, 0, 100));
    EXPECT_TRUE(at(kB).connected(kA));
    EXPECT_EQ(world_->count(kB, PeerEvent::Kind::lost), 0u);
}

// ------------------------------------------------------------------------------------------------- order

TEST_P(FabricContract, a_counter_is_never_seen_before_the_data_pushed_before_it_across_regions) {
    world_->start_connected(3);
    const NodeId readers[] = {kB, kC};
    Region* ring = at(kA).expose({8}, kRegionBytes, readers);
    Region* row = at(kA).expose({9}, 4096, readers);
    for (const NodeId reader : readers) ASSERT_TRUE(arrives(reader, kA, 8) && arrives(reader, kA, 9));
    const auto check = [&](NodeId reader) {
        const uint64_t seen = word(mirror(reader, kA, 9), 0);
        for (uint64_t i = 1; i <= seen; ++i) ASSERT_EQ(word(mirror(reader, kA, 8), i * 8), i) << "of " << seen;
    };
    for (uint64_t i = 1; i <= 2000; ++i) {
        set_word(*ring, i * 8, i);
        at(kA).push_data(*ring, i * 8, 8);
        push_word(kA, *row, 0, i);
        if (i % 3 == 0) at(kA).flush();
        if (i % 7 == 0) world_->pump(kB), check(kB);
        if (i % 50 == 0) world_->pump(), check(kC);
        if (HasFatalFailure()) return;
    }
    at(kA).flush();
    EXPECT_TRUE(shows(kB, kA, 9, 0, 2000) && shows(kC, kA, 9, 0, 2000));
    check(kB);
    check(kC);
}

TEST_P(FabricContract, counters_keep_their_order_among_each_other_however_slow_the_reader) {
    // Three counters in two regions, pushed in turns: whoever sees the later sees the earlier.
    world_->start_connected(2);
    const NodeId readers[] = {kB};
    Region* x = at(kA).expose({8}, 4096, readers);
    Region* y = at(kA).expose({9}, 4096, readers);
    ASSERT_TRUE(arrives(kB, kA, 8) && arrives(kB, kA, 9));
    const auto check = [&] {
        const auto mx = mirror(kB, kA, 8), my = mirror(kB, kA, 9);
        const uint64_t third = word(mx, 128), second = word(my, 0), first = word(mx, 0);  // later ones first
        ASSERT_GE(second, third);
        ASSERT_GE(first, second);
    };
    for (uint64_t i = 1; i <= 20000; ++i) {
        push_word(kA, *x, 0, i);
        push_word(kA, *y, 0, i);
        push_word(kA, *x, 128, i);
        at(kA).flush();
        if (i % 4096 == 0) world_->pump(kA);
        if (i % 1777 == 0) world_->pump(), check();
        if (HasFatalFailure()) return;
    }
    const bool end = world_->pump_until([&] {
        world_->pump();
        check();
        return HasFatalFailure() || word(mirror(kB, kA, 8), 128) == 20000;
    });
    EXPECT_TRUE(end);
}

TEST_P(FabricContractOfCopies, push_counters_takes_its_values_at_the_call) {
    // With a later write between, so that only the pushed values may count.
    Region* region = start_with_region(2);
    push_word(kA, *region, 0, 1);
    set_word(*region, 0, 2);
    at(kA).flush();
    EXPECT_TRUE(shows(kB, kA, 7, 0, 1));
    world_->settle();
    EXPECT_EQ(word(mirror(kB, kA, 7), 0), 1u);
}

TEST_P(FabricContract, large_and_unaligned_data_arrive_whole) {
    Region* region = start_with_region(3);
    uint64_t counter = 0;
    for (const size_t size : {1ul, 7ul, 63ul, 4097ul, 65536ul, 100003ul, 200000ul}) {
        const size_t offset = 4096 + size % 61;
        for (size_t i = 0; i < size; ++i) region->bytes()[offset + i] = static_cast<std::byte>(i * 31 + size);
        at(kA).push_data(*region, offset, size);
        push_word(kA, *region, 0, ++counter);
        at(kA).flush();
        for (const NodeId reader : {kB, kC}) {
            ASSERT_TRUE(shows(reader, kA, 7, 0, counter));
            ASSERT_EQ(std::memcmp(mirror(reader, kA, 7).data() + offset, region->bytes().data() + offset, size), 0);
        }
    }
}

TEST_P(FabricContract, counters_of_the_largest_size_arrive) {
    Region* region = start_with_region(2);
    for (size_t at = 0; at < 4096; at += 8) set_word(*region, 8192 + at, at + 1);
    at(kA).push_counters(*region, 8192, 4096);
    at(kA).flush();
    EXPECT_TRUE(shows(kB, kA, 7, 8192 + 4088, 4089));
    EXPECT_TRUE(shows(kB, kA, 7, 8192, 1));  // the words of one push have no order among themselves
}

TEST_P(FabricContract, pushes_to_nobody_are_fine) {
    world_->start(kA);
    const NodeId readers[] = {kA, kB};
    Region* region = at(kA).expose({7}, 4096, readers);
    push_word(kA, *region, 0, 1);
    at(kA).push_data(*region, 0, 4096);
    at(kA).push_data(*region, 4096, 0);
    at(kA).flush();
    world_->pump();
    EXPECT_EQ(at(kA).stats().wakes, 0u);
}

TEST_P(FabricContract, a_reader_that_does_not_poll_gets_the_newest_values_when_it_does) {
    Region* region = start_with_region(3);
    const uint64_t last = often(30000);
    for (uint64_t i = 1; i <= last; ++i) {
        if (i % 10 == 0) at(kA).push_data(*region, 4096 + i % 50 * 4096, 4096);
        push_word(kA, *region, 0, i);
        push_word(kA, *region, 64, i);
        at(kA).flush();
        if (i % 100 == 0) world_->pump(kA), world_->pump(kC);
    }
    EXPECT_TRUE(shows(kC, kA, 7, 64, last)) << "one slow reader must not hold back another";
    EXPECT_TRUE(shows(kB, kA, 7, 64, last));
    EXPECT_EQ(word(mirror(kB, kA, 7), 0), last);
    EXPECT_EQ(world_->count(kA, PeerEvent::Kind::lost), 0u);
}

TEST_P(FabricContractInTime, an_aligned_word_is_never_torn) {
    Region* region = start_with_region(2);
    const auto seen = mirror(kB, kA, 7);
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> torn{0}, last{0};
    std::thread reader([&] {
        while (!stop) {
            for (const size_t offset : {0ul, 8ul, 56ul}) {
                const uint64_t value = word(seen, offset);
                if ((value >> 32) != (value & 0xffffffff)) ++torn;
                last = value;
            }
        }
    });
    uint64_t i = 0;
    while (i < 20000 || (last == 0 && i < 2000000000)) {
        ++i;
        for (const size_t offset : {0ul, 8ul, 56ul}) set_word(*region, offset, i << 32 | i);
        at(kA).push_counters(*region, 0, 64);
        at(kA).flush();
        world_->pump(kB);
    }
    EXPECT_TRUE(shows(kB, kA, 7, 56, i << 32 | i));
    stop = true;
    reader.join();
    EXPECT_EQ(torn, 0u);
    EXPECT_GT(last, 0u);
}

// ------------------------------------------------------------------------------------------------- peers

TEST_P(FabricContract, up_is_reported_once_at_both_sides_with_address_and_incarnation) {
    world_->start(kA, 11);
    world_->start(kB, 22);
    ASSERT_TRUE(world_->join(kB, kA));
    at(kB).connect(world_->address(kA));
    at(kA).connect(world_->address(kB));
    world_->settle();
    for (const auto& [here, there, incarnation] : {std::tuple{kA, kB, 22u}, std::tuple{kB, kA, 11u}}) {
        ASSERT_EQ(world_->events_of(here).size(), 1u);
        const PeerEvent& event = world_->events_of(here)[0];
        EXPECT_EQ(event.kind, PeerEvent::Kind::up);
        EXPECT_EQ(event.peer, there);
        EXPECT_EQ(event.incarnation, incarnation);
        EXPECT_EQ(event.address, world_->address(there));
        EXPECT_FALSE(event.client);
    }
}

TEST_P(FabricContract, dialing_each_other_at_the_same_time_ends_in_one_link) {
    for (uint64_t round = 0; round < often(20); ++round) {
        world_ = GetParam().make();
        world_->start(kA);
        world_->start(kB);
        at(kA).connect(world_->address(kB));
        at(kB).connect(world_->address(kA));
        // Let one side run ahead, by a different stretch each time.
        for (uint64_t i = 0; i < round; ++i) world_->pump(round % 2 ? kA : kB);
        ASSERT_TRUE(world_->pump_until([&] { return at(kA).connected(kB) && at(kB).connected(kA); }));
        world_->settle(milliseconds(5));
        for (const NodeId id : {kA, kB}) {
            EXPECT_EQ(world_->count(id, PeerEvent::Kind::up), 1u);
            EXPECT_EQ(world_->events_of(id).size(), 1u) << "round " << round;
        }
        const NodeId readers[] = {kA, kB};
        Region* a = at(kA).expose({7}, 4096, readers);
        Region* b = at(kB).expose({7}, 4096, readers);
        push_word(kA, *a, 0, 1);
        push_word(kB, *b, 0, 2);
        at(kA).flush();
        at(kB).flush();
        EXPECT_TRUE(shows(kB, kA, 7, 0, 1) && shows(kA, kB, 7, 0, 2));
    }
}

TEST_P(FabricContract, nobody_at_an_address_is_refused_with_the_address) {
    world_->start(kA);
    world_->start(kB);
    world_->kill(kB);
    at(kA).connect(world_->address(kB));
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kA, PeerEvent::Kind::refused) == 1; }));
    const PeerEvent& event = world_->events_of(kA)[0];
    EXPECT_EQ(event.status.code, DERECHO_UNREACHABLE);
    EXPECT_EQ(event.address, world_->address(kB));
    EXPECT_FALSE(event.status.detail.empty());
}

TEST_P(FabricContract, dialing_oneself_is_refused) {
    world_->start(kA);
    at(kA).connect(world_->address(kA));
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kA, PeerEvent::Kind::refused) == 1; }));
    EXPECT_FALSE(world_->events_of(kA)[0].status.detail.empty());
    EXPECT_EQ(world_->count(kA, PeerEvent::Kind::up), 0u);
}

TEST_P(FabricContract, the_loss_of_a_peer_is_reported_once) {
    start_with_region(3);
    world_->kill(kA);
    ASSERT_TRUE(world_->pump_until([&] { return !at(kB).connected(kA) && !at(kC).connected(kA); }));
    world_->settle();
    for (const NodeId id : {kB, kC}) {
        ASSERT_EQ(world_->count(id, PeerEvent::Kind::lost), 1u);
        const PeerEvent& event = world_->events_of(id).back();
        EXPECT_EQ(event.peer, kA);
        EXPECT_EQ(event.incarnation, 1u);
        EXPECT_FALSE(event.status.detail.empty());
        EXPECT_TRUE(at(id).connected(id == kB ? kC : kB)) << "the others live on";
    }
}

TEST_P(FabricContract, mirrors_stay_readable_after_the_death_of_their_owner) {
    Region* region = start_with_region(2);
    std::memset(region->bytes().data() + 4096, 9, 100000);
    at(kA).push_data(*region, 4096, 100000);
    push_word(kA, *region, 0, 77);
    at(kA).flush();
    ASSERT_TRUE(shows(kB, kA, 7, 0, 77));
    const auto cached = mirror(kB, kA, 7);
    world_->kill(kA);
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kB, PeerEvent::Kind::lost) == 1; }));
    EXPECT_EQ(mirror(kB, kA, 7).data(), cached.data());
    EXPECT_EQ(word(cached, 0), 77u);
    EXPECT_EQ(cached[4096 + 99999], std::byte{9});
    at(kB).forget(kA, {7});
    EXPECT_TRUE(mirror(kB, kA, 7).empty());
    EXPECT_EQ(at(kB).stats().memory_bytes, 0u);
}

TEST_P(FabricContract, after_a_cut_nothing_more_becomes_visible_on_either_side) {
    world_->start_connected(2);
    const NodeId readers[] = {kA, kB};
    Region* a = at(kA).expose({7}, 4096, readers);
    Region* b = at(kB).expose({7}, 4096, readers);
    ASSERT_TRUE(arrives(kB, kA, 7) && arrives(kA, kB, 7));
    push_word(kA, *a, 0, 1);
    push_word(kB, *b, 0, 1);
    at(kA).flush();
    at(kB).flush();
    ASSERT_TRUE(shows(kB, kA, 7, 0, 1) && shows(kA, kB, 7, 0, 1));

    const auto of_b = mirror(kA, kB, 7);
    at(kA).disconnect(kB);
    EXPECT_FALSE(at(kA).connected(kB));
    push_word(kB, *b, 0, 2);
    at(kB).flush();
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kB, PeerEvent::Kind::lost) == 1; }));
    const auto of_a = mirror(kB, kA, 7);
    push_word(kA, *a, 0, 2);
    at(kA).flush();
    world_->settle();
    EXPECT_EQ(word(of_b, 0), 1u);
    EXPECT_EQ(word(of_a, 0), 1u);
    EXPECT_EQ(world_->count(kA, PeerEvent::Kind::lost), 0u) << "who cuts off knows it";
    EXPECT_EQ(world_->count(kB, PeerEvent::Kind::lost), 1u);
}

TEST_P(FabricContract, who_was_cut_off_is_refused_until_it_comes_back_as_another_incarnation) {
    world_->start_connected(2);
    at(kA).disconnect(kB);
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kB, PeerEvent::Kind::lost) == 1; }));
    at(kB).connect(world_->address(kA));
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kB, PeerEvent::Kind::refused) == 1; }));
    EXPECT_FALSE(world_->events_of(kB).back().status.detail.empty());
    EXPECT_FALSE(at(kA).connected(kB));
    world_->kill(kB);
    world_->start(kB, 2);
    EXPECT_TRUE(world_->join(kB, kA));
}

TEST_P(FabricContract, a_new_incarnation_is_not_confused_with_the_dead_one) {
    Region* old_region = start_with_region(2);
    push_word(kA, *old_region, 0, 1);
    at(kA).flush();
    ASSERT_TRUE(shows(kB, kA, 7, 0, 1));
    const auto old_mirror = mirror(kB, kA, 7);
    world_->kill(kA);
    world_->start(kA, 2);
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kB, PeerEvent::Kind::lost) == 1; }));
    ASSERT_TRUE(world_->join(kA, kB));
    const NodeId readers[] = {kB};
    Region* region = at(kA).expose({7}, 4096, readers);
    push_word(kA, *region, 0, 2);
    at(kA).flush();
    world_->settle();
    EXPECT_EQ(word(old_mirror, 0), 1u) << "not forgotten yet";
    at(kB).forget(kA, {7});
    EXPECT_TRUE(shows(kB, kA, 7, 0, 2));
    EXPECT_EQ(mirror(kB, kA, 7).size(), 4096u);
    EXPECT_EQ(world_->events_of(kB).back().incarnation, 2u);
}

// ------------------------------------------------------------------------------------------------- sleeping

TEST_P(FabricContractInTime, a_push_wakes_a_sleeper_at_once_and_only_a_sleeper) {
    Region* region = start_with_region(2);
    push_word(kA, *region, 0, 1);
    at(kA).flush();
    ASSERT_TRUE(shows(kB, kA, 7, 0, 1));
    EXPECT_EQ(at(kA).stats().wakes, 0u) << "it is awake";

    std::atomic<bool> asleep{false};
    Fabric& reader = at(kB);
    std::thread sleeper([&] {
        reader.arm();
        asleep = true;
        reader.wait(milliseconds(10000));
    });
    while (!asleep) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const Instant pushed = monotonic_now();
    for (uint64_t i = 2; i <= 10; ++i) push_word(kA, *region, 0, i), at(kA).flush();
    sleeper.join();
    EXPECT_LT(monotonic_now() - pushed, milliseconds(1000));
    EXPECT_TRUE(shows(kB, kA, 7, 0, 10));
    EXPECT_LE(at(kA).stats().wakes, 1u) << "once for one sleep; a socket's data wake without more";
    const uint64_t wakes = at(kA).stats().wakes;
    push_word(kA, *region, 0, 11);
    at(kA).flush();
    EXPECT_EQ(at(kA).stats().wakes, wakes) << "it is awake again";
}

TEST_P(FabricContractInTime, a_push_between_arm_and_wait_ends_the_wait) {
    Region* region = start_with_region(2);
    at(kB).arm();
    push_word(kA, *region, 0, 1);
    at(kA).flush();
    const Instant start = monotonic_now();
    at(kB).wait(milliseconds(5000));
    EXPECT_LT(monotonic_now() - start, milliseconds(1000));
    EXPECT_TRUE(shows(kB, kA, 7, 0, 1));
}

TEST_P(FabricContract, a_quiet_push_arrives_and_needs_no_wake) {
    Region* region = start_with_region(2);
    at(kB).arm();
    set_word(*region, 0, 5);
    at(kA).push_quietly(*region, 0, 8);
    at(kA).flush();
    EXPECT_EQ(at(kA).stats().wakes, 0u);
    at(kB).disarm();
    EXPECT_TRUE(shows(kB, kA, 7, 0, 5));
}

TEST_P(FabricContractInTime, a_wait_ends_at_its_deadline_neither_early_nor_late) {
    world_->start_connected(2);
    world_->settle();
    at(kB).arm();  // so that its peer hears of it
    for (const Instant heard = world_->now() + milliseconds(20); world_->now() < heard;) world_->pump(kA);
    at(kB).disarm();
    for (const Duration wanted : {microseconds(300), milliseconds(5), milliseconds(60)}) {
        at(kB).arm();
        const Instant start = monotonic_now();
        at(kB).wait(wanted);
        const Duration slept = monotonic_now() - start;
        EXPECT_GE(slept, wanted);
        EXPECT_LT(slept.ns, wanted.ns + milliseconds(3000).ns);
    }
}

TEST_P(FabricContractInTime, wake_ends_a_wait_that_runs_and_one_that_has_not_begun) {
    world_->start(kA);
    const Instant start = monotonic_now();
    at(kA).wake();
    at(kA).arm();
    at(kA).wait(milliseconds(5000));
    std::thread waker([&fabric = at(kA)] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        fabric.wake();
    });
    at(kA).arm();
    at(kA).wait(milliseconds(5000));
    waker.join();
    EXPECT_LT(monotonic_now() - start, milliseconds(2000));
    at(kA).arm();
    const Instant again = monotonic_now();
    at(kA).wait(milliseconds(10));
    EXPECT_GE(monotonic_now() - again, milliseconds(10)) << "a wake counts once";
}

TEST_P(FabricContractInTime, the_death_of_a_peer_ends_a_wait) {
    world_->start_connected(2);
    world_->settle();
    std::atomic<bool> asleep{false};
    Duration slept{};
    Fabric& survivor = at(kB);
    std::thread sleeper([&] {
        survivor.arm();
        asleep = true;
        const Instant start = monotonic_now();
        survivor.wait(milliseconds(10000));
        slept = monotonic_now() - start;
    });
    while (!asleep) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    world_->kill(kA);
    sleeper.join();
    EXPECT_LT(slept, milliseconds(2000));
    std::vector<PeerEvent> events;
    survivor.poll(world_->now(), events);
    survivor.poll(world_->now(), events);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].kind, PeerEvent::Kind::lost);
}

}  // namespace libderecho::test
