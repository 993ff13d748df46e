/* Building a template: from the bytes of an object to its words, and which of them are special.
 *
 * A word may be special if it has KC_MIN_PART to KC_MAX_SPECIAL characters, is not a key, and is a part, a time before
 * a byte that belongs to no word, or at least KC_MIN_LINKED characters long. It is special if it is a part, a time, or
 * its value recurs among the words that may be special. Those after the first KC_MAX_SPECIALS of an object are not
 * special; a time is then three words. The encoder and each decoder find the same words.
 * Bound: see template.h, and 30 KB of the stack while it is built.
 */
#ifndef KINFORM_TEMPLATE_BUILD_H
#define KINFORM_TEMPLATE_BUILD_H

#include "template.h"

enum {
    KC_MIN_LINKED = 6,         /* characters of a word that is special because its value recurs */
    KC_MIN_LINKED_DECIMAL = 5, /* the same of a decimal */
};

/* Sets the words; 0 if these are too many. */
static inline int kc_find_words(kc_template *t)
{
    uint32_t n = 0;
    for (uint32_t block = 0; block < t->blocks; block++) {
        t->mask[block] = kc_word_mask(t->raw + 64 * block);
        t->first[block] = (uint16_t)n;
        n += kc_bits(kc_starts(t, block));
        if (n > KC_MAX_WORDS)
            return 0;
    }
    t->first[t->blocks] = (uint16_t)n;
    t->count = n;
    return 1;
}

/* The lengths and first two characters of an object's parts, to recognize most other words at once. */
typedef struct {
    uint64_t bits[16]; /* a bit for each, by hash */
} kc_own_filter;

/* Returns the bit of a word of at least KC_MIN_PART characters. */
static inline uint32_t kc_own_bit(const kr_byte *p, uint32_t len)
{
    uint16_t first;
    memcpy(&first, p, sizeof first);
    return (((uint32_t)first << 8 | (len & 255)) * 0x9e3779b1u) >> 22;
}

static inline kc_own_filter kc_own_filter_of(const kc_own *own)
{
    kc_own_filter f = {{0}};
    for (int i = 0; i < KC_PARTS; i++)
        if (own->part[i].len >= KC_MIN_PART && own->part[i].len <= KC_MAX_SPECIAL) {
            const uint32_t bit = kc_own_bit(own->part[i].at, (uint32_t)own->part[i].len);
            f.bits[bit / 64] |= (uint64_t)1 << (bit % 64);
        }
    return f;
}

/* Returns whether a word may be a part. */
static inline uint32_t kc_may_be_own(const kc_own_filter *f, const kr_byte *p, uint32_t len)
{
    const uint32_t bit = kc_own_bit(p, len);
    return (uint32_t)(f->bits[bit / 64] >> (bit % 64) & 1);
}

/* Returns which part a word is, -1: none. */
static inline int kc_own_part(const kc_own *own, const kr_byte *p, size_t len)
{
    for (int i = 0; i < KC_PARTS; i++)
        if (own->part[i].len == len && !memcmp(own->part[i].at, p, len))
            return i;
    return -1;
}

enum {
    KC_BATCH = 32,                  /* blocks that are searched at once */
    KC_BATCH_WORDS = 16 * KC_BATCH, /* words of at least KC_MIN_PART characters that end in these blocks */
    KC_VALUE_SLOTS = 2048,          /* for the values of candidates: twice KC_MAX_SPECIALS */
};

/* A word that may be special. */
typedef struct {
    uint32_t start; /* its first byte */
    uint8_t len;    /* its bytes */
    uint8_t type;   /* KC_UNTYPED, KC_TIME, KC_MICRO, or KC_OWN + part */
    uint16_t next;  /* index of the next one of this value or part; KC_MAX_SPECIALS: none */
} kc_candidate;

/* A word that is no key, and is long enough or may be a part. */
typedef struct {
    uint32_t start;  /* its first byte */
    uint32_t len;    /* its bytes */
    uint32_t is_own; /* whether it may be a part */
} kc_long;

/* Buffers for building. The loops that fill them have few branches, as most of these could not be predicted. */
typedef struct {
    kc_candidate word[KC_MAX_SPECIALS];      /* in order */
    uint8_t is_special[KC_MAX_SPECIALS];     /* whether it is: 0 or 1 */
    uint16_t index[KC_MAX_SPECIALS + 1];     /* of it among the special words, if `is_special`; then KC_NO_SPECIAL */
    uint32_t hash[KC_MAX_SPECIALS];          /* of its value */
    uint16_t before[KC_MAX_SPECIALS];        /* the one before in the same slot, plus 1; 0: none */
    uint16_t slot[KC_VALUE_SLOTS + 1];       /* by hash: the last one, plus 1; 0: none. The last slot: without value */
    uint16_t chosen[KC_MAX_SPECIALS];        /* some of them, in order */
    uint16_t last[KC_PARTS];                 /* by part: the last one */
    uint32_t count;                          /* of them */
    uint32_t passed;                         /* the end of the last time */
    kc_long found[KC_BATCH_WORDS + 1];       /* words of a batch */
} kc_candidates;

/* Finds long words that end in the blocks [block, limit); returns their number. */
static inline uint32_t kc_find_long(
    kc_long *found, const kc_template *t, const kc_own_filter *filter, uint32_t block, uint32_t limit)
{
    const kr_byte *raw = t->raw;
    const uint64_t *mask = t->mask;
    uint64_t before = block ? mask[block - 1] : 0;
    uint32_t count = 0, open = before >> 63 ? kc_start_of(t, 64 * block - 1) : 0; /* open: the last word's start */
    for (; block < limit; block++) {
        const uint32_t base = 64 * block;
        const uint64_t bits = mask[block];
        const uint64_t longer = (bits << 1 | before >> 63) & (bits << 2 | before >> 62) & (bits << 3 | before >> 61);
        open = before >> 63 ? open : base;
        for (uint64_t ends = ~bits & longer & ~kc_key_mask(raw + base); ends; ends &= ends - 1) {
            const uint64_t below = (ends & -ends) - 1, others = ~bits & below;
            const uint32_t start = others ? base + 64 - (uint32_t)__builtin_clzll(others) : open;
            const uint32_t len = base + (uint32_t)__builtin_ctzll(ends) - start;
            const uint32_t is_own = kc_may_be_own(filter, raw + start, len);
            found[count] = (kc_long){start, len, is_own};
            count += is_own | (len >= KC_MIN_LINKED) | ((len >= KC_MIN_LINKED_DECIMAL) & (raw[start] <= '9'));
        }
        open = ~bits ? base + 64 - (uint32_t)__builtin_clzll(~bits) : open;
        before = bits;
    }
    return count;
}

/* Adds a word as a candidate, if it is one. */
static inline void kc_add_candidate(kc_candidates *c, kc_template *t, const kc_long *found, kc_dates *dates)
{
    const kr_byte *p = t->raw + found->start;
    const uint16_t index = (uint16_t)c->count;
    uint32_t len = found->len;
    const int part = found->is_own ? kc_own_part(&t->own, p, len) : -1;
    unsigned type = KC_UNTYPED;
    int64_t value;
    if (len > KC_MAX_SPECIAL || found->start < c->passed)
        return;
    if (part >= 0) {
        type = (unsigned)KC_OWN + (unsigned)part;
        *(t->parts >> part & 1 ? &c->word[c->last[part]].next : &t->owned[part]) = index;
        t->parts |= 1u << part;
        c->last[part] = index;
    } else if (len == 13 && p[13] == ':' && *p <= '9') {
        uint32_t time = (uint32_t)kc_parse_time(p, t->len - found->start, &value, dates);
        if (time && !kc_is_word(p[time])) {
            type = time == KC_TIME_LEN ? KC_TIME : KC_MICRO;
            len = time;
            c->passed = found->start + time;
        }
    } else if (len < KC_MIN_LINKED && (len < KC_MIN_LINKED_DECIMAL || !kc_parse_decimal(p, len, &value)))
        return;
    c->word[index] = (kc_candidate){found->start, (uint8_t)len, (uint8_t)type, KC_MAX_SPECIALS};
    c->is_special[index] = type != KC_UNTYPED;
    c->count++;
}

/* Links candidates of the same value. */
static inline void kc_link_values(kc_candidates *c, const kr_byte *raw)
{
    uint32_t count = 0;
    memset(c->slot, 0, sizeof c->slot);
    for (uint32_t i = 0; i < c->count; i++) {
        const kc_candidate *w = &c->word[i];
        const kr_byte *p = raw + w->start;
        const uint64_t some = (uint64_t)kc_load4(p) << 32 | kc_load4(p + w->len - 4);
        const uint64_t hash = (some ^ (uint64_t)kc_load4(p + w->len / 2 - 2) * 0xff51afd7u) * 0x9e3779b97f4a7c15u;
        const int has_value = w->type == KC_UNTYPED || kc_is_time(w->type);
        uint16_t *slot = &c->slot[has_value ? hash >> 53 : KC_VALUE_SLOTS];
        c->hash[i] = (uint32_t)(hash >> 21);
        c->before[i] = *slot;
        *slot = (uint16_t)(i + 1);
        c->chosen[count] = (uint16_t)i;
        count += (c->before[i] != 0) & has_value;
    }
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t i = c->chosen[n];
        const kc_candidate *w = &c->word[i];
        uint32_t j = c->before[i];
        while (j && (c->hash[j - 1] != c->hash[i] || c->word[j - 1].len != w->len
                     || memcmp(raw + c->word[j - 1].start, raw + w->start, w->len)))
            j = c->before[j - 1];
        if (j) {
            c->word[j - 1].next = (uint16_t)i;
            c->is_special[j - 1] = c->is_special[i] = 1;
        }
    }
}

/* Finds the words that may be special, and which of them are. */
static inline void kc_find_candidates(kc_candidates *c, kc_template *t, kc_dates *dates)
{
    const kc_own_filter filter = kc_own_filter_of(&t->own);
    c->count = c->passed = t->parts = 0;
    for (uint32_t block = 0; block < t->blocks; block += KC_BATCH) {
        const uint32_t limit = block + KC_BATCH < t->blocks ? block + (uint32_t)KC_BATCH : t->blocks;
        const uint32_t count = kc_find_long(c->found, t, &filter, block, limit);
        for (uint32_t i = 0; i < count && c->count < KC_MAX_SPECIALS; i++)
            kc_add_candidate(c, t, &c->found[i], dates);
    }
    kc_link_values(c, t->raw);
}

/* Finds the words; 0 if these are too many, or there is no memory. `raw` is written. */
static int kc_template_build(kc_template *t, kc_dates *dates)
{
    kc_candidates c;
    uint32_t n = 0;
    if (!kc_find_words(t))
        return 0;
    kc_find_candidates(&c, t, dates);
    for (uint32_t i = 0; i < c.count; i++) {
        c.index[i] = (uint16_t)n;
        c.chosen[n] = (uint16_t)i;
        n += c.is_special[i];
    }
    c.index[KC_MAX_SPECIALS] = KC_NO_SPECIAL;
    const size_t times = (n / 64 + 1) * sizeof *t->times, size = times + (n + 1) * sizeof *t->special;
    t->times = (uint64_t *)calloc(1, size);
    if (!t->times)
        return 0;
    t->special = (kc_special *)(t->times + n / 64 + 1);
    t->special[n] = (kc_special){t->len, 0, KC_TEXT, (uint16_t)t->count, KC_NO_SPECIAL};
    t->specials = n;
    t->size += (uint32_t)size;
    for (uint32_t i = 0; i < n; i++) {
        const kc_candidate *w = &c.word[c.chosen[i]];
        t->times[i / 64] |= (uint64_t)kc_is_time(w->type) << (i % 64);
        t->special[i] = (kc_special){
            w->start, w->len, w->type & 31u, (uint16_t)kc_words_before(t, w->start), c.index[w->next]};
    }
    for (int part = 0; part < KC_PARTS; part++)
        if (t->parts >> part & 1)
            t->owned[part] = c.index[t->owned[part]];
    return 1;
}

#endif
