/* A template: the bytes of an object, and what must be known of its words.
 *
 * Words are numbered in order, as the bits of kc_word_mask show them. A time is three of these words, because of its
 * colons; the first one stands for it. Few words are special: parts of the object's own, times, and words whose value
 * recurs; which ones, see template_build.h. Only for those more is kept; the type of another word is found when it is
 * asked for. For the order of types see values.h.
 * Bound: an object of at most KC_MAX_TEMPLATE bytes and KC_MAX_WORDS words. 1.16 times its bytes, 8 bytes for a special
 * word and three quarters of a KiB: 6.8 KB for a pod.
 */
#ifndef KINFORM_TEMPLATE_H
#define KINFORM_TEMPLATE_H

#include <stdlib.h>

#include "own.h"

enum {
    KC_MAX_TEMPLATE = 256 << 10, /* bytes */
    KC_MAX_WORDS = 0xfff0,
    KC_NO_WORD = 0xffff,
    KC_MAX_SPECIALS = 1024,
    KC_NO_SPECIAL = 0xffff,
    KC_MAX_SPECIAL = 255,        /* characters of any special word */
    KC_UNTYPED = 31,             /* the type of a special word that is found when it is asked for */
    KC_LANDING = 12,             /* bytes that must be equal where a structure ends: see diff.h */
};

/* A special word. */
typedef struct {
    uint32_t start : 19; /* its first byte */
    uint32_t len : 8;    /* its bytes */
    uint32_t type : 5;   /* KC_TEXT ... KC_MICRO, KC_UNTYPED, or KC_OWN + part; see kc_special_word */
    uint16_t word;       /* its number */
    uint16_t next;       /* index of the next one of this value or part; KC_NO_SPECIAL: it is the last one */
} kc_special;

typedef struct {
    kr_byte *raw;        /* the bytes, then KC_SLACK zeros */
    uint32_t len;        /* bytes of `raw` */
    uint32_t blocks;     /* of 64 bytes; the last one has at least one zero */
    uint32_t count;      /* words */
    uint32_t specials;   /* special words */
    uint64_t *mask;      /* by block: a bit for each byte that belongs to a word */
    uint16_t *first;     /* by block, and one more: the words that begin before it */
    uint64_t *times;     /* a bit for each special word that is a time; malloc'd; NULL: the words are not known yet */
    kc_special *special; /* in the order of the words; then one that begins at the end; part of `times` */
    uint16_t *head;      /* by hash of the bytes at its start: the last such word, see kc_template_index; malloc'd */
    uint16_t *chain;     /* by word: the word before with the same hash; part of `head` */
    uint32_t heads;      /* entries of `head`: a power of two */
    uint32_t parts;      /* a bit for each part of the object's own that a word is */
    uint16_t owned[KC_PARTS]; /* by part: the first special word that is this part, if `parts` has its bit */
    kc_own own;          /* its parts lie in `names` */
    kr_byte *names;      /* the bytes of its identity; malloc'd together with this structure, `raw`, `mask`, `first` */
    uint32_t size;       /* bytes allocated */
    uint32_t counted;    /* bytes by which the cache counts it: see cache.h */
    uint32_t number;     /* its number: see templates.h */
    uint32_t pins;       /* while not 0 it stays in the cache */
    void *owner;         /* whose template it is: see cache.h */
    uint32_t place;      /* in the cache */
    uint32_t room;       /* templates of its size for which the cache has room */
} kc_template;

/* A word of a template. */
typedef struct {
    uint32_t start;   /* its first byte */
    uint32_t stop;    /* the byte after its last one */
    uint16_t number;  /* of it, or of the first of the three words of a time */
    uint16_t special; /* its index; KC_NO_SPECIAL: it is not special */
    uint8_t type;     /* KC_TEXT ... KC_KEY, or KC_OWN + part */
} kc_word;

/* Allocates a template for an object of `len` bytes, which the caller then writes to `raw`; NULL if there is no memory.
 */
static kc_template *kc_template_new(const kr_text identity[4], size_t len)
{
    size_t names = identity[0].len + identity[1].len + identity[2].len + identity[3].len, blocks = len / 64 + 1;
    size_t tables = blocks * sizeof(uint64_t) + (blocks + 1) * sizeof(uint16_t);
    size_t size = sizeof(kc_template) + tables + names + len + KC_SLACK;
    kc_template *t = (kc_template *)malloc(size);
    kr_text copy[4];
    if (!t)
        return NULL;
    memset(t, 0, sizeof *t);
    t->mask = (uint64_t *)(t + 1);
    t->first = (uint16_t *)(t->mask + blocks);
    t->names = (kr_byte *)(t->first + blocks + 1);
    t->raw = t->names + names;
    t->len = (uint32_t)len;
    t->blocks = (uint32_t)blocks;
    t->size = (uint32_t)size;
    kr_byte *to = t->names;
    for (int i = 0; i < 4; i++) {
        copy[i] = (kr_text){to, identity[i].len};
        to = kr_put_text(to, &identity[i]);
    }
    kc_own_init(&t->own, copy);
    memset(t->raw + len, 0, KC_SLACK);
    return t;
}

static void kc_template_free(kc_template *t)
{
    free(t->times);
    free(t->head);
    free(t);
}

/* ---- words ---- */

/* Returns the bytes of a block at which a word begins. */
static inline uint64_t kc_starts(const kc_template *t, uint32_t block)
{
    uint64_t bits = t->mask[block], before = block ? t->mask[block - 1] >> 63 : 0;
    return bits & ~(bits << 1 | before);
}

/* Returns the end of the word to which a byte belongs. */
static inline uint32_t kc_stop_of(const kc_template *t, uint32_t at)
{
    uint32_t block = at / 64;
    uint64_t others = ~t->mask[block] & ~(uint64_t)0 << (at % 64);
    while (!others)
        others = ~t->mask[++block];
    return 64 * block + (uint32_t)__builtin_ctzll(others);
}

/* Returns the start of the word to which a byte belongs. */
static inline uint32_t kc_start_of(const kc_template *t, uint32_t at)
{
    uint32_t block = at / 64;
    uint64_t others = ~t->mask[block] & ~(uint64_t)0 >> (63 - at % 64);
    while (!others && block)
        others = ~t->mask[--block];
    return others ? 64 * block + 64 - (uint32_t)__builtin_clzll(others) : 0;
}

static inline int kc_is_in_word(const kc_template *t, uint32_t at)
{
    return (int)(t->mask[at / 64] >> (at % 64) & 1);
}

/* Returns how many words begin before `at`. */
static inline uint32_t kc_words_before(const kc_template *t, uint32_t at)
{
    uint64_t below = ((uint64_t)1 << (at % 64)) - 1;
    return t->first[at / 64] + kc_bits(kc_starts(t, at / 64) & below);
}

/* Returns the end of the last word that ends before `at`, or there; 0 if `at` lies before all words. */
static inline uint32_t kc_end_before(const kc_template *t, uint32_t at)
{
    uint32_t block = at / 64;
    uint64_t bits = t->mask[block] & (((uint64_t)1 << (at % 64)) - 1);
    while (!bits && block)
        bits = t->mask[--block];
    return bits ? 64 * block + 64 - (uint32_t)__builtin_clzll(bits) : 0;
}

/* Returns the start of word n < count. `block`: one before it makes this faster; is set to the word's. */
static inline uint32_t kc_word_start(const kc_template *t, uint32_t n, uint32_t *block)
{
    uint32_t i = t->first[*block] <= n ? *block : 0;
    while (t->first[i + 1] <= n)
        i++;
    uint64_t starts = kc_starts(t, i);
    for (uint32_t skipped = n - t->first[i]; skipped; skipped--)
        starts &= starts - 1;
    *block = i;
    return 64 * i + (uint32_t)__builtin_ctzll(starts);
}

/* Returns the special word of an index, and finds its type when it is asked for first. */
static inline kc_word kc_special_word(const kc_template *t, uint32_t index)
{
    kc_special *s = &t->special[index];
    if (s->type == KC_UNTYPED)
        s->type = kc_type_of(t->raw + s->start, s->len) & 31;
    return (kc_word){s->start, s->start + s->len, s->word, (uint16_t)index, (uint8_t)s->type};
}

/* Returns the word that is not special and begins at `start`. */
static inline kc_word kc_plain_word(const kc_template *t, uint32_t n, uint32_t start)
{
    uint32_t stop = kc_stop_of(t, start);
    unsigned type = kc_is_key_end(t->raw + stop) ? KC_KEY : kc_type_of(t->raw + start, stop - start);
    return (kc_word){start, stop, (uint16_t)n, KC_NO_SPECIAL, (uint8_t)type};
}

static inline int kc_is_time(unsigned type)
{
    return type == KC_TIME || type == KC_MICRO;
}

/* Returns how many numbers a word takes. */
static inline uint32_t kc_numbers(unsigned type)
{
    return kc_is_time(type) ? 3 : 1;
}

/* Returns the value of a word; 0 if its type has none. */
static inline int64_t kc_word_value(const kc_template *t, const kc_word *word, kc_dates *dates)
{
    const kr_byte *p = t->raw + word->start;
    size_t len = word->stop - word->start;
    int64_t value = 0;
    switch (word->type) {
    case KC_DECIMAL:
        kc_parse_decimal(p, len, &value);
        break;
    case KC_IP:
        kc_parse_ip(p, len, &value);
        break;
    case KC_TIME:
    case KC_MICRO:
        kc_parse_time(p, len, &value, dates);
        break;
    default:
        break;
    }
    return value;
}

/* ---- landings ---- */

/* Hashes the bytes at the start of a word. */
static inline uint32_t kc_landing_hash(const kr_byte *p)
{
    return (uint32_t)((kc_load8(p) ^ (uint64_t)kc_load4(p + 8) * 0xff51afd7ed558ccdu) * 0x9e3779b97f4a7c15u >> 32);
}

/* Frees the index of word starts. */
static inline void kc_template_drop_index(kc_template *t)
{
    if (!t->head)
        return;
    t->size -= (t->heads + t->count) * (uint32_t)sizeof *t->head;
    free(t->head);
    t->head = NULL;
}

/* Makes the index of word starts, once; 0 if there is no memory. */
static int kc_template_index(kc_template *t)
{
    uint32_t heads = 64, n = t->count;
    if (t->head)
        return 1;
    while (heads < t->count)
        heads *= 2;
    t->head = (uint16_t *)malloc((heads + t->count) * sizeof *t->head);
    if (!t->head)
        return 0;
    t->chain = t->head + heads;
    t->heads = heads;
    t->size += (heads + t->count) * (uint32_t)sizeof *t->head;
    memset(t->head, 0xff, heads * sizeof *t->head);
    for (uint32_t block = t->blocks; block-- > 0;)
        for (uint64_t starts = kc_starts(t, block), bit; starts; starts ^= bit) {
            const unsigned at = 63 - (unsigned)__builtin_clzll(starts);
            const uint32_t start = 64 * block + at;
            bit = (uint64_t)1 << at;
            t->chain[--n] = KC_NO_WORD;
            if (start + (uint32_t)KC_LANDING > t->len)
                continue;
            uint16_t *head = &t->head[kc_landing_hash(t->raw + start) & (heads - 1)];
            t->chain[n] = *head;
            *head = (uint16_t)n;
        }
    return 1;
}

#endif
