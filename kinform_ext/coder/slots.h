/* Slot lists: the words of a template that siblings usually replace, so that a blob need not name them.
 *
 * A list is made from the rates at which words below the same key were replaced in the whole collection, so it is good
 * after two siblings. It never changes. A template has up to KC_MAX_LISTS of them, and each blob states which it uses.
 */
#ifndef KINFORM_SLOTS_H
#define KINFORM_SLOTS_H

#include "diff.h"

enum { KC_MAX_LISTS = 3, KC_MAX_SLOTS = 255, KC_RATES = 4096, KC_SLOT_GENERIC = 0x8000, KC_SLOT_WORD = 0x7fff };
enum { KC_SIGHTED = 1024 }; /* values that kc_kinds remembers */

typedef struct {
    uint16_t count;  /* slots */
    uint16_t slot[]; /* word of the template | KC_SLOT_GENERIC if a text replaces it, in the order of the words */
} kc_slots;

/* How often words of a kind were met, and replaced. Their kind: the key before, their place after it, their type, and
 * whether the value came before in the template. */
typedef struct {
    uint16_t met;     /* words */
    uint16_t native;  /* of those, replaced by a value of their type */
    uint16_t generic; /* of those, replaced by a text */
} kc_rate;

/* Sets the kind of each word of a template, a number below KC_RATES. */
static void kc_kinds(const kc_template *t, uint16_t *kind)
{
    uint16_t sighted[KC_SIGHTED] = {0}; /* by hash of a value: other bits of its hash */
    uint32_t key = 0, place = 0;
    for (uint32_t n = 0; n < t->count; n++) {
        const unsigned type = kc_type(t, n);
        const uint32_t len = kc_word_len(t, n);
        int follows = 0;
        if (type == KC_KEY)
            key = (uint32_t)kc_hash(t->raw + t->start[n], len);
        else if (kc_is_linked(type, len)) {
            uint64_t hash = kc_hash(t->raw + t->start[n], len);
            uint16_t tag = (uint16_t)(hash >> 48 | 1);
            follows = sighted[hash % KC_SIGHTED] == tag;
            sighted[hash % KC_SIGHTED] = tag;
        }
        place = type == KC_KEY ? 0 : place + 1;
        uint32_t mixed = key ^ type * 0x51ed27u ^ (place < 15 ? place : 15) * 0x2545f5u ^ (unsigned)follows * 0x3c6ef3u;
        kind[n] = (uint16_t)(mixed * 0x9e3779b1u >> 20);
    }
}

/* Counts the words of a template and what a diff replaced. `kind` of each word as kc_kinds sets it. */
static void kc_rates_note(kc_rate *rate, const kc_template *t, const kc_diff *d, const uint16_t *kind)
{
    for (uint32_t n = 0; n < t->count; n++)
        if (++rate[kind[n]].met == UINT16_MAX) {
            rate[kind[n]].met /= 2;
            rate[kind[n]].native /= 2;
            rate[kind[n]].generic /= 2;
        }
    for (uint32_t i = 0; i < d->count; i++) {
        const kc_op *op = &d->op[i];
        if (op->kind == KC_NATIVE)
            rate[kind[op->word]].native += rate[kind[op->word]].native < UINT16_MAX;
        else if (op->kind == KC_GENERIC)
            rate[kind[op->word]].generic += rate[kind[op->word]].generic < UINT16_MAX;
    }
}

/* Makes a list: the words that at least half of the objects replace. NULL if there is no memory. */
static kc_slots *kc_slots_new(const kc_rate *rate, const kc_template *t, const uint16_t *kind)
{
    uint16_t slot[KC_MAX_SLOTS], count = 0;
    for (uint32_t n = 0; n < t->count && n <= KC_SLOT_WORD && count < KC_MAX_SLOTS; n++) {
        const kc_rate *r = &rate[kind[n]];
        if (r->met >= 2 && 2u * (r->native + (uint32_t)r->generic) >= r->met)
            slot[count++] = (uint16_t)(n | (r->generic > r->native ? KC_SLOT_GENERIC : 0));
    }
    kc_slots *made = (kc_slots *)malloc(sizeof *made + count * sizeof *slot);
    if (made) {
        made->count = count;
        memcpy(made->slot, slot, count * sizeof *slot);
    }
    return made;
}

#endif
