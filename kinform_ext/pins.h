/* Pins: the set of ids that an iterator shows, fixed when the iterator starts.
 *
 * Later writes do not change the set. A pinned record that is removed stays in limbo until the iterator passes it or
 * ends. A pin costs two bits for each id of the table.
 */
#ifndef KINFORM_PINS_H
#define KINFORM_PINS_H

#include "table.h"

/* Releases a pin, and frees the records in limbo that nothing else needs. A second call does nothing. */
static void kt_pin_release(kt_table *t, kt_pin *pin)
{
    if (!pin->link)
        return;
    *pin->link = pin->next;
    if (pin->next)
        pin->next->link = pin->link;
    pin->link = NULL;
    for (uint32_t i = 0; i < pin->words && t->limbo; i++)
        for (uint64_t bits = pin->bits[i]; bits; bits &= bits - 1) {
            uint32_t id = i * 64 + (uint32_t)__builtin_ctzll(bits);
            if (kr_id_is_used(&t->ids, id)) /* else a template, freed with its last user */
                kt_free_if_unneeded(t, id);
        }
    free(pin->bits);
    pin->bits = NULL;
    pin->words = pin->removed = 0;
}

/* Allocates the bits of a pin for all ids of the table; 0 if there is no memory. */
static int kt_pin_allocate(const kt_table *t, kt_pin *pin)
{
    pin->words = (kr_ids_end(&t->ids) + 63) / 64;
    pin->bits = (uint64_t *)calloc(2 * (size_t)pin->words + 1, 8);
    return pin->bits != NULL;
}

/* Returns whether a record is visible, and in this namespace unless that is KR_NONE. */
static inline int kt_is_selected(const kt_table *t, uint32_t id, uint32_t namespace)
{
    const kr_byte *record = kt_record(t, id);
    uint32_t partition;
    kr_name(record, &partition);
    return kt_is_visible(kt_stream_of(t, partition), kr_word(record))
        && (namespace == KR_NONE || t->namespaces.partition[partition].namespace == namespace);
}

static void kt_pin_link(kt_table *t, kt_pin *pin)
{
    pin->next = t->pins;
    pin->link = &t->pins;
    if (pin->next)
        pin->next->link = &pin->next;
    t->pins = pin;
}

/* Pins all visible records, of one namespace unless that is KR_NONE. Returns their number, -1 if there is no memory. */
static int64_t kt_pin_all(kt_table *t, kt_pin *pin, uint32_t namespace)
{
    int64_t count = 0;
    int all = namespace == KR_NONE && t->visible == t->records && !t->limbo;
    if (!kt_pin_allocate(t, pin))
        return -1;
    for (uint32_t i = 0; i < pin->words; i++) {
        uint64_t bits = kr_ids_used_bits(&t->ids, i * 64), left = all ? 0 : bits;
        for (; left; left &= left - 1)
            if (!kt_is_selected(t, i * 64 + (uint32_t)__builtin_ctzll(left), namespace))
                bits &= ~(left & -left);
        pin->bits[i] = bits;
        count += __builtin_popcountll(bits);
    }
    kt_pin_link(t, pin);
    return count;
}

/* Pins like kt_pin_all, but only ids of this set. */
static int64_t kt_pin_ids(kt_table *t, kt_pin *pin, uint32_t namespace, kx_idset *set)
{
    int64_t count = 0;
    if (!kt_pin_allocate(t, pin))
        return -1;
    for (uint32_t id = 0; (id = kx_idset_next(set, id)) != KX_NONE; id++)
        if (kt_is_selected(t, id, namespace)) {
            pin->bits[id / 64] |= (uint64_t)1 << (id % 64);
            count++;
        }
    kt_pin_link(t, pin);
    return count;
}

/* Pins the ids of another pin, which may be released; 0 if there is no memory. */
static int kt_pin_copy(kt_table *t, kt_pin *pin, const kt_pin *from)
{
    size_t size = (2 * (size_t)from->words + 1) * 8;
    if (!from->bits)
        return 1;
    pin->bits = (uint64_t *)malloc(size);
    if (!pin->bits)
        return 0;
    memcpy(pin->bits, from->bits, size);
    pin->words = from->words;
    pin->removed = from->removed;
    kt_pin_link(t, pin);
    return 1;
}

/* Returns the pinned id of a key, or KR_NONE. Does not find records that were removed since. */
static uint32_t kt_pin_find(const kt_table *t, const kt_pin *pin, const kr_text *namespace, const kr_text *name)
{
    uint32_t i = kr_namespace_find(&t->namespaces, namespace, kr_namespace_hash(&t->namespaces, namespace));
    if (i == KR_NONE)
        return i;
    for (i = t->namespaces.namespace[i].first; i != KR_NONE; i = t->namespaces.partition[i].next) {
        kt_found found = kt_find(t, i, name, kt_key_hash(&t->namespaces, i, name));
        uint32_t ids[] = {found.plain, found.staged};
        for (int j = 0; j < 2; j++)
            if (ids[j] / 64 < pin->words && pin->bits[ids[j] / 64] >> (ids[j] % 64) & 1)
                return ids[j];
    }
    return KR_NONE;
}

/* Adds the records of all templates to a pin; returns how many it did not have, and sets `added` for their numbers. */
static int64_t kt_pin_templates(kt_table *t, kt_pin *pin, kr_byte *added)
{
    const kc_templates *templates = &t->coder.templates;
    int64_t count = 0;
    for (uint32_t number = 1; number <= templates->count; number++) {
        if (!kc_number_is_used(templates, number))
            continue;
        uint32_t id = kc_entry_of(templates, number)->record;
        uint64_t bit = (uint64_t)1 << (id % 64);
        added[number] = !(pin->bits[id / 64] & bit);
        count += added[number];
        pin->bits[id / 64] |= bit;
    }
    return count;
}

/* Releases the id that the iterator has passed, unless that is KR_NONE. Returns the next one, KR_NONE at the end. */
static uint32_t kt_pin_advance(kt_table *t, kt_pin *pin, uint32_t passed)
{
    uint32_t i = 0;
    if (passed != KR_NONE) {
        i = passed / 64;
        pin->bits[i] &= ~((uint64_t)1 << (passed % 64));
        if (t->limbo)
            kt_free_if_unneeded(t, passed);
    }
    for (; i < pin->words; i++)
        if (pin->bits[i])
            return i * 64 + (uint32_t)__builtin_ctzll(pin->bits[i]);
    return KR_NONE;
}

#endif
