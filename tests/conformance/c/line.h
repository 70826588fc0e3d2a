// What a line of a script says, the names that steps set, and the line that a step gives.
#pragma once

#include <derecho.h>
#include <stdio.h>

enum { PAYLOADS_MAX = 256 };  // of one step

// Ends the executor: it cannot do this.
void die(const char *what, const char *which);

// ------------------------------------------------------------------------------------------------- table of names

typedef struct Entry {
    struct Entry *next;  // newest first
    char *name;
    void *handle;  // of a config, group, shard or buffer, or the shard of a claim
    derecho_claim claim;
    derecho_memory_key key;
    uint64_t id;          // of a call, a ticket, or an event
    uint64_t sent_order;  // not 0: a call or a ticket; the greatest is the latest
    uint64_t *leases;
    size_t lease_count;
} Entry;

// The entry of a name; ends the executor if there is none.
Entry *entry_of(const char *name);
// The entry of a name, made if need be.
Entry *keep(const char *name);
// Keeps the id of a call or a ticket.
void keep_sent(const char *name, uint64_t id);
void keep_lease(const char *name, uint64_t lease);
// The name under which a call or ticket was kept last; "?" if none was.
const char *name_of_sent(uint64_t id);
void free_table(void);

// ------------------------------------------------------------------------------------------------- a step's inputs

// Takes a line apart, for the functions below; returns the name of the step's function.
char *read_step(char *line);
// NULL if the step has no such input.
char *optional(const char *name);
char *text(const char *name);
uint64_t number(const char *name);
uint64_t number_or(const char *name, uint64_t fallback);
// Of a config, group, shard or buffer; NULL for "null".
void *handle(const char *name);
derecho_bytes payload(const char *name);
derecho_bytes to_payload(char *value);
// The first bytes of a buffer; ends the executor if it has fewer.
derecho_bytes of_buffer(const char *name, uint64_t size);
void free_payloads(void);
uint32_t flags(void);
uint32_t access_flags(void);  // of memory
// Of a poll: a bit for each kind of events that is not counted.
uint32_t skipped_kinds(void);
derecho_status status_input(void);

// ------------------------------------------------------------------------------------------------- a step's outputs

typedef struct {
    const char *name;
    uint32_t value;
} Named;

extern const Named kinds[], event_flags[];  // end with a name that is NULL
extern FILE *given;                         // fields of the line

// Without DERECHO_.
const char *short_name(derecho_status status);
void encode(FILE *out, const char *value);
void give(const char *name, const char *value);
void give_number(const char *name, uint64_t value);
// Gives aligned=BAD unless data is at a multiple of `alignment`.
void give_alignment(const void *data, size_t alignment);
// The first bytes in hex, and the sum of all.
void write_bytes(const void *data, uint64_t size);
