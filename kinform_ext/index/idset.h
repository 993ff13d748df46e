/* A set of ids: each container covers a range of 65,536 ids, and stores them inline (up to four ids), as a sorted array
 * of two bytes per id, or as a bitmap of 8 KiB.
 *
 * No step copies more than one container, and the list of containers. Removing an id never needs memory.
 * Source: Lemire et al., "Roaring bitmaps" (2016).
 */
#ifndef KINFORM_IDSET_H
#define KINFORM_IDSET_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    KX_INLINE_IDS = 4,
    KX_MAX_ARRAY = 4096,  /* ids in an array; with more the container becomes a bitmap */
    KX_MIN_BITMAP = 3072, /* ids in a bitmap; with fewer the container becomes an array again */
    KX_BITMAP = 0xffff,
    KX_BITMAP_BYTES = 8192,
};
#define KX_NONE 0xffffffffu

typedef struct {
    uint32_t count;    /* ids; above 0 */
    uint16_t key;      /* the high 16 bits of each id */
    uint16_t capacity; /* ids that fit `array`; 0: the ids are in `inline_ids`; KX_BITMAP: in `bits` */
    union {
        uint16_t inline_ids[KX_INLINE_IDS]; /* sorted low 16 bits */
        uint16_t *array;                    /* likewise; malloc'd */
        uint64_t *bits;                     /* a bit for each of 65,536 ids; malloc'd */
    } in;
} kx_container;

typedef struct {
    uint32_t count;      /* ids in all containers */
    uint16_t containers; /* sorted by key */
    uint16_t capacity;   /* entries of `many`; 0: the only container is `one` */
    union {
        kx_container one;   /* undefined while `containers` is 0 */
        kx_container *many; /* malloc'd */
    } in;
} kx_idset;

/* Returns what malloc uses for `n` bytes, header and rounding included. */
static inline size_t kx_heap_bytes(size_t n)
{
    return !n ? 0 : n < 24 ? 32 : (n + 8 + 15) & ~(size_t)15;
}

/* Reallocates a block of `was` bytes to `n` bytes and updates the sum of all blocks. Returns NULL if there is no
 * memory, or if n == 0, which frees the block. */
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
    return s->capacity ? s->in.many : &s->in.one;
}

static inline uint16_t *kx_container_ids(kx_container *b)
{
    return b->capacity ? b->in.array : b->in.inline_ids;
}

/* Returns the position of the first of `count` sorted ids that is not below `id`. */
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
    if (b->capacity == KX_BITMAP)
        return b->in.bits[id / 64] >> (id % 64) & 1;
    uint32_t at = kx_lower_bound(kx_container_ids(b), b->count, id);
    return at < b->count && kx_container_ids(b)[at] == id;
}

static inline void kx_container_free(kx_container *b, size_t *bytes)
{
    if (b->capacity)
        kx_realloc(b->in.array, b->capacity == KX_BITMAP ? KX_BITMAP_BYTES : 2u * b->capacity, 0, bytes);
}

/* Makes room for one more id; 0 if there is no memory. */
static inline int kx_container_reserve(kx_container *b, size_t *bytes)
{
    if (b->capacity == KX_BITMAP || b->count < (b->capacity ? b->capacity : KX_INLINE_IDS))
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
        b->capacity = KX_BITMAP;
        return 1;
    }
    uint32_t capacity = b->count + b->count / 4 + 4;
    capacity = capacity < KX_MAX_ARRAY ? capacity : KX_MAX_ARRAY;
    uint16_t *array = (uint16_t *)kx_realloc(b->capacity ? b->in.array : NULL, 2u * b->capacity, 2 * capacity, bytes);
    if (!array)
        return 0;
    if (!b->capacity)
        memcpy(array, b->in.inline_ids, 2 * b->count);
    b->in.array = array;
    b->capacity = (uint16_t)capacity;
    return 1;
}

/* Shrinks a container of which half is unused. If there is no memory for the smaller one, it keeps the larger one. */
static inline void kx_container_shrink(kx_container *b, size_t *bytes)
{
    uint16_t inline_ids[KX_INLINE_IDS], *array;
    uint32_t capacity = b->count + b->count / 8 + 4, n = 0;
    if (b->capacity == KX_BITMAP) {
        if (b->count >= KX_MIN_BITMAP || !(array = (uint16_t *)malloc(2 * capacity)))
            return;
        for (uint32_t i = 0; i < KX_BITMAP_BYTES / 8; i++)
            for (uint64_t left = b->in.bits[i]; left; left &= left - 1)
                array[n++] = (uint16_t)(i * 64 + (uint32_t)__builtin_ctzll(left));
        kx_container_free(b, bytes);
        *bytes += kx_heap_bytes(2 * capacity);
        b->in.array = array;
        b->capacity = (uint16_t)capacity;
    } else if (b->capacity && b->count < KX_INLINE_IDS) {
        memcpy(inline_ids, b->in.array, 2 * b->count);
        kx_container_free(b, bytes);
        memcpy(b->in.inline_ids, inline_ids, 2 * b->count);
        b->capacity = 0;
    } else if (b->capacity && 2 * capacity < b->capacity) {
        if (!(array = (uint16_t *)kx_realloc(b->in.array, 2u * b->capacity, 2 * capacity, bytes)))
            return;
        b->in.array = array;
        b->capacity = (uint16_t)capacity;
    }
}

/* Returns the position of the first container whose key is not below `key`. */
static inline uint32_t kx_idset_find(kx_idset *s, uint32_t key)
{
    const kx_container *containers = kx_idset_containers(s);
    uint32_t low = 0, high = s->containers;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (containers[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Inserts an empty container at a position; NULL if there is no memory. */
static inline kx_container *kx_idset_insert(kx_idset *s, uint32_t at, uint32_t key, size_t *bytes)
{
    if (s->containers && s->containers >= s->capacity) {
        uint32_t capacity = s->containers + s->containers / 4 + 1;
        kx_container *many = (kx_container *)kx_realloc(
            s->capacity ? s->in.many : NULL, s->capacity * sizeof *many, capacity * sizeof *many, bytes);
        if (!many)
            return NULL;
        if (!s->capacity)
            *many = s->in.one;
        s->in.many = many;
        s->capacity = (uint16_t)capacity;
    }
    kx_container *container = kx_idset_containers(s) + at;
    memmove(container + 1, container, (s->containers - at) * sizeof *container * (s->capacity != 0));
    memset(container, 0, sizeof *container);
    container->key = (uint16_t)key;
    s->containers++;
    return container;
}

static inline void kx_idset_erase(kx_idset *s, uint32_t at, size_t *bytes)
{
    kx_container *container = kx_idset_containers(s) + at;
    kx_container_free(container, bytes);
    s->containers--;
    if (!s->capacity)
        return;
    memmove(container, container + 1, (s->containers - at) * sizeof *container);
    if (s->containers < 2) {
        kx_container one = *s->in.many;
        kx_realloc(s->in.many, s->capacity * sizeof one, 0, bytes);
        s->in.one = one;
        s->capacity = 0;
    }
}

/* ---- ids ---- */

/* The results of kx_idset_add. */
enum { KX_NO_MEMORY, KX_ADDED, KX_PRESENT };

static inline int kx_idset_add(kx_idset *s, uint32_t id, size_t *bytes)
{
    uint32_t key = id >> 16, at = kx_idset_find(s, key);
    kx_container *container = kx_idset_containers(s) + at;
    id &= 0xffff;
    if (at == s->containers || container->key != key) {
        if (!(container = kx_idset_insert(s, at, key, bytes)))
            return KX_NO_MEMORY;
    } else if (kx_container_has(container, id))
        return KX_PRESENT;
    else if (!kx_container_reserve(container, bytes))
        return KX_NO_MEMORY;
    if (container->capacity == KX_BITMAP)
        container->in.bits[id / 64] |= (uint64_t)1 << (id % 64);
    else {
        uint16_t *ids = kx_container_ids(container);
        uint32_t i = kx_lower_bound(ids, container->count, id);
        memmove(ids + i + 1, ids + i, 2 * (container->count - i));
        ids[i] = (uint16_t)id;
    }
    container->count++;
    s->count++;
    return KX_ADDED;
}

/* Removes an id; a missing one is ignored. */
static inline void kx_idset_remove(kx_idset *s, uint32_t id, size_t *bytes)
{
    uint32_t key = id >> 16, at = kx_idset_find(s, key);
    kx_container *container = kx_idset_containers(s) + at;
    id &= 0xffff;
    if (at == s->containers || container->key != key || !kx_container_has(container, id))
        return;
    if (container->capacity == KX_BITMAP)
        container->in.bits[id / 64] &= ~((uint64_t)1 << (id % 64));
    else {
        uint16_t *ids = kx_container_ids(container);
        uint32_t i = kx_lower_bound(ids, container->count, id);
        memmove(ids + i, ids + i + 1, 2 * (container->count - i - 1));
    }
    s->count--;
    if (--container->count)
        kx_container_shrink(container, bytes);
    else
        kx_idset_erase(s, at, bytes);
}

/* Returns the first id that is not below `id`, or KX_NONE. */
static inline uint32_t kx_idset_next(kx_idset *s, uint32_t id)
{
    uint32_t at = kx_idset_find(s, id >> 16);
    for (; at < s->containers; at++) {
        kx_container *container = kx_idset_containers(s) + at;
        uint32_t low = container->key == id >> 16 ? id & 0xffff : 0, i;
        if (container->capacity != KX_BITMAP) {
            if ((i = kx_lower_bound(kx_container_ids(container), container->count, low)) < container->count)
                return (uint32_t)container->key << 16 | kx_container_ids(container)[i];
            continue;
        }
        uint64_t left = container->in.bits[low / 64] & ~(uint64_t)0 << (low % 64);
        for (i = low / 64; !left && ++i < KX_BITMAP_BYTES / 8;)
            left = container->in.bits[i];
        if (left)
            return (uint32_t)container->key << 16 | (i * 64 + (uint32_t)__builtin_ctzll(left));
    }
    return KX_NONE;
}

static inline void kx_idset_clear(kx_idset *s, size_t *bytes)
{
    while (s->containers)
        kx_idset_erase(s, s->containers - 1u, bytes);
    s->count = 0;
}

#endif
