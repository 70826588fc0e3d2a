/*
 * Costs of the raw ring in one process, a group of one: RawBench.cs does the same, to be compared.
 *     cc -O2 -Iinclude bindings/csharp/bench/raw_bench.c -lderecho
 */
#include <derecho.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGE_BYTES 100
#define MANY 64
#define EVENTS 256

static derecho_group *group;
static derecho_shard *shard;
static char payload[MESSAGE_BYTES];
static uint64_t bytes;

static void require(derecho_status status) {
    if (status == DERECHO_OK) return;
    fprintf(stderr, "%s: %s\n", derecho_status_name(status), derecho_last_error());
    exit(1);
}

static void take(long count) {
    static derecho_event events[EVENTS];
    size_t found, i;
    uint64_t lease;
    for (; count > 0; count -= (long)found) {
        require(derecho_poll(group, events, EVENTS, 1000000000, &found, &lease));
        for (i = 0; i < found; i++) bytes += events[i].size_bytes;
        require(derecho_release(group, lease));
    }
}

static void one_at_a_time(long count) {
    uint64_t ticket;
    for (; count > 0; count--) {
        require(derecho_shard_send(shard, payload, sizeof payload, &ticket));
        take(1);
    }
}

static void bursts(long count) {
    uint64_t ticket;
    int k;
    for (; count > 0; count -= MANY) {
        for (k = 0; k < MANY; k++) require(derecho_shard_send(shard, payload, sizeof payload, &ticket));
        take(MANY);
    }
}

static void claims(long count) {
    derecho_claim claim;
    int k;
    for (; count > 0; count -= MANY) {
        for (k = 0; k < MANY; k++) {
            require(derecho_shard_claim(shard, 0, DERECHO_CLAIM_MESSAGE, sizeof payload, &claim));
            memcpy(claim.data, payload, sizeof payload);
            require(derecho_claim_commit(shard, &claim, sizeof payload));
        }
        take(MANY);
    }
}

static void send_many(long count) {
    derecho_bytes messages[MANY];
    uint64_t ticket;
    size_t sent;
    int k;
    for (; count > 0; count -= (long)sent) {
        for (k = 0; k < MANY; k++) messages[k] = (derecho_bytes){payload, sizeof payload};
        require(derecho_shard_send_many(shard, messages, MANY, &sent, &ticket));
        take((long)sent);
    }
}

static void report(const char *name, long count, void (*run)(long)) {
    struct timespec start, end;
    run(count / 10);
    clock_gettime(CLOCK_MONOTONIC, &start);
    run(count);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%s %.1f ns\n", name,
           ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / (double)count);
}

int main(void) {
    derecho_config *config;
    int round;

    require(derecho_config_create(&config));
    require(derecho_config_set(config, "node", "1"));
    require(derecho_config_set(config, "listen", "127.0.0.1:0"));
    require(derecho_config_add_service(config, "bench", 0));
    require(derecho_group_join(config, 10000, &group));
    require(derecho_config_close(config));
    require(derecho_shard_open(group, "bench", &shard));
    take(1);
    for (round = 0; round < 3; round++) {
        report("one_at_a_time_send_poll", 500000, one_at_a_time);
        report("bursts_send_poll", 4000000, bursts);
        report("bursts_claim_commit_poll", 4000000, claims);
        report("bursts_send_many_poll", 8000000, send_many);
    }
    return derecho_group_close(group) == DERECHO_OK ? 0 : 1;
}
