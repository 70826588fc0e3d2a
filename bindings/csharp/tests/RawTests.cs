// The raw ring: lifetimes, misuse, errors, payloads from everywhere, threads.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using Derecho;
using static Tests.Helpers;
using Buffer = Derecho.Buffer;

namespace Tests
{
    public static class RawTests
    {
        public static void Messages_are_delivered_in_order_with_their_tickets()
        {
            using (RawGroup group = Alone(out Shard shard))
            {
                var tickets = new List<ulong>();
                for (byte i = 0; i < 100; i++) tickets.Add(shard.Send(new[] { i }));
                var seen = new List<ulong>();
                ulong version = 0;
                Take(group, 100, e =>
                {
                    Check.Equal(EventKind.Message, e.Kind);
                    Check.Equal(1u, e.Node);
                    Check.Equal(EventFlags.Own, e.Flags);
                    Check.Equal((byte)seen.Count, e.Data[0]);
                    Check.That(e.Version > version && e.TimestampNs > 0, "versions grow");
                    version = e.Version;
                    seen.Add(e.Id);
                });
                Check.Sequence(tickets, seen);
            }
        }

        public static void Payloads_come_from_arrays_parts_buffers_addresses_and_events()
        {
            byte[] letters = Encoding.ASCII.GetBytes("abcdef");
            using (RawGroup group = Alone(out Shard shard))
            using (var buffer = new Buffer(100))
            using (BufferPin pin = buffer.Pin())
            {
                buffer.Write(10, letters);
                shard.Send(letters);
                shard.Send(new ArraySegment<byte>(letters, 1, 2));
                shard.Send(buffer.Slice(13, 3));
                shard.Send(new Bytes(pin.Address + 10, 1));
                shard.Send(new byte[0]);
                shard.Send(default(Bytes));
                var texts = new List<string>();
                Take(group, 6, e =>
                {
                    texts.Add(Encoding.ASCII.GetString(e.Data.ToArray()));
                    if (texts.Count == 1) shard.Send(e.Data.Slice(2, 3)); // from the ring into the ring
                });
                Take(group, 1, e => texts.Add(Encoding.ASCII.GetString(e.Data.ToArray())));
                Check.Sequence(new[] { "abcdef", "bc", "def", "a", "", "", "cde" }, texts);
            }
        }

        public static void A_closed_group_says_closed_to_everything()
        {
            RawGroup group = Alone(out Shard shard);
            var claim = new Claim();
            Check.Equal(Status.Ok, shard.TryClaim(claim, 8));
            group.Dispose();
            group.Dispose();
            using (var batch = new EventBatch())
            {
                Check.Throws<Closed>(() => group.Poll(batch, 0));
                Check.Equal(Status.Closed, group.TryPoll(batch, 0));
            }
            Check.Throws<Closed>(() => shard.Send(new byte[1]));
            Check.Equal(Status.Closed, shard.TrySend(new byte[1], out _));
            Check.Throws<Closed>(() => claim.Commit(8));
            Check.Throws<Closed>(() => shard.Claim(1));
            Check.Throws<Closed>(() => shard.Call(0, CallFlags.Reply, new byte[1]));
            Check.Throws<Closed>(() => shard.Query(1, 0, new byte[1]));
            Check.Throws<Closed>(() => group.Reply(1, 1, Status.Ok, new byte[1]));
            Check.Throws<Closed>(() => group.SendState(1, 1, new byte[1], true));
            Check.Throws<Closed>(() => group.GetView());
            Check.Throws<Closed>(() => group.GetStats());
            Check.Throws<Closed>(() => group.Wake());
            Check.Throws<Closed>(() => group.Leave());
            Check.Throws<Closed>(() => group.OpenShard("raw"));
            Check.Throws<Closed>(() => GC.KeepAlive(group.Descriptor));
            claim.Dispose();
        }

        public static void Events_stay_readable_after_the_group_was_closed_until_their_release()
        {
            RawGroup group = Alone(out Shard shard);
            shard.Send(Encoding.ASCII.GetBytes("still here"));
            var batch = new EventBatch();
            group.Poll(batch, 10000000000);
            Event e = batch[0];
            group.Dispose();
            Check.Equal("still here", Encoding.ASCII.GetString(e.Data.ToArray()));
            batch.Dispose();
            Check.Throws<Closed>(() => e.Data.ToArray(), "released");
        }

        public static void An_event_cannot_be_read_after_its_release()
        {
            using (RawGroup group = Alone(out Shard shard))
            using (var batch = new EventBatch())
            {
                shard.Send(new byte[5]);
                group.Poll(batch, 10000000000);
                Event e = batch[0];
                Bytes data = e.Data;
                Check.Equal((byte)0, data[4]);
                Check.Throws<IndexOutOfRangeException>(() => GC.KeepAlive(data[5]));
                batch.Release();
                Check.Equal(0, batch.Count);
                Check.Equal(0, batch.Count());
                Check.Throws<Closed>(() => GC.KeepAlive(e.Kind), "released");
                Check.Throws<Closed>(() => data.ToArray(), "released");
                Check.Throws<Closed>(() => GC.KeepAlive(data[0]), "released");
                Check.Throws<Closed>(() => shard.Send(data), "released");
                Check.Throws<ArgumentOutOfRangeException>(() => GC.KeepAlive(batch[0]));
                shard.Send(new byte[5]);
                group.Poll(batch, 10000000000);
                Check.Throws<Closed>(() => GC.KeepAlive(e.Kind), "released"); // an older turn of the same batch
            }
        }

        public static void A_closed_batch_takes_no_events()
        {
            using (RawGroup group = Alone(out Shard shard))
            {
                var batch = new EventBatch();
                batch.Dispose();
                batch.Dispose();
                Check.Throws<Closed>(() => group.Poll(batch, 0));
                Check.Throws<ArgumentOutOfRangeException>(() => new EventBatch(0));
            }
        }

        public static void A_claim_is_filled_in_place_and_sent_in_part()
        {
            using (RawGroup group = Alone(out Shard shard))
            using (Claim claim = shard.Claim(100))
            {
                Check.Equal(100, claim.Size);
                Check.Equal(0L, (long)claim.Data % 8);
                claim.Write(0, new byte[] { 1, 2, 3 });
                Check.Throws<ArgumentOutOfRangeException>(() => claim.Write(98, new byte[3]));
                Check.Throws<InvalidArgument>(() => claim.Commit(101), "used_bytes");
                claim.Commit(3);
                Check.That(!claim.IsOpen, "it is not open after the commit");
                Check.Throws<Closed>(() => GC.KeepAlive(claim.Data), "not open");
                Check.Throws<Closed>(() => claim.Commit(1), "not open");
                Check.Equal(Status.Ok, shard.TryClaim(claim, 1)); // used again
                Check.Throws<InvalidOperationException>(() => shard.TryClaim(claim, 1));
                claim.Abort();
                claim.Abort();
                shard.Send(new byte[] { 9 });
                var seen = new List<string>();
                Take(group, 2, e => seen.Add(Hex(e.Data.ToArray())));
                Check.Sequence(new[] { "010203", "09" }, seen);
            }
        }

        public static void A_full_ring_is_a_status_or_an_exception()
        {
            using (RawGroup group = Alone(out Shard shard, "ring_bytes=65536", "message_max_bytes=4096"))
            using (var claim = new Claim())
            {
                int sent = 0;
                while (shard.TrySend(new byte[4000], out _) == Status.Ok) sent++;
                Check.That(sent >= 8, "a few went");
                Check.Throws<RingFull>(() => shard.Send(new byte[4000]));
                Check.Equal(Status.Again, shard.TryClaim(claim, 4000));
                Take(group, sent, e => { });
                Check.Soon(() => shard.TrySend(new byte[4000], out _) == Status.Ok, "what was released has room");
                Check.Throws<TooLarge>(() => shard.Send(new byte[5000]), "4096");
            }
        }

        public static void Many_messages_go_on_where_they_stopped()
        {
            using (RawGroup group = Alone(out Shard shard, "ring_bytes=65536"))
            using (var batch = new MessageBatch(1, 1))
            {
                for (int i = 0; i < 3000; i++) batch.Add(BitConverter.GetBytes(i).Concat(new byte[i % 100]).ToArray());
                int expected = 0, calls = 0;
                while (batch.Count > 0)
                {
                    int sent = shard.SendMany(batch);
                    batch.Remove(sent);
                    Take(group, sent, e =>
                    {
                        Check.Equal(4 + expected % 100, e.Data.Length);
                        Check.Equal(expected++, BitConverter.ToInt32(e.Data.ToArray(), 0));
                    });
                    calls++;
                }
                Check.Equal(3000, expected);
                Check.That(calls > 1, "the ring was too small for all at once");
                Check.Equal(0, shard.SendMany(batch));
                Check.Throws<ArgumentOutOfRangeException>(() => batch.Remove(1));
                batch.Dispose();
                Check.Throws<Closed>(() => batch.Add(new byte[1]));
                Check.Throws<Closed>(() => shard.SendMany(batch));
            }
        }

        public static void Errors_have_names_and_sentences()
        {
            using (var config = new Config())
            {
                Check.Equal("default", config["group"]);
                var error = Check.Throws<InvalidArgument>(() => config["colour"] = "red", "colour");
                Check.Equal(Status.Invalid, error.Status);
                Check.Throws<InvalidArgument>(() => config["node"] = "-1", "node");
                Check.Throws<InvalidArgument>(() => config["group"] = "a\0", "NUL");
                Check.Throws<InvalidArgument>(() => config.AddService("a\0", 0), "NUL");
                Check.Throws<InvalidArgument>(() => config.AddService("a\n", 0), "1 to 63 bytes");
                Check.Throws<InvalidArgument>(() => config.Load("/does/not/exist.toml"), "exist.toml");
                Check.Throws<InvalidArgument>(() => RawGroup.Join(config), "node");
                config.Dispose();
                Check.Throws<Closed>(() => config["node"] = "1");
                Check.Throws<Closed>(() => RawGroup.Join(config));
            }
            using (RawGroup group = Alone(out Shard shard))
            {
                string address = group.GetView().Members[0].Address;
                Check.Throws<InvalidArgument>(() => group.OpenShard("other"), "raw");
                Check.Throws<NotMember>(() => shard.Query(7, 0, new byte[1]), "7");
                using (Config config = RawConfig(2, address, address))
                    Check.Throws<AddressInUse>(() => RawGroup.Join(config, 1000), address);
                using (Config config = RawConfig(2, address))
                {
                    config.AddService("other", 0);
                    Check.Throws<Incompatible>(() => RawGroup.Join(config, 2000), "number of services");
                }
                using (Config config = RawConfig(1, address))
                    Check.Throws<DuplicateNode>(() => RawGroup.Join(config, 2000), "1");
            }
            using (Config config = RawConfig(2, "127.0.0.1:1"))
                Check.Throws<Unreachable>(() => RawGroup.Join(config, 500));
            Check.Throws<InvalidArgument>(() => Library.LogTo(2, 9), "level");
        }

        public static void A_forgotten_group_is_closed_by_the_collector()
        {
            string address = null;
            var forgetful = new Thread(() =>
            {
                address = Alone(out _).GetView().Members[0].Address;
                using (Config config = RawConfig(2, "", address))
                    Check.Throws<AddressInUse>(() => RawGroup.Join(config, 1000));
            });
            forgetful.Start();
            forgetful.Join();
            Check.Soon(() =>
            {
                Collect();
                try
                {
                    using (Config config = RawConfig(2, "", address)) RawGroup.Join(config, 10000).Dispose();
                    return true;
                }
                catch (AddressInUse)
                {
                    return false;
                }
            }, "its address is free");
        }

        public static void A_forgotten_batch_gives_its_room_back()
        {
            using (RawGroup group = Alone(out Shard shard, "ring_bytes=65536"))
            {
                OnThreads(1, thread =>
                {
                    while (shard.TrySend(new byte[4000], out ulong sent) == Status.Ok) { }
                    group.Poll(new EventBatch(), 10000000000);
                    Check.Equal(Status.Again, shard.TrySend(new byte[4000], out ulong ticket));
                })();
                Check.Soon(() =>
                {
                    Collect();
                    return shard.TrySend(new byte[4000], out _) == Status.Ok;
                }, "what it held has room");
            }
        }

        public static void A_wake_ends_a_wait()
        {
            using (RawGroup group = Alone(out _))
            using (var batch = new EventBatch())
            {
                Action join = OnThreads(1, _ =>
                {
                    Thread.Sleep(100);
                    group.Wake();
                });
                var watch = System.Diagnostics.Stopwatch.StartNew();
                Check.Equal(0, group.Poll(batch, 10000000000));
                Check.That(watch.ElapsedMilliseconds < 5000, "it came back early");
                join();
            }
        }

        public static void Closing_ends_a_wait_on_another_thread()
        {
            RawGroup group = Alone(out _);
            Action join = OnThreads(1, _ =>
            {
                using (var batch = new EventBatch()) Check.Throws<Closed>(() => group.Poll(batch, 10000000000));
            });
            Thread.Sleep(100);
            group.Dispose();
            join();
        }

        public static void Views_and_totals_are_told()
        {
            using (RawGroup group = Alone(out Shard shard))
            {
                shard.Send(new byte[10]);
                Take(group, 1, e => { });
                View view = group.GetView();
                Check.Sequence(new[] { 1u }, view.Nodes);
                Check.Equal(0, view.SelfRank);
                Check.That(view.Contains(1) && !view.Contains(2) && view.Members[0].HasState, "node 1 is in the view");
                Check.Equal("view 1: {1}", view.ToString());
                Stats stats = group.GetStats();
                Check.Equal(1ul, stats.SentMessages);
                Check.Equal(10ul, stats.DeliveredBytes);
                group.Leave();
                Take(group, 1, e =>
                {
                    Check.Equal(EventKind.Closed, e.Kind);
                    Check.Equal(Status.Closed, e.Status);
                });
            }
        }

        public static void Sixteen_threads_send_and_each_ones_order_is_kept()
        {
            using (RawGroup group = Alone(out Shard shard))
            {
                Action join = OnThreads(16, i =>
                {
                    for (int k = 0; k < 2000; k++)
                        while (shard.TrySend(new[] { (byte)i, (byte)k, (byte)(k >> 8) }, out ulong _) == Status.Again)
                            Thread.Yield();
                });
                var next = new int[16];
                Take(group, 16 * 2000, e => Check.Equal(next[e.Data[0]]++, e.Data[1] | e.Data[2] << 8));
                join();
                Check.That(next.All(n => n == 2000), "all came");
            }
        }

        public static void Collections_while_sending_do_no_harm()
        {
            using (RawGroup group = Alone(out Shard shard))
            {
                bool over = false;
                Action join = OnThreads(1, _ =>
                {
                    while (!Volatile.Read(ref over))
                    {
                        GC.Collect();
                        Thread.Sleep(1); // on idle cores the others would hardly get a turn between two collections
                    }
                });
                for (int i = 0; i < 500; i++)
                {
                    shard.Send(Enumerable.Repeat((byte)i, 1000).ToArray());
                    byte expected = (byte)i;
                    Take(group, 1, e => Check.That(e.Data.ToArray().All(b => b == expected), "the bytes are as sent"));
                }
                Volatile.Write(ref over, true);
                join();
            }
        }

        public static void The_library_can_be_named_by_a_property()
        {
            string path = Environment.GetEnvironmentVariable("DERECHO_LIBRARY");
            Environment.SetEnvironmentVariable("DERECHO_LIBRARY", null);
            AppDomain.CurrentDomain.SetData("derecho.library", path);
            Check.That(Library.Version != "", "it is loaded");
            Check.Equal(path, Library.Path);
        }

        public static void The_library_says_what_it_is()
        {
            Check.That(Library.Version.Split('.').Length == 3, "it has a version");
            Check.Equal(1u, Library.AbiVersion);
            Check.That(Library.AbiHash != 0, "it has a hash");
            Check.Equal("DERECHO_AGAIN", Library.NameOf(Status.Again));
            Check.Equal(Environment.GetEnvironmentVariable("DERECHO_LIBRARY"), Library.Path);
        }
    }
}
