/* The cache: templates of all collections of the process, in the order of their use.
 *
 * Of the oldest ones those with few users are evicted, as they are needed less often. Templates that were only needed
 * for another one are among the oldest, until they are needed again. Only the newest one, and those in use, keep an
 * index of word starts.
 * Bound: KC_CACHE_BYTES, exceeded only by templates in use: at most two, and those below one of them.
 */
#ifndef KINFORM_CACHE_H
#define KINFORM_CACHE_H

#include "templates.h"

enum {
    KC_CACHE_BYTES = 1 << 20,
    KC_LOOKED = 16, /* templates of which one is evicted */
};

typedef struct {
    kc_template *newest, *oldest; /* NULL: the cache is empty */
    uint64_t bytes;               /* of all templates */
    uint64_t hits, misses;        /* look-ups that found a template, and others */
} kc_cache;

static inline void kc_cache_unlink(kc_cache *c, kc_template *t)
{
    *(t->newer ? &t->newer->older : &c->newest) = t->older;
    *(t->older ? &t->older->newer : &c->oldest) = t->newer;
}

/* Evicts a template that is not in use. */
static inline void kc_cache_evict(kc_cache *c, kc_template *t)
{
    kc_cache_unlink(c, t);
    c->bytes -= t->counted;
    kc_entry_of((const kc_templates *)t->owner, t->number)->built = NULL;
    kc_template_free(t);
}

/* Returns the template to evict: of the oldest ones without pins the one with the fewest users; NULL: all have pins. */
static inline kc_template *kc_cache_least(const kc_cache *c)
{
    kc_template *least = NULL;
    uint32_t fewest = UINT32_MAX;
    int looked = 0;
    for (kc_template *t = c->oldest; t && looked < KC_LOOKED; t = t->newer) {
        const uint32_t users = kc_entry_of((const kc_templates *)t->owner, t->number)->users;
        if (t->pins)
            continue;
        looked++;
        if (users < fewest) {
            least = t;
            fewest = users;
        }
    }
    return least;
}

/* Evicts templates until the cache has at most `most` bytes. */
static inline void kc_cache_shrink(kc_cache *c, uint64_t most)
{
    kc_template *t;
    while (c->bytes > most && (t = kc_cache_least(c)))
        kc_cache_evict(c, t);
}

/* Adds a template as the oldest one, with a pin. */
static inline void kc_cache_add(kc_cache *c, kc_templates *owner, uint32_t number, kc_template *t)
{
    t->owner = owner;
    t->number = number;
    t->pins = 1;
    t->counted = t->size;
    kc_entry_of(owner, number)->built = t;
    t->newer = c->oldest;
    *(c->oldest ? &c->oldest->older : &c->newest) = t;
    c->oldest = t;
    c->bytes += t->counted;
    kc_cache_shrink(c, KC_CACHE_BYTES);
}

/* Counts the bytes of a template, which may have changed, again. */
static inline void kc_cache_count(kc_cache *c, kc_template *t)
{
    if (t != c->newest && !t->pins)
        kc_template_drop_index(t);
    c->bytes += (uint64_t)t->size - t->counted;
    t->counted = t->size;
}

/* Makes a template the newest one. */
static inline void kc_cache_move(kc_cache *c, kc_template *t)
{
    kc_template *before = c->newest;
    if (t == before)
        return;
    kc_cache_unlink(c, t);
    t->newer = NULL;
    t->older = before;
    before->newer = t;
    c->newest = t;
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
