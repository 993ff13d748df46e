/* The cache: templates of all collections of the process, in two lists, each in the order of use.
 *
 * `built` has templates with their tables; the oldest lose them when they take more than KC_BUILT_BYTES, as tables are
 * made again much faster than bytes are decoded. `plain` has those of which only the bytes are known, and its oldest
 * are evicted. Bytes that were only needed for another template are the first to go, until they are needed again.
 * Bound: KC_CACHE_BYTES, exceeded only by templates in use: at most two, and those below one of them.
 */
#ifndef KINFORM_CACHE_H
#define KINFORM_CACHE_H

#include "templates.h"

enum { KC_CACHE_BYTES = 1 << 20, KC_BUILT_BYTES = KC_CACHE_BYTES / 8 };

typedef struct {
    kc_template *newest, *oldest; /* NULL: the list is empty */
    uint64_t bytes;               /* of all templates in it */
} kc_cache_list;

typedef struct {
    kc_cache_list built;   /* templates with tables */
    kc_cache_list plain;   /* the others */
    uint64_t hits, misses; /* look-ups that found a template, and others */
} kc_cache;

static inline kc_cache_list *kc_list_of(kc_cache *c, const kc_template *t)
{
    return t->is_built ? &c->built : &c->plain;
}

static inline void kc_cache_unlink(kc_cache *c, kc_template *t)
{
    kc_cache_list *list = kc_list_of(c, t);
    *(t->newer ? &t->newer->older : &list->newest) = t->older;
    *(t->older ? &t->older->newer : &list->oldest) = t->newer;
    list->bytes -= t->counted;
}

static inline void kc_cache_link(kc_cache *c, kc_template *t)
{
    kc_cache_list *list = kc_list_of(c, t);
    t->newer = NULL;
    t->older = list->newest;
    *(list->newest ? &list->newest->newer : &list->oldest) = t;
    list->newest = t;
    t->counted = t->size;
    list->bytes += t->counted;
}

/* Links a template as the oldest one of its list. */
static inline void kc_cache_link_last(kc_cache *c, kc_template *t)
{
    kc_cache_list *list = kc_list_of(c, t);
    t->older = NULL;
    t->newer = list->oldest;
    *(list->oldest ? &list->oldest->older : &list->newest) = t;
    list->oldest = t;
    t->counted = t->size;
    list->bytes += t->counted;
}

/* Evicts a template that is not in use. */
static inline void kc_cache_evict(kc_cache *c, kc_template *t)
{
    kc_cache_unlink(c, t);
    kc_entry_of((const kc_templates *)t->owner, t->number)->built = NULL;
    kc_template_free(t);
}

/* Evicts the oldest templates of the plain list until the cache has at most so many bytes. */
static inline void kc_cache_shrink(kc_cache *c, uint64_t most)
{
    kc_template *t = c->plain.oldest;
    while (t && c->plain.bytes + c->built.bytes > most) {
        kc_template *newer = t->newer;
        if (!t->pins)
            kc_cache_evict(c, t);
        t = newer;
    }
}

/* Adds a template of which only the bytes are known, with one pin. */
static inline void kc_cache_add(kc_cache *c, kc_templates *owner, uint32_t number, kc_template *t)
{
    t->owner = owner;
    t->number = number;
    t->pins = 1;
    kc_entry_of(owner, number)->built = t;
    kc_cache_link_last(c, t);
    kc_cache_shrink(c, KC_CACHE_BYTES);
}

/* Moves a template with a pin to the list that it belongs to now, as its newest. */
static inline void kc_cache_move(kc_cache *c, kc_template *t)
{
    if (t != kc_list_of(c, t)->newest || t->is_built != (t->times != NULL)) {
        kc_cache_unlink(c, t);
        t->is_built = t->times != NULL;
        kc_cache_link(c, t);
    }
    kc_template *old = c->built.oldest;
    while (old && c->built.bytes > KC_BUILT_BYTES) {
        kc_template *newer = old->newer;
        if (!old->pins) {
            kc_cache_unlink(c, old);
            kc_template_strip(old);
            old->is_built = 0;
            kc_cache_link(c, old);
        }
        old = newer;
    }
    kc_cache_shrink(c, KC_CACHE_BYTES);
}

/* Returns a template with a pin more, NULL if it is not in the cache. */
static inline kc_template *kc_cache_get(kc_cache *c, const kc_templates *owner, uint32_t number)
{
    kc_template *t = kc_entry_of(owner, number)->built;
    if (!t) {
        c->misses++;
        return NULL;
    }
    c->hits++;
    t->pins++;
    return t;
}

/* Removes a pin of a template, which may have grown since. */
static inline void kc_cache_release(kc_cache *c, kc_template *t)
{
    kc_list_of(c, t)->bytes += t->size - t->counted;
    t->counted = t->size;
    t->pins--;
}

/* Evicts all templates of a collection that ends. */
static inline void kc_cache_drop(kc_cache *c, const kc_templates *owner)
{
    for (uint32_t number = 1; number <= owner->count; number++)
        if (kc_number_is_used(owner, number) && kc_entry_of(owner, number)->built)
            kc_cache_evict(c, kc_entry_of(owner, number)->built);
}

#endif
