/* Namespaces held once, and places: a namespace as one stream fills it. A record says where it belongs by one number.
 *
 * Counted by their users; a namespace goes with its last place. Also the seeded hash of keys.
 */
#ifndef KINFORM_PLACES_H
#define KINFORM_PLACES_H

#include "record.h"
#include <stdlib.h>

typedef struct {
    uint64_t hash;
    kt_byte *at; /* NULL: free, `next` is the next free one */
    uint32_t len;
    uint32_t first; /* place */
    uint32_t next;  /* in the chain */
} kt_space;

typedef struct {
    uint64_t hash;
    uint32_t users; /* 0: free */
    uint32_t space; /* free: the next free one */
    uint32_t next;  /* of the same namespace */
    uint32_t stream;
} kt_place;

typedef struct {
    uint64_t seed;
    kt_space *space;
    kt_place *place;
    uint32_t *chain; /* 2**bits heads */
    uint32_t bits, spaces, space_room, spare_space, places, place_room, spare_place;
    uint32_t held; /* namespaces */
    uint64_t text_bytes;
} kt_places;

static inline uint64_t kt_fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t kt_hash(const kt_byte *p, size_t n, uint64_t seed)
{
    uint64_t h = seed ^ n * 0x9e3779b97f4a7c15u, word;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = kt_fold(h ^ word, 0xd6e8feb86659fd93u);
    }
    if (n) {
        word = 0;
        memcpy(&word, p, n);
        h = kt_fold(h ^ word, 0xa0761d6478bd642fu);
    }
    return kt_fold(h ^ seed, 0xe7037ed1a0b428dbu) ^ h;
}

static int kt_places_init(kt_places *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->seed = seed | 1;
    p->spare_space = p->spare_place = KT_NONE;
    p->bits = 3;
    p->chain = (uint32_t *)malloc(sizeof *p->chain << p->bits);
    if (!p->chain)
        return 0;
    memset(p->chain, 0xff, sizeof *p->chain << p->bits);
    return 1;
}

static void kt_places_close(kt_places *p)
{
    for (uint32_t i = 0; i < p->spaces; i++)
        free(p->space[i].at);
    free(p->space);
    free(p->place);
    free(p->chain);
    memset(p, 0, sizeof *p);
}

static uint32_t kt_space_find(const kt_places *p, const kt_text *name, uint64_t hash)
{
    uint32_t i = p->chain[hash >> (64 - p->bits)];
    while (i != KT_NONE) {
        const kt_space *space = &p->space[i];
        if (space->hash == hash && space->len == name->len && !memcmp(space->at, name->at, name->len))
            return i;
        i = space->next;
    }
    return KT_NONE;
}

static inline uint32_t kt_place_in(const kt_places *p, uint32_t space, uint32_t stream)
{
    uint32_t i = p->space[space].first;
    while (i != KT_NONE && p->place[i].stream != stream)
        i = p->place[i].next;
    return i;
}

static inline uint64_t kt_space_hash(const kt_places *p, const kt_text *name)
{
    return kt_hash(name->at, name->len, p->seed);
}

/* KT_NONE: nothing of this stream is in that namespace. */
static inline uint32_t kt_place_find(const kt_places *p, uint32_t stream, const kt_text *name)
{
    uint32_t space = kt_space_find(p, name, kt_space_hash(p, name));
    return space == KT_NONE ? KT_NONE : kt_place_in(p, space, stream);
}

static void *kt_more(void *array, uint32_t *room, size_t each)
{
    uint32_t more = *room + *room / 4 + 4;
    void *grown = realloc(array, more * each);
    if (grown)
        *room = more;
    return grown;
}

static void kt_rechain(kt_places *p, uint32_t bits)
{
    uint32_t *chain = (uint32_t *)malloc(sizeof *chain << bits);
    if (!chain)
        return; /* long chains are slow, no more */
    memset(chain, 0xff, sizeof *chain << bits);
    for (uint32_t i = 0; i < p->spaces; i++)
        if (p->space[i].at) {
            uint32_t *head = &chain[p->space[i].hash >> (64 - bits)];
            p->space[i].next = *head;
            *head = i;
        }
    free(p->chain);
    p->chain = chain;
    p->bits = bits;
}

static uint32_t kt_space_new(kt_places *p, const kt_text *name, uint64_t hash)
{
    uint32_t i = p->spare_space;
    if (i == KT_NONE && p->spaces == p->space_room) {
        kt_space *grown = (kt_space *)kt_more(p->space, &p->space_room, sizeof *grown);
        if (!grown)
            return KT_NONE;
        p->space = grown;
    }
    kt_byte *at = (kt_byte *)malloc(name->len + 1);
    if (!at)
        return KT_NONE;
    if (i == KT_NONE)
        i = p->spaces++;
    else
        p->spare_space = p->space[i].next;
    if (name->len)
        memcpy(at, name->at, name->len);
    if (++p->held > (uint32_t)1 << p->bits) {
        p->space[i].at = NULL;
        kt_rechain(p, p->bits + 1);
    }
    uint32_t *head = &p->chain[hash >> (64 - p->bits)];
    p->space[i] = (kt_space){hash, at, (uint32_t)name->len, KT_NONE, *head};
    *head = i;
    p->text_bytes += name->len + 17;
    return i;
}

static void kt_space_drop(kt_places *p, uint32_t i)
{
    kt_space *space = &p->space[i];
    uint32_t *link = &p->chain[space->hash >> (64 - p->bits)];
    while (*link != i)
        link = &p->space[*link].next;
    *link = space->next;
    free(space->at);
    p->text_bytes -= space->len + 17;
    space->at = NULL;
    space->next = p->spare_space;
    p->spare_space = i;
    p->held--;
}

static void kt_place_let(kt_places *p, uint32_t i)
{
    kt_place *place = &p->place[i];
    if (--place->users)
        return;
    kt_space *space = &p->space[place->space];
    uint32_t *link = &space->first, of = place->space;
    while (*link != i)
        link = &p->place[*link].next;
    *link = place->next;
    place->space = p->spare_place;
    p->spare_place = i;
    if (space->first == KT_NONE)
        kt_space_drop(p, of);
}

/* The place, with one more user; KT_NONE if there is no memory. */
static uint32_t kt_place_take(kt_places *p, uint32_t stream, const kt_text *name)
{
    uint64_t hash = kt_space_hash(p, name);
    uint32_t space = kt_space_find(p, name, hash), i = space == KT_NONE ? KT_NONE : kt_place_in(p, space, stream);
    if (i != KT_NONE) {
        p->place[i].users++;
        return i;
    }
    if (p->spare_place == KT_NONE && p->places == p->place_room) {
        kt_place *grown = (kt_place *)kt_more(p->place, &p->place_room, sizeof *grown);
        if (!grown)
            return KT_NONE;
        p->place = grown;
    }
    if (space == KT_NONE && (space = kt_space_new(p, name, hash)) == KT_NONE)
        return KT_NONE;
    i = p->spare_place;
    if (i == KT_NONE)
        i = p->places++;
    else
        p->spare_place = p->place[i].space;
    p->place[i] = (kt_place){kt_fold(hash ^ stream, 0x8ebc6af09c88c6e3u), 1, space, p->space[space].first, stream};
    p->space[space].first = i;
    return i;
}

static inline kt_text kt_space_of(const kt_places *p, uint32_t place)
{
    const kt_space *space = &p->space[p->place[place].space];
    return (kt_text){space->at, space->len};
}

static uint64_t kt_places_bytes(const kt_places *p)
{
    return p->space_room * sizeof *p->space + p->place_room * sizeof *p->place + (sizeof *p->chain << p->bits)
        + p->text_bytes;
}

#endif
