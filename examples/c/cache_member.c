// One of three members of a replicated cache, in C: cache_member NODE LISTEN CONTACT
#include <stdio.h>
#include <stdlib.h>

#include "cache.h"  // derecho stubs cache.py --lang c --out .

static int64_t count;  // of the puts that came; a real one keeps what was put

static derecho_status on_put(void *context, derecho_text key, derecho_bytes value, int64_t *result,
                             derecho_handling *h) {
    (void)context, (void)h;
    printf("put %.*s, %d bytes\n", (int)key.size_bytes, key.data, (int)value.size_bytes);
    *result = ++count;
    return DERECHO_OK;
}
static const cache_handlers handlers = {NULL, on_put, NULL};

static void check(derecho_status status) {
    if (status != DERECHO_OK) exit((fprintf(stderr, "%s\n", derecho_last_error()), 1));
}

int main(int argc, char **argv) {
    const char *options[] = {"node", "listen", "contacts"};
    derecho_config *config;
    derecho_group *group;
    derecho_shard *shard;
    check(derecho_config_create(&config));
    for (int i = 1; i < argc; ++i) check(derecho_config_set(config, options[i - 1], argv[i]));
    check(derecho_config_add_service(config, CACHE_SERVICE, CACHE_SCHEMA_HASH));
    check(derecho_group_join(config, 60000, &group));
    check(derecho_shard_open(group, CACHE_SERVICE, &shard));
}
