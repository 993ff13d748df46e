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

#define KT_PAGE ((size_t)4096)
#define KT_OFFSET_BITS 18
#define KT_SLAB_MOST ((size_t)1 << KT_OFFSET_BITS)
#define KT_SLAB_LEAST ((size_t)1 << 14)
#define KT_SLAB_LIMIT (1u << 21)
#define KT_NO_SLAB 0xffffffffu

static inline size_t kt_pages(size_t n)
{
    return (n + KT_PAGE - 1) & ~(KT_PAGE - 1);
}

/* Zeroed. Without huge pages: one of those would be resident whole for its first byte. */
static void *kt_map(size_t n)
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

static void kt_unmap(void *p, size_t n)
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
} kt_slab;

typedef struct {
    kt_slab *slab;
    uint32_t count, room, spare; /* spare: first free number */
    uint32_t open;               /* the slab that is being filled */
    uint32_t victim, cursor;     /* the slab that is being emptied, and how far */
    uint64_t live, dead;         /* bytes of records */
    kt_slab warm;                /* an emptied one whose pages the next one may use */
} kt_slabs;

static void kt_slabs_init(kt_slabs *s)
{
    memset(s, 0, sizeof *s);
    s->spare = s->open = s->victim = KT_NO_SLAB;
}

static void kt_slab_cool(kt_slabs *s)
{
    if (s->warm.base)
        kt_unmap(s->warm.base, s->warm.room);
    s->warm.base = NULL;
}

static void kt_slabs_close(kt_slabs *s)
{
    kt_slab_cool(s);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->slab[i].base)
            kt_unmap(s->slab[i].base, s->slab[i].room);
    free(s->slab);
    kt_slabs_init(s);
}

static inline unsigned char *kt_slab_at(const kt_slabs *s, uint64_t where)
{
    return s->slab[where >> KT_OFFSET_BITS].base + (where & (KT_SLAB_MOST - 1));
}

/* How large the next slab is: small ones for few objects, so that slack stays a small part of the whole. */
static inline size_t kt_slab_size(const kt_slabs *s)
{
    size_t size = KT_SLAB_LEAST;
    while (size < KT_SLAB_MOST && size < s->live / 64)
        size *= 2;
    return size;
}

static uint32_t kt_slab_new(kt_slabs *s, size_t room)
{
    uint32_t number = s->spare;
    unsigned char *base;
    if (number == KT_NO_SLAB && s->count == s->room) {
        uint32_t more = s->room + s->room / 4 + 16;
        if (more > KT_SLAB_LIMIT)
            return KT_NO_SLAB;
        kt_slab *grown = (kt_slab *)realloc(s->slab, more * sizeof *grown);
        if (!grown)
            return KT_NO_SLAB;
        s->slab = grown;
        s->room = more;
    }
    if (s->warm.base && s->warm.room == room) {
        base = s->warm.base;
        s->warm.base = NULL;
    } else if (!(base = (unsigned char *)kt_map(room)))
        return KT_NO_SLAB;
    if (number == KT_NO_SLAB)
        number = s->count++;
    else
        s->spare = s->slab[number].used;
    s->slab[number] = (kt_slab){base, (uint32_t)room, 0, 0};
    return number;
}

/* The slab in which `size` bytes find room; KT_NO_SLAB if the system has none. Take them before the next call. */
static uint32_t kt_slab_for(kt_slabs *s, size_t size)
{
    if (size > KT_SLAB_MOST)
        return size > UINT32_MAX - KT_PAGE ? KT_NO_SLAB : kt_slab_new(s, kt_pages(size));
    if (s->open != KT_NO_SLAB && s->slab[s->open].room - s->slab[s->open].used >= size)
        return s->open;
    size_t room = kt_slab_size(s);
    while (room < size)
        room *= 2;
    uint32_t number = kt_slab_new(s, room);
    if (number != KT_NO_SLAB)
        s->open = number;
    return number;
}

static inline uint64_t kt_slab_take(kt_slabs *s, uint32_t number, size_t size)
{
    uint64_t where = (uint64_t)number << KT_OFFSET_BITS | s->slab[number].used;
    s->slab[number].used += (uint32_t)size;
    s->live += size;
    return where;
}

static void kt_slab_let(kt_slabs *s, uint64_t where, size_t size)
{
    uint32_t number = (uint32_t)(where >> KT_OFFSET_BITS);
    kt_slab *slab = &s->slab[number];
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
        s->open = KT_NO_SLAB;
    }
    /* Faulting pages in costs more than all else here, so that while slabs come and go one is kept. */
    if (number == s->victim && !s->warm.base && slab->room == kt_slab_size(s))
        s->warm = *slab;
    else
        kt_unmap(slab->base, slab->room);
    if (number == s->victim)
        s->victim = KT_NO_SLAB;
    slab->base = NULL;
    slab->used = s->spare;
    s->spare = number;
}

/* The slab with the largest dead part, if that is worth the copying. */
static uint32_t kt_slab_sparsest(const kt_slabs *s)
{
    uint32_t best = KT_NO_SLAB;
    double most = 1.0 / 64;
    for (uint32_t i = 0; i < s->count; i++) {
        const kt_slab *slab = &s->slab[i];
        double part = slab->base && slab->used ? (double)slab->dead / slab->used : 0;
        if (part > most) {
            most = part;
            best = i;
        }
    }
    return best;
}

/* Bytes that are resident: whole pages of what was filled. */
static uint64_t kt_slabs_bytes(const kt_slabs *s)
{
    uint64_t sum = s->room * sizeof *s->slab + (s->warm.base ? kt_pages(s->warm.used) : 0);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->slab[i].base)
            sum += kt_pages(s->slab[i].used);
    return sum;
}

#endif
