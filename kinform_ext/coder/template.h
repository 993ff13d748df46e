/* A template, built for use: the bytes of an object, and its words.
 *
 * Words lie in order and do not overlap. A time is one word, although it has colons. Building finds the words, the
 * times and the parts of the object's own. The types of other words, and which words have equal values, are found when
 * they are asked for. Keys of JSON objects and short words are not linked.
 * Bound: an object of at most KC_MAX_TEMPLATE bytes and KC_MAX_WORDS words. About 11 bytes a word and 1.05 times its
 * bytes, so 10 KB for a pod.
 */
#ifndef KINFORM_TEMPLATE_H
#define KINFORM_TEMPLATE_H

#include <stdlib.h>

#include "own.h"

enum {
    KC_MAX_TEMPLATE = 256 << 10, /* bytes */
    KC_MAX_WORDS = 0xfff0,
    KC_NO_WORD = 0xffff,
    KC_NOT_LINKED = 0xfffe,    /* it is not known yet which word is the next one of the same value */
    KC_MIN_LINKED = 6,         /* characters of a word that is linked */
    KC_MIN_LINKED_DECIMAL = 5, /* the same of a decimal */
    KC_LANDING = 12,           /* bytes that must be equal where a structure ends: see diff.h */
    KC_LANES = 8,              /* words that are compared at once */
};

typedef struct kc_template {
    kr_byte *raw;        /* the bytes, then KC_SLACK zeros */
    uint32_t len;        /* bytes of `raw` */
    uint32_t count;      /* words */
    uint64_t *times;     /* a bit for each word that is a time; malloc'd together with the next six */
    uint32_t *start;     /* by word: its first byte */
    uint32_t *stop;      /* by word: the byte after its last one; `start` and `stop` have KC_LANES zeros more */
    uint16_t *next;      /* by word: the next word of this value, KC_NO_WORD: none, or KC_NOT_LINKED; see kc_next */
    uint16_t *first;     /* for each 64 bytes: the first word that ends there or later */
    uint16_t *owned;     /* the words of type KC_OWN and above, in order */
    uint8_t *type;       /* by word: KC_TEXT ... KC_KEY, KC_OWN + part, or KC_NOT_TYPED; see kc_type */
    uint32_t owneds;     /* entries of `owned` */
    uint32_t parts;      /* a bit for each part of the object's own that a word is */
    uint32_t mask;       /* of `head` */
    uint16_t *head;      /* by hash of the bytes at its start: the last such word, see kc_template_index; malloc'd */
    uint16_t *chain;     /* by word: the word before with the same hash; part of `head` */
    kc_own own;          /* its parts lie in `names` */
    kr_byte *names;      /* the bytes of its identity; malloc'd together with this structure and `raw` */
    uint32_t size;       /* bytes allocated */
    uint32_t bare;       /* of those, without the tables */
    uint32_t counted;    /* bytes by which the cache counts it: see cache.h */
    uint32_t number;     /* its number: see templates.h */
    void *owner;         /* whose template it is: see cache.h */
    struct kc_template *newer, *older; /* in the order of their use: see cache.h */
    uint32_t pins;       /* while not 0 it stays in the cache */
    int is_built;        /* in which list of the cache it is */
} kc_template;

/* Allocates a template for an object of `len` bytes, which the caller then writes to `raw`; NULL if there is no memory.
 */
static kc_template *kc_template_new(const kr_text identity[4], size_t len)
{
    size_t names = identity[0].len + identity[1].len + identity[2].len + identity[3].len;
    size_t size = sizeof(kc_template) + names + len + KC_SLACK;
    kc_template *t = (kc_template *)malloc(size);
    kr_text copy[4];
    if (!t)
        return NULL;
    memset(t, 0, sizeof *t);
    t->names = (kr_byte *)(t + 1);
    t->raw = t->names + names;
    t->len = (uint32_t)len;
    t->size = t->bare = (uint32_t)size;
    kr_byte *to = t->names;
    for (int i = 0; i < 4; i++) {
        copy[i] = (kr_text){to, identity[i].len};
        to = kr_put_text(to, &identity[i]);
    }
    kc_own_init(&t->own, copy);
    memset(t->raw + len, 0, KC_SLACK);
    return t;
}

/* Frees the tables; the bytes stay. */
static void kc_template_strip(kc_template *t)
{
    free(t->times);
    free(t->head);
    t->times = NULL;
    t->head = NULL;
    t->count = t->owneds = t->parts = 0;
    t->size = t->bare;
}

static void kc_template_free(kc_template *t)
{
    free(t->times);
    free(t->head);
    free(t);
}

/* The lengths and first bytes of an object's parts, to recognize most other words at once. */
typedef struct {
    uint64_t filter;         /* a bit for each hash of length and first byte */
    const kc_own *own;       /* the parts */
} kc_own_filter;

static inline unsigned kc_own_bit(size_t len, kr_byte first)
{
    return (unsigned)(len * 37 + first) & 63;
}

static inline kc_own_filter kc_own_filter_of(const kc_own *own)
{
    kc_own_filter f = {0, own};
    for (int i = 0; i < KC_PARTS; i++)
        if (own->part[i].len >= KC_MIN_PART)
            f.filter |= (uint64_t)1 << kc_own_bit(own->part[i].len, own->part[i].at[0]);
    return f;
}

/* Returns which part a word is, -1: none. */
static inline int kc_own_part(const kc_own_filter *f, const kr_byte *p, size_t len)
{
    if (!(f->filter >> kc_own_bit(len, *p) & 1))
        return -1;
    for (int i = 0; i < KC_PARTS; i++)
        if (f->own->part[i].len == len && len >= KC_MIN_PART && !memcmp(f->own->part[i].at, p, len))
            return i;
    return -1;
}

/* Allocates the tables for at most `words` words; 0 if these are too many, or there is no memory. */
static inline int kc_template_reserve(kc_template *t, uint32_t words)
{
    uint32_t lanes = words + KC_LANES, blocks = t->len / 64 + 2;
    size_t bits = (words / 64 + 1) * 8, offsets = 2 * lanes * sizeof *t->start;
    size_t size = bits + offsets + (2 * words + blocks) * sizeof *t->next + words;
    kr_byte *block = words <= KC_MAX_WORDS ? (kr_byte *)malloc(size) : NULL;
    if (!block)
        return 0;
    t->size += (uint32_t)size;
    t->times = (uint64_t *)block;
    t->start = (uint32_t *)(block + bits);
    t->stop = t->start + lanes;
    t->next = (uint16_t *)(t->stop + lanes);
    t->first = t->next + words;
    t->owned = t->first + blocks;
    t->type = (uint8_t *)(t->owned + words);
    memset(block, 0, bits + offsets);
    for (uint32_t n = 0; n < words; n++)
        t->next[n] = KC_NOT_LINKED;
    return 1;
}

/* Finds the words; 0 if these are too many, or there is no memory. `raw` is written, at most KC_MAX_TEMPLATE bytes. */
static int kc_template_build(kc_template *t, kc_date *date)
{
    uint64_t edge[KC_MAX_TEMPLATE / 64 + 1]; /* a bit for each byte at which a word begins or has ended */
    const kr_byte *raw = t->raw;
    uint32_t len = t->len, n = 0, start = 0, passed = 0, edges = 0, block;
    uint64_t carry = 0;
    int open = 0;
    kc_own_filter filter = kc_own_filter_of(&t->own);
    for (block = 0; block <= len / 64; block++) {
        uint64_t bits = kc_word_mask(raw + 64 * block);
        edge[block] = bits ^ (bits << 1 | carry);
        carry = bits >> 63;
        edges += (uint32_t)__builtin_popcountll(edge[block]);
    }
    if (!kc_template_reserve(t, edges / 2 + 1))
        return 0;
    for (block = 0; block <= len / 64; block++) {
        t->first[block] = (uint16_t)(n - (passed >= 64 * block && passed > start && n));
        for (uint64_t bits = edge[block]; bits; bits &= bits - 1) {
            uint32_t end = 64 * block + (uint32_t)__builtin_ctzll(bits);
            open = !open;
            if (open) {
                start = end;
                continue;
            }
            if (start < passed)
                continue;
            uint32_t size = end - start, type = KC_NOT_TYPED;
            int part = kc_own_part(&filter, raw + start, size);
            int64_t value;
            if (part >= 0 && !kc_is_key(raw, start, end)) {
                type = KC_OWN + (uint32_t)part;
                t->owned[t->owneds++] = (uint16_t)n;
                t->parts |= 1u << part;
            } else if (size == 13 && raw[end] == ':' && raw[start] <= '9') {
                uint32_t time = (uint32_t)kc_parse_time(raw + start, len - start, &value, date);
                if (time && !(start + time < len && kc_is_word(raw[start + time]))) {
                    type = time == KC_TIME_LEN ? KC_TIME : KC_MICRO;
                    passed = end = start + time;
                    t->times[n / 64] |= (uint64_t)1 << (n % 64);
                }
            }
            t->start[n] = start;
            t->stop[n] = end;
            t->type[n] = (uint8_t)type;
            n++;
        }
    }
    t->count = n;
    t->first[block] = (uint16_t)n;
    return 1;
}

/* Returns the type of a word: KC_TEXT ... KC_OWN, KC_OWN for all parts. */
static inline unsigned kc_type(const kc_template *t, uint32_t n)
{
    if (t->type[n] == KC_NOT_TYPED)
        t->type[n] = (uint8_t)(kc_is_key(t->raw, t->start[n], t->stop[n])
            ? KC_KEY : kc_type_of(t->raw + t->start[n], t->stop[n] - (size_t)t->start[n]));
    return t->type[n] < KC_OWN ? t->type[n] : KC_OWN;
}

/* Returns which part of the object's own a word of type KC_OWN is. */
static inline unsigned kc_part(const kc_template *t, uint32_t n)
{
    return t->type[n] - (unsigned)KC_OWN;
}

static inline uint32_t kc_word_len(const kc_template *t, uint32_t n)
{
    return t->stop[n] - t->start[n];
}

/* Returns the first word from n on that has as many bytes, the number of words if there is none. */
static inline uint32_t kc_same_length(const kc_template *t, uint32_t n, uint32_t len)
{
    for (;; n += KC_LANES) {
        const uint32_t *start = t->start + n, *stop = t->stop + n;
        uint32_t any = 0;
        if (n >= t->count)
            return t->count;
        for (int i = 0; i < KC_LANES; i++)
            any |= stop[i] - start[i] == len;
        for (int i = 0; any; i++)
            if (stop[i] - start[i] == len)
                return n + (uint32_t)i;
    }
}

/* Returns whether words of this type and length are linked. */
static inline int kc_is_linked(unsigned type, uint32_t len)
{
    return type < KC_KEY && len >= (type == KC_DECIMAL ? KC_MIN_LINKED_DECIMAL : KC_MIN_LINKED);
}

/* Returns the next word of the same value, KC_NO_WORD if there is none. */
static inline uint32_t kc_next(const kc_template *t, uint32_t n)
{
    const kr_byte *p = t->raw + t->start[n];
    uint32_t len = kc_word_len(t, n), found = n;
    if (t->next[n] != KC_NOT_LINKED)
        return t->next[n];
    t->next[n] = KC_NO_WORD;
    if (!kc_is_linked(kc_type(t, n), len))
        return KC_NO_WORD;
    do
        found = kc_same_length(t, found + 1, len);
    while (found < t->count && (memcmp(t->raw + t->start[found], p, len) || kc_type(t, found) >= KC_KEY));
    if (found < t->count)
        t->next[n] = (uint16_t)found;
    return t->next[n];
}

/* Returns the value of a word; 0 if its type has none. */
static inline int64_t kc_word_value(const kc_template *t, uint32_t n, kc_date *date)
{
    const kr_byte *p = t->raw + t->start[n];
    size_t len = kc_word_len(t, n);
    int64_t value = 0;
    switch (kc_type(t, n)) {
    case KC_DECIMAL:
        kc_parse_decimal(p, len, &value);
        break;
    case KC_IP:
        kc_parse_ip(p, len, &value);
        break;
    case KC_TIME:
    case KC_MICRO:
        kc_parse_time(p, len, &value, date);
        break;
    default:
        break;
    }
    return value;
}

/* Hashes the bytes at the start of a word. */
static inline uint32_t kc_landing_hash(const kr_byte *p)
{
    return (uint32_t)((kc_load8(p) ^ (uint64_t)kc_load4(p + 8) * 0xff51afd7ed558ccdu) * 0x9e3779b97f4a7c15u >> 32);
}

/* Makes the index of word starts, once; 0 if there is no memory. */
static int kc_template_index(kc_template *t)
{
    uint32_t slots = 64;
    if (t->head)
        return 1;
    while (slots < t->count)
        slots *= 2;
    t->head = (uint16_t *)malloc((slots + t->count) * sizeof *t->head);
    if (!t->head)
        return 0;
    t->chain = t->head + slots;
    t->mask = slots - 1;
    t->size += (slots + t->count) * (uint32_t)sizeof *t->head;
    memset(t->head, 0xff, slots * sizeof *t->head);
    for (uint32_t n = t->count; n-- > 0;) {
        t->chain[n] = KC_NO_WORD;
        if (t->start[n] + (uint32_t)KC_LANDING > t->len)
            continue;
        uint16_t *head = &t->head[kc_landing_hash(t->raw + t->start[n]) & t->mask];
        t->chain[n] = *head;
        *head = (uint16_t)n;
    }
    return 1;
}

#endif
