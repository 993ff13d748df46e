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

enum { KX_FEW = 4, KX_MOST = 4096, KX_LEAST = 3072, KX_BITS = 0xffff, KX_BITS_BYTES = 8192 };
#define KX_NONE 0xffffffffu

typedef struct {
    uint32_t count;
    uint16_t key;  /* what all its ids are when divided by 65,536 */
    uint16_t room; /* of `array`; 0: they are in `few`; KX_BITS: in `bits` */
    union {
        uint16_t few[KX_FEW];
        uint16_t *array;
        uint64_t *bits;
    } in;
} kx_box;

typedef struct {
    uint32_t count;
    uint16_t boxes, room; /* room of `many`; 0: there is none but `one` */
    union {
        kx_box one;
        kx_box *many;
    } in;
} kx_posting;

/* What a block takes of the heap, its header and rounding included. */
static inline size_t kx_cost(size_t n)
{
    return !n ? 0 : n < 24 ? 32 : (n + 8 + 15) & ~(size_t)15;
}

/* realloc that keeps the sum of all blocks; NULL for no memory, or for n == 0. */
static inline void *kx_resize(void *block, size_t was, size_t n, size_t *bytes)
{
    void *found = NULL;
    if (!n)
        free(block);
    else if (!(found = realloc(block, n)))
        return NULL;
    *bytes += kx_cost(n);
    *bytes -= kx_cost(was);
    return found;
}

static inline kx_box *kx_boxes(kx_posting *s)
{
    return s->room ? s->in.many : &s->in.one;
}

static inline uint16_t *kx_ids(kx_box *b)
{
    return b->room ? b->in.array : b->in.few;
}

/* Where the first of `count` that is not below `id` is. */
static inline uint32_t kx_seek(const uint16_t *ids, uint32_t count, uint32_t id)
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

static inline int kx_box_has(kx_box *b, uint32_t id)
{
    if (b->room == KX_BITS)
        return b->in.bits[id / 64] >> (id % 64) & 1;
    uint32_t at = kx_seek(kx_ids(b), b->count, id);
    return at < b->count && kx_ids(b)[at] == id;
}

static inline void kx_box_free(kx_box *b, size_t *bytes)
{
    if (b->room)
        kx_resize(b->in.array, b->room == KX_BITS ? KX_BITS_BYTES : 2u * b->room, 0, bytes);
}

/* Room for one more; 0 if there is no memory. */
static inline int kx_box_grow(kx_box *b, size_t *bytes)
{
    if (b->room == KX_BITS || b->count < (b->room ? b->room : KX_FEW))
        return 1;
    if (b->count == KX_MOST) {
        uint64_t *bits = (uint64_t *)calloc(1, KX_BITS_BYTES);
        if (!bits)
            return 0;
        for (uint32_t i = 0; i < b->count; i++)
            bits[b->in.array[i] / 64] |= (uint64_t)1 << (b->in.array[i] % 64);
        kx_box_free(b, bytes);
        *bytes += kx_cost(KX_BITS_BYTES);
        b->in.bits = bits;
        b->room = KX_BITS;
        return 1;
    }
    uint32_t room = b->count + b->count / 4 + 4;
    room = room < KX_MOST ? room : KX_MOST;
    uint16_t *array = (uint16_t *)kx_resize(b->room ? b->in.array : NULL, 2u * b->room, 2 * room, bytes);
    if (!array)
        return 0;
    if (!b->room)
        memcpy(array, b->in.few, 2 * b->count);
    b->in.array = array;
    b->room = (uint16_t)room;
    return 1;
}

/* Gives memory back where half of it is unused; without memory for the smaller one it keeps the larger. */
static inline void kx_box_shrink(kx_box *b, size_t *bytes)
{
    uint16_t few[KX_FEW], *array;
    uint32_t room = b->count + b->count / 8 + 4, n = 0;
    if (b->room == KX_BITS) {
        if (b->count >= KX_LEAST || !(array = (uint16_t *)malloc(2 * room)))
            return;
        for (uint32_t i = 0; i < KX_BITS_BYTES / 8; i++)
            for (uint64_t left = b->in.bits[i]; left; left &= left - 1)
                array[n++] = (uint16_t)(i * 64 + (uint32_t)__builtin_ctzll(left));
        kx_box_free(b, bytes);
        *bytes += kx_cost(2 * room);
        b->in.array = array;
        b->room = (uint16_t)room;
    } else if (b->room && b->count < KX_FEW) {
        memcpy(few, b->in.array, 2 * b->count);
        kx_box_free(b, bytes);
        memcpy(b->in.few, few, 2 * b->count);
        b->room = 0;
    } else if (b->room && 2 * room < b->room && (array = (uint16_t *)kx_resize(b->in.array, 2u * b->room, 2 * room, bytes))) {
        b->in.array = array;
        b->room = (uint16_t)room;
    }
}

/* The first box whose key is not below. */
static inline uint32_t kx_find_box(kx_posting *s, uint32_t key)
{
    const kx_box *boxes = kx_boxes(s);
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
static inline kx_box *kx_new_box(kx_posting *s, uint32_t at, uint32_t key, size_t *bytes)
{
    if (s->boxes && s->boxes >= s->room) {
        uint32_t room = s->boxes + s->boxes / 4 + 1;
        kx_box *many = (kx_box *)kx_resize(s->room ? s->in.many : NULL, s->room * sizeof *many, room * sizeof *many, bytes);
        if (!many)
            return NULL;
        if (!s->room)
            *many = s->in.one;
        s->in.many = many;
        s->room = (uint16_t)room;
    }
    kx_box *box = kx_boxes(s) + at;
    memmove(box + 1, box, (s->boxes - at) * sizeof *box * (s->room != 0));
    memset(box, 0, sizeof *box);
    box->key = (uint16_t)key;
    s->boxes++;
    return box;
}

static inline void kx_drop_box(kx_posting *s, uint32_t at, size_t *bytes)
{
    kx_box *box = kx_boxes(s) + at;
    kx_box_free(box, bytes);
    s->boxes--;
    if (!s->room)
        return;
    memmove(box, box + 1, (s->boxes - at) * sizeof *box);
    if (s->boxes < 2) {
        kx_box one = *s->in.many;
        kx_resize(s->in.many, s->room * sizeof one, 0, bytes);
        s->in.one = one;
        s->room = 0;
    }
}

/* ---- the set ---- */

enum { KX_NOMEM, KX_ADDED, KX_HELD };

static inline int kx_add(kx_posting *s, uint32_t id, size_t *bytes)
{
    uint32_t key = id >> 16, at = kx_find_box(s, key);
    kx_box *box = kx_boxes(s) + at;
    id &= 0xffff;
    if (at == s->boxes || box->key != key) {
        if (!(box = kx_new_box(s, at, key, bytes)))
            return KX_NOMEM;
    } else if (kx_box_has(box, id))
        return KX_HELD;
    else if (!kx_box_grow(box, bytes))
        return KX_NOMEM;
    if (box->room == KX_BITS)
        box->in.bits[id / 64] |= (uint64_t)1 << (id % 64);
    else {
        uint16_t *ids = kx_ids(box);
        uint32_t i = kx_seek(ids, box->count, id);
        memmove(ids + i + 1, ids + i, 2 * (box->count - i));
        ids[i] = (uint16_t)id;
    }
    box->count++;
    s->count++;
    return KX_ADDED;
}

/* No error if it is not there. */
static inline void kx_remove(kx_posting *s, uint32_t id, size_t *bytes)
{
    uint32_t key = id >> 16, at = kx_find_box(s, key);
    kx_box *box = kx_boxes(s) + at;
    id &= 0xffff;
    if (at == s->boxes || box->key != key || !kx_box_has(box, id))
        return;
    if (box->room == KX_BITS)
        box->in.bits[id / 64] &= ~((uint64_t)1 << (id % 64));
    else {
        uint16_t *ids = kx_ids(box);
        uint32_t i = kx_seek(ids, box->count, id);
        memmove(ids + i, ids + i + 1, 2 * (box->count - i - 1));
    }
    s->count--;
    if (--box->count)
        kx_box_shrink(box, bytes);
    else
        kx_drop_box(s, at, bytes);
}

/* The first id that is not below, KX_NONE: none. */
static inline uint32_t kx_from(kx_posting *s, uint32_t id)
{
    uint32_t at = kx_find_box(s, id >> 16);
    for (; at < s->boxes; at++) {
        kx_box *box = kx_boxes(s) + at;
        uint32_t low = box->key == id >> 16 ? id & 0xffff : 0, i;
        if (box->room != KX_BITS) {
            if ((i = kx_seek(kx_ids(box), box->count, low)) < box->count)
                return (uint32_t)box->key << 16 | kx_ids(box)[i];
            continue;
        }
        uint64_t left = box->in.bits[low / 64] & ~(uint64_t)0 << (low % 64);
        for (i = low / 64; !left && ++i < KX_BITS_BYTES / 8;)
            left = box->in.bits[i];
        if (left)
            return (uint32_t)box->key << 16 | (i * 64 + (uint32_t)__builtin_ctzll(left));
    }
    return KX_NONE;
}

static inline void kx_clear(kx_posting *s, size_t *bytes)
{
    while (s->boxes)
        kx_drop_box(s, s->boxes - 1u, bytes);
    s->count = 0;
}

#endif
