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
    kr_byte *at; /* NULL: free, `next` is the next free one */
    uint32_t len;
    uint32_t first; /* place */
    uint32_t next;  /* in the chain */
} kr_namespace;

typedef struct {
    uint64_t hash;
    uint32_t users; /* 0: free */
    uint32_t space; /* free: the next free one */
    uint32_t next;  /* of the same namespace */
    uint32_t stream;
} kr_partition;

typedef struct {
    uint64_t seed;
    kr_namespace *space;
    kr_partition *place;
    uint32_t *chain; /* 2**bits heads */
    uint32_t bits, spaces, space_room, spare_space, places, place_room, spare_place;
    uint32_t held; /* namespaces */
    uint64_t text_bytes;
} kr_namespaces;

static inline uint64_t kr_mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t kr_hash(const kr_byte *p, size_t n, uint64_t seed)
{
    uint64_t h = seed ^ n * 0x9e3779b97f4a7c15u, word;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = kr_mix(h ^ word, 0xd6e8feb86659fd93u);
    }
    if (n) {
        word = 0;
        memcpy(&word, p, n);
        h = kr_mix(h ^ word, 0xa0761d6478bd642fu);
    }
    return kr_mix(h ^ seed, 0xe7037ed1a0b428dbu) ^ h;
}

static int kr_namespaces_init(kr_namespaces *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->seed = seed | 1;
    p->spare_space = p->spare_place = KR_NONE;
    p->bits = 3;
    p->chain = (uint32_t *)malloc(sizeof *p->chain << p->bits);
    if (!p->chain)
        return 0;
    memset(p->chain, 0xff, sizeof *p->chain << p->bits);
    return 1;
}

static void kr_namespaces_free(kr_namespaces *p)
{
    for (uint32_t i = 0; i < p->spaces; i++)
        free(p->space[i].at);
    free(p->space);
    free(p->place);
    free(p->chain);
    memset(p, 0, sizeof *p);
}

static uint32_t kr_namespace_find(const kr_namespaces *p, const kr_text *name, uint64_t hash)
{
    uint32_t i = p->chain[hash >> (64 - p->bits)];
    while (i != KR_NONE) {
        const kr_namespace *space = &p->space[i];
        if (space->hash == hash && space->len == name->len && !memcmp(space->at, name->at, name->len))
            return i;
        i = space->next;
    }
    return KR_NONE;
}

static inline uint32_t kr_partition_in(const kr_namespaces *p, uint32_t space, uint32_t stream)
{
    uint32_t i = p->space[space].first;
    while (i != KR_NONE && p->place[i].stream != stream)
        i = p->place[i].next;
    return i;
}

static inline uint64_t kr_namespace_hash(const kr_namespaces *p, const kr_text *name)
{
    return kr_hash(name->at, name->len, p->seed);
}

/* KR_NONE: nothing of this stream is in that namespace. */
static inline uint32_t kr_partition_find(const kr_namespaces *p, uint32_t stream, const kr_text *name)
{
    uint32_t space = kr_namespace_find(p, name, kr_namespace_hash(p, name));
    return space == KR_NONE ? KR_NONE : kr_partition_in(p, space, stream);
}

static void *kr_grow(void *array, uint32_t *room, size_t each)
{
    uint32_t more = *room + *room / 4 + 4;
    void *grown = realloc(array, more * each);
    if (grown)
        *room = more;
    return grown;
}

static void kr_namespaces_rehash(kr_namespaces *p, uint32_t bits)
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

static uint32_t kr_namespace_add(kr_namespaces *p, const kr_text *name, uint64_t hash)
{
    uint32_t i = p->spare_space;
    if (i == KR_NONE && p->spaces == p->space_room) {
        kr_namespace *grown = (kr_namespace *)kr_grow(p->space, &p->space_room, sizeof *grown);
        if (!grown)
            return KR_NONE;
        p->space = grown;
    }
    kr_byte *at = (kr_byte *)malloc(name->len + 1);
    if (!at)
        return KR_NONE;
    if (i == KR_NONE)
        i = p->spaces++;
    else
        p->spare_space = p->space[i].next;
    if (name->len)
        memcpy(at, name->at, name->len);
    if (++p->held > (uint32_t)1 << p->bits) {
        p->space[i].at = NULL;
        kr_namespaces_rehash(p, p->bits + 1);
    }
    uint32_t *head = &p->chain[hash >> (64 - p->bits)];
    p->space[i] = (kr_namespace){hash, at, (uint32_t)name->len, KR_NONE, *head};
    *head = i;
    p->text_bytes += name->len + 17;
    return i;
}

static void kr_namespace_remove(kr_namespaces *p, uint32_t i)
{
    kr_namespace *space = &p->space[i];
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

static void kr_partition_release(kr_namespaces *p, uint32_t i)
{
    kr_partition *place = &p->place[i];
    if (--place->users)
        return;
    kr_namespace *space = &p->space[place->space];
    uint32_t *link = &space->first, of = place->space;
    while (*link != i)
        link = &p->place[*link].next;
    *link = place->next;
    place->space = p->spare_place;
    p->spare_place = i;
    if (space->first == KR_NONE)
        kr_namespace_remove(p, of);
}

/* The place, with one more user; KR_NONE if there is no memory. */
static uint32_t kr_partition_acquire(kr_namespaces *p, uint32_t stream, const kr_text *name)
{
    uint64_t hash = kr_namespace_hash(p, name);
    uint32_t space = kr_namespace_find(p, name, hash), i = space == KR_NONE ? KR_NONE : kr_partition_in(p, space, stream);
    if (i != KR_NONE) {
        p->place[i].users++;
        return i;
    }
    if (p->spare_place == KR_NONE && p->places == p->place_room) {
        kr_partition *grown = (kr_partition *)kr_grow(p->place, &p->place_room, sizeof *grown);
        if (!grown)
            return KR_NONE;
        p->place = grown;
    }
    if (space == KR_NONE && (space = kr_namespace_add(p, name, hash)) == KR_NONE)
        return KR_NONE;
    i = p->spare_place;
    if (i == KR_NONE)
        i = p->places++;
    else
        p->spare_place = p->place[i].space;
    p->place[i] = (kr_partition){kr_mix(hash ^ stream, 0x8ebc6af09c88c6e3u), 1, space, p->space[space].first, stream};
    p->space[space].first = i;
    return i;
}

static inline kr_text kr_partition_namespace(const kr_namespaces *p, uint32_t place)
{
    const kr_namespace *space = &p->space[p->place[place].space];
    return (kr_text){space->at, space->len};
}

static uint64_t kr_namespaces_bytes(const kr_namespaces *p)
{
    return p->space_room * sizeof *p->space + p->place_room * sizeof *p->place + (sizeof *p->chain << p->bits)
        + p->text_bytes;
}

#endif
