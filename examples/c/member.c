/*
 * A full member of a group in plain C: joins, sends a few messages, prints what is delivered, leaves.
 *
 *     member members=3 messages=5 node=0 listen=127.0.0.1:7000 initial_members=127.0.0.1:7000
 *     member members=3 messages=5 node=1 listen=127.0.0.1:7001 initial_members=127.0.0.1:7000
 *     member members=3 messages=5 node=2 listen=127.0.0.1:7002 initial_members=127.0.0.1:7000
 *
 * `members` (how many to wait for before sending), `messages` (how many to send) and `patience_s` (when to give up) are
 * this program's own; every other key=value is an option of libderecho, docs/options.md. Its replicated state is a
 * count and a hash of all messages so far: every member prints the same two numbers at the end, also one that joined
 * late.
 */
#include <derecho.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS_PER_POLL 64
#define POLL_NS 50000000
#define JOIN_MS 30000
#define LEAVE_MS 10000

/* What the group replicates: a function of the messages delivered so far, the same at every member. */
struct state {
    uint64_t messages;
    uint64_t hash;
};

/* A joiner that waits for the state as it was when it was asked for. */
struct joiner {
    uint32_t node;
    uint64_t request;
    struct state snapshot;
};

struct member {
    derecho_group *group;
    derecho_shard *shard;
    struct state state;
    struct joiner joiners[DERECHO_MEMBERS_MAX];
    uint32_t joiner_count;
    uint32_t view_members;
    uint64_t sent;
    int closed;

    uint32_t members_wanted;
    uint64_t messages_wanted;
    uint64_t patience_s;
};

static void require(derecho_status status, const char *what) {
    if (status == DERECHO_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, derecho_status_name(status), derecho_last_error());
    exit(1);
}

/* Statuses that mean "not now": poll, then try again. */
static int not_now(derecho_status status) { return status == DERECHO_AGAIN || status == DERECHO_WEDGED; }

/* One key=value of the command line: ours, or libderecho's. */
static void take_option(struct member *self, derecho_config *config, const char *option) {
    const char *equals = strchr(option, '=');
    char key[DERECHO_NAME_BYTES];
    size_t length;

    if (equals == NULL || (length = (size_t)(equals - option)) >= sizeof key) {
        fprintf(stderr, "%s: expected key=value\n", option);
        exit(2);
    }
    memcpy(key, option, length);
    key[length] = '\0';
    if (strcmp(key, "members") == 0)
        self->members_wanted = (uint32_t)strtoul(equals + 1, NULL, 10);
    else if (strcmp(key, "messages") == 0)
        self->messages_wanted = strtoul(equals + 1, NULL, 10);
    else if (strcmp(key, "patience_s") == 0)
        self->patience_s = strtoul(equals + 1, NULL, 10);
    else
        require(derecho_config_set(config, key, equals + 1), option);
}

static void join(struct member *self, int argc, char **argv) {
    derecho_config *config;
    int i;

    require(derecho_config_create(&config), "config");
    for (i = 1; i < argc; i++) take_option(self, config, argv[i]);
    require(derecho_config_add_service(config, "chat", 0), "service");
    require(derecho_group_join(config, JOIN_MS, &self->group), "join");
    require(derecho_config_close(config), "config");
    require(derecho_shard_open(self->group, "chat", &self->shard), "shard");
}

static void on_view(struct member *self) {
    derecho_view view;
    uint32_t rank;

    memset(&view, 0, sizeof view);
    view.struct_bytes = sizeof view;
    require(derecho_group_view(self->group, &view), "view");
    self->view_members = view.member_count;
    printf("view %" PRIu64 ": nodes", view.id);
    for (rank = 0; rank < view.member_count; rank++)
        printf(" %" PRIu32 "%s", view.members[rank].node,
               view.members[rank].flags & DERECHO_MEMBER_VOTES ? "" : " joining");
    printf("\n");
}

/* FNV-1a over every byte, so that the order of messages counts. */
static void on_message(struct member *self, const derecho_event *event) {
    const unsigned char *bytes = event->data;
    uint64_t i;

    for (i = 0; i < event->size_bytes; i++) self->state.hash = (self->state.hash ^ bytes[i]) * 1099511628211u;
    self->state.messages++;
    printf("message %" PRIu64 " from node %" PRIu32 ": %.*s\n", self->state.messages, event->node,
           (int)event->size_bytes, (const char *)event->data);
}

/* Events are taken in the same order everywhere, so the state at this event is the one the joiner must start from. */
static void on_state_request(struct member *self, const derecho_event *event) {
    struct joiner *joiner;

    if (self->joiner_count == DERECHO_MEMBERS_MAX) return; /* cannot be: a view has no more members than that */
    joiner = &self->joiners[self->joiner_count++];
    joiner->node = event->node;
    joiner->request = event->id;
    joiner->snapshot = self->state;
}

static void on_event(struct member *self, const derecho_event *event) {
    switch (event->kind) {
        case DERECHO_EVENT_VIEW:
            on_view(self);
            break;
        case DERECHO_EVENT_MESSAGE:
            on_message(self, event);
            break;
        case DERECHO_EVENT_STATE_REQUEST:
            on_state_request(self, event);
            break;
        case DERECHO_EVENT_STATE: /* ours fits one piece */
            if (event->size_bytes == sizeof self->state) memcpy(&self->state, event->data, sizeof self->state);
            break;
        case DERECHO_EVENT_CLOSED:
            printf("closed: %s\n", derecho_status_name(event->status));
            self->closed = 1;
            break;
        default:
            break; /* a later library may have events that this program does not know */
    }
}

/* Takes what there is, and drives the protocol while it waits. */
static void take_events(struct member *self) {
    derecho_event events[EVENTS_PER_POLL];
    uint64_t lease = 0;
    size_t count = 0;
    size_t i;

    require(derecho_poll(self->group, events, EVENTS_PER_POLL, POLL_NS, &count, &lease), "poll");
    for (i = 0; i < count; i++) on_event(self, &events[i]);
    require(derecho_release(self->group, lease), "release");
}

static void answer_joiners(struct member *self) {
    while (self->joiner_count > 0) {
        const struct joiner *joiner = &self->joiners[self->joiner_count - 1];
        const derecho_status status = derecho_group_state(self->group, joiner->node, joiner->request, &joiner->snapshot,
                                                          sizeof joiner->snapshot, 1);
        if (not_now(status)) return;
        require(status, "state");
        self->joiner_count--;
    }
}

static void send_more(struct member *self) {
    while (self->sent < self->messages_wanted && self->view_members >= self->members_wanted) {
        char text[64];
        const int length = snprintf(text, sizeof text, "hello number %" PRIu64, self->sent + 1);
        const derecho_status status = derecho_shard_send(self->shard, text, (size_t)length, NULL);

        if (not_now(status)) return;
        require(status, "send");
        self->sent++;
    }
}

int main(int argc, char **argv) {
    static struct member self;
    const time_t started = time(NULL);
    uint64_t expected;

    if (argc == 1) {
        fprintf(stderr, "usage: member KEY=VALUE ..., such as node=0 listen=127.0.0.1:7000 found=true\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    self.state.hash = 14695981039346656037u;
    self.members_wanted = 1;
    self.messages_wanted = 3;
    self.patience_s = 60;
    join(&self, argc, argv);

    expected = self.members_wanted * self.messages_wanted;
    while (!self.closed && self.state.messages < expected) {
        take_events(&self);
        answer_joiners(&self);
        send_more(&self);
        if ((uint64_t)(time(NULL) - started) > self.patience_s) {
            fprintf(stderr, "gave up: %" PRIu64 " of %" PRIu64 " messages\n", self.state.messages, expected);
            return 1;
        }
    }
    printf("state: %" PRIu64 " messages, hash %016" PRIx64 "\n", self.state.messages, self.state.hash);

    if (!self.closed) require(derecho_group_leave(self.group, LEAVE_MS), "leave");
    while (!self.closed) take_events(&self);
    require(derecho_group_close(self.group), "close");
    return self.state.messages == expected ? 0 : 1;
}
