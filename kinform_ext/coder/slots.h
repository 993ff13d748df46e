/* Slot lists: the words of a template that siblings usually replace, so that a blob need not name them.
 *
 * A list is made from the rates at which words below the same key were replaced in the whole collection, so it is good
 * after two siblings. It never changes. A template has up to KC_MAX_LISTS of them, and each blob states which it uses.
 */
#ifndef KINFORM_SLOTS_H
#define KINFORM_SLOTS_H

#include "diff.h"

enum {
    KC_MAX_LISTS = 3,
    KC_MAX_SLOTS = 255,
    KC_SLOT_GENERIC = 0x8000,
    KC_SLOT_WORD = 0x7fff,
    KC_MIN_RATES = 128,   /* kinds of words with a rate each */
    KC_MAX_RATES = 1024,
    KC_KIND = 0x7fff,
    KC_NO_KIND = 0xffff,
    KC_MAX_LEARNT = 8192, /* words of a template that has slot lists */
};

typedef struct kc_slots {
    struct kc_slots *older; /* the list made before for the same template; NULL: none */
    uint16_t number; /* 1 to KC_MAX_LISTS */
    uint16_t count;  /* slots */
    uint16_t slot[]; /* word of the template | KC_SLOT_GENERIC if a text replaces it, in the order of the words */
} kc_slots;

/* How often words of a kind were met, and replaced. Their kind: the key before, their place after it, their type, and
 * whether the value came before in the template. */
typedef struct {
    uint8_t met;     /* words; all three are halved when it would overflow */
    uint8_t native;  /* of those, replaced by a value of their type */
    uint8_t generic; /* of those, replaced by a text */
} kc_rate;

typedef struct {
    kc_rate *rate;  /* by the low bits of the kind; malloc'd; NULL: none yet */
    uint32_t count; /* entries: a power of two, or 0 */
} kc_rates;

/* Makes room for the kinds of `words` words; 0 if there is no memory. */
static inline int kc_rates_reserve(kc_rates *r, uint32_t words)
{
    uint32_t count = KC_MIN_RATES;
    while (count < 4 * words && count < KC_MAX_RATES)
        count *= 2;
    if (count <= r->count)
        return 1;
    kc_rate *grown = (kc_rate *)calloc(count, sizeof *grown);
    if (!grown)
        return 0;
    for (uint32_t i = 0; r->count && i < count; i++)
        grown[i] = r->rate[i & (r->count - 1)]; /* the other bits of a kind are not known */
    free(r->rate);
    r->rate = grown;
    r->count = count;
    return 1;
}

/* Sets the kind of each word of a template; that of the second and third word of a time is KC_NO_KIND. */
static void kc_kinds(const kc_template *t, uint16_t *kind)
{
    uint64_t follows[KC_SETS] = {0}; /* a bit for each special word whose value came before */
    uint32_t key = 0, place = 0, n = 0, special = 0, passed = 0; /* passed: the word after the last one */
    for (uint32_t block = 0; block < t->blocks; block++)
        for (uint64_t starts = kc_starts(t, block); starts; starts &= starts - 1, n++) {
            if (n < passed) {
                kind[n] = KC_NO_KIND;
                continue;
            }
            const kc_word word = t->special[special].word == n
                ? kc_special_word(t, special++) : kc_plain_word(t, n, 64 * block + (uint32_t)__builtin_ctzll(starts));
            const unsigned type = word.type < KC_OWN ? word.type : (unsigned)KC_OWN;
            int came_before = 0;
            if (type == KC_KEY)
                key = (uint32_t)kc_hash(t->raw + word.start, word.stop - word.start);
            else if (word.special != KC_NO_SPECIAL && type != KC_OWN) {
                const uint32_t next = t->special[word.special].next;
                came_before = kc_is_in(follows, word.special);
                if (next != KC_NO_SPECIAL)
                    kc_add(follows, next);
            }
            place = type == KC_KEY ? 0 : place + 1;
            const uint32_t value = type * 0x51ed27u ^ (unsigned)came_before * 0x3c6ef3u;
            const uint32_t mixed = key ^ value ^ (place < 15 ? place : 15) * 0x2545f5u;
            kind[n] = (uint16_t)(mixed * 0x9e3779b1u >> 16 & KC_KIND);
            passed = n + kc_numbers(type);
        }
}

/* Counts the words of a template and what a diff replaced. `kind` of each word as kc_kinds sets it. */
static void kc_rates_note(const kc_rates *rates, const kc_template *t, const kc_diff *d, const uint16_t *kind)
{
    const uint32_t mask = rates->count - 1;
    for (uint32_t n = 0; n < t->count; n++) {
        kc_rate *r = &rates->rate[kind[n] & mask];
        if (kind[n] == KC_NO_KIND)
            continue;
        if (r->met == UINT8_MAX) {
            r->met /= 2;
            r->native /= 2;
            r->generic /= 2;
        }
        r->met++;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        const kc_op *op = &d->op[i];
        kc_rate *r = &rates->rate[kind[op->word < t->count ? op->word : 0] & mask];
        if (op->kind == KC_NATIVE)
            r->native += r->native < UINT8_MAX;
        else if (op->kind == KC_GENERIC)
            r->generic += r->generic < UINT8_MAX;
    }
}

/* Makes a list: the words that at least half of the objects replace. NULL if there is no memory. */
static kc_slots *kc_slots_new(const kc_rates *rates, const kc_template *t, const uint16_t *kind)
{
    uint16_t slot[KC_MAX_SLOTS], count = 0;
    for (uint32_t n = 0; n < t->count && n <= KC_SLOT_WORD && count < KC_MAX_SLOTS; n++) {
        const kc_rate *r = &rates->rate[kind[n] & (rates->count - 1)];
        if (kind[n] != KC_NO_KIND && r->met >= 2 && 2u * (r->native + (uint32_t)r->generic) >= r->met)
            slot[count++] = (uint16_t)(n | (r->generic > r->native ? KC_SLOT_GENERIC : 0));
    }
    kc_slots *made = (kc_slots *)malloc(sizeof *made + count * sizeof *slot);
    if (made) {
        made->older = NULL;
        made->number = 0;
        made->count = count;
        memcpy(made->slot, slot, count * sizeof *slot);
    }
    return made;
}

/* Copies a list from untrusted bytes; NULL if it is too long, or there is no memory. */
static inline kc_slots *kc_slots_copy(const kr_byte *from, size_t count)
{
    kc_slots *made = count <= KC_MAX_SLOTS ? (kc_slots *)malloc(sizeof *made + count * sizeof *made->slot) : NULL;
    if (made) {
        made->count = (uint16_t)count;
        memcpy(made->slot, from, count * sizeof *made->slot);
    }
    return made;
}

#endif
