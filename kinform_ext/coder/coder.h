/* The coder of a collection: turns objects into blobs (encode.h), and blobs into objects (decode.h).
 *
 * The caller keeps the records, and passes them back when a template is needed: see kc_source. Here it makes templates
 * of records, and ends templates and bases.
 * Bound: see templates.h and bases.h.
 */
#ifndef KINFORM_CODER_H
#define KINFORM_CODER_H

#include "encode.h"

/* Makes a template of an object that was encoded last, and has a record now. */
static inline void kc_adopt(kc_coder *c, uint32_t number, uint32_t record, const kc_object *x, const kc_encoded *made)
{
    kc_literals *l = c->templates.literals;
    kc_finder *f = &c->finder;
    const kc_traits *traits = &made->traits;
    l->users++;
    kc_number_take(&c->templates, number, record, (uint32_t)x->size, made->depth, l);
    kc_finder_grow(f, c->templates.used);
    kc_group_add(f, traits->group, number);
    kc_hint_set(f, kc_group_and_shape(traits), number, 1);
    kc_hint_set(f, traits->outer, number, 1);
    kc_hint_set(f, traits->outer_name, number, 1);
    kc_hint_set(f, traits->fine_shape, number, 1);
    kc_hint_set(f, traits->shape, number, 1);
    c->last = number;
    if (made->joins) {
        kc_entry_of(&c->templates, number)->users++;
        kc_base_of(&c->bases, made->codec)->users--; /* a member counts as such, not as a user */
        kc_base_join(kc_base_of(&c->bases, made->codec), number, made->joins);
    }
}

/* Sets what kc_adopt needs to know of a template that was not encoded here: its traits, and its depth above the
 * template that it is coded against, 0 if it is a frame. Returns 0 if it would lie too deep. */
static inline int kc_describe(kc_coder *c, const kc_object *x, uint32_t template, kc_encoded *made)
{
    kc_own own;
    kc_own_init(&own, x->identity);
    memset(made, 0, sizeof *made);
    kc_traits_of_name(&made->traits, &own);
    kc_traits_of_shape(&made->traits, x->raw, x->size);
    made->depth = template ? kc_entry_of(&c->templates, template)->depth + 1u : 0;
    return made->depth < KC_MAX_DEPTH;
}

/* Releases the number of a base; the caller then ends its use of the members. */
static inline void kc_base_end(kc_coder *c, uint32_t number)
{
    kc_forget_base(c, number);
    kc_base_of(&c->bases, number)->is_used = 0;
    if (c->bases.current == number)
        c->bases.current = 0;
}

/* Releases the number of a template whose record goes. */
static inline void kc_abandon(kc_coder *c, uint32_t number)
{
    kc_template *built = kc_entry_of(&c->templates, number)->built;
    if (built)
        kc_cache_evict(&c->process->cache, built);
    kc_number_release(&c->templates, number);
}

#endif
