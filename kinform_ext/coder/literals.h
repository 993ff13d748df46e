/* A table of recurring literals: words that came from a second object, by number.
 *
 * Entries are only added, so a blob that names one can be read as long as the table lives. A template keeps the table
 * that was the newest at its creation, and all objects coded against it use that table: see templates.h.
 * Bound: KC_MAX_LITERALS entries of 3 to KC_MAX_LITERAL bytes, KC_MAX_LITERAL_BYTES in all.
 */
#ifndef KINFORM_LITERALS_H
#define KINFORM_LITERALS_H

#include <stdlib.h>

#include "bytes.h"

enum { KC_MIN_LITERAL = 3, KC_MAX_LITERAL = 512, KC_MAX_LITERALS = 8192, KC_MAX_LITERAL_BYTES = 256 << 10 };
enum { KC_MIN_SIGHTS = 64, KC_MAX_SIGHTS = 4096 };
#define KC_NO_LITERAL UINT32_MAX

/* A literal that came from one object. An update of the object brings it again, which does not count. */
typedef struct {
    uint16_t tag; /* of its hash; 0: the entry is free */
    uint16_t who; /* of the hash of the object's name */
} kc_sight;

typedef struct {
    uint32_t *end;     /* by number: the end in `bytes`; an entry begins where the one before ends; malloc'd */
    kr_byte *bytes;    /* of all entries; malloc'd */
    uint16_t *slot;    /* by hash, linear probing: number + 1, or 0; at most three quarters are used; malloc'd */
    kc_sight *sight;   /* by hash: literals that came from one object; malloc'd */
    uint32_t count;    /* entries */
    uint32_t capacity; /* of `end` */
    uint32_t room;     /* bytes allocated for `bytes` */
    uint32_t slots;    /* entries of `slot`: a power of two, or 0 */
    uint32_t sights;   /* entries of `sight`: a power of two, or 0 */
    uint32_t noted;    /* first sights since `sight` was made */
    uint32_t users;    /* templates that keep the table, and one for the newest table */
    uint64_t size;     /* bytes allocated, with this structure */
    uint64_t *total;   /* the sum of `size` of a collection's tables; NULL: the table is not counted yet */
} kc_literals;

/* Returns an empty table with one user; NULL if there is no memory. */
static inline kc_literals *kc_literals_new(void)
{
    kc_literals *made = (kc_literals *)calloc(1, sizeof *made);
    if (made) {
        made->users = 1;
        made->size = sizeof *made;
    }
    return made;
}

/* Frees a table with its last user. */
static inline void kc_literals_release(kc_literals *l)
{
    if (--l->users)
        return;
    if (l->total)
        *l->total -= l->size;
    free(l->end);
    free(l->bytes);
    free(l->slot);
    free(l->sight);
    free(l);
}

/* Counts bytes that were allocated. */
static inline void kc_literals_grew(kc_literals *l, uint64_t bytes)
{
    l->size += bytes;
    if (l->total)
        *l->total += bytes;
}

/* Returns an entry; `number` < count. */
static inline kr_text kc_literal_at(const kc_literals *l, uint32_t number)
{
    uint32_t start = number ? l->end[number - 1] : 0;
    return (kr_text){l->bytes + start, l->end[number] - start};
}

/* Returns the number of a literal, KC_NO_LITERAL if the table does not have it. */
static inline uint32_t kc_literal_find(const kc_literals *l, uint64_t hash, const kr_byte *p, size_t len)
{
    if (!l->slots)
        return KC_NO_LITERAL;
    for (uint32_t i = (uint32_t)hash & (l->slots - 1);; i = (i + 1) & (l->slots - 1)) {
        if (!l->slot[i])
            return KC_NO_LITERAL;
        uint32_t number = l->slot[i] - 1u;
        kr_text found = kc_literal_at(l, number);
        if (found.len == len && !memcmp(found.at, p, len))
            return number;
    }
}

/* Doubles the slots; 0 if there is no memory. Hashes are not kept, so the bytes are hashed again. */
static inline int kc_literals_rehash(kc_literals *l)
{
    uint32_t slots = l->slots ? 2 * l->slots : 32;
    uint16_t *grown = (uint16_t *)calloc(slots, sizeof *grown);
    if (!grown)
        return 0;
    for (uint32_t number = 0; number < l->count; number++) {
        kr_text text = kc_literal_at(l, number);
        uint32_t i = (uint32_t)kc_hash(text.at, text.len) & (slots - 1);
        while (grown[i])
            i = (i + 1) & (slots - 1);
        grown[i] = (uint16_t)(number + 1);
    }
    free(l->slot);
    kc_literals_grew(l, (slots - l->slots) * sizeof *grown);
    l->slot = grown;
    l->slots = slots;
    return 1;
}

static inline int kc_literals_is_full(const kc_literals *l)
{
    return l->count == KC_MAX_LITERALS
        || (l->count && l->end[l->count - 1] + KC_MAX_LITERAL > KC_MAX_LITERAL_BYTES);
}

/* Adds an entry that the table lacks; 0 if it is full, or there is no memory. */
static inline int kc_literals_add(kc_literals *l, const kr_byte *p, size_t len)
{
    uint32_t start = l->count ? l->end[l->count - 1] : 0;
    uint64_t hash = kc_hash(p, len);
    if (kc_literals_is_full(l) || len > KC_MAX_LITERAL)
        return 0;
    if (l->count == l->capacity) {
        uint32_t capacity = l->capacity + l->capacity / 8 + 16;
        uint32_t *grown = (uint32_t *)realloc(l->end, capacity * sizeof *grown);
        if (!grown)
            return 0;
        kc_literals_grew(l, (capacity - l->capacity) * sizeof *grown);
        l->end = grown;
        l->capacity = capacity;
    }
    if (start + len > l->room) {
        uint32_t room = l->room + l->room / 8 + (uint32_t)len + 64;
        kr_byte *grown = (kr_byte *)realloc(l->bytes, room);
        if (!grown)
            return 0;
        kc_literals_grew(l, room - l->room);
        l->bytes = grown;
        l->room = room;
    }
    if (4 * (l->count + 1) > 3 * l->slots && !kc_literals_rehash(l))
        return 0;
    memcpy(l->bytes + start, p, len);
    l->end[l->count] = start + (uint32_t)len;
    uint32_t i = (uint32_t)hash & (l->slots - 1);
    while (l->slot[i])
        i = (i + 1) & (l->slots - 1);
    l->slot[i] = (uint16_t)++l->count;
    return 1;
}

/* Records that a literal came from an object, which the table lacks; the second object adds it. Without memory it is
 * not added. */
static inline void kc_literal_note(kc_literals *l, uint64_t hash, const kr_byte *p, size_t len, uint16_t who)
{
    if (len < KC_MIN_LITERAL || len > KC_MAX_LITERAL || kc_literals_is_full(l))
        return;
    if (!l->sights || (l->noted > 2 * l->sights && l->sights < KC_MAX_SIGHTS)) {
        uint32_t sights = l->sights ? 2 * l->sights : KC_MIN_SIGHTS;
        kc_sight *grown = (kc_sight *)calloc(sights, sizeof *grown);
        if (!grown)
            return;
        free(l->sight);
        kc_literals_grew(l, (sights - l->sights) * sizeof *grown);
        l->sight = grown;
        l->sights = sights;
        l->noted = 0;
    }
    kc_sight *sight = &l->sight[hash >> 32 & (l->sights - 1)];
    uint16_t tag = (uint16_t)(hash >> 16 | 1);
    if (sight->tag != tag) {
        *sight = (kc_sight){tag, who};
        l->noted++;
    } else if (sight->who != who) {
        sight->tag = 0;
        kc_literals_add(l, p, len);
    }
}

#endif
