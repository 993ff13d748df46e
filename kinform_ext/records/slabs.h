/* Slabs: memory for records, filled from the front, unmapped when nothing in a slab is live.
 *
 * A location in the slabs is a number of 39 bits: slab number, offset. The caller knows what lies in a slab, and moves
 * the live records out of a sparse one. Pages become resident as they are filled, so an unfilled slab costs its filled
 * part only. A record larger than a slab has a mapping of its own.
 * Bound: 2**21 slabs, each of 16 to 256 KiB or of one record.
 */
#ifndef KINFORM_SLABS_H
#define KINFORM_SLABS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"

#define KR_OFFSET_BITS 18
#define KR_MAX_SLAB ((size_t)1 << KR_OFFSET_BITS)
#define KR_MIN_SLAB ((size_t)1 << 14)
#define KR_MAX_SLABS (1u << 21)
#define KR_NO_SLAB 0xffffffffu

typedef struct {
    unsigned char *base; /* NULL: the number is free, and `used` the next free number */
    uint32_t size;       /* bytes mapped */
    uint32_t used;       /* bytes filled: records lie without gaps in [0, used) */
    uint32_t dead;       /* of those, bytes of records that were released or moved; dead <= used */
} kr_slab;

typedef struct {
    kr_slab *slab;       /* by number */
    uint32_t count;      /* numbers in use or free */
    uint32_t capacity;   /* entries of `slab`; count <= capacity */
    uint32_t first_free; /* first free number, KR_NO_SLAB: none */
    uint32_t open;       /* the slab that is being filled, KR_NO_SLAB: none */
    uint32_t victim;     /* the slab that the caller is emptying, KR_NO_SLAB: none */
    uint32_t cursor;     /* offset in the victim up to which it was emptied */
    uint64_t live, dead; /* bytes of records in all slabs */
    kr_slab spare;       /* an emptied slab that stays mapped for the next one; base NULL: none */
} kr_slabs;

static inline void kr_slabs_init(kr_slabs *s)
{
    memset(s, 0, sizeof *s);
    s->first_free = s->open = s->victim = KR_NO_SLAB;
}

static inline void kr_slabs_unmap_spare(kr_slabs *s)
{
    if (s->spare.base)
        kr_unmap(s->spare.base, s->spare.size);
    s->spare.base = NULL;
}

static void kr_slabs_free(kr_slabs *s)
{
    kr_slabs_unmap_spare(s);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->slab[i].base)
            kr_unmap(s->slab[i].base, s->slab[i].size);
    free(s->slab);
    kr_slabs_init(s);
}

static inline unsigned char *kr_slab_address(const kr_slabs *s, uint64_t location)
{
    return s->slab[location >> KR_OFFSET_BITS].base + (location & (KR_MAX_SLAB - 1));
}

/* Returns the size of the next slab: about 1/64 of the live bytes, so that its unfilled part is small. */
static inline size_t kr_slab_next_size(const kr_slabs *s)
{
    size_t size = KR_MIN_SLAB;
    while (size < KR_MAX_SLAB && size < s->live / 64)
        size *= 2;
    return size;
}

static uint32_t kr_slab_add(kr_slabs *s, size_t size)
{
    uint32_t number = s->first_free;
    unsigned char *base;
    if (number == KR_NO_SLAB && s->count == s->capacity) {
        uint32_t capacity = s->capacity + s->capacity / 4 + 16;
        if (capacity > KR_MAX_SLABS)
            return KR_NO_SLAB;
        kr_slab *grown = (kr_slab *)realloc(s->slab, capacity * sizeof *grown);
        if (!grown)
            return KR_NO_SLAB;
        s->slab = grown;
        s->capacity = capacity;
    }
    if (s->spare.base && s->spare.size == size) {
        base = s->spare.base;
        s->spare.base = NULL;
    } else if (!(base = (unsigned char *)kr_map(size)))
        return KR_NO_SLAB;
    if (number == KR_NO_SLAB)
        number = s->count++;
    else
        s->first_free = s->slab[number].used;
    s->slab[number] = (kr_slab){base, (uint32_t)size, 0, 0};
    return number;
}

/* Returns a slab that has room for `size` bytes, KR_NO_SLAB if there is no memory. The caller takes them with
 * kr_slab_take before the next call. */
static uint32_t kr_slab_reserve(kr_slabs *s, size_t size)
{
    if (size > KR_MAX_SLAB)
        return size > UINT32_MAX - KR_PAGE_BYTES ? KR_NO_SLAB : kr_slab_add(s, kr_round_to_pages(size));
    if (s->open != KR_NO_SLAB && s->slab[s->open].size - s->slab[s->open].used >= size)
        return s->open;
    size_t slab_size = kr_slab_next_size(s);
    while (slab_size < size)
        slab_size *= 2;
    uint32_t number = kr_slab_add(s, slab_size);
    if (number != KR_NO_SLAB)
        s->open = number;
    return number;
}

/* Takes reserved bytes; returns their location. */
static inline uint64_t kr_slab_take(kr_slabs *s, uint32_t number, size_t size)
{
    uint64_t location = (uint64_t)number << KR_OFFSET_BITS | s->slab[number].used;
    s->slab[number].used += (uint32_t)size;
    s->live += size;
    return location;
}

/* Releases the bytes of a record, and the slab if nothing in it is live any more. */
static void kr_slab_release(kr_slabs *s, uint64_t location, size_t size)
{
    uint32_t number = (uint32_t)(location >> KR_OFFSET_BITS);
    kr_slab *slab = &s->slab[number];
    slab->dead += (uint32_t)size;
    s->dead += size;
    s->live -= size;
    if (slab->dead < slab->used)
        return;
    s->dead -= slab->dead;
    if (number == s->open) {
        if (s->live) {
            slab->used = slab->dead = 0;
            return;
        }
        s->open = KR_NO_SLAB;
    }
    /* Page faults are the largest cost here, so one slab stays mapped while slabs are emptied and filled in turn. */
    if (number == s->victim && !s->spare.base && slab->size == kr_slab_next_size(s))
        s->spare = *slab;
    else
        kr_unmap(slab->base, slab->size);
    if (number == s->victim)
        s->victim = KR_NO_SLAB;
    slab->base = NULL;
    slab->used = s->first_free;
    s->first_free = number;
}

/* Returns the slab with the largest dead part, KR_NO_SLAB if none has more than 1/64. */
static uint32_t kr_slab_sparsest(const kr_slabs *s)
{
    uint32_t best = KR_NO_SLAB;
    double most = 1.0 / 64;
    for (uint32_t i = 0; i < s->count; i++) {
        const kr_slab *slab = &s->slab[i];
        double part = slab->base && slab->used ? (double)slab->dead / slab->used : 0;
        if (part > most) {
            most = part;
            best = i;
        }
    }
    return best;
}

/* Returns the resident bytes: whole pages of the filled parts, and the list of slabs. */
static uint64_t kr_slabs_bytes(const kr_slabs *s)
{
    uint64_t sum = s->capacity * sizeof *s->slab + (s->spare.base ? kr_round_to_pages(s->spare.used) : 0);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->slab[i].base)
            sum += kr_round_to_pages(s->slab[i].used);
    return sum;
}

#endif
