/* The indexes of a store: each value is stored once, with the set of ids that have it, and each id with its values, so
 * that the id can be removed without reading its JSON.
 *
 * A value lives while an id has it. An id gets its values in two steps: stage each, then commit; abort undoes them. No
 * step copies more than a page of 512 entries or a list of pages. Releasing an id never needs memory.
 */
#ifndef KINFORM_VALUES_H
#define KINFORM_VALUES_H

#include "../records/hash.h"
#include "../records/keymap.h"
#include "idset.h"

enum { KX_PAGE_SLOTS = 512 };

typedef struct {
    kx_idset ids;         /* the ids that have it, staged ones included; it is removed with the last one */
    uint32_t index;       /* number of the index */
    uint32_t len;         /* bytes of `text` */
    unsigned char text[]; /* UTF-8 */
} kx_value;

/* Values by number, KX_PAGE_SLOTS numbers a page. */
typedef struct {
    uintptr_t *at;       /* kx_value pointers; a free slot holds 2 * the next free slot + 1. NULL: no number in use */
    uint16_t used;       /* slots in use */
    uint16_t fresh;      /* slots from here on were never used */
    uint16_t first_free; /* first free slot below `fresh`, KX_PAGE_SLOTS: none */
} kx_value_page;

/* The values of ids, KX_PAGE_SLOTS ids a page. */
typedef struct {
    uint64_t *at;  /* 0: no value; one or two value numbers + 1 in the halves; KX_LIST | pointer to a kx_value_list */
    uint16_t used; /* slots that are not 0; 0: `at` is NULL */
} kx_slot_page;

typedef struct {
    uint32_t count;    /* of `number`; three or more */
    uint32_t number[]; /* of values */
} kx_value_list;

#define KX_LIST ((uint64_t)1 << 63)

typedef struct {
    struct kx_node *nodes;    /* the program: see extract.h */
    uint32_t node_count;      /* 0: no program */
    uint32_t owner_index;     /* the index whose values are owners, or KX_NONE */
    kr_keymap keys;           /* from index and text to the number of a value */
    kx_value_page *page;      /* by number / KX_PAGE_SLOTS */
    uint32_t pages;           /* in use */
    uint32_t page_capacity;   /* entries of `page`; pages <= page_capacity */
    uint32_t lowest;          /* all pages before this one are full */
    kx_slot_page *slots;      /* by id / KX_PAGE_SLOTS */
    uint32_t slots_capacity;  /* entries of `slots` */
    uint32_t *staged;         /* numbers of the values that are staged for the current id */
    uint32_t staged_count;    /* of `staged`; 0 between two ids */
    uint32_t staged_capacity; /* entries of `staged` */
    uint64_t seed;            /* of the hashes of values */
    size_t bytes;             /* of the heap, without `keys` */
} kx_indexes;

static inline kx_value *kx_value_at(const kx_indexes *x, uint32_t number)
{
    return (kx_value *)x->page[number / KX_PAGE_SLOTS].at[number % KX_PAGE_SLOTS];
}

/* Returns the value of a number, NULL if the number is free. */
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

static inline uint64_t kx_value_hash_of(const void *context, uint32_t number)
{
    const kx_indexes *x = (const kx_indexes *)context;
    const kx_value *value = kx_value_at(x, number);
    return kx_value_hash(x, value->index, value->text, value->len);
}

/* Returns the number of a value, KX_NONE if no id has it. */
static inline uint32_t kx_value_find(
    const kx_indexes *x, uint32_t index, const unsigned char *text, size_t len, uint64_t hash)
{
    const kr_keymap_page *page = kr_keymap_page_of(&x->keys, hash);
    unsigned bucket = kr_keymap_bucket(hash), i = bucket ? page->ends[bucket - 1] : 0;
    uint32_t tag = kr_keymap_entry(hash, 0);
    for (; i < page->ends[bucket]; i++) {
        if ((page->entry[i] ^ tag) & ~KR_ID_MASK)
            continue;
        const kx_value *value = kx_value_at(x, page->entry[i] & KR_ID_MASK);
        if (value->index == index && value->len == len && !memcmp(value->text, text, len))
            return page->entry[i] & KR_ID_MASK;
    }
    return KX_NONE;
}

/* Returns a free number whose page is allocated, KX_NONE if there is no memory. */
static inline uint32_t kx_number_reserve(kx_indexes *x)
{
    while (x->lowest < x->pages && x->page[x->lowest].used == KX_PAGE_SLOTS)
        x->lowest++;
    if (x->lowest == x->pages) {
        if (x->pages > KR_ID_MASK / KX_PAGE_SLOTS)
            return KX_NONE;
        if (x->pages == x->page_capacity) {
            uint32_t capacity = x->page_capacity + x->page_capacity / 4 + 1;
            kx_value_page *grown = (kx_value_page *)kx_realloc(
                x->page, x->page_capacity * sizeof *grown, capacity * sizeof *grown, &x->bytes);
            if (!grown)
                return KX_NONE;
            x->page = grown;
            x->page_capacity = capacity;
        }
        x->page[x->pages++] = (kx_value_page){NULL, 0, 0, KX_PAGE_SLOTS};
    }
    kx_value_page *page = &x->page[x->lowest];
    if (!page->at && !(page->at = (uintptr_t *)kx_realloc(NULL, 0, KX_PAGE_SLOTS * sizeof *page->at, &x->bytes)))
        return KX_NONE;
    return x->lowest * KX_PAGE_SLOTS + (page->first_free < KX_PAGE_SLOTS ? page->first_free : page->fresh);
}

/* Adds a value without ids; returns its number, KX_NONE if there is no memory. */
static inline uint32_t kx_value_add(
    kx_indexes *x, uint32_t index, const unsigned char *text, size_t len, uint64_t hash)
{
    uint32_t number;
    if (len > UINT32_MAX || !kr_keymap_reserve(&x->keys, hash, kx_value_hash_of, x))
        return KX_NONE;
    if ((number = kx_number_reserve(x)) == KX_NONE)
        return KX_NONE;
    kx_value *value = (kx_value *)kx_realloc(NULL, 0, sizeof *value + len, &x->bytes);
    if (!value)
        return KX_NONE;
    memset(value, 0, sizeof *value);
    value->index = index;
    value->len = (uint32_t)len;
    memcpy(value->text, text, len);
    kx_value_page *page = &x->page[number / KX_PAGE_SLOTS];
    if (page->first_free < KX_PAGE_SLOTS)
        page->first_free = (uint16_t)(page->at[page->first_free] >> 1);
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
    page->at[number % KX_PAGE_SLOTS] = (uintptr_t)page->first_free << 1 | 1;
    page->first_free = (uint16_t)(number % KX_PAGE_SLOTS);
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

/* Removes an id from a value, and the value with its last id. */
static inline void kx_unlink(kx_indexes *x, uint32_t number, uint32_t id)
{
    kx_value *value = kx_value_at(x, number);
    kx_idset_remove(&value->ids, id, &x->bytes);
    if (!value->ids.count)
        kx_value_remove(x, number);
}

/* Stages a value of an id; 0 if there is no memory. */
static inline int kx_stage(kx_indexes *x, uint32_t id, uint32_t index, const unsigned char *text, size_t len)
{
    uint64_t hash = kx_value_hash(x, index, text, len);
    uint32_t number = kx_value_find(x, index, text, len, hash);
    if (x->staged_count == x->staged_capacity) {
        uint32_t capacity = x->staged_capacity + x->staged_capacity / 4 + 8;
        uint32_t *grown = (uint32_t *)kx_realloc(
            x->staged, 4 * (size_t)x->staged_capacity, 4 * (size_t)capacity, &x->bytes);
        if (!grown)
            return 0;
        x->staged = grown;
        x->staged_capacity = capacity;
    }
    if (number == KX_NONE && (number = kx_value_add(x, index, text, len, hash)) == KX_NONE)
        return 0;
    switch (kx_idset_add(&kx_value_at(x, number)->ids, id, &x->bytes)) {
    case KX_ADDED:
        x->staged[x->staged_count++] = number;
        return 1;
    case KX_PRESENT:
        return 1;
    }
    if (!kx_value_at(x, number)->ids.count)
        kx_value_remove(x, number);
    return 0;
}

/* Undoes what was staged for an id. */
static inline void kx_abort(kx_indexes *x, uint32_t id)
{
    while (x->staged_count)
        kx_unlink(x, x->staged[--x->staged_count], id);
}

/* Commits what was staged for an id that has no values yet. If there is no memory, undoes it and returns 0. */
static inline int kx_commit(kx_indexes *x, uint32_t id)
{
    uint32_t number = id / KX_PAGE_SLOTS, count = x->staged_count;
    uint64_t slot = 0;
    if (!count)
        return 1;
    if (number >= x->slots_capacity) {
        uint32_t capacity = number + number / 4 + 1;
        kx_slot_page *grown = (kx_slot_page *)kx_realloc(
            x->slots, x->slots_capacity * sizeof *grown, capacity * sizeof *grown, &x->bytes);
        if (!grown)
            goto no_memory;
        memset(grown + x->slots_capacity, 0, (capacity - x->slots_capacity) * sizeof *grown);
        x->slots = grown;
        x->slots_capacity = capacity;
    }
    kx_slot_page *slots = &x->slots[number];
    if (!slots->at) {
        if (!(slots->at = (uint64_t *)calloc(KX_PAGE_SLOTS, sizeof *slots->at)))
            goto no_memory;
        x->bytes += kx_heap_bytes(KX_PAGE_SLOTS * sizeof *slots->at);
    }
    if (count > 2) {
        kx_value_list *list = (kx_value_list *)kx_realloc(NULL, 0, sizeof *list + 4 * (size_t)count, &x->bytes);
        if (!list)
            goto no_memory;
        list->count = count;
        memcpy(list->number, x->staged, 4 * (size_t)count);
        slot = KX_LIST | (uintptr_t)list;
    } else
        slot = (x->staged[0] + 1) | (uint64_t)(count > 1 ? x->staged[1] + 1 : 0) << 32;
    slots->at[id % KX_PAGE_SLOTS] = slot;
    slots->used++;
    x->staged_count = 0;
    return 1;
no_memory:
    kx_abort(x, id);
    return 0;
}

/* Clears the slot of an id, which has one. */
static inline void kx_slot_clear(kx_indexes *x, uint32_t id)
{
    kx_slot_page *slots = &x->slots[id / KX_PAGE_SLOTS];
    slots->at[id % KX_PAGE_SLOTS] = 0;
    if (--slots->used)
        return;
    kx_realloc(slots->at, KX_PAGE_SLOTS * sizeof *slots->at, 0, &x->bytes);
    slots->at = NULL;
}

/* Removes one value of an id, which has it. */
static inline void kx_forget(kx_indexes *x, uint32_t number, uint32_t id)
{
    uint64_t *slot = &x->slots[id / KX_PAGE_SLOTS].at[id % KX_PAGE_SLOTS];
    if (*slot & KX_LIST) {
        kx_value_list *list = (kx_value_list *)(uintptr_t)(*slot & ~KX_LIST);
        size_t size = sizeof *list + 4 * (size_t)list->count;
        uint32_t i = 0;
        while (list->number[i] != number)
            i++;
        list->number[i] = list->number[--list->count];
        if (list->count == 2) {
            *slot = (list->number[0] + 1) | (uint64_t)(list->number[1] + 1) << 32;
            kx_realloc(list, size, 0, &x->bytes);
        } else {
            /* Where there is no memory for the smaller list, it keeps the larger one. */
            x->bytes += kx_heap_bytes(size - 4);
            x->bytes -= kx_heap_bytes(size);
            kx_value_list *smaller = (kx_value_list *)realloc(list, size - 4);
            *slot = KX_LIST | (uintptr_t)(smaller ? smaller : list);
        }
    } else
        *slot = (uint32_t)*slot == number + 1 ? *slot >> 32 : (uint32_t)*slot;
    if (!*slot)
        kx_slot_clear(x, id);
    kx_unlink(x, number, id);
}

/* Removes all values of an id; an id without values is ignored. */
static inline void kx_release(kx_indexes *x, uint32_t id)
{
    kx_slot_page *slots = id / KX_PAGE_SLOTS < x->slots_capacity ? &x->slots[id / KX_PAGE_SLOTS] : NULL;
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
    kx_slot_clear(x, id);
}

/* Returns the next value of an id in an index, NULL at the end. `*at`: values passed, 0 at the start. */
static inline const kx_value *kx_next_value(const kx_indexes *x, uint32_t id, uint32_t index, uint32_t *at)
{
    const kx_slot_page *slots = id / KX_PAGE_SLOTS < x->slots_capacity ? &x->slots[id / KX_PAGE_SLOTS] : NULL;
    uint64_t slot = slots && slots->at ? slots->at[id % KX_PAGE_SLOTS] : 0;
    const kx_value_list *list = slot & KX_LIST ? (const kx_value_list *)(uintptr_t)(slot & ~KX_LIST) : NULL;
    uint32_t count = list ? list->count : !slot ? 0 : slot >> 32 ? 2 : 1;
    while (*at < count) {
        uint32_t i = (*at)++;
        const kx_value *value = kx_value_at(x, list ? list->number[i] : (uint32_t)(slot >> 32 * i) - 1);
        if (value->index == index)
            return value;
    }
    return NULL;
}

/* Returns the ids that have a value, NULL if no id has it. Valid until the next change. */
static inline kx_idset *kx_ids_with(const kx_indexes *x, uint32_t index, const unsigned char *text, size_t len)
{
    uint32_t number = kx_value_find(x, index, text, len, kx_value_hash(x, index, text, len));
    return number == KX_NONE ? NULL : &kx_value_at(x, number)->ids;
}

/* Returns the bytes of the heap and of the key map. */
static inline uint64_t kx_bytes(const kx_indexes *x)
{
    return x->bytes + kr_keymap_bytes(&x->keys);
}

static inline int kx_init(kx_indexes *x, uint64_t seed)
{
    memset(x, 0, sizeof *x);
    x->seed = seed;
    x->owner_index = KX_NONE;
    return kr_keymap_init(&x->keys);
}

static inline void kx_free(kx_indexes *x)
{
    for (uint32_t i = 0; i < x->slots_capacity; i++) {
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
    free(x->staged);
    kr_keymap_free(&x->keys);
}

#endif
