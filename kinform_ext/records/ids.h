/* Where each record lies: stable ids of 26 bits to places in the slabs, 5 bytes each, in pieces mapped from the system.
 *
 * Freed ids are used again, those of the lowest piece first. A piece without an id in use is unmapped.
 */
#ifndef KINFORM_IDS_H
#define KINFORM_IDS_H

#include "record.h"
#include "slabs.h"

enum { KR_ID_PAGE_BITS = 12, KR_ID_PAGE = 1 << KR_ID_PAGE_BITS, KR_SLOT_BYTES = 5, KR_ID_PAGE_BYTES = KR_ID_PAGE * KR_SLOT_BYTES };
#define KR_MAX_ID_PAGES (1u << (KR_ID_BITS - KR_ID_PAGE_BITS))
#define KR_SLOT_FREE ((uint64_t)1 << 39) /* the slot holds the next free one of its piece */

typedef struct {
    unsigned char *at;
    uint16_t used;  /* ids in use */
    uint16_t fresh; /* slots from here on were never used */
    uint16_t spare; /* first free slot below, KR_ID_PAGE: none */
} kr_id_page;

typedef struct {
    kr_id_page *piece;
    uint32_t count, room;
    uint32_t lowest; /* all pieces before it are full */
} kr_ids;

static void kr_ids_free(kr_ids *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->piece[i].at)
            kr_unmap(d->piece[i].at, KR_ID_PAGE_BYTES);
    free(d->piece);
    memset(d, 0, sizeof *d);
}

static inline uint64_t kr_slot_get(const unsigned char *p)
{
    uint32_t low;
    memcpy(&low, p, 4);
    return low | (uint64_t)p[4] << 32;
}

static inline void kr_slot_set(unsigned char *p, uint64_t n)
{
    uint32_t low = (uint32_t)n;
    memcpy(p, &low, 4);
    p[4] = (unsigned char)(n >> 32);
}

static inline unsigned char *kr_slot_of(const kr_ids *d, uint32_t id)
{
    return d->piece[id >> KR_ID_PAGE_BITS].at + (size_t)(id & (KR_ID_PAGE - 1)) * KR_SLOT_BYTES;
}

/* All ids are below this. */
static inline uint32_t kr_ids_end(const kr_ids *d)
{
    return d->count ? (d->count - 1) * KR_ID_PAGE + d->piece[d->count - 1].fresh : 0;
}

/* Whether the id is in use. */
static inline int kr_id_is_used(const kr_ids *d, uint32_t id)
{
    uint32_t n = id >> KR_ID_PAGE_BITS;
    return n < d->count && (id & (KR_ID_PAGE - 1)) < d->piece[n].fresh && !(kr_slot_get(kr_slot_of(d, id)) & KR_SLOT_FREE);
}

/* Which of the 64 ids from `id` on, a multiple of 64, are in use. */
static inline uint64_t kr_ids_used_bits(const kr_ids *d, uint32_t id)
{
    const kr_id_page *piece = &d->piece[id >> KR_ID_PAGE_BITS];
    uint32_t first = id & (KR_ID_PAGE - 1), count = piece->fresh > first ? piece->fresh - first : 0;
    uint64_t bits = 0;
    const unsigned char *p = piece->at + (size_t)first * KR_SLOT_BYTES + KR_SLOT_BYTES - 1;
    for (uint32_t i = 0; i < (count < 64 ? count : 64); i++, p += KR_SLOT_BYTES)
        bits |= (uint64_t)!(*p & 128) << i; /* KR_SLOT_FREE is the last byte's highest bit */
    return bits;
}

/* The first id in use from `id` on, KR_NONE: none. */
static inline uint32_t kr_id_next_used(const kr_ids *d, uint32_t id)
{
    uint32_t end = kr_ids_end(d);
    while (id < end) {
        const kr_id_page *piece = &d->piece[id >> KR_ID_PAGE_BITS];
        uint32_t i = id & (KR_ID_PAGE - 1);
        if (piece->used)
            for (; i < piece->fresh; i++)
                if (!(kr_slot_get(piece->at + (size_t)i * KR_SLOT_BYTES) & KR_SLOT_FREE))
                    return (id & ~(uint32_t)(KR_ID_PAGE - 1)) + i;
        id = (id | (KR_ID_PAGE - 1)) + 1;
    }
    return KR_NONE;
}

static inline uint64_t kr_id_location(const kr_ids *d, uint32_t id)
{
    return kr_slot_get(kr_slot_of(d, id));
}

static inline void kr_id_set_location(kr_ids *d, uint32_t id, uint64_t where)
{
    kr_slot_set(kr_slot_of(d, id), where);
}

/* An id that is free, and its slot mapped; KR_NONE if the system has no memory. It is taken by kr_id_take. */
static uint32_t kr_id_reserve(kr_ids *d)
{
    while (d->lowest < d->count && d->piece[d->lowest].used == KR_ID_PAGE)
        d->lowest++;
    if (d->lowest == d->count) {
        if (d->count == KR_MAX_ID_PAGES)
            return KR_NONE;
        if (d->count == d->room) {
            uint32_t room = d->room + d->room / 4 + 4;
            kr_id_page *grown = (kr_id_page *)realloc(d->piece, room * sizeof *grown);
            if (!grown)
                return KR_NONE;
            d->piece = grown;
            d->room = room;
        }
        d->piece[d->count++] = (kr_id_page){NULL, 0, 0, KR_ID_PAGE};
    }
    kr_id_page *piece = &d->piece[d->lowest];
    if (!piece->at && !(piece->at = (unsigned char *)kr_map(KR_ID_PAGE_BYTES)))
        return KR_NONE;
    return d->lowest * KR_ID_PAGE + (piece->spare < KR_ID_PAGE ? piece->spare : piece->fresh);
}

static inline void kr_id_take(kr_ids *d, uint32_t id, uint64_t where)
{
    kr_id_page *piece = &d->piece[id >> KR_ID_PAGE_BITS];
    if (piece->spare < KR_ID_PAGE)
        piece->spare = (uint16_t)kr_slot_get(kr_slot_of(d, id));
    else
        piece->fresh++;
    piece->used++;
    kr_slot_set(kr_slot_of(d, id), where);
}

static void kr_id_release(kr_ids *d, uint32_t id)
{
    uint32_t n = id >> KR_ID_PAGE_BITS;
    kr_id_page *piece = &d->piece[n];
    kr_slot_set(kr_slot_of(d, id), KR_SLOT_FREE | piece->spare);
    piece->spare = (uint16_t)(id & (KR_ID_PAGE - 1));
    if (n < d->lowest)
        d->lowest = n;
    if (--piece->used)
        return;
    kr_unmap(piece->at, KR_ID_PAGE_BYTES);
    *piece = (kr_id_page){NULL, 0, 0, KR_ID_PAGE};
    while (d->count && !d->piece[d->count - 1].at)
        d->count--;
    if (d->lowest > d->count)
        d->lowest = d->count;
}

static uint64_t kr_ids_bytes(const kr_ids *d)
{
    uint64_t sum = d->room * sizeof *d->piece;
    for (uint32_t i = 0; i < d->count; i++)
        sum += kr_round_to_pages((size_t)d->piece[i].fresh * KR_SLOT_BYTES);
    return sum;
}

#endif
