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

typedef struct {
    uint64_t walk;  /* the walk in which the value was replaced; of another one it is not valid */
    uint32_t at;    /* offset of the replacement in the object */
    uint32_t len;   /* its bytes */
    int64_t value;  /* its value, if the word is replaced natively */
} kc_replacement;

/* Buffers for walks, reused. */
typedef struct {
    uint64_t *stop;              /* a bit for each word; malloc'd */
    kc_replacement *replacement; /* by root of the word; malloc'd */
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
    uint32_t differs = t->owneds ? kc_own_difference(own, &t->own) : 0;
    for (uint32_t i = 0; differs && i < t->owneds; i++) {
        uint32_t n = t->owned[i];
        room->stop[n / 64] |= (uint64_t)(differs >> t->word[n].part & 1) << (n % 64);
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
    const kc_word *word = &w->t->word[n];
    if (word->type == KC_OWN && w->own->part[word->part].len)
        return (kc_expected){w->own->part[word->part].at, (uint32_t)w->own->part[word->part].len, 0};
    if (word->root != KC_NO_WORD && w->room->replacement[word->root].walk == w->room->walk) {
        const kc_replacement *r = &w->room->replacement[word->root];
        return (kc_expected){w->object + r->at, r->len, r->value};
    }
    kc_expected e = {w->t->raw + word->start, word->len, kc_word_value(w->t, word, w->date)};
    if (w->shift && (word->type == KC_TIME || word->type == KC_MICRO)) {
        e.text = NULL;
        e.value += word->type == KC_TIME ? w->shift : w->shift * 1000000;
    }
    return e;
}

/* Records that word n was replaced by the bytes at `at` of the object, whose value is `value`. */
static inline void kc_walk_replace(kc_walk *w, uint32_t n, uint32_t at, uint32_t len, int64_t value)
{
    const kc_word *word = &w->t->word[n];
    if (word->root != KC_NO_WORD) {
        w->room->replacement[word->root] = (kc_replacement){w->room->walk, at, len, value};
        for (uint32_t i = word->next; i != KC_NO_WORD; i = w->t->word[i].next)
            w->room->stop[i / 64] |= (uint64_t)1 << (i % 64);
    }
    if (word->type != KC_TIME && word->type != KC_MICRO)
        return;
    int64_t before = kc_word_value(w->t, word, w->date);
    w->shift = word->type == KC_TIME ? value - before : value / 1000000 - before / 1000000;
    if (!w->shifted) {
        w->shifted = 1;
        kc_stop_at_times(w, n + 1);
    }
}

#endif
