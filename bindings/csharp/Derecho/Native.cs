// Generated from include/derecho.h by tools/csharp_symbols.py; do not edit. python3 tools/generated.py writes it again.
using System;
using System.Runtime.InteropServices;
using System.Security;

namespace Derecho
{
    /// <summary>The C ABI, by its own names: derecho.h says what each means. Handles are <c>IntPtr</c>.</summary>
    [SuppressUnmanagedCodeSecurity]
    internal static unsafe class Native
    {
        internal const string LibraryName = "derecho";
        internal const ulong AbiHash = 0xfa0e03fbccaa4d40;

        internal const int DERECHO_ABI_VERSION = 1;
        internal const int DERECHO_MEMBERS_MAX = 64;
        internal const int DERECHO_ADDRESS_BYTES = 64;
        internal const int DERECHO_NAME_BYTES = 64;
        internal const int DERECHO_GROUP_ID_BYTES = 40;
        internal const uint DERECHO_MEMBER_HAS_STATE = 1;
        internal const uint DERECHO_MEMBER_VOTES = 2;
        internal const int DERECHO_HOLDUP_TEXT_BYTES = 256;
        internal const uint DERECHO_ANY_NODE = 4294967295;
        internal const int DERECHO_TROUBLE_TEXT_BYTES = 1024;
        internal const uint DERECHO_CALL_REPLY = 1;
        internal const uint DERECHO_CLAIM_MESSAGE = 2147483648;
        internal const uint DERECHO_FLAG_REPLY = 1;
        internal const uint DERECHO_FLAG_FIRST = 2;
        internal const uint DERECHO_FLAG_LAST = 4;
        internal const uint DERECHO_FLAG_OWN = 8;
        internal const uint DERECHO_MEMORY_READ = 1;
        internal const uint DERECHO_MEMORY_WRITE = 2;
        internal const int DERECHO_OK = 0;
        internal const int DERECHO_AGAIN = 1;
        internal const int DERECHO_TIMEOUT = 2;
        internal const int DERECHO_INVALID = 3;
        internal const int DERECHO_BAD_HANDLE = 4;
        internal const int DERECHO_CLOSED = 5;
        internal const int DERECHO_TOO_LARGE = 6;
        internal const int DERECHO_NOT_MEMBER = 7;
        internal const int DERECHO_WEDGED = 8;
        internal const int DERECHO_EJECTED = 9;
        internal const int DERECHO_NO_MAJORITY = 10;
        internal const int DERECHO_UNREACHABLE = 11;
        internal const int DERECHO_INCOMPATIBLE = 12;
        internal const int DERECHO_DUPLICATE = 13;
        internal const int DERECHO_ADDRESS_IN_USE = 14;
        internal const int DERECHO_NO_MEMORY = 15;
        internal const int DERECHO_REMOVED = 16;
        internal const int DERECHO_REMOTE_ERROR = 17;
        internal const int DERECHO_UNKNOWN_METHOD = 18;
        internal const int DERECHO_STATE_LOST = 19;
        internal const int DERECHO_INTERNAL = 20;
        internal const int DERECHO_DIFFERS = 21;
        internal const int DERECHO_HOLDUP_NONE = 0;
        internal const int DERECHO_HOLDUP_NOT_POLLING = 1;
        internal const int DERECHO_HOLDUP_NOT_RELEASING = 2;
        internal const int DERECHO_HOLDUP_NO_STATE = 3;
        internal const int DERECHO_HOLDUP_NOT_ACKNOWLEDGING = 4;
        internal const int DERECHO_EVENT_MESSAGE = 1;
        internal const int DERECHO_EVENT_CALL = 2;
        internal const int DERECHO_EVENT_QUERY = 3;
        internal const int DERECHO_EVENT_ORDERED = 4;
        internal const int DERECHO_EVENT_REPLY = 5;
        internal const int DERECHO_EVENT_VIEW = 6;
        internal const int DERECHO_EVENT_STATE_REQUEST = 7;
        internal const int DERECHO_EVENT_STATE = 8;
        internal const int DERECHO_EVENT_CLOSED = 9;
        internal const int DERECHO_EVENT_MEMORY = 10;
        internal const int DERECHO_EVENT_DIFFERENCE = 11;

        [StructLayout(LayoutKind.Sequential, Size = 88)]
        internal struct derecho_member
        {
            internal uint node;
            internal uint flags;
            internal fixed byte address[64];
            internal uint holdup;
            internal uint reserved;
            internal ulong holdup_ms;
        }

        [StructLayout(LayoutKind.Sequential, Size = 5696)]
        internal struct derecho_view
        {
            internal uint struct_bytes;
            internal uint self_rank;
            internal ulong id;
            internal uint member_count;
            internal uint reserved;
            internal fixed byte members[5632]; // 64 of derecho_member
            internal fixed byte group_id[40];
        }

        [StructLayout(LayoutKind.Sequential, Size = 152)]
        internal struct derecho_stats
        {
            internal uint struct_bytes;
            internal uint reserved;
            internal ulong steps;
            internal ulong delivered_messages;
            internal ulong delivered_bytes;
            internal ulong sent_messages;
            internal ulong null_messages;
            internal ulong views;
            internal ulong pushes;
            internal ulong wakes;
            internal ulong sleeps;
            internal ulong memory_bytes;
            internal ulong allocations;
            internal ulong work_requests;
            internal ulong doorbells;
            internal ulong completions;
            internal uint holdup_node;
            internal uint holdup;
            internal ulong holdup_ms;
            internal ulong digests;
            internal ulong differences;
        }

        [StructLayout(LayoutKind.Sequential, Size = 280)]
        internal struct derecho_holdup
        {
            internal uint struct_bytes;
            internal uint node;
            internal uint cause;
            internal uint reserved;
            internal ulong lasted_ms;
            internal fixed byte text[256];
        }

        [StructLayout(LayoutKind.Sequential, Size = 1032)]
        internal struct derecho_trouble
        {
            internal uint struct_bytes;
            internal uint count;
            internal fixed byte text[1024];
        }

        [StructLayout(LayoutKind.Sequential, Size = 16)]
        internal struct derecho_bytes
        {
            internal void* data;
            internal ulong size_bytes;
        }

        [StructLayout(LayoutKind.Sequential, Size = 48)]
        internal struct derecho_claim
        {
            internal void* data;
            internal ulong size_bytes;
            internal ulong id;
            internal fixed ulong @internal[3];
        }

        [StructLayout(LayoutKind.Sequential, Size = 64)]
        internal struct derecho_event
        {
            internal uint kind;
            internal uint node;
            internal ulong version;
            internal ulong timestamp_ns;
            internal void* data;
            internal ulong size_bytes;
            internal ulong id;
            internal uint method;
            internal uint shard;
            internal int status;
            internal uint flags;
        }

        [StructLayout(LayoutKind.Sequential, Size = 32)]
        internal struct derecho_memory_key
        {
            internal fixed ulong words[4];
        }

        [StructLayout(LayoutKind.Sequential, Size = 24)]
        internal struct derecho_piece
        {
            internal IntPtr memory;
            internal ulong offset;
            internal ulong size_bytes;
        }

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern byte* derecho_status_name(int status);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern byte* derecho_last_error();

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern uint derecho_abi_version();

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern ulong derecho_abi_hash();

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern byte* derecho_version();

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_config_create(IntPtr* config_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_config_set(IntPtr config, byte* key, byte* value);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_config_get(IntPtr config, byte* key, byte** value_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_config_load(IntPtr config, byte* path);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_config_add_service(IntPtr config, byte* name, ulong schema_hash);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_config_describe_service(IntPtr config, byte* name, byte* schema);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_config_close(IntPtr config);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_join(IntPtr config, long timeout_ms, IntPtr* group_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_join_cancel(IntPtr config);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_leave(IntPtr group, long timeout_ms);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_close(IntPtr group);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_fd(IntPtr group, int* fd_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_view(IntPtr group, derecho_view* view_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_stats(IntPtr group, derecho_stats* stats_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_holdup(IntPtr group, uint node, derecho_holdup* holdup_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_trouble(IntPtr group, uint index,
            derecho_trouble* trouble_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_shard_open(IntPtr group, byte* service, IntPtr* shard_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_shard_send(IntPtr shard, void* data, ulong size_bytes,
            ulong* ticket_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_shard_send_many(IntPtr shard, derecho_bytes* messages,
            ulong count, ulong* sent_out, ulong* ticket_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_shard_call(IntPtr shard, uint method, uint flags, void* args,
            ulong size_bytes, ulong* call_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_shard_claim(IntPtr shard, uint method, uint flags,
            ulong size_bytes, derecho_claim* claim_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_claim_commit(IntPtr shard, derecho_claim* claim, ulong used_bytes);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_claim_abort(IntPtr shard, derecho_claim* claim);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_shard_query(IntPtr shard, uint node, uint method, void* args,
            ulong size_bytes, ulong* call_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_reply(IntPtr group, uint node, ulong call, int status,
            void* data, ulong size_bytes);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_state(IntPtr group, uint node, ulong request, void* data,
            ulong size_bytes, int last);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_state_size(IntPtr group, uint node, ulong request,
            ulong total_bytes);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_group_state_fail(IntPtr group, uint node, ulong request,
            void* text, ulong size_bytes);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_poll(IntPtr group, derecho_event* events, ulong capacity,
            long timeout_ns, ulong* count_out, ulong* lease_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_release(IntPtr group, ulong lease);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_wake(IntPtr group);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_buffer_create(ulong size_bytes, IntPtr* buffer_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_buffer_data(IntPtr buffer, void** data_out, ulong* size_bytes_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_buffer_retain(IntPtr buffer);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_buffer_release(IntPtr buffer);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_memory_register(IntPtr group, void* data, ulong size_bytes,
            uint access, IntPtr* memory_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_memory_register_dmabuf(IntPtr group, int fd, ulong offset,
            ulong size_bytes, uint access, IntPtr* memory_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_memory_key_for(IntPtr memory, uint node,
            derecho_memory_key* key_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_memory_read(IntPtr group, uint node, derecho_memory_key* key,
            ulong offset, derecho_piece* pieces, ulong count, ulong* operation_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_memory_write(IntPtr group, uint node, derecho_memory_key* key,
            ulong offset, derecho_piece* pieces, ulong count, ulong* operation_out);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_memory_deregister(IntPtr memory, long timeout_ms);

        [DllImport(LibraryName, ExactSpelling = true)]
        internal static extern int derecho_log_to(int fd, int level);
    }
}
