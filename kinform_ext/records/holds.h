/* Holds: how often each record is held by something other than the table, such as a queued change.
 *
 * A held record that is removed stays in memory until its last hold ends. Records that are not held take no room.
 * Bound: 16 bytes for each held record, twice that while it grows; none when nothing is held.
 */
#ifndef KINFORM_HOLDS_H
#define KINFORM_HOLDS_H

#include <stdlib.h>

#include "record.h"

typedef struct {
    uint32_t id;    /* KR_NONE: the entry is free */
    uint32_t count; /* holds; not 0 */
} kr_hold;

typedef struct {
    kr_hold *entry;    /* by hash of the id, linear probing; malloc'd */
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t used;     /* entries; at most half of them */
} kr_holds;

static inline void kr_holds_free(kr_holds *h)
{
    free(h->entry);
    memset(h, 0, sizeof *h);
}

static inline uint64_t kr_holds_bytes(const kr_holds *h)
{
    return h->capacity * sizeof *h->entry;
}

static inline uint32_t kr_hold_home(const kr_holds *h, uint32_t id)
{
    return id * 0x9e3779b1u & (h->capacity - 1);
}

/* Returns the entry of an id, or the free one where it belongs; capacity is not 0. */
static inline kr_hold *kr_hold_find(const kr_holds *h, uint32_t id)
{
    uint32_t i = kr_hold_home(h, id);
    while (h->entry[i].id != KR_NONE && h->entry[i].id != id)
        i = (i + 1) & (h->capacity - 1);
    return &h->entry[i];
}

static inline int kr_is_held(const kr_holds *h, uint32_t id)
{
    return h->used && kr_hold_find(h, id)->id == id;
}

/* Makes room for `more` holds; 0 if there is no memory. */
static int kr_holds_reserve(kr_holds *h, uint32_t more)
{
    uint32_t capacity = h->capacity ? h->capacity : 16;
    while (capacity < 2 * (h->used + more))
        capacity *= 2;
    if (capacity == h->capacity)
        return 1;
    kr_holds grown = {(kr_hold *)malloc(capacity * sizeof *h->entry), capacity, h->used};
    if (!grown.entry)
        return 0;
    memset(grown.entry, 0xff, capacity * sizeof *grown.entry);
    for (uint32_t i = 0; i < h->capacity; i++)
        if (h->entry[i].id != KR_NONE)
            *kr_hold_find(&grown, h->entry[i].id) = h->entry[i];
    free(h->entry);
    *h = grown;
    return 1;
}

/* Adds a hold, for which there is room. */
static inline void kr_hold_take(kr_holds *h, uint32_t id)
{
    kr_hold *e = kr_hold_find(h, id);
    if (e->id == KR_NONE) {
        *e = (kr_hold){id, 0};
        h->used++;
    }
    e->count++;
}

/* Ends a hold; returns whether it was the last one. */
static int kr_hold_release(kr_holds *h, uint32_t id)
{
    kr_hold *e = kr_hold_find(h, id);
    if (--e->count)
        return 0;
    h->used--;
    uint32_t hole = (uint32_t)(e - h->entry), mask = h->capacity - 1;
    for (uint32_t i = (hole + 1) & mask; h->entry[i].id != KR_NONE; i = (i + 1) & mask)
        if (((i - kr_hold_home(h, h->entry[i].id)) & mask) >= ((i - hole) & mask)) {
            h->entry[hole] = h->entry[i];
            hole = i;
        }
    h->entry[hole].id = KR_NONE;
    if (!h->used)
        kr_holds_free(h);
    return 1;
}

#endif
