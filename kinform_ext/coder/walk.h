/* A walk through a template: what the next word is expected to be, after the words that were replaced so far.
 *
 * Encoder and decoder walk alike, so what is expected need not be written. A word must be looked at (it is a stop) if
 * another text than the template's may be expected there:
 *   - a part of the object's own that differs from the template's part: the object's part is expected;
 *   - a word of a value that was replaced before: the same replacement is expected;
 *   - a time, once a time was replaced: the same shift is expected.
 * No expected text is empty. At most one walk is in progress in a room.
 */
#ifndef KINFORM_WALK_H
#define KINFORM_WALK_H

#include "template.h"

/* What is known in a walk about a word. */
typedef struct {
    uint64_t walk;  /* the walk in which its value was replaced; of another one the rest is not valid */
    uint32_t first; /* the first word of the value that was replaced; the next three are valid in its entry only */
    uint32_t at;    /* offset of the last replacement of the value in the object */
    uint32_t len;   /* bytes of that replacement */
    int64_t value;  /* its value, if the word was replaced natively */
} kc_replacement;

/* Buffers for walks, reused. */
typedef struct {
    uint64_t *stop;              /* a bit for each word; malloc'd */
    kc_replacement *replacement; /* by word; malloc'd */
    uint32_t words;              /* capacity of both */
    uint64_t walk;               /* number of the last walk */
} kc_walk_room;

typedef struct {
    const kc_template *t;  /* through which it leads */
    const kc_own *own;     /* of the object */
    const kr_byte *object; /* its bytes; the decoder has written those before the current word */
    kc_walk_room *room;    /* buffers */
    kc_date *date;         /* the last date that was converted */
    int64_t shift;         /* seconds that times are expected to differ from the template's */
    int shifted;           /* a time was replaced: all times are stops */
} kc_walk;

/* What is expected for a word. */
typedef struct {
    const kr_byte *text; /* NULL: the time `value` */
    uint32_t len;        /* bytes of `text` */
    int64_t value;       /* of a word with a value */
} kc_expected;

static inline void kc_stop_at_times(kc_walk *w, uint32_t from)
{
    uint64_t *stop = w->room->stop;
    const uint64_t *times = w->t->times;
    uint32_t i = from / 64;
    if (from >= w->t->count)
        return;
    stop[i] |= times[i] & ~(uint64_t)0 << (from % 64);
    for (i++; i <= w->t->count / 64; i++)
        stop[i] |= times[i];
}

/* Starts a walk; 0 if there is no memory. */
static int kc_walk_start(
    kc_walk *w, kc_walk_room *room, const kc_template *t, const kc_own *own, const kr_byte *object, kc_date *date)
{
    *w = (kc_walk){t, own, object, room, date, 0, 0};
    if (t->count > room->words || !room->words) {
        uint32_t words = t->count < 1024 ? 1024 : t->count;
        free(room->stop);
        free(room->replacement);
        room->stop = (uint64_t *)malloc((words / 64 + 1) * 8);
        room->replacement = (kc_replacement *)calloc(words, sizeof *room->replacement);
        room->words = room->stop && room->replacement ? words : 0;
        if (!room->words)
            return 0;
    }
    room->walk++;
    memset(room->stop, 0, (t->count / 64 + 1) * 8);
    uint32_t differs = kc_own_difference(own, &t->own, t->parts);
    for (uint32_t i = 0; differs && i < t->owneds; i++) {
        uint32_t n = t->owned[i];
        room->stop[n / 64] |= (uint64_t)(differs >> kc_part(t, n) & 1) << (n % 64);
    }
    if (own->time && t->own.time) {
        w->shift = own->time - t->own.time;
        w->shifted = 1;
        kc_stop_at_times(w, 0);
    }
    return 1;
}

/* Returns the first stop from word n on, the number of words if there is none. */
static inline uint32_t kc_walk_next(const kc_walk *w, uint32_t n)
{
    uint32_t count = w->t->count, i = n / 64;
    if (n >= count)
        return count;
    uint64_t bits = w->room->stop[i] & ~(uint64_t)0 << (n % 64);
    while (!bits) {
        if (++i > count / 64)
            return count;
        bits = w->room->stop[i];
    }
    return 64 * i + (uint32_t)__builtin_ctzll(bits);
}

static inline kc_expected kc_walk_expect(const kc_walk *w, uint32_t n)
{
    const kc_template *t = w->t;
    const kc_replacement *r = &w->room->replacement[n];
    unsigned type = kc_type(t, n);
    if (type == KC_OWN && w->own->part[kc_part(t, n)].len)
        return (kc_expected){w->own->part[kc_part(t, n)].at, (uint32_t)w->own->part[kc_part(t, n)].len, 0};
    if (r->walk == w->room->walk) {
        r = &w->room->replacement[r->first];
        return (kc_expected){w->object + r->at, r->len, r->value};
    }
    kc_expected e = {t->raw + t->start[n], kc_word_len(t, n), kc_word_value(t, n, w->date)};
    if (w->shift && (type == KC_TIME || type == KC_MICRO)) {
        e.text = NULL;
        e.value += type == KC_TIME ? w->shift : w->shift * 1000000;
    }
    return e;
}

/* Records that word n was replaced by the bytes at `at` of the object, whose value is `value`. */
static inline void kc_walk_replace(kc_walk *w, uint32_t n, uint32_t at, uint32_t len, int64_t value)
{
    kc_walk_room *room = w->room;
    unsigned type = kc_type(w->t, n);
    if (room->replacement[n].walk != room->walk) {
        room->replacement[n].walk = room->walk;
        room->replacement[n].first = n;
        for (uint32_t i = kc_next(w->t, n); i != KC_NO_WORD; i = kc_next(w->t, i)) {
            if (room->replacement[i].walk == room->walk)
                break;
            room->replacement[i].walk = room->walk;
            room->replacement[i].first = n;
            room->stop[i / 64] |= (uint64_t)1 << (i % 64);
        }
    }
    kc_replacement *r = &room->replacement[room->replacement[n].first];
    r->at = at;
    r->len = len;
    r->value = value;
    if (type != KC_TIME && type != KC_MICRO)
        return;
    int64_t before = kc_word_value(w->t, n, w->date);
    w->shift = type == KC_TIME ? value - before : value / 1000000 - before / 1000000;
    if (!w->shifted) {
        w->shifted = 1;
        kc_stop_at_times(w, n + 1);
    }
}

#endif
