// One of three members of a replicated cache, in C: cache_member NODE ADDRESSES
#include "cache.h"  // derecho stubs cache.py --lang c --out .

static cache_pair_str_bytes items[1000];
static uint64_t count;

static derecho_status on_put(void *x, derecho_text key, derecho_bytes value, int64_t *result, derecho_handling *h) {
    if (count == 1000) return derecho_fail(h, "ENOSPC", derecho_text_of("the cache is full"));
    items[count++] = (cache_pair_str_bytes){derecho_text_copy(key), derecho_bytes_copy(value)};
    *result = (int64_t)count;
    return DERECHO_OK;
}
static derecho_status on_get(void *x, derecho_text key, cache_optional_bytes *result, derecho_handling *h) {
    for (uint64_t i = 0; i < count; ++i)
        if (derecho_text_same(items[i].key, key)) *result = (cache_optional_bytes){true, items[i].value};
    return DERECHO_OK;
}
static void save(void *x, cache_state *state, derecho_arena *arena) {
    state->state = (cache_map_str_bytes){items, count};
}
static void load(void *x, const cache_state *state) {
    const cache_map_str_bytes saved = state->state;
    for (uint64_t i = 0; i < saved.count; ++i) on_put(x, saved.items[i].key, saved.items[i].value, &(int64_t){0}, NULL);
}

int main(int argc, char **argv) {
    char listen[64], *at = argc == 3 ? argv[2] : "";
    for (int n = argc == 3 ? atoi(argv[1]) : 0; n > 1 && at; --n) at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
    if (!at || !*at) return fprintf(stderr, "usage: cache_member NODE HOST:PORT,HOST:PORT,HOST:PORT\n"), 2;
    snprintf(listen, sizeof listen, "%.*s", (int)strcspn(at, ","), at);
    const char *const options[] = {"node", argv[1], "listen", listen, "initial_members", argv[2], NULL};
    const cache_handlers handlers = {NULL, on_put, on_get, save, load};
    derecho_replica cache;
    uint64_t call;
    if (cache_join(options, 60000, &handlers, &cache) || derecho_replica_await_members(&cache, 3, 60000) ||
        cache_put(cache.shard, derecho_text_of(argv[1]), (derecho_bytes){"hello", 5}, &call) ||
        derecho_replica_await(&cache, call, 10000))
        return fprintf(stderr, "%s\n", derecho_stub_error()), 1;
    printf("every member has it; there are %d\n", (int)count);
    return derecho_replica_leave(&cache, 10000) != DERECHO_OK;
}
