/* Where each record lies: stable ids of 26 bits to places in the slabs, 5 bytes each, in pieces mapped from the system.
 *
 * Freed ids are used again, those of the lowest piece first. A piece without an id in use is unmapped.
 */
#ifndef KINFORM_IDS_H
#define KINFORM_IDS_H

#include "record.h"
#include "slabs.h"

enum { KT_PIECE_BITS = 12, KT_PIECE = 1 << KT_PIECE_BITS, KT_SLOT = 5, KT_PIECE_BYTES = KT_PIECE * KT_SLOT };
#define KT_PIECES (1u << (KT_ID_BITS - KT_PIECE_BITS))
#define KT_FREE ((uint64_t)1 << 39) /* the slot holds the next free one of its piece */

typedef struct {
    unsigned char *at;
    uint16_t used;  /* ids in use */
    uint16_t fresh; /* slots from here on were never used */
    uint16_t spare; /* first free slot below, KT_PIECE: none */
} kt_piece;

typedef struct {
    kt_piece *piece;
    uint32_t count, room;
    uint32_t lowest; /* all pieces before it are full */
} kt_ids;

static void kt_ids_close(kt_ids *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->piece[i].at)
            kt_unmap(d->piece[i].at, KT_PIECE_BYTES);
    free(d->piece);
    memset(d, 0, sizeof *d);
}

static inline uint64_t kt_slot_get(const unsigned char *p)
{
    uint32_t low;
    memcpy(&low, p, 4);
    return low | (uint64_t)p[4] << 32;
}

static inline void kt_slot_set(unsigned char *p, uint64_t n)
{
    uint32_t low = (uint32_t)n;
    memcpy(p, &low, 4);
    p[4] = (unsigned char)(n >> 32);
}

static inline unsigned char *kt_slot_of(const kt_ids *d, uint32_t id)
{
    return d->piece[id >> KT_PIECE_BITS].at + (size_t)(id & (KT_PIECE - 1)) * KT_SLOT;
}

/* All ids are below this. */
static inline uint32_t kt_ids_end(const kt_ids *d)
{
    return d->count ? (d->count - 1) * KT_PIECE + d->piece[d->count - 1].fresh : 0;
}

/* Whether the id is in use. */
static inline int kt_id_used(const kt_ids *d, uint32_t id)
{
    uint32_t n = id >> KT_PIECE_BITS;
    return n < d->count && (id & (KT_PIECE - 1)) < d->piece[n].fresh && !(kt_slot_get(kt_slot_of(d, id)) & KT_FREE);
}

/* Which of the 64 ids from `id` on, a multiple of 64, are in use. */
static inline uint64_t kt_ids_used(const kt_ids *d, uint32_t id)
{
    const kt_piece *piece = &d->piece[id >> KT_PIECE_BITS];
    uint32_t first = id & (KT_PIECE - 1), count = piece->fresh > first ? piece->fresh - first : 0;
    uint64_t bits = 0;
    const unsigned char *p = piece->at + (size_t)first * KT_SLOT + KT_SLOT - 1;
    for (uint32_t i = 0; i < (count < 64 ? count : 64); i++, p += KT_SLOT)
        bits |= (uint64_t)!(*p & 128) << i; /* KT_FREE is the last byte's highest bit */
    return bits;
}

/* The first id in use from `id` on, KT_NONE: none. */
static inline uint32_t kt_id_from(const kt_ids *d, uint32_t id)
{
    uint32_t end = kt_ids_end(d);
    while (id < end) {
        const kt_piece *piece = &d->piece[id >> KT_PIECE_BITS];
        uint32_t i = id & (KT_PIECE - 1);
        if (piece->used)
            for (; i < piece->fresh; i++)
                if (!(kt_slot_get(piece->at + (size_t)i * KT_SLOT) & KT_FREE))
                    return (id & ~(uint32_t)(KT_PIECE - 1)) + i;
        id = (id | (KT_PIECE - 1)) + 1;
    }
    return KT_NONE;
}

static inline uint64_t kt_id_where(const kt_ids *d, uint32_t id)
{
    return kt_slot_get(kt_slot_of(d, id));
}

static inline void kt_id_move(kt_ids *d, uint32_t id, uint64_t where)
{
    kt_slot_set(kt_slot_of(d, id), where);
}

/* An id that is free, and its slot mapped; KT_NONE if the system has no memory. It is taken by kt_id_take. */
static uint32_t kt_id_next(kt_ids *d)
{
    while (d->lowest < d->count && d->piece[d->lowest].used == KT_PIECE)
        d->lowest++;
    if (d->lowest == d->count) {
        if (d->count == KT_PIECES)
            return KT_NONE;
        if (d->count == d->room) {
            uint32_t room = d->room + d->room / 4 + 4;
            kt_piece *grown = (kt_piece *)realloc(d->piece, room * sizeof *grown);
            if (!grown)
                return KT_NONE;
            d->piece = grown;
            d->room = room;
        }
        d->piece[d->count++] = (kt_piece){NULL, 0, 0, KT_PIECE};
    }
    kt_piece *piece = &d->piece[d->lowest];
    if (!piece->at && !(piece->at = (unsigned char *)kt_map(KT_PIECE_BYTES)))
        return KT_NONE;
    return d->lowest * KT_PIECE + (piece->spare < KT_PIECE ? piece->spare : piece->fresh);
}

static inline void kt_id_take(kt_ids *d, uint32_t id, uint64_t where)
{
    kt_piece *piece = &d->piece[id >> KT_PIECE_BITS];
    if (piece->spare < KT_PIECE)
        piece->spare = (uint16_t)kt_slot_get(kt_slot_of(d, id));
    else
        piece->fresh++;
    piece->used++;
    kt_slot_set(kt_slot_of(d, id), where);
}

static void kt_id_let(kt_ids *d, uint32_t id)
{
    uint32_t n = id >> KT_PIECE_BITS;
    kt_piece *piece = &d->piece[n];
    kt_slot_set(kt_slot_of(d, id), KT_FREE | piece->spare);
    piece->spare = (uint16_t)(id & (KT_PIECE - 1));
    if (n < d->lowest)
        d->lowest = n;
    if (--piece->used)
        return;
    kt_unmap(piece->at, KT_PIECE_BYTES);
    *piece = (kt_piece){NULL, 0, 0, KT_PIECE};
    while (d->count && !d->piece[d->count - 1].at)
        d->count--;
    if (d->lowest > d->count)
        d->lowest = d->count;
}

static uint64_t kt_ids_bytes(const kt_ids *d)
{
    uint64_t sum = d->room * sizeof *d->piece;
    for (uint32_t i = 0; i < d->count; i++)
        sum += kt_pages((size_t)d->piece[i].fresh * KT_SLOT);
    return sum;
}

#endif
