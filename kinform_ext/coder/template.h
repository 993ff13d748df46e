/* A template, built for use: the bytes of an object, and its words.
 *
 * Words lie in order and do not overlap. A time is one word, although it has colons. Words of equal value are linked: if
 * one changes, the others are expected to change alike. Keys of JSON objects and short words are not linked.
 * Bound: an object of less than 64 KiB. About 10 bytes a word and 1.05 times its bytes, so 10 KB for a pod.
 */
#ifndef KINFORM_TEMPLATE_H
#define KINFORM_TEMPLATE_H

#include <stdlib.h>

#include "own.h"

enum {
    KC_MAX_TEMPLATE = 0xffff,  /* bytes */
    KC_NO_WORD = 0xffff,
    KC_MIN_LINKED = 6,         /* characters of a word that is linked */
    KC_MIN_LINKED_DECIMAL = 5, /* the same of a decimal */
    KC_MAX_KEY = 1024,         /* characters of a key that is recognized as such */
    KC_LANDING = 12,           /* bytes that must be equal where a structure ends: see diff.h */
    KC_MAX_LOOKS = 32,         /* slots to look at for a word to link: colliding words stay unlinked */
};

typedef struct {
    uint16_t start, len; /* bytes of the template */
    uint16_t root;       /* the first word of this value; KC_NO_WORD: no other word has it */
    uint16_t next;       /* the next word of this value, KC_NO_WORD: none */
    uint8_t type;        /* KC_TEXT ... KC_OWN */
    uint8_t part;        /* KC_OWN: which part */
} kc_word;

typedef struct kc_template {
    kr_byte *raw;        /* the bytes, then KC_SLACK zeros */
    uint32_t len;        /* bytes of `raw` */
    uint32_t count;      /* words */
    uint64_t *times;     /* a bit for each word that is a time; malloc'd together with the next three */
    kc_word *word;       /* by number */
    uint16_t *owned;     /* the words of type KC_OWN, in order */
    uint16_t *first;     /* for each 64 bytes: the first word that ends there or later */
    uint32_t owneds;     /* entries of `owned` */
    uint32_t mask;       /* of `head` */
    uint16_t *head;      /* by hash of the bytes at its start: the last such word, see kc_template_index; malloc'd */
    uint16_t *chain;     /* by word: the word before with the same hash; part of `head` */
    kc_own own;          /* its parts lie in `names` */
    kr_byte *names;      /* the bytes of its identity; malloc'd together with this structure and `raw` */
    uint32_t size;       /* bytes allocated */
    uint32_t counted;    /* bytes by which the cache counts it: see cache.h */
    uint32_t number;     /* its number: see templates.h */
    void *owner;         /* whose template it is: see cache.h */
    struct kc_template *newer, *older; /* in the order of their use: see cache.h */
    uint32_t pins;       /* while not 0 it stays in the cache */
} kc_template;

/* Buffers for building, reused. */
typedef struct {
    kc_word *word;     /* malloc'd */
    uint16_t *owned;   /* malloc'd */
    uint16_t *slot;    /* words by hash of their value; malloc'd */
    uint32_t words;    /* capacity of `word` and `owned` */
    uint32_t slots;    /* capacity of `slot` */
} kc_build_room;

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

/* Returns the type of a word that is no key, and no part of the object's own. */
static inline int kc_type_of(const kr_byte *p, size_t len)
{
    int64_t value;
    kr_byte packed[KC_MAX_HEX / 2];
    if (*p <= '9') {
        if (kc_parse_decimal(p, len, &value))
            return KC_DECIMAL;
        if (len >= 7 && len <= 15 && kc_parse_ip(p, len, &value))
            return KC_IP;
    }
    if (len < 8 || (kr_hex_digit(p[0]) | kr_hex_digit(p[1]) | kr_hex_digit(p[2])) < 0)
        return KC_TEXT;
    if (len == KC_UUID_LEN && kc_pack_uuid(p, packed))
        return KC_UUID;
    return len % 2 == 0 && len <= KC_MAX_HEX && kc_pack_hex(p, len, packed) ? KC_HEX : KC_TEXT;
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

static inline int kc_build_reserve(kc_build_room *room, size_t len)
{
    uint32_t words = (uint32_t)len / 2 + 2, slots = 256;
    while (slots < len / 4)
        slots *= 2;
    if (words > room->words) {
        free(room->word);
        free(room->owned);
        room->word = (kc_word *)malloc(words * sizeof *room->word);
        room->owned = (uint16_t *)malloc(words * sizeof *room->owned);
        room->words = room->word && room->owned ? words : 0;
    }
    if (slots > room->slots) {
        free(room->slot);
        room->slot = (uint16_t *)malloc(slots * sizeof *room->slot);
        room->slots = room->slot ? slots : 0;
    }
    return room->words && room->slots;
}

/* Links word n to the last word of the same value. */
static inline void kc_link(kc_build_room *room, uint32_t mask, const kr_byte *raw, uint32_t n)
{
    kc_word *w = &room->word[n];
    const kr_byte *p = raw + w->start;
    size_t len = w->len;
    uint64_t mixed = len >= 8 ? kc_load8(p) ^ kc_load8(p + len - 8) * 0x9e3779b97f4a7c15u
                              : (uint64_t)kc_load4(p) << 32 | kc_load4(p + len - 4);
    uint32_t i = (uint32_t)((mixed + len) * 0xff51afd7ed558ccdu >> 40) & mask;
    for (int looks = 0; room->slot[i] != KC_NO_WORD; i = (i + 1) & mask) {
        uint32_t found = room->slot[i];
        if (++looks > KC_MAX_LOOKS)
            return;
        kc_word *before = &room->word[found];
        if (before->len != len || memcmp(raw + before->start, p, len))
            continue;
        if (before->root == KC_NO_WORD)
            before->root = (uint16_t)found;
        before->next = (uint16_t)n;
        w->root = before->root;
        break;
    }
    room->slot[i] = (uint16_t)n;
}

/* Copies words and bitmaps from the room; 0 if there is no memory. */
static inline int kc_template_take(kc_template *t, const kc_build_room *room, uint32_t count, uint32_t owned)
{
    size_t bits = (count / 64 + 1) * 8, words = count * sizeof(kc_word), parts = owned * 2u, blocks = t->len / 64 + 2u;
    size_t size = bits + words + parts + blocks * 2;
    kr_byte *block = (kr_byte *)malloc(size);
    if (!block)
        return 0;
    t->times = (uint64_t *)block;
    t->word = (kc_word *)(block + bits);
    memset(block, 0, bits);
    memcpy(t->word, room->word, words);
    t->owned = (uint16_t *)(block + bits + words);
    memcpy(t->owned, room->owned, parts);
    t->first = t->owned + owned;
    t->count = count;
    t->owneds = owned;
    t->size += (uint32_t)size;
    uint32_t n = 0;
    for (uint32_t i = 0; i < blocks; i++) {
        while (n < count && t->word[n].start + t->word[n].len < 64 * i)
            n++;
        t->first[i] = (uint16_t)n;
    }
    for (n = 0; n < count; n++)
        if (t->word[n].type == KC_TIME || t->word[n].type == KC_MICRO)
            t->times[n / 64] |= (uint64_t)1 << (n % 64);
    return 1;
}

/* Finds the words; 0 if there is no memory. `raw` is written, its length at most KC_MAX_TEMPLATE. */
static int kc_template_build(kc_template *t, kc_build_room *room, kc_date *date)
{
    const kr_byte *raw = t->raw;
    uint32_t len = t->len, n = 0, owned = 0, start = 0, passed = 0, mask = 255;
    uint64_t carry = 0;
    int open = 0;
    kc_own_filter filter = kc_own_filter_of(&t->own);
    if (!kc_build_reserve(room, len))
        return 0;
    while (mask + 1 < len / 4)
        mask = 2 * mask + 1;
    memset(room->slot, 0xff, (mask + 1) * sizeof *room->slot);
    for (uint32_t block = 0; block <= len / 64; block++) {
        uint64_t bits = kc_word_mask(raw + 64 * block);
        if (block == len / 64)
            bits &= len % 64 ? ((uint64_t)1 << len % 64) - 1 : 0;
        uint64_t edges = bits ^ (bits << 1 | carry);
        carry = bits >> 63;
        for (; edges; edges &= edges - 1) {
            uint32_t end = 64 * block + (uint32_t)__builtin_ctzll(edges);
            if (!open) {
                start = end;
                open = 1;
                continue;
            }
            open = 0;
            if (start < passed)
                continue;
            uint32_t size = end - start;
            kc_word *w = &room->word[n];
            *w = (kc_word){(uint16_t)start, (uint16_t)size, KC_NO_WORD, KC_NO_WORD, KC_TEXT, 0};
            n++;
            if (raw[end] == '"' && raw[end + 1] == ':' && start && raw[start - 1] == '"' && size < KC_MAX_KEY)
                continue;
            int part = kc_own_part(&filter, raw + start, size);
            if (part >= 0) {
                w->type = KC_OWN;
                w->part = (uint8_t)part;
                room->owned[owned++] = (uint16_t)(n - 1);
                continue;
            }
            int64_t value;
            if (size == 13 && raw[end] == ':' && raw[start] <= '9') {
                size_t time = kc_parse_time(raw + start, len - start, &value, date);
                if (time && !(start + time < len && kc_is_word(raw[start + time]))) {
                    w->len = (uint16_t)time;
                    w->type = time == KC_TIME_LEN ? KC_TIME : KC_MICRO;
                    passed = start + (uint32_t)time;
                }
            }
            if (w->type == KC_TEXT)
                w->type = (uint8_t)kc_type_of(raw + start, size);
            if (w->len >= KC_MIN_LINKED || (w->type == KC_DECIMAL && w->len >= KC_MIN_LINKED_DECIMAL))
                kc_link(room, mask, raw, n - 1);
        }
    }
    return kc_template_take(t, room, n, owned);
}

static inline uint32_t kc_word_stop(const kc_word *w)
{
    return (uint32_t)w->start + w->len;
}

/* Returns the value of a word; 0 if its type has none. */
static inline int64_t kc_word_value(const kc_template *t, const kc_word *w, kc_date *date)
{
    const kr_byte *p = t->raw + w->start;
    int64_t value = 0;
    if (w->type == KC_DECIMAL)
        kc_parse_decimal(p, w->len, &value);
    else if (w->type == KC_IP)
        kc_parse_ip(p, w->len, &value);
    else if (w->type == KC_TIME || w->type == KC_MICRO)
        kc_parse_time(p, w->len, &value, date);
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
    while (slots < 2 * t->count)
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
        if (t->word[n].start + (uint32_t)KC_LANDING > t->len)
            continue;
        uint16_t *head = &t->head[kc_landing_hash(t->raw + t->word[n].start) & t->mask];
        t->chain[n] = *head;
        *head = (uint16_t)n;
    }
    return 1;
}

#endif
