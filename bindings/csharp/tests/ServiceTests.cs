// The services ring: calls, answers, errors, who drives, state, views, the end.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Conformance;
using Derecho;
using static Tests.Helpers;
using Timeout = Derecho.Timeout;

namespace Tests
{
    public static class ServiceTests
    {
        public static void Everybody_applies_a_call_and_answers()
        {
            using (var members = new Members())
            {
                var first = new Replica();
                var second = new Replica();
                members.Join(first);
                members.Join(second);
                members[0].WaitView(2);
                var caller = new Everything.Caller(members[0]);
                Check.Equal(5L, caller.Add(5).Result);
                Replies<long> replies = caller.Add(2);
                Check.Sequence(new[] { 1u, 2u }, replies.Members());
                Check.Sequence(new[] { "[1, 7]", "[2, 7]" }, replies.All().Select(e => e.ToString()));
                Check.Sequence(new[] { 1u, 2u }, replies.Arrivals().Select(r => r.Member).OrderBy(n => n));
                Check.That(replies.Arrivals().All(r => r.IsDone && r.Result == 7), "each answer is there");
                Check.Equal(7L, first.Sum);
                Check.Equal(7L, second.Sum);
                Check.That(ReferenceEquals(first, members[0].Local<Replica>()), "the local replica is found");
                Check.Equal(7L, caller.Total().Result);
                Check.Equal(7L, caller.At(2).Total().Result);
                Check.Throws<NotMember>(() => caller.At(9).Total(), "9");
            }
        }

        public static void A_config_that_declares_services_already_is_refused()
        {
            using (var config = new Config())
            {
                config.AddService("earlier", 0);
                Check.Throws<InvalidArgument>(() => Group.Join(config, new Replica()), "declares services already");
            }
        }

        public static void Answers_can_be_awaited()
        {
            using (var members = new Members())
            {
                var caller = new Everything.Caller(members.Join(new Replica()));
                Await(caller).Wait();
            }
        }

        private static async Task Await(Everything.Caller caller)
        {
            Check.Equal(1L, await caller.Add(1));
            Replies<long> replies = caller.Add(1);
            Check.Sequence(new[] { 1u }, await replies.MembersAsync());
            Check.Equal(2L, (await replies.AllAsync())[1]);
            Check.Equal(2L, await caller.Total());
            Check.Equal(3L, caller.Add(1).Result); // a continuation may wait: it is not on the driver
            long[] sums = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => caller.Add(1).AsTask()));
            Check.Equal(53L, sums.Max());
        }

        private sealed class NoText : Exception
        {
            public override string Message => throw new InvalidOperationException("no text");
            public override string ToString() => throw new InvalidOperationException("no text");
        }

        public static void Whatever_a_handler_throws_its_caller_is_told_what_and_where()
        {
            var fails = new Exception[]
            {
                new InvalidOperationException("no"), new NullReferenceException(), new NoText(),
                new AggregateException(new Exception("inner")), new OperationCanceledException(),
                new ThreadInterruptedException(), new StackOverflowException(),
                new TypeInitializationException("some type", new NoText()),
            };
            using (var members = new Members())
            {
                Exception next = null;
                members.Join(new Replica { OnFail = (kind, text) => { } });
                members.Join(new Replica { OnFail = (kind, text) => throw next });
                members[0].WaitView(2);
                var caller = new Everything.Caller(members[0]);
                foreach (Exception error in fails)
                {
                    next = error;
                    RemoteError told = Failure(caller.Fail("", ""), 2);
                    Check.Equal(error.GetType().Name, told.TypeName);
                    Check.That(told.Message.Contains(" at member 2: "), told.Message);
                    Check.Equal(2, caller.Add(0).All().Count);
                }
            }
        }

        public static void What_says_that_the_process_cannot_go_on_ends_the_node_in_good_order()
        {
            foreach (Exception error in new Exception[] { new OutOfMemoryException(), new AccessViolationException() })
            using (var members = new Members())
            {
                members.Join(new Replica { OnFail = (kind, text) => { } });
                Group second = members.Join(new Replica { OnFail = (kind, text) => throw error });
                var ended = new BlockingCollection<DerechoError>();
                second.OnEnd(ended.Add);
                members[0].WaitView(2);
                var caller = new Everything.Caller(members[0]);
                Check.Equal(error.GetType().Name, Failure(caller.Fail("", ""), 2).TypeName);
                members[0].WaitView(new uint[] { 1 });
                Check.That(ended.Take().Message.Contains("threw " + error.GetType().Name), "it says why");
                Check.Equal(1, caller.Add(0).All().Count);
            }
        }

        public static void A_handler_may_interrupt_its_thread_and_the_handler_of_a_view_may_throw()
        {
            using (var members = new Members())
            {
                members.Join(new Replica { OnFail = (kind, text) => { } });
                members.Join(new Replica { OnFail = (kind, text) => Thread.CurrentThread.Interrupt() });
                members[1].OnView += view => throw new NoText();
                members[0].WaitView(2);
                var caller = new Everything.Caller(members[0]);
                for (int i = 0; i < 3; i++) Check.Equal(2, caller.Fail("", "").All().Count);
                members.Join(new Replica()).Leave();
                Check.Equal(2, caller.Add(1).All().Count);
            }
        }

        public static void A_join_can_be_cancelled()
        {
            using (var cancellation = new CancellationTokenSource())
            using (var config = new Config { ["node"] = "2", ["listen"] = "127.0.0.1:0", ["contacts"] = "127.0.0.1:9" })
            {
                var options = new GroupOptions
                {
                    Timeout = TimeSpan.FromMinutes(10), Cancellation = cancellation.Token
                };
                Task<Group> joining = Group.JoinAsync(config, options, new Replica());
                Thread.Sleep(100);
                cancellation.Cancel();
                try
                {
                    Check.That(!joining.Wait(TimeSpan.FromSeconds(30)), "it does not end by itself");
                    Check.That(false, "it was cancelled");
                }
                catch (AggregateException error)
                {
                    Check.That(error.InnerException is OperationCanceledException, error.ToString());
                }
            }
        }

        public static void A_failed_handler_is_the_callers_remote_error()
        {
            using (var members = new Members())
            {
                var replica = new Replica { OnFail = (kind, text) => throw new InvalidOperationException(text) };
                var caller = new Everything.Caller(members.Join(replica));
                RemoteError error = Check.Throws<RemoteError>(() => caller.Fail("", "no: more").All());
                Check.Equal("InvalidOperationException", error.TypeName);
                Check.Equal("no: more", error.Text);
                Check.Equal(1u, error.Member);
                Check.Throws<RemoteError>(() => Wait(caller.Fail("", "x")), "member 1: InvalidOperationException: x");
                Check.Throws<RemoteError>(() => Wait(caller.FailHere("", "x")), "x");
                string text4096 = Check.Throws<RemoteError>(() => Wait(caller.Fail("", new string('é', 5000)))).Text;
                int bytes = Encoding.UTF8.GetByteCount("InvalidOperationException: " + text4096);
                Check.That(bytes == 4095 && text4096.All(c => c == 'é'), $"the text is cut at a character: {bytes}");
            }
        }

        /// <summary>Of one member, where others did not fail.</summary>
        private static RemoteError Failure<T>(Replies<T> replies, uint member) =>
            (RemoteError)Check.Throws<ReplicasDiffer>(() => replies.All(), "replicas differ").Answers[member];

        public static void Members_that_answer_differently_are_told_apart()
        {
            using (var members = new Members())
            {
                members.Join(new Replica());
                var second = new Replica();
                members.Join(second);
                members.Join(new Replica());
                members[0].WaitView(3);
                var caller = new Everything.Caller(members[0]);
                Check.Equal(3, caller.Add(5).All().Count);
                second.Spoil();
                ReplicasDiffer differ = Check.Throws<ReplicasDiffer>(() => caller.Add(1).All());
                Check.Equal("Everything.add: replicas differ: node 2 answered 7, nodes 1, 3 answered 6", differ.Message);
                Check.Sequence(new object[] { 6L, 7L, 6L }, differ.Answers.Values);
            }
        }

        public static void A_replica_that_differs_is_named_by_its_digests_and_removed()
        {
            string[] options = { "digest=answers", "digest_every=2", "digest_policy=eject" };
            using (var members = new Members())
            {
                members.Join(new Replica(), options: options);
                var second = new Replica();
                members.Join(second, options: options);
                members.Join(new Replica(), options: options);
                members[0].WaitView(3);
                var told = new BlockingCollection<Difference>();
                members[0].OnDifference += told.Add;
                second.Spoil();
                var caller = new Everything.Caller(members[0]);
                for (int i = 0; i < 2; i++) caller.Add(1);
                members[0].WaitViewExactly(2);
                Difference difference = told.Take();
                Check.Equal("Everything", difference.Service);
                Check.Equal(2u, difference.Node.Value);
                Check.That(difference.Text.Contains("differs from that of nodes 1, 3"), difference.Text);
                while (members[1].Ended == null) Thread.Sleep(1);
                Check.That(members[1].Ended is Ejected, "it knows");
                Check.That(members[1].Ended.Message.Contains("node 2 (this one) differs"), members[1].Ended.Message);
                Check.Equal(1ul, members[0].Stats.Differences);
            }
        }

        public static void The_failure_of_all_members_is_the_first_by_rank()
        {
            using (var members = new Members())
            {
                members.Join(new Replica { OnFail = (kind, text) => throw new FormatException("in other words") });
                members.Join(new Replica { OnFail = (kind, text) => throw new ArgumentException(text) });
                members[0].WaitView(2);
                Replies<Nothing> replies = new Everything.Caller(members[0]).Fail("", "here");
                Check.Equal(1u, Check.Throws<RemoteError>(() => replies.All(), "in other words").Member);
            }
        }

        public static void A_failure_that_nobody_waits_for_is_logged()
        {
            using (var members = new Members())
            {
                string logged = null;
                Log.Written += (text, error) => logged = $"{text}: {error.Message}";
                var replica = new Replica { OnFail = (kind, text) => throw new ArgumentException(text) };
                var caller = new Everything.Caller(members.Join(replica));
                caller.SendFail("", "in vain");
                Wait(caller.Add(0));
                Check.Equal("Everything: method 6 failed, and its caller wants no answer: in vain", logged);
            }
        }

        public static void What_is_malformed_or_unknown_is_a_failed_call()
        {
            using (var members = new Members())
            {
                var rude = new Rude(members.Join(new Replica()));
                Check.Equal(3L, Wait(rude.Any(4, new byte[] { 3, 0, 0, 0, 0, 0, 0, 0 })));
                RemoteError error = Check.Throws<RemoteError>(() => Wait(rude.Any(4, new byte[7])));
                Check.Equal("DecodeError", error.TypeName);
                Check.That(error.Text.Contains("Everything.add: malformed message: needs 8 bytes, has 7"), error.Text);
                Check.Throws<UnknownMethod>(() => Wait(rude.Any(999, new byte[0])), "no such method");
                byte[] twoEmptyTexts = FromHex("10000000 00000000 10000000 00000000");
                Check.Throws<DecodeError>(() => Wait(rude.Any(6, twoEmptyTexts)), "needs 8 bytes");
            }
        }

        public static void A_handler_must_not_wait_but_may_send()
        {
            using (var members = new Members())
            {
                Everything.Caller caller = null;
                var replica = new Replica { OnFail = (kind, text) =>
                {
                    caller.SendAdd(10);
                    Wait(caller.Add(1));
                } };
                caller = new Everything.Caller(members.Join(replica));
                RemoteError error = Check.Throws<RemoteError>(() => Wait(caller.Fail("", "")));
                Check.Equal("InHandler", error.TypeName);
                Check.Equal(11L, caller.Add(0).Result);
            }
        }

        public static void Who_waits_drives()
        {
            using (var members = new Members())
            {
                var replica = new Replica();
                var caller = new Everything.Caller(members.Join(replica));
                for (int i = 0; i < 200; i++) Wait(caller.Add(1));
                int own = replica.Threads.Count(t => t == Thread.CurrentThread.ManagedThreadId);
                Check.That(own > 150, $"this thread ran most handlers: {own} of 200");
            }
        }

        public static void A_background_thread_drives_when_nobody_waits()
        {
            using (var members = new Members())
            {
                var replica = new Replica();
                var caller = new Everything.Caller(members.Join(replica));
                Wait(caller.Add(1));
                caller.SendAdd(1);
                Check.Soon(() => replica.Sum == 2, "the call is applied");
                Check.That(replica.Threads[1] != Thread.CurrentThread.ManagedThreadId, "not by this thread");
            }
        }

        public static void A_waiter_takes_over_from_the_background_at_once()
        {
            using (var members = new Members())
            {
                var replica = new Replica();
                members.Join(replica);
                members.Join(new Replica());
                Thread.Sleep(200); // the background thread drives by now
                Action join = OnThreads(1, _ =>
                {
                    Thread.Sleep(200);
                    new Everything.Caller(members[1]).Add(1).All();
                });
                Check.Throws<Timeout>(() => members[0].WaitView(9, TimeSpan.FromMilliseconds(600)));
                join();
                Check.Sequence(new[] { Thread.CurrentThread.ManagedThreadId }, replica.Threads);
            }
        }

        public static void Sixteen_threads_call_at_once()
        {
            using (var members = new Members())
            {
                members.Join(new Replica());
                members.Join(new Replica());
                Action[] joins = Enumerable.Range(0, 2).Select(m => OnThreads(8, i =>
                {
                    var caller = new Everything.Caller(members[m]);
                    for (int k = 0; k < 100; k++) Wait(caller.Add(1));
                })).ToArray();
                foreach (Action join in joins) join();
                Check.Equal(1600L, new Everything.Caller(members[0]).Add(0).All()[2]);
            }
        }

        public static void More_calls_than_the_ring_holds_wait_for_room()
        {
            using (var members = new Members())
            {
                var replica = new Replica();
                var caller = new Everything.Caller(members.Join(replica, null, null, "ring_bytes=65536"));
                for (int i = 0; i < 500; i++) caller.SendEchoBytes(new byte[10000]);
                Check.Equal(0L, caller.Add(0).Result);
                Check.Throws<TooLarge>(() => caller.EchoBytes(new byte[100000]));
                Status status = Status.Ok;
                for (int i = 0; i < 100000 && status == Status.Ok; i++)
                    status = caller.TrySendEchoBytes(new byte[10000]);
                Check.Equal(Status.Again, status);
            }
        }

        public static void Answers_that_find_no_room_wait_in_the_outbox()
        {
            const int Calls = 9000, Bytes = 10000; // 90 MB; the core itself holds back 64
            using (var members = new Members())
            using (var proceed = new ManualResetEvent(false))
            {
                members.Join(new Replica { OnFail = (kind, text) => proceed.WaitOne() });
                members.Join(new Replica());
                members[0].WaitView(2);
                var caller = new Everything.Caller(members[0]);
                caller.SendFail("", ""); // its driver takes nothing from now on
                Replies<string>[] all = Enumerable.Range(0, Calls)
                    .Select(i => caller.Mix(0, "", 0, false, new[] { Bytes + i % 10 })).ToArray();
                Thread.Sleep(1000);
                proceed.Set();
                for (int i = 0; i < Calls; i++)
                {
                    IReadOnlyDictionary<uint, string> answers = all[i].All();
                    Check.That(answers.Count == 2 && answers[2].Length == Bytes + i % 10, $"call {i} is answered");
                }
            }
        }

        public static void A_too_large_answer_queued_behind_others_is_told_to_its_caller()
        {
            const int Calls = 400, Bytes = 200000; // 80 MB; the core itself holds back 64
            using (var members = new Members())
            using (var proceed = new ManualResetEvent(false))
            {
                members.Join(new Replica { OnFail = (kind, text) => proceed.WaitOne() });
                members.Join(new Replica());
                members[0].WaitView(2);
                var caller = new Everything.Caller(members[0]);
                caller.SendFail("", ""); // its driver takes nothing from now on
                for (int i = 0; i < Calls; i++) caller.Mix(0, "", 0, false, new[] { Bytes });
                Replies<string> tooLarge = caller.Mix(0, "", 0, false, new[] { 1 << 20 });
                Thread.Sleep(1000);
                proceed.Set();
                foreach (Reply<string> reply in tooLarge.Arrivals())
                {
                    RemoteError told = Check.Throws<RemoteError>(() => reply.Wait(Patience));
                    Check.Equal("TooLarge", told.TypeName);
                    Check.That(told.Text.StartsWith("1048584 bytes"), $"\"{told.Text}\" tells the size");
                }
                Check.Equal(2, tooLarge.Members().Count);
            }
        }

        public static void Queries_that_find_no_room_wait_and_then_give_up()
        {
            using (var members = new Members())
            using (var proceed = new ManualResetEvent(false))
            {
                members.Join(new Replica(), TimeSpan.FromSeconds(1));
                members.Join(new Replica { OnFail = (kind, text) => proceed.WaitOne() });
                members[0].WaitView(2);
                Everything.Caller caller = new Everything.Caller(members[0]).At(2);
                var payload = new string('x', 10000);
                var queries = new List<Reply<Nothing>>();
                Check.Throws<RingFull>(() =>
                {
                    while (queries.Count < 100000) queries.Add(caller.FailHere("", payload));
                }, "no room");
                proceed.Set();
                foreach (Reply<Nothing> query in queries) query.Wait(Patience);
                Wait(caller.FailHere("", payload));
            }
        }

        public static void A_joiner_is_handed_the_state_and_what_came_meanwhile()
        {
            using (var members = new Members())
            {
                var first = new Replica();
                members.Join(first, null, null, "mail_bytes=65536");
                members.Join(new Replica(), null, null, "mail_bytes=65536");
                var caller = new Everything.Caller(members[1]);
                caller.SendEchoBytes(Enumerable.Repeat((byte)7, 500000).ToArray()); // many pieces
                caller.Add(1).All();
                Reply<long> early = null;
                first.OnSave = () => // what is sent here comes after the state was taken, and before it arrives
                {
                    for (int i = 0; i < 100; i++) caller.SendAdd(1);
                    early = AskOnceConnected(caller.At(3));
                    Thread.Sleep(300);
                };
                var third = new Replica();
                members.Join(third, null, null, "mail_bytes=65536");
                Check.That(third.Last.Length == 500000 && third.Last.All(b => b == 7), "the state is whole");
                Check.Sequence(new[] { 101L, 101L, 101L }, caller.Add(0).All().Values);
                Check.That(early.Result >= 1, "the query was answered with the state");
            }
        }

        public static void A_state_that_cannot_be_saved_is_logged_and_the_joiner_is_told_why()
        {
            using (var members = new Members())
            {
                string logged = "";
                Log.Written += (text, error) => logged += text;
                members.Join(new Replica { CannotSave = true });
                Check.Throws<StateError>(
                    () => members.Join(new Replica()), "member 1 cannot give the state of Everything: ");
                Check.That(logged.Contains("member 2 cannot join: saving the state of Everything failed"), logged);
            }
        }

        public static void A_state_comes_in_pieces_and_progress_is_told()
        {
            using (var members = new Members())
            {
                var replica = new OddReplica { Pieces = Enumerable.Repeat(new byte[100000], 20) };
                members.Join(replica);
                var joined = new OddReplica();
                Progress last = null;
                members.OnProgress = p => last = p;
                members.Join(joined);
                Check.Equal(2000000, joined.State.Length);
                Check.Equal(2000000L, last.Bytes);
                Check.Equal(0L, last.TotalBytes); // nobody knows how many pieces there will be
            }
        }

        public static void A_state_that_cannot_be_loaded_is_the_joiners_error()
        {
            using (var members = new Members())
            {
                Log.Written += (text, error) => { };
                members.Join(new Replica());
                Check.Throws<StateError>(
                    () => members.Join(new Replica { CannotLoad = true }),
                    "the state of Everything cannot be loaded: FormatException: no good");
            }
        }

        public static void Views_come_in_order_and_can_be_waited_for()
        {
            using (var members = new Members())
            {
                var seen = new List<string>();
                Group group = members.Join(new Replica(), null, v => seen.Add(v.ToString()));
                group.OnView += v => seen.Add($"later {v.Id}");
                members.Join(new Replica());
                Check.Sequence(new[] { 1u, 2u }, group.WaitView(2).Nodes);
                group.WaitView(new[] { 2u, 1u });
                Check.Sequence(new[] { 1u, 2u }, group.WaitView(1).Nodes); // one, or more
                Check.Throws<Timeout>(() => group.WaitViewExactly(1, TimeSpan.FromMilliseconds(50)), "{1, 2}");
                Check.Throws<Timeout>(() => group.WaitView(3, TimeSpan.FromMilliseconds(50)), "{1, 2}");
                members[1].Leave();
                Check.Sequence(new[] { 1u }, group.WaitViewExactly(1).Nodes);
                Check.Sequence(
                    new[] { "view 1: {1}", "view 2: {1, 2 joining}", "view 3: {1, 2}", "view 4: {1}" },
                    group.Views.Select(v => v.ToString()));
                Check.Equal("view 1: {1}", seen[0]);
                Check.That(seen.Count == 7 && seen.Contains("later 4"), string.Join("; ", seen));
            }
        }

        public static void A_group_that_was_left_says_so()
        {
            using (var members = new Members())
            {
                var caller = new Everything.Caller(members.Join(new Replica()));
                members.Join(new Replica());
                Check.Equal(null, members[0].Ended);
                members[0].Leave();
                members[0].Leave();
                Check.That(members[0].Ended is Closed, "it ended");
                Check.Throws<Closed>(() => caller.Add(1));
                Check.Throws<Closed>(() => caller.Total());
                Check.Throws<Closed>(() => members[0].WaitView(5));
                Check.Throws<Closed>(() => members[0].Drive(TimeSpan.Zero));
                Check.Equal(1L, new Everything.Caller(members[1]).Add(1).All()[2]);
            }
        }

        public static void Closing_fails_what_is_pending()
        {
            using (var members = new Members())
            using (var handling = new ManualResetEvent(false))
            using (var proceed = new ManualResetEvent(false))
            {
                members.Join(new Replica());
                members.Join(new Replica { OnFail = (kind, text) =>
                {
                    handling.Set();
                    proceed.WaitOne();
                } });
                members[0].WaitView(2);
                Replies<Nothing> replies = new Everything.Caller(members[0]).Fail("", "");
                Task<IReadOnlyDictionary<uint, Nothing>> task = replies.AllAsync();
                Action join = OnThreads(4, _ => Check.Throws<Closed>(() => replies.All(), "closed the group"));
                handling.WaitOne();
                members[0].Close();
                join();
                Check.That(task.ContinueWith(t => t.Exception.InnerException is Closed).Result, "the task failed too");
                proceed.Set();
            }
        }

        public static void Closing_while_views_come_ends_quietly()
        {
            for (int i = 0; i < 60; i++)
            {
                using (var members = new Members())
                {
                    for (int k = 0; k < 3; k++) members.Join(new Replica());
                    Action close = OnThreads(3, k => members[k].Close());
                    close();
                }
            }
        }

        public static void A_member_that_is_gone_is_left_out()
        {
            using (var members = new Members())
            using (var handling = new ManualResetEvent(false))
            using (var proceed = new ManualResetEvent(false))
            {
                for (int i = 0; i < 2; i++) members.Join(new Replica());
                members.Join(new Replica { OnFail = (kind, text) =>
                {
                    handling.Set();
                    proceed.WaitOne();
                } });
                members[0].WaitView(3);
                var caller = new Everything.Caller(members[0]);
                Replies<Nothing> replies = caller.Fail("", "");
                Reply<Nothing> query = caller.At(3).FailHere("", "");
                handling.WaitOne();
                Action join = OnThreads(1, _ => members[2].Close());
                Check.Sequence(new[] { 1u, 2u }, replies.All().Keys);
                Check.Equal(3u, Check.Throws<MemberRemoved>(() => Wait(query)).Member);
                proceed.Set();
                join();
            }
        }

        public static void A_timeout_names_who_did_not_answer()
        {
            using (var members = new Members())
            using (var proceed = new ManualResetEvent(false))
            {
                members.Join(new Replica(), TimeSpan.FromSeconds(5));
                members.Join(new Replica { OnFail = (kind, text) => proceed.WaitOne() });
                members[0].WaitView(2);
                var caller = new Everything.Caller(members[0]);
                Replies<Nothing> replies = caller.Fail("", "");
                replies.Wait(TimeSpan.FromSeconds(10));
                Check.Throws<Timeout>(
                    () => replies.All(TimeSpan.FromMilliseconds(100)), "members 2 did not answer within 0.1 s");
                Reply<long> query = caller.At(2).Total();
                Check.Throws<Timeout>(() => query.Wait(TimeSpan.FromMilliseconds(100)), "member 2 did not answer");
                proceed.Set();
                Check.Equal(0L, query.Result);
            }
        }

        public static void Awaiting_ends_with_the_time_out()
        {
            using (var members = new Members())
            using (var proceed = new ManualResetEvent(false))
            {
                members.Join(new Replica(), TimeSpan.FromSeconds(1));
                members.Join(new Replica { OnFail = (kind, text) => proceed.WaitOne() });
                Replies<Nothing> replies = new Everything.Caller(members[0]).Fail("", "");
                Task<IReadOnlyDictionary<uint, Nothing>> task = replies.AllAsync();
                Check.That(task.ContinueWith(t => t.Exception.InnerException is Timeout).Result, "it is a Timeout");
                proceed.Set();
            }
        }

        public static void Plain_messages_have_a_handler_a_name()
        {
            var seen = new List<string>();
            var log = new RawService("log", e => seen.Add($"{e.Node}:{Encoding.ASCII.GetString(e.Data.ToArray())}"));
            using (var members = new Members())
            {
                Group group = members.Join(log, null, null, "ring_bytes=65536");
                group.Send("log", Encoding.ASCII.GetBytes("hello"));
                group.Shard("log").Send(Encoding.ASCII.GetBytes("again"));
                Check.Soon(() => seen.Count == 2, "two messages come");
                Check.Sequence(new[] { "1:hello", "1:again" }, seen);
                for (int i = 0; i < 100; i++) group.Send("log", new byte[10000]); // waits for room
                Check.Soon(() => seen.Count == 102, "all come");
                Check.Throws<InvalidArgument>(() => group.Send("other", new byte[1]), "there are: log");
                Check.Throws<InvalidArgument>(() => group.Local<Replica>(), "log");
                Check.Throws<InvalidArgument>(() => new Everything.Caller(group), "no service Everything");
            }
        }

        public static void Arguments_in_place_end_with_the_handler()
        {
            using (var members = new Members())
            {
                var replica = new OddReplica();
                var caller = new Odd.Caller(members.Join(replica));
                Check.Equal(5L, caller.Measure(new byte[] { 1, 2, 3 }, (Bytes)new byte[2]).Result);
                Check.Equal("010203", Hex(replica.State));
                Check.Throws<Closed>(() => replica.Kept.ToArray(), "released");
                Check.Equal(3L, caller.Measure(new byte[] { 4, 5, 6 }, null).Result);
                Check.Equal("01", Hex(caller.Equals_(true).Result.ToArray())); // a result outlives its event
                var joined = new OddReplica();
                members.Join(joined);
                Check.Equal("040506", Hex(joined.State)); // a state without a declared type
            }
        }

        public static void Awkward_types_come_back_as_they_went()
        {
            using (var members = new Members())
            {
                var caller = new Odd.Caller(members.Join(new OddReplica()));
                var encoder = new Odd.Encoder_(1, "e");
                var inner = new Map<long, IReadOnlyList<Odd.Encoder_>> { { -1, new[] { encoder, encoder } } };
                var map = new Map<string, IReadOnlyDictionary<long, IReadOnlyList<Odd.Encoder_>>> { { "k", inner } };
                var deep = new Odd.Deep(
                    new[] { new short[] { 1, 2 }, new short[] { 3, 4 } }, new[] { map }, new[] { true, false, true },
                    new List<byte[]> { new byte[0], new byte[] { 1 } }, new Dictionary<bool, float> { { true, 1.5f } }, true,
                    "at");
                Check.That(caller.Send_(deep, encoder).Result.Equals(deep), "it is the same");
                Check.Equal((long?)3, caller.Maybe(3, "x").Result);
                Check.Equal((long?)null, caller.Maybe(3, null).Result);
                Wait(caller.GetType_());
            }
        }

        public static void Joining_and_leaving_can_be_awaited()
        {
            Task<Group> joining = Group.JoinAsync(NodeConfig(1), new Replica());
            using (Group group = joining.Result)
            {
                Check.Equal(1u, group.Node);
                Check.Equal("default", group.Name);
                Check.That(group.Stats.Views == 1, "it has a view");
                group.LeaveAsync().Wait();
                Check.That(group.Ended is Closed, "it ended");
            }
        }

        private static Reply<long> AskOnceConnected(Everything.Caller caller)
        {
            for (int tries = 100; ; tries--)
            {
                try
                {
                    return caller.Total();
                }
                catch (NotMember) when (tries > 0)
                {
                    Thread.Sleep(10);
                }
            }
        }

        private static T Wait<T>(Future<T> future) => future.Wait(Patience);
    }
}
