/* The indexes of a store: each value once, with the ids that have it; and of each id its values, so that an object can
 * leave without being read again.
 *
 * A value is kept while some id has it. Everything grows by pieces. Letting an id go never needs memory.
 */
#ifndef KINFORM_VALUES_H
#define KINFORM_VALUES_H

#include "../records/keymap.h"
#include "../records/namespaces.h"
#include "idset.h"

enum { KX_PAGE_SLOTS = 512 };

typedef struct {
    kx_idset ids;
    uint32_t index, len;
    unsigned char text[];
} kx_value;

/* Values by their numbers: a free place holds the next free one of its page, odd. */
typedef struct {
    uintptr_t *at;
    uint16_t used, fresh, spare; /* spare: KX_PAGE_SLOTS for none */
} kx_value_page;

/* An id's values: a number + 1 in the low half and one in the high half, or a list where there are more. */
typedef struct {
    uint64_t *at;
    uint16_t used;
} kx_slot_page;

typedef struct {
    uint32_t count;
    uint32_t number[];
} kx_value_list;

#define KX_LIST ((uint64_t)1 << 63)

typedef struct {
    struct kx_node *nodes; /* _extract.h's */
    uint32_t node_count, indexes;
    kr_keymap keys; /* of the values */
    kx_value_page *page;
    uint32_t pages, page_room, lowest; /* all pages before it are full */
    kx_slot_page *slots;
    uint32_t slots_room;
    uint32_t *found; /* numbers of the values of the object in hand */
    uint32_t found_count, found_room;
    uint64_t seed;
    size_t bytes; /* of the heap */
} kx_indexes;

static inline kx_value *kx_value_at(const kx_indexes *x, uint32_t number)
{
    return (kx_value *)x->page[number / KX_PAGE_SLOTS].at[number % KX_PAGE_SLOTS];
}

/* The value of this number, NULL: it is free. */
static inline kx_value *kx_value_or_null(const kx_indexes *x, uint32_t number)
{
    const kx_value_page *page = &x->page[number / KX_PAGE_SLOTS];
    if (number % KX_PAGE_SLOTS >= page->fresh || page->at[number % KX_PAGE_SLOTS] & 1)
        return NULL;
    return kx_value_at(x, number);
}

static inline uint64_t kx_value_hash(const kx_indexes *x, uint32_t index, const unsigned char *text, size_t len)
{
    return kr_hash(text, len, x->seed + index * UINT64_C(0x9e3779b97f4a7c15));
}

static inline uint64_t kx_value_hash_of(const void *of, uint32_t number)
{
    const kx_indexes *x = (const kx_indexes *)of;
    const kx_value *value = kx_value_at(x, number);
    return kx_value_hash(x, value->index, value->text, value->len);
}

/* A value's number, KX_NONE: no id has it. */
static inline uint32_t kx_value_find(const kx_indexes *x, uint32_t index, const unsigned char *text, size_t len, uint64_t hash)
{
    const kr_keymap_page *page = kr_keymap_page_of(&x->keys, hash);
    unsigned of = kr_keymap_bucket(hash), i = of ? page->ends[of - 1] : 0;
    uint32_t tag = kr_keymap_entry(hash, 0);
    for (; i < page->ends[of]; i++) {
        if ((page->entry[i] ^ tag) & ~KR_ID_MASK)
            continue;
        const kx_value *value = kx_value_at(x, page->entry[i] & KR_ID_MASK);
        if (value->index == index && value->len == len && !memcmp(value->text, text, len))
            return page->entry[i] & KR_ID_MASK;
    }
    return KX_NONE;
}

static inline uint32_t kx_number_reserve(kx_indexes *x)
{
    while (x->lowest < x->pages && x->page[x->lowest].used == KX_PAGE_SLOTS)
        x->lowest++;
    if (x->lowest == x->pages) {
        if (x->pages > KR_ID_MASK / KX_PAGE_SLOTS)
            return KX_NONE;
        if (x->pages == x->page_room) {
            uint32_t room = x->page_room + x->page_room / 4 + 1;
            kx_value_page *grown = (kx_value_page *)kx_realloc(
                x->page, x->page_room * sizeof *grown, room * sizeof *grown, &x->bytes);
            if (!grown)
                return KX_NONE;
            x->page = grown;
            x->page_room = room;
        }
        x->page[x->pages++] = (kx_value_page){NULL, 0, 0, KX_PAGE_SLOTS};
    }
    kx_value_page *page = &x->page[x->lowest];
    if (!page->at && !(page->at = (uintptr_t *)kx_realloc(NULL, 0, KX_PAGE_SLOTS * sizeof *page->at, &x->bytes)))
        return KX_NONE;
    return x->lowest * KX_PAGE_SLOTS + (page->spare < KX_PAGE_SLOTS ? page->spare : page->fresh);
}

static inline uint32_t kx_value_add(kx_indexes *x, uint32_t index, const unsigned char *text, size_t len, uint64_t hash)
{
    uint32_t number;
    if (len > UINT32_MAX || !kr_keymap_reserve(&x->keys, hash, kx_value_hash_of, x) || (number = kx_number_reserve(x)) == KX_NONE)
        return KX_NONE;
    kx_value *value = (kx_value *)kx_realloc(NULL, 0, sizeof *value + len, &x->bytes);
    if (!value)
        return KX_NONE;
    memset(value, 0, sizeof *value);
    value->index = index;
    value->len = (uint32_t)len;
    memcpy(value->text, text, len);
    kx_value_page *page = &x->page[number / KX_PAGE_SLOTS];
    if (page->spare < KX_PAGE_SLOTS)
        page->spare = (uint16_t)(page->at[page->spare] >> 1);
    else
        page->fresh++;
    page->used++;
    page->at[number % KX_PAGE_SLOTS] = (uintptr_t)value;
    kr_keymap_add(&x->keys, hash, number);
    return number;
}

static inline void kx_value_remove(kx_indexes *x, uint32_t number)
{
    kx_value *value = kx_value_at(x, number);
    kx_value_page *page = &x->page[number / KX_PAGE_SLOTS];
    kr_keymap_remove(&x->keys, kx_value_hash(x, value->index, value->text, value->len), number);
    kx_realloc(value, sizeof *value + value->len, 0, &x->bytes);
    page->at[number % KX_PAGE_SLOTS] = (uintptr_t)page->spare << 1 | 1;
    page->spare = (uint16_t)(number % KX_PAGE_SLOTS);
    if (number / KX_PAGE_SLOTS < x->lowest)
        x->lowest = number / KX_PAGE_SLOTS;
    if (--page->used)
        return;
    kx_realloc(page->at, KX_PAGE_SLOTS * sizeof *page->at, 0, &x->bytes);
    *page = (kx_value_page){NULL, 0, 0, KX_PAGE_SLOTS};
    while (x->pages && !x->page[x->pages - 1].at)
        x->pages--;
    if (x->lowest > x->pages)
        x->lowest = x->pages;
}

static inline void kx_unlink(kx_indexes *x, uint32_t number, uint32_t id)
{
    kx_value *value = kx_value_at(x, number);
    kx_idset_remove(&value->ids, id, &x->bytes);
    if (!value->ids.count)
        kx_value_remove(x, number);
}

/* The object in hand, which has this id, has a value; 0 if there is no memory. */
static inline int kx_stage(kx_indexes *x, uint32_t id, uint32_t index, const unsigned char *text, size_t len)
{
    uint64_t hash = kx_value_hash(x, index, text, len);
    uint32_t number = kx_value_find(x, index, text, len, hash);
    if (x->found_count == x->found_room) {
        uint32_t room = x->found_room + x->found_room / 4 + 8;
        uint32_t *grown = (uint32_t *)kx_realloc(x->found, 4 * (size_t)x->found_room, 4 * (size_t)room, &x->bytes);
        if (!grown)
            return 0;
        x->found = grown;
        x->found_room = room;
    }
    if (number == KX_NONE && (number = kx_value_add(x, index, text, len, hash)) == KX_NONE)
        return 0;
    switch (kx_idset_add(&kx_value_at(x, number)->ids, id, &x->bytes)) {
    case KX_ADDED:
        x->found[x->found_count++] = number;
        return 1;
    case KX_PRESENT:
        return 1;
    }
    if (!kx_value_at(x, number)->ids.count)
        kx_value_remove(x, number);
    return 0;
}

/* The object in hand has none of the values it was given. */
static inline void kx_abort(kx_indexes *x, uint32_t id)
{
    while (x->found_count)
        kx_unlink(x, x->found[--x->found_count], id);
}

/* The object in hand has all its values; 0, and it has none, if there is no memory. */
static inline int kx_commit(kx_indexes *x, uint32_t id)
{
    uint32_t number = id / KX_PAGE_SLOTS, count = x->found_count;
    uint64_t slot = 0;
    if (!count)
        return 1;
    if (number >= x->slots_room) {
        uint32_t room = number + number / 4 + 1;
        kx_slot_page *grown = (kx_slot_page *)kx_realloc(
            x->slots, x->slots_room * sizeof *grown, room * sizeof *grown, &x->bytes);
        if (!grown)
            goto none;
        memset(grown + x->slots_room, 0, (room - x->slots_room) * sizeof *grown);
        x->slots = grown;
        x->slots_room = room;
    }
    kx_slot_page *slots = &x->slots[number];
    if (!slots->at) {
        if (!(slots->at = (uint64_t *)calloc(KX_PAGE_SLOTS, sizeof *slots->at)))
            goto none;
        x->bytes += kx_heap_bytes(KX_PAGE_SLOTS * sizeof *slots->at);
    }
    if (count > 2) {
        kx_value_list *list = (kx_value_list *)kx_realloc(NULL, 0, sizeof *list + 4 * (size_t)count, &x->bytes);
        if (!list)
            goto none;
        list->count = count;
        memcpy(list->number, x->found, 4 * (size_t)count);
        slot = KX_LIST | (uintptr_t)list;
    } else
        slot = (x->found[0] + 1) | (uint64_t)(count > 1 ? x->found[1] + 1 : 0) << 32;
    slots->at[id % KX_PAGE_SLOTS] = slot;
    slots->used++;
    x->found_count = 0;
    return 1;
none:
    kx_abort(x, id);
    return 0;
}

/* The id has no values any more. No error if it had none. */
static inline void kx_release(kx_indexes *x, uint32_t id)
{
    kx_slot_page *slots = id / KX_PAGE_SLOTS < x->slots_room ? &x->slots[id / KX_PAGE_SLOTS] : NULL;
    uint64_t slot = slots && slots->at ? slots->at[id % KX_PAGE_SLOTS] : 0;
    if (!slot)
        return;
    if (slot & KX_LIST) {
        kx_value_list *list = (kx_value_list *)(uintptr_t)(slot & ~KX_LIST);
        for (uint32_t i = 0; i < list->count; i++)
            kx_unlink(x, list->number[i], id);
        kx_realloc(list, sizeof *list + 4 * (size_t)list->count, 0, &x->bytes);
    } else {
        kx_unlink(x, (uint32_t)slot - 1, id);
        if (slot >> 32)
            kx_unlink(x, (uint32_t)(slot >> 32) - 1, id);
    }
    slots->at[id % KX_PAGE_SLOTS] = 0;
    if (--slots->used)
        return;
    kx_realloc(slots->at, KX_PAGE_SLOTS * sizeof *slots->at, 0, &x->bytes);
    slots->at = NULL;
}

/* The ids that have a value, NULL: none. */
static inline kx_idset *kx_ids_with(const kx_indexes *x, uint32_t index, const unsigned char *text, size_t len)
{
    uint32_t number = kx_value_find(x, index, text, len, kx_value_hash(x, index, text, len));
    return number == KX_NONE ? NULL : &kx_value_at(x, number)->ids;
}

static inline uint64_t kx_bytes(const kx_indexes *x)
{
    return x->bytes + kr_keymap_bytes(&x->keys);
}

static inline int kx_init(kx_indexes *x, uint64_t seed)
{
    memset(x, 0, sizeof *x);
    x->seed = seed;
    return kr_keymap_init(&x->keys);
}

static inline void kx_free(kx_indexes *x)
{
    for (uint32_t i = 0; i < x->slots_room; i++) {
        for (uint32_t j = 0; x->slots[i].at && j < KX_PAGE_SLOTS; j++)
            if (x->slots[i].at[j] & KX_LIST)
                free((void *)(uintptr_t)(x->slots[i].at[j] & ~KX_LIST));
        free(x->slots[i].at);
    }
    for (uint32_t number = 0; number < x->pages * KX_PAGE_SLOTS; number++) {
        kx_value *value = kx_value_or_null(x, number);
        if (value)
            kx_idset_clear(&value->ids, &x->bytes);
        free(value);
    }
    for (uint32_t i = 0; i < x->pages; i++)
        free(x->page[i].at);
    free(x->slots);
    free(x->page);
    free(x->found);
    kr_keymap_free(&x->keys);
}

#endif
