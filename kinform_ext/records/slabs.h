/* Memory for records: slabs mapped from the system, filled from the front, given back when all in them is dead.
 *
 * A place in it is a number of 39 bits: slab, offset. What lies in a slab is the caller's, who also moves what lives in
 * a sparse one. Pages are touched as they are filled, so an unfilled slab costs only its filled part; a record that is
 * larger than a slab has a mapping of its own.
 */
#ifndef KINFORM_SLABS_H
#define KINFORM_SLABS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define KR_PAGE_BYTES ((size_t)4096)
#define KR_OFFSET_BITS 18
#define KR_MAX_SLAB ((size_t)1 << KR_OFFSET_BITS)
#define KR_MIN_SLAB ((size_t)1 << 14)
#define KR_MAX_SLABS (1u << 21)
#define KR_NO_SLAB 0xffffffffu

static inline size_t kr_round_to_pages(size_t n)
{
    return (n + KR_PAGE_BYTES - 1) & ~(KR_PAGE_BYTES - 1);
}

/* Zeroed. Without huge pages: one of those would be resident whole for its first byte. */
static void *kr_map(size_t n)
{
#ifdef __SANITIZE_ADDRESS__
    return calloc(1, n);
#else
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
#ifdef MADV_NOHUGEPAGE
    madvise(p, n, MADV_NOHUGEPAGE);
#endif
    return p;
#endif
}

static void kr_unmap(void *p, size_t n)
{
#ifdef __SANITIZE_ADDRESS__
    (void)n;
    free(p);
#else
    if (p)
        munmap(p, n);
#endif
}

typedef struct {
    unsigned char *base; /* NULL: the number is free, `used` the next free one */
    uint32_t room, used, dead;
} kr_slab;

typedef struct {
    kr_slab *slab;
    uint32_t count, room, spare; /* spare: first free number */
    uint32_t open;               /* the slab that is being filled */
    uint32_t victim, cursor;     /* the slab that is being emptied, and how far */
    uint64_t live, dead;         /* bytes of records */
    kr_slab warm;                /* an emptied one whose pages the next one may use */
} kr_slabs;

static void kr_slabs_init(kr_slabs *s)
{
    memset(s, 0, sizeof *s);
    s->spare = s->open = s->victim = KR_NO_SLAB;
}

static void kr_slabs_unmap_spare(kr_slabs *s)
{
    if (s->warm.base)
        kr_unmap(s->warm.base, s->warm.room);
    s->warm.base = NULL;
}

static void kr_slabs_free(kr_slabs *s)
{
    kr_slabs_unmap_spare(s);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->slab[i].base)
            kr_unmap(s->slab[i].base, s->slab[i].room);
    free(s->slab);
    kr_slabs_init(s);
}

static inline unsigned char *kr_slab_address(const kr_slabs *s, uint64_t where)
{
    return s->slab[where >> KR_OFFSET_BITS].base + (where & (KR_MAX_SLAB - 1));
}

/* How large the next slab is: small ones for few objects, so that slack stays a small part of the whole. */
static inline size_t kr_slab_next_size(const kr_slabs *s)
{
    size_t size = KR_MIN_SLAB;
    while (size < KR_MAX_SLAB && size < s->live / 64)
        size *= 2;
    return size;
}

static uint32_t kr_slab_add(kr_slabs *s, size_t room)
{
    uint32_t number = s->spare;
    unsigned char *base;
    if (number == KR_NO_SLAB && s->count == s->room) {
        uint32_t more = s->room + s->room / 4 + 16;
        if (more > KR_MAX_SLABS)
            return KR_NO_SLAB;
        kr_slab *grown = (kr_slab *)realloc(s->slab, more * sizeof *grown);
        if (!grown)
            return KR_NO_SLAB;
        s->slab = grown;
        s->room = more;
    }
    if (s->warm.base && s->warm.room == room) {
        base = s->warm.base;
        s->warm.base = NULL;
    } else if (!(base = (unsigned char *)kr_map(room)))
        return KR_NO_SLAB;
    if (number == KR_NO_SLAB)
        number = s->count++;
    else
        s->spare = s->slab[number].used;
    s->slab[number] = (kr_slab){base, (uint32_t)room, 0, 0};
    return number;
}

/* The slab in which `size` bytes find room; KR_NO_SLAB if the system has none. Take them before the next call. */
static uint32_t kr_slab_reserve(kr_slabs *s, size_t size)
{
    if (size > KR_MAX_SLAB)
        return size > UINT32_MAX - KR_PAGE_BYTES ? KR_NO_SLAB : kr_slab_add(s, kr_round_to_pages(size));
    if (s->open != KR_NO_SLAB && s->slab[s->open].room - s->slab[s->open].used >= size)
        return s->open;
    size_t room = kr_slab_next_size(s);
    while (room < size)
        room *= 2;
    uint32_t number = kr_slab_add(s, room);
    if (number != KR_NO_SLAB)
        s->open = number;
    return number;
}

static inline uint64_t kr_slab_take(kr_slabs *s, uint32_t number, size_t size)
{
    uint64_t where = (uint64_t)number << KR_OFFSET_BITS | s->slab[number].used;
    s->slab[number].used += (uint32_t)size;
    s->live += size;
    return where;
}

static void kr_slab_release(kr_slabs *s, uint64_t where, size_t size)
{
    uint32_t number = (uint32_t)(where >> KR_OFFSET_BITS);
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
    /* Faulting pages in costs more than all else here, so that while slabs come and go one is kept. */
    if (number == s->victim && !s->warm.base && slab->room == kr_slab_next_size(s))
        s->warm = *slab;
    else
        kr_unmap(slab->base, slab->room);
    if (number == s->victim)
        s->victim = KR_NO_SLAB;
    slab->base = NULL;
    slab->used = s->spare;
    s->spare = number;
}

/* The slab with the largest dead part, if that is worth the copying. */
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

/* Bytes that are resident: whole pages of what was filled. */
static uint64_t kr_slabs_bytes(const kr_slabs *s)
{
    uint64_t sum = s->room * sizeof *s->slab + (s->warm.base ? kr_round_to_pages(s->warm.used) : 0);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->slab[i].base)
            sum += kr_round_to_pages(s->slab[i].used);
    return sum;
}

#endif
