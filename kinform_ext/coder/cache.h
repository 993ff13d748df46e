/* The cache: templates of all collections of the process.
 *
 * The template that is worth least is evicted first. A later use, more users and a smaller size make it worth more: see
 * kc_cache_value. Only the one used last, and those in use, keep an index of word starts.
 * Bound: KC_CACHE_BYTES, exceeded only by templates in use: at most two, and those below one of them.
 */
#ifndef KINFORM_CACHE_H
#define KINFORM_CACHE_H

#include "templates.h"

enum {
    KC_CACHE_BYTES = 1 << 20,
    KC_MAX_CACHED = 1024,   /* templates */
    KC_USERS_COUNTED = 64,  /* users of a template that add to its worth */
};

typedef struct {
    kc_template *at[KC_MAX_CACHED]; /* the templates, in no order */
    uint64_t worth[KC_MAX_CACHED];  /* of each, in look-ups; see kc_cache_use */
    uint32_t count;                 /* templates */
    kc_template *newest;            /* used last; NULL: it was evicted */
    uint64_t bytes;                 /* of all templates */
    uint64_t hits, misses;          /* look-ups that found a template, and others */
} kc_cache;

/* Counts the bytes of a template, which may have changed, again. */
static inline void kc_cache_count(kc_cache *c, kc_template *t)
{
    if (t != c->newest && !t->pins)
        kc_template_drop_index(t);
    c->bytes += (uint64_t)t->size - t->counted;
    t->counted = t->size;
}

/* Evicts a template that is not in use. */
static inline void kc_cache_evict(kc_cache *c, kc_template *t)
{
    const uint32_t last = --c->count;
    c->at[t->place] = c->at[last];
    c->at[t->place]->place = t->place;
    c->worth[t->place] = c->worth[last];
    c->bytes -= t->counted;
    if (c->newest == t)
        c->newest = NULL;
    kc_entry_of((const kc_templates *)t->owner, t->number)->built = NULL;
    kc_template_free(t);
}

/* Evicts the template without pins that is worth least; 0: all have pins. */
static inline int kc_cache_evict_least(kc_cache *c)
{
    kc_template *least = NULL;
    uint64_t worth = UINT64_MAX;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->worth[i] < worth && !c->at[i]->pins) {
            worth = c->worth[i];
            least = c->at[i];
        }
    if (least)
        kc_cache_evict(c, least);
    return least != NULL;
}

/* Evicts templates until the cache has at most `most` bytes. */
static inline void kc_cache_shrink(kc_cache *c, uint64_t most)
{
    while (c->bytes > most && kc_cache_evict_least(c))
        continue;
}

/* Sets what a template is worth: the number of this look-up, and for each user as many look-ups as the cache would hold
 * templates of this size. */
static inline void kc_cache_value(kc_cache *c, const kc_template *t)
{
    const uint32_t users = kc_entry_of((const kc_templates *)t->owner, t->number)->users;
    const uint32_t counted = users < KC_USERS_COUNTED ? users : KC_USERS_COUNTED;
    c->worth[t->place] = c->hits + c->misses + counted * (uint64_t)t->room;
}

/* Adds a template with a pin; 0 if the cache is full of templates in use. */
static inline int kc_cache_add(kc_cache *c, kc_templates *owner, uint32_t number, kc_template *t)
{
    if (c->count == KC_MAX_CACHED && !kc_cache_evict_least(c))
        return 0;
    t->owner = owner;
    t->number = number;
    t->pins = 1;
    t->counted = t->size;
    t->place = c->count++;
    t->room = KC_CACHE_BYTES / t->size;
    c->at[t->place] = t;
    kc_cache_value(c, t);
    kc_entry_of(owner, number)->built = t;
    c->bytes += t->counted;
    kc_cache_shrink(c, KC_CACHE_BYTES);
    return 1;
}

/* Makes a template the one used last. */
static inline void kc_cache_use(kc_cache *c, kc_template *t)
{
    kc_template *before = c->newest;
    kc_cache_value(c, t);
    c->newest = t;
    if (before && before != t)
        kc_cache_count(c, before);
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

/* Removes a pin of a template. */
static inline void kc_cache_release(kc_cache *c, kc_template *t)
{
    t->pins--;
    kc_cache_count(c, t);
}

/* Evicts all templates of a collection that ends. */
static inline void kc_cache_drop(kc_cache *c, const kc_templates *owner)
{
    for (uint32_t number = 1; number <= owner->count; number++)
        if (kc_number_is_used(owner, number) && kc_entry_of(owner, number)->built)
            kc_cache_evict(c, kc_entry_of(owner, number)->built);
}

#endif
