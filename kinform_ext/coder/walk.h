/* A walk through a template: what the next word is expected to be, after the words that were replaced so far.
 *
 * Encoder and decoder walk alike, so what is expected need not be written. A word must be looked at (it is a stop) if
 * another text than the template's may be expected there, so it is one of the special words:
 *   - a part of the object's own that differs from the template's part: the object's part is expected;
 *   - a word of a value that was replaced before: the last replacement is expected;
 *   - a time, once a time was replaced: the same shift is expected; before, that of the times in both names.
 * The first of these rules that applies is used; that of parts does not apply if the object's part is absent. Without a
 * rule the template's word is expected. A replaced word is linked to the later words of its value or part, not to
 * earlier ones. After a jump back it expects its own last replacement.
 *
 * A stop where the expected text is met is not a replacement, except for a shifted time. A word that is replaced by a
 * text, or by the template's word, keeps the template's value: after such a time the shift is 0.
 * No expected text is empty. At most one walk is in progress in a room.
 */
#ifndef KINFORM_WALK_H
#define KINFORM_WALK_H

#include "template.h"

enum { KC_SETS = KC_MAX_SPECIALS / 64 + 1 }; /* 64 bits each for a set of special words */

/* A value that was replaced. */
typedef struct {
    uint32_t at;   /* offset of the last replacement in the object */
    uint32_t len;  /* bytes of that replacement */
    int64_t value; /* its value, if the word was replaced natively */
} kc_replacement;

/* Buffers for walks, reused. */
typedef struct {
    uint64_t stop[KC_SETS];                      /* a bit for each special word */
    uint64_t replaced[KC_SETS];                  /* a bit for each whose value was replaced */
    uint16_t group[KC_MAX_SPECIALS];             /* of those: the first one of the value that was replaced */
    kc_replacement replacement[KC_MAX_SPECIALS]; /* by group */
} kc_walk_room;

typedef struct {
    const kc_template *t;  /* through which it leads */
    const kc_own *own;     /* of the object */
    const kr_byte *object; /* its bytes; the decoder has written those before the current word */
    kc_walk_room *room;    /* buffers */
    kc_dates *dates;       /* that were converted last */
    int64_t shift;         /* seconds that times are expected to differ from the template's */
    int shifted;           /* a time was replaced: all times are stops */
    uint32_t n;            /* the current word */
    uint32_t special;      /* the first special word from there on */
    uint32_t block;        /* of a word before that; see kc_word_start */
} kc_walk;

/* The text that is expected for a word. */
typedef struct {
    const kr_byte *text; /* NULL: the time `value` */
    uint32_t len;        /* bytes of `text` */
    int64_t value;       /* of a word with a value */
} kc_expected;

static inline int kc_is_in(const uint64_t *set, uint32_t i)
{
    return (int)(set[i / 64] >> (i % 64) & 1);
}

static inline void kc_add(uint64_t *set, uint32_t i)
{
    set[i / 64] |= (uint64_t)1 << (i % 64);
}

/* Makes all times stops. */
static inline void kc_stop_at_times(kc_walk *w)
{
    for (uint32_t i = 0; i <= w->t->specials / 64; i++)
        w->room->stop[i] |= w->t->times[i];
    w->shifted = 1;
}

/* Starts a walk. */
static inline kc_walk kc_walk_start(
    kc_walk_room *room, const kc_template *t, const kc_own *own, const kr_byte *object, kc_dates *dates)
{
    kc_walk w = {.t = t, .own = own, .object = object, .room = room, .dates = dates};
    const size_t size = (t->specials / 64 + 1) * sizeof *room->stop;
    memset(room->stop, 0, size);
    memset(room->replaced, 0, size);
    for (uint32_t parts = kc_own_difference(own, &t->own, t->parts); parts; parts &= parts - 1)
        for (uint32_t i = t->owned[__builtin_ctz(parts)]; i != KC_NO_SPECIAL; i = t->special[i].next)
            kc_add(room->stop, i);
    if (own->time && t->own.time) {
        w.shift = own->time - t->own.time;
        kc_stop_at_times(&w);
    }
    return w;
}

/* Continues at word n. */
static inline void kc_walk_to(kc_walk *w, uint32_t n)
{
    uint32_t i = n < w->n ? 0 : w->special;
    while (w->t->special[i].word < n)
        i++;
    w->special = i;
    w->n = n;
}

/* Returns the next stop, the number of special words after the last one. */
static inline uint32_t kc_walk_next(const kc_walk *w)
{
    uint32_t i = w->special / 64, last = w->t->specials / 64;
    uint64_t bits = w->room->stop[i] & ~(uint64_t)0 << (w->special % 64);
    while (!bits && i < last)
        bits = w->room->stop[++i];
    return bits ? 64 * i + (uint32_t)__builtin_ctzll(bits) : w->t->specials;
}

/* Continues at word n, which is less than `count`, and returns it. */
static inline kc_word kc_walk_word(kc_walk *w, uint32_t n)
{
    kc_walk_to(w, n);
    if (w->t->special[w->special].word == n)
        return kc_special_word(w->t, w->special);
    return kc_plain_word(w->t, n, kc_word_start(w->t, n, &w->block));
}

/* Continues after a word. */
static inline void kc_walk_after(kc_walk *w, const kc_word *word)
{
    kc_walk_to(w, word->number + kc_numbers(word->type));
}

/* Continues at the word to which the byte at `at` belongs, or that ends there. If no word does from the current one on,
 * continues at the first word after it, and returns 0. */
static inline int kc_walk_around(kc_walk *w, uint32_t at, kc_word *word)
{
    const kc_template *t = w->t;
    const uint32_t n = kc_words_before(t, at + 1), within = at - !kc_is_in_word(t, at);
    if (n <= w->n || !kc_is_in_word(t, within)) {
        kc_walk_to(w, n > w->n ? n : w->n);
        return 0;
    }
    uint32_t i = w->special;
    while (t->special[i].word + kc_numbers(t->special[i].type) < n)
        i++;
    w->special = i;
    *word = t->special[i].word < n ? kc_special_word(t, i) : kc_plain_word(t, n - 1, kc_start_of(t, within));
    w->n = word->number;
    return 1;
}

/* Returns the start of word n, the end of the template if n is the number of words. */
static inline uint32_t kc_walk_start_of(kc_walk *w, uint32_t n)
{
    return n < w->t->count ? kc_word_start(w->t, n, &w->block) : w->t->len;
}

static inline kc_expected kc_walk_expect(const kc_walk *w, const kc_word *word)
{
    const kc_template *t = w->t;
    if (word->type >= KC_OWN) {
        const kr_text *part = &w->own->part[word->type - KC_OWN];
        if (part->len)
            return (kc_expected){part->at, (uint32_t)part->len, 0};
    }
    if (word->special != KC_NO_SPECIAL && kc_is_in(w->room->replaced, word->special)) {
        const kc_replacement *r = &w->room->replacement[w->room->group[word->special]];
        return (kc_expected){w->object + r->at, r->len, r->value};
    }
    kc_expected e = {t->raw + word->start, word->stop - word->start, kc_word_value(t, word, w->dates)};
    if (w->shift && kc_is_time(word->type)) {
        e.text = NULL;
        e.value += word->type == KC_TIME ? w->shift : w->shift * 1000000;
    }
    return e;
}

/* Records that a word is the `len` bytes at `at` of the object, whose value is `value`, although the template has
 * others. */
static inline void kc_walk_note(kc_walk *w, const kc_word *word, uint32_t at, uint32_t len, int64_t value)
{
    kc_walk_room *room = w->room;
    if (word->special == KC_NO_SPECIAL)
        return;
    if (!kc_is_in(room->replaced, word->special))
        for (uint32_t i = word->special; i != KC_NO_SPECIAL; i = w->t->special[i].next) {
            if (kc_is_in(room->replaced, i))
                break;
            kc_add(room->replaced, i);
            kc_add(room->stop, i);
            room->group[i] = word->special;
        }
    room->replacement[room->group[word->special]] = (kc_replacement){at, len, value};
}

/* The same of a word that is not what was expected. */
static inline void kc_walk_replace(kc_walk *w, const kc_word *word, uint32_t at, uint32_t len, int64_t value)
{
    kc_walk_note(w, word, at, len, value);
    if (!kc_is_time(word->type))
        return;
    int64_t before = kc_word_value(w->t, word, w->dates);
    w->shift = word->type == KC_TIME ? value - before : value / 1000000 - before / 1000000;
    if (!w->shifted)
        kc_stop_at_times(w);
}

#endif
