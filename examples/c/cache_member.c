// One of three members of a replicated cache, in C: cache_member NODE LISTEN CONTACT
#include "cache.h"  // derecho stubs cache.py --lang c --out .

static cache_pair_str_bytes items[1000];
static uint64_t count;

static void *copy(const void *data, uint64_t size) { return memcpy(malloc(size + 1), data, size); }

static derecho_status on_put(void *x, derecho_text key, derecho_bytes value, int64_t *result, derecho_handling *h) {
    (void)x;
    if (count == 1000) return derecho_fail(h, "ENOSPC", derecho_text_of("the cache is full"));
    items[count].key = (derecho_text){copy(key.data, key.size_bytes), key.size_bytes};
    items[count].value = (derecho_bytes){copy(value.data, value.size_bytes), value.size_bytes};
    *result = (int64_t)++count;
    return DERECHO_OK;
}
static derecho_status on_get(void *x, derecho_text key, cache_optional_bytes *result, derecho_handling *h) {
    (void)x, (void)h;
    for (uint64_t i = 0; i < count; ++i)
        if (items[i].key.size_bytes == key.size_bytes && !memcmp(items[i].key.data, key.data, key.size_bytes))
            *result = (cache_optional_bytes){true, items[i].value};
    return DERECHO_OK;
}
static void save(void *x, cache_state *state, derecho_arena *arena) {
    (void)x, (void)arena;
    state->state = (cache_map_str_bytes){items, count};
}
static void load(void *x, const cache_state *state) {
    const cache_map_str_bytes *saved = &state->state;
    for (uint64_t i = 0; i < saved->count; ++i)
        on_put(x, saved->items[i].key, saved->items[i].value, &(int64_t){0}, NULL);
}
static const cache_handlers handlers = {NULL, on_put, on_get, save, load};

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    const char *const options[][2] = {{"node", argv[1]}, {"listen", argv[2]}, {"contacts", argv[3]}};
    derecho_group *group = NULL;
    derecho_shard *shard = NULL;
    uint64_t call;
    if (derecho_stub_join(CACHE_SERVICE, CACHE_SCHEMA_HASH, options, 3, 60000, &group, &shard)) goto failed;
    derecho_replica replica = cache_replica(group, 0, &handlers);
    if (derecho_replica_await_members(&replica, 3, 60000)) goto failed;
    if (cache_put(shard, derecho_text_of(argv[2]), (derecho_bytes){"hello", 5}, &call)) goto failed;
    if (derecho_replica_await(&replica, call, 10000)) goto failed;
    printf("every member has it; there are %d\n", (int)count);
    return derecho_group_leave(group, 10000) != DERECHO_OK;
failed:
    return fprintf(stderr, "%s\n", derecho_last_error()), 1;
}
