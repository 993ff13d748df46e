/* A set of ids: which objects have one value. In boxes of 65,536 ids each: up to four in place, else two bytes an id,
 * sorted, or, where there are many, one bit for each id there could be.
 *
 * No step copies more than one box, which is 8 KiB at most. Taking an id out never needs memory.
 * Source: Lemire et al., "Roaring bitmaps" (2016).
 */
#ifndef KINFORM_POSTINGS_H
#define KINFORM_POSTINGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KX_INLINE_IDS = 4, KX_MAX_ARRAY = 4096, KX_MIN_BITMAP = 3072, KX_BITMAP = 0xffff, KX_BITMAP_BYTES = 8192 };
#define KX_NONE 0xffffffffu

typedef struct {
    uint32_t count;
    uint16_t key;  /* what all its ids are when divided by 65,536 */
    uint16_t room; /* of `array`; 0: they are in `few`; KX_BITMAP: in `bits` */
    union {
        uint16_t few[KX_INLINE_IDS];
        uint16_t *array;
        uint64_t *bits;
    } in;
} kx_container;

typedef struct {
    uint32_t count;
    uint16_t boxes, room; /* room of `many`; 0: there is none but `one` */
    union {
        kx_container one;
        kx_container *many;
    } in;
} kx_idset;

/* What a block takes of the heap, its header and rounding included. */
static inline size_t kx_heap_bytes(size_t n)
{
    return !n ? 0 : n < 24 ? 32 : (n + 8 + 15) & ~(size_t)15;
}

/* realloc that keeps the sum of all blocks; NULL for no memory, or for n == 0. */
static inline void *kx_realloc(void *block, size_t was, size_t n, size_t *bytes)
{
    void *found = NULL;
    if (!n)
        free(block);
    else if (!(found = realloc(block, n)))
        return NULL;
    *bytes += kx_heap_bytes(n);
    *bytes -= kx_heap_bytes(was);
    return found;
}

static inline kx_container *kx_idset_containers(kx_idset *s)
{
    return s->room ? s->in.many : &s->in.one;
}

static inline uint16_t *kx_container_ids(kx_container *b)
{
    return b->room ? b->in.array : b->in.few;
}

/* Where the first of `count` that is not below `id` is. */
static inline uint32_t kx_lower_bound(const uint16_t *ids, uint32_t count, uint32_t id)
{
    uint32_t low = 0;
    while (low < count) {
        uint32_t middle = (low + count) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

static inline int kx_container_has(kx_container *b, uint32_t id)
{
    if (b->room == KX_BITMAP)
        return b->in.bits[id / 64] >> (id % 64) & 1;
    uint32_t at = kx_lower_bound(kx_container_ids(b), b->count, id);
    return at < b->count && kx_container_ids(b)[at] == id;
}

static inline void kx_container_free(kx_container *b, size_t *bytes)
{
    if (b->room)
        kx_realloc(b->in.array, b->room == KX_BITMAP ? KX_BITMAP_BYTES : 2u * b->room, 0, bytes);
}

/* Room for one more; 0 if there is no memory. */
static inline int kx_container_reserve(kx_container *b, size_t *bytes)
{
    if (b->room == KX_BITMAP || b->count < (b->room ? b->room : KX_INLINE_IDS))
        return 1;
    if (b->count == KX_MAX_ARRAY) {
        uint64_t *bits = (uint64_t *)calloc(1, KX_BITMAP_BYTES);
        if (!bits)
            return 0;
        for (uint32_t i = 0; i < b->count; i++)
            bits[b->in.array[i] / 64] |= (uint64_t)1 << (b->in.array[i] % 64);
        kx_container_free(b, bytes);
        *bytes += kx_heap_bytes(KX_BITMAP_BYTES);
        b->in.bits = bits;
        b->room = KX_BITMAP;
        return 1;
    }
    uint32_t room = b->count + b->count / 4 + 4;
    room = room < KX_MAX_ARRAY ? room : KX_MAX_ARRAY;
    uint16_t *array = (uint16_t *)kx_realloc(b->room ? b->in.array : NULL, 2u * b->room, 2 * room, bytes);
    if (!array)
        return 0;
    if (!b->room)
        memcpy(array, b->in.few, 2 * b->count);
    b->in.array = array;
    b->room = (uint16_t)room;
    return 1;
}

/* Gives memory back where half of it is unused; without memory for the smaller one it keeps the larger. */
static inline void kx_container_shrink(kx_container *b, size_t *bytes)
{
    uint16_t few[KX_INLINE_IDS], *array;
    uint32_t room = b->count + b->count / 8 + 4, n = 0;
    if (b->room == KX_BITMAP) {
        if (b->count >= KX_MIN_BITMAP || !(array = (uint16_t *)malloc(2 * room)))
            return;
        for (uint32_t i = 0; i < KX_BITMAP_BYTES / 8; i++)
            for (uint64_t left = b->in.bits[i]; left; left &= left - 1)
                array[n++] = (uint16_t)(i * 64 + (uint32_t)__builtin_ctzll(left));
        kx_container_free(b, bytes);
        *bytes += kx_heap_bytes(2 * room);
        b->in.array = array;
        b->room = (uint16_t)room;
    } else if (b->room && b->count < KX_INLINE_IDS) {
        memcpy(few, b->in.array, 2 * b->count);
        kx_container_free(b, bytes);
        memcpy(b->in.few, few, 2 * b->count);
        b->room = 0;
    } else if (b->room && 2 * room < b->room && (array = (uint16_t *)kx_realloc(b->in.array, 2u * b->room, 2 * room, bytes))) {
        b->in.array = array;
        b->room = (uint16_t)room;
    }
}

/* The first box whose key is not below. */
static inline uint32_t kx_idset_find(kx_idset *s, uint32_t key)
{
    const kx_container *boxes = kx_idset_containers(s);
    uint32_t low = 0, high = s->boxes;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (boxes[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* An empty box, at this place; NULL if there is no memory. */
static inline kx_container *kx_idset_insert(kx_idset *s, uint32_t at, uint32_t key, size_t *bytes)
{
    if (s->boxes && s->boxes >= s->room) {
        uint32_t room = s->boxes + s->boxes / 4 + 1;
        kx_container *many = (kx_container *)kx_realloc(s->room ? s->in.many : NULL, s->room * sizeof *many, room * sizeof *many, bytes);
        if (!many)
            return NULL;
        if (!s->room)
            *many = s->in.one;
        s->in.many = many;
        s->room = (uint16_t)room;
    }
    kx_container *box = kx_idset_containers(s) + at;
    memmove(box + 1, box, (s->boxes - at) * sizeof *box * (s->room != 0));
    memset(box, 0, sizeof *box);
    box->key = (uint16_t)key;
    s->boxes++;
    return box;
}

static inline void kx_idset_erase(kx_idset *s, uint32_t at, size_t *bytes)
{
    kx_container *box = kx_idset_containers(s) + at;
    kx_container_free(box, bytes);
    s->boxes--;
    if (!s->room)
        return;
    memmove(box, box + 1, (s->boxes - at) * sizeof *box);
    if (s->boxes < 2) {
        kx_container one = *s->in.many;
        kx_realloc(s->in.many, s->room * sizeof one, 0, bytes);
        s->in.one = one;
        s->room = 0;
    }
}

/* ---- the set ---- */

enum { KX_NO_MEMORY, KX_ADDED, KX_PRESENT };

static inline int kx_idset_add(kx_idset *s, uint32_t id, size_t *bytes)
{
    uint32_t key = id >> 16, at = kx_idset_find(s, key);
    kx_container *box = kx_idset_containers(s) + at;
    id &= 0xffff;
    if (at == s->boxes || box->key != key) {
        if (!(box = kx_idset_insert(s, at, key, bytes)))
            return KX_NO_MEMORY;
    } else if (kx_container_has(box, id))
        return KX_PRESENT;
    else if (!kx_container_reserve(box, bytes))
        return KX_NO_MEMORY;
    if (box->room == KX_BITMAP)
        box->in.bits[id / 64] |= (uint64_t)1 << (id % 64);
    else {
        uint16_t *ids = kx_container_ids(box);
        uint32_t i = kx_lower_bound(ids, box->count, id);
        memmove(ids + i + 1, ids + i, 2 * (box->count - i));
        ids[i] = (uint16_t)id;
    }
    box->count++;
    s->count++;
    return KX_ADDED;
}

/* No error if it is not there. */
static inline void kx_idset_remove(kx_idset *s, uint32_t id, size_t *bytes)
{
    uint32_t key = id >> 16, at = kx_idset_find(s, key);
    kx_container *box = kx_idset_containers(s) + at;
    id &= 0xffff;
    if (at == s->boxes || box->key != key || !kx_container_has(box, id))
        return;
    if (box->room == KX_BITMAP)
        box->in.bits[id / 64] &= ~((uint64_t)1 << (id % 64));
    else {
        uint16_t *ids = kx_container_ids(box);
        uint32_t i = kx_lower_bound(ids, box->count, id);
        memmove(ids + i, ids + i + 1, 2 * (box->count - i - 1));
    }
    s->count--;
    if (--box->count)
        kx_container_shrink(box, bytes);
    else
        kx_idset_erase(s, at, bytes);
}

/* The first id that is not below, KX_NONE: none. */
static inline uint32_t kx_idset_next(kx_idset *s, uint32_t id)
{
    uint32_t at = kx_idset_find(s, id >> 16);
    for (; at < s->boxes; at++) {
        kx_container *box = kx_idset_containers(s) + at;
        uint32_t low = box->key == id >> 16 ? id & 0xffff : 0, i;
        if (box->room != KX_BITMAP) {
            if ((i = kx_lower_bound(kx_container_ids(box), box->count, low)) < box->count)
                return (uint32_t)box->key << 16 | kx_container_ids(box)[i];
            continue;
        }
        uint64_t left = box->in.bits[low / 64] & ~(uint64_t)0 << (low % 64);
        for (i = low / 64; !left && ++i < KX_BITMAP_BYTES / 8;)
            left = box->in.bits[i];
        if (left)
            return (uint32_t)box->key << 16 | (i * 64 + (uint32_t)__builtin_ctzll(left));
    }
    return KX_NONE;
}

static inline void kx_idset_clear(kx_idset *s, size_t *bytes)
{
    while (s->boxes)
        kx_idset_erase(s, s->boxes - 1u, bytes);
    s->count = 0;
}

#endif
