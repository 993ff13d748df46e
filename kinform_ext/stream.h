/* A stream of a table: the phase of its relist, and the meaning of its records' state bits in that phase.
 *
 * A relist is mark and sweep. While it runs, records that are in the new state too are marked, and new versions are
 * staged. The commit makes readers see the new state at once; the sweep then removes the old one record by record. The
 * commit also flips `epoch`, so that the marks of one relist are the ground state of the next one.
 *
 *     phase        a record that is not staged ("plain") is visible    a staged record is visible
 *     IDLE         always                                              does not exist
 *     RELISTING    always; marked (mark != epoch): in the new state    never
 *     SWEEPING     if mark == epoch, or kept although missing          always
 *     DROPPING     never                                               does not exist
 *
 * In the same way one of the two stale bits counts now, and the other one after the commit. A marked record is never
 * shadowed.
 */
#ifndef KINFORM_STREAM_H
#define KINFORM_STREAM_H

#include "records/record.h"

enum { KT_IDLE, KT_RELISTING, KT_SWEEPING, KT_DROPPING };

typedef struct {
    uint8_t phase;            /* KT_IDLE ... KT_DROPPING */
    uint8_t keep_missing;     /* SWEEPING: 1: records that the new state lacks stay, as stale */
    uint32_t epoch;           /* 0 or KR_MARK: the mark of every plain record when IDLE */
    uint32_t stale_bit;       /* KR_STALE0 or KR_STALE1: set on records that are stale now */
    uint32_t next_stale_bit;  /* the other one: set on records that will be stale after the commit */
    uint32_t plain;           /* records that are neither staged nor in limbo */
    uint32_t staged;          /* records with KR_STAGED */
    uint32_t marked;          /* plain records in the new state (RELISTING), or already swept (SWEEPING) */
    uint32_t shadowed;        /* plain records that a staged one will replace */
    uint32_t stale;           /* visible records that are stale */
    uint32_t next_stale;      /* RELISTING: records with next_stale_bit */
    uint32_t uncleared;       /* SWEEPING: not 0: plain records may have the stale bit of before the commit */
    uint32_t cursor;          /* SWEEPING, DROPPING: the next id to look at */
} kt_stream;

static inline int kt_is_visible(const kt_stream *s, uint32_t word)
{
    if (word & KR_LIMBO || s->phase == KT_DROPPING)
        return 0;
    if (s->phase != KT_SWEEPING)
        return !(word & KR_STAGED);
    return (word & KR_STAGED) || (word & KR_MARK) == s->epoch || (s->keep_missing && !(word & KR_SHADOWED));
}

/* SWEEPING: returns whether the sweep has not handled the record yet. */
static inline int kt_is_unswept(const kt_stream *s, uint32_t word)
{
    return (word & KR_STAGED) || (word & KR_MARK) != s->epoch;
}

static inline int kt_is_stale(const kt_stream *s, uint32_t word)
{
    if (!kt_is_visible(s, word))
        return 0;
    return (word & s->stale_bit)
        || (s->phase == KT_SWEEPING && !(word & KR_STAGED) && (word & KR_MARK) != s->epoch);
}

static inline void kt_flip(kr_byte *record, uint32_t bits)
{
    kr_set_word(record, kr_word(record) ^ bits);
}

/* ---- RELISTING: the new state ---- */

/* Records that the new state has this plain record too. */
static inline void kt_mark(kt_stream *s, kr_byte *record)
{
    if ((kr_word(record) & KR_MARK) == s->epoch) {
        kt_flip(record, KR_MARK);
        s->marked++;
    }
}

/* Sets whether the record will be stale after the commit. */
static inline void kt_set_stale_next(kt_stream *s, kr_byte *record, int stale)
{
    if (((kr_word(record) & s->next_stale_bit) != 0) != stale) {
        kt_flip(record, s->next_stale_bit);
        s->next_stale += stale ? 1 : (uint32_t)-1;
    }
}

/* Records that the new state does not have this plain record. */
static inline void kt_unmark(kt_stream *s, kr_byte *record)
{
    kt_set_stale_next(s, record, 0);
    if ((kr_word(record) & KR_MARK) != s->epoch) {
        kt_flip(record, KR_MARK);
        s->marked--;
    }
}

/* Sets whether the plain record has a staged one of the same key. */
static inline void kt_set_shadowed(kt_stream *s, kr_byte *record, int shadowed)
{
    if (((kr_word(record) & KR_SHADOWED) != 0) != shadowed) {
        kt_flip(record, KR_SHADOWED);
        s->shadowed += shadowed ? 1 : (uint32_t)-1;
    }
}

/* ---- SWEEPING ---- */

/* Keeps a record that the new state lacks, as stale. */
static inline void kt_keep_missing(kt_stream *s, kr_byte *record)
{
    kr_set_word(record, (kr_word(record) & ~KR_MARK) | s->epoch | s->stale_bit);
    s->marked++;
}

#endif
