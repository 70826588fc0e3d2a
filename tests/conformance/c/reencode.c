// Reads messages in hex, a line each: writes "ok" and what they are when encoded again, or "refused".
#define _POSIX_C_SOURCE 200809L
#include "everything.h"

static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static void answer(const char *hex) {
    const size_t size = strlen(hex) / 2;
    char *message = malloc(size + 1), *again = NULL;
    for (size_t i = 0; i < size; ++i) message[i] = (char)(digit(hex[2 * i]) * 16 + digit(hex[2 * i + 1]));
    everything_values values;
    derecho_arena arena = {NULL};
    const char *why = everything_values_read(message, size, &values, &arena);
    printf(why ? "refused" : "ok ");
    if (!why) {
        const uint64_t bytes = everything_values_bytes(&values);
        again = malloc(bytes);
        everything_values_write(&values, again);
        for (uint64_t i = 0; i < bytes; ++i) printf("%02x", (unsigned char)again[i]);
    }
    printf("\n");
    free(again);
    free(message);
    derecho_arena_free(&arena);
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        answer(line);
    }
    free(line);
    return 0;
}
