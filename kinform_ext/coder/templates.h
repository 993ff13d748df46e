/* The templates of a collection, by number.
 *
 * A template is a record of the table: its bytes lie there, and are as immutable as any record. Its users are the
 * records coded against it, other templates included. The caller keeps the record while there are users, although the
 * object may have gone, and releases the number with the record.
 * Bound: KC_MAX_TEMPLATES, each below at most KC_MAX_DEPTH others. Number 0 stands for no template.
 */
#ifndef KINFORM_TEMPLATES_H
#define KINFORM_TEMPLATES_H

#include "slots.h"

enum { KC_MAX_TEMPLATES = 0xffff, KC_MAX_DEPTH = 6, KC_LEN_UNIT = KC_MAX_TEMPLATE / 0x8000 };

typedef struct {
    kc_slots *list;        /* the newest slot list; malloc'd; NULL: none yet */
    kc_literals *literals; /* the table that its users use; counted */
    kc_template *built;    /* in the cache; NULL: it is not */
    uint32_t record;       /* id of its record; KR_NONE: the number is free, and `users` the next free one */
    uint32_t users;        /* records coded against it */
    float mean;            /* of the estimates of objects coded against it, other than templates */
    uint16_t len;          /* bytes of the object, in units of KC_LEN_UNIT */
    uint8_t siblings;      /* those objects; UINT8_MAX: as many or more */
    uint8_t depth;         /* templates below it */
} kc_entry;

typedef struct {
    kc_entry *entry;       /* by number less 1; malloc'd */
    uint32_t count;        /* numbers in use or free */
    uint32_t capacity;     /* entries of `entry` */
    uint32_t first_free;   /* the first free number; 0: none */
    uint32_t used;         /* numbers in use */
    kc_literals *literals; /* the newest table; NULL: none yet */
    uint64_t literal_bytes;/* of all tables of literals */
    uint64_t list_bytes;   /* of all slot lists */
} kc_templates;

static inline kc_entry *kc_entry_of(const kc_templates *t, uint32_t number)
{
    return &t->entry[number - 1];
}

static inline int kc_number_is_used(const kc_templates *t, uint64_t number)
{
    return number && number <= t->count && kc_entry_of(t, (uint32_t)number)->record != KR_NONE;
}

static inline uint64_t kc_slots_bytes(const kc_slots *list)
{
    return sizeof *list + list->count * sizeof *list->slot;
}

/* Makes a table the newest one. */
static inline void kc_literals_use(kc_templates *t, kc_literals *l)
{
    l->users++;
    if (!l->total) {
        l->total = &t->literal_bytes;
        t->literal_bytes += l->size;
    }
    if (t->literals)
        kc_literals_release(t->literals);
    t->literals = l;
}

/* Returns the newest table with room, or a new one; NULL if there is no memory. */
static inline kc_literals *kc_literals_newest(kc_templates *t)
{
    kc_literals *l = t->literals;
    if (!l || kc_literals_is_full(l)) {
        l = kc_literals_new();
        if (!l)
            return NULL;
        kc_literals_use(t, l);
        kc_literals_release(l);
    }
    return l;
}

/* Returns a number that kc_number_take may take; 0 if all are used, or there is no memory. */
static uint32_t kc_number_reserve(kc_templates *t)
{
    if (t->first_free)
        return t->first_free;
    if (t->count >= KC_MAX_TEMPLATES)
        return 0;
    if (t->count == t->capacity) {
        uint32_t capacity = t->capacity + t->capacity / 8 + 4;
        kc_entry *grown = (kc_entry *)realloc(t->entry, capacity * sizeof *grown);
        if (!grown)
            return 0;
        t->entry = grown;
        t->capacity = capacity;
    }
    return t->count + 1;
}

/* Takes the number that was reserved last, for a record. `l`: acquired, is released with the number. */
static void kc_number_take(
    kc_templates *t, uint32_t number, uint32_t record, uint32_t len, unsigned depth, kc_literals *l)
{
    kc_entry *e = kc_entry_of(t, number);
    if (number > t->count)
        t->count = number;
    else
        t->first_free = e->users;
    memset(e, 0, sizeof *e);
    e->literals = l;
    e->record = record;
    e->len = (uint16_t)(len / KC_LEN_UNIT);
    e->depth = (uint8_t)depth;
    t->used++;
}

/* Releases a number without users, which is not in the cache. */
static void kc_number_release(kc_templates *t, uint32_t number)
{
    kc_entry *e = kc_entry_of(t, number);
    for (kc_slots *list = e->list, *older; list; list = older) {
        older = list->older;
        t->list_bytes -= kc_slots_bytes(list);
        free(list);
    }
    kc_literals_release(e->literals);
    memset(e, 0, sizeof *e);
    e->record = KR_NONE;
    e->users = t->first_free;
    t->first_free = number;
    t->used--;
}

/* Adds a slot list to a template, unless it has KC_MAX_LISTS, or there is no memory. Takes over `list`. */
static inline void kc_list_add(kc_templates *t, uint32_t number, kc_slots *list)
{
    kc_entry *e = kc_entry_of(t, number);
    if (!list || (e->list && e->list->number == KC_MAX_LISTS)) {
        free(list);
        return;
    }
    list->number = e->list ? e->list->number + 1u : 1;
    list->older = e->list;
    e->list = list;
    t->list_bytes += kc_slots_bytes(list);
}

static void kc_templates_free(kc_templates *t)
{
    for (uint32_t number = 1; number <= t->count; number++)
        if (kc_number_is_used(t, number))
            kc_number_release(t, number);
    if (t->literals)
        kc_literals_release(t->literals);
    free(t->entry);
    memset(t, 0, sizeof *t);
}

/* Returns the bytes of entries, slot lists and literals. */
static inline uint64_t kc_templates_bytes(const kc_templates *t)
{
    return t->capacity * sizeof *t->entry + t->list_bytes + t->literal_bytes;
}

#endif
