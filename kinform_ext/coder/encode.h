/* Encoding: from the bytes of an object to a blob.
 *
 * An object is encoded once, when it arrives: as its differences from a template where a good one is found, else as a
 * frame after the base of the collection, else as it is. An object that differs much becomes a template itself. A
 * search that does not pay is given up, and made again when the collection has doubled.
 * Bound: KC_MAX_TRIED comparisons and two frames an object. One of the frames may need the content of a base first.
 */
#ifndef KINFORM_ENCODE_H
#define KINFORM_ENCODE_H

#include "decode.h"

enum {
    KC_MAX_TRIED = 12,        /* templates that are compared with one object */
    KC_MAX_DIFFED = 256 << 10,/* bytes of an object that is compared with templates */
    KC_TRIAL = 64,            /* objects after which it is decided whether to look for templates further on */
    KC_MIN_HITS = 8,          /* objects of these that must have found one */
    KC_WEIGHT = 8 << 10,      /* bytes for which an object counts once more in both */
    KC_SAMPLES = 4,           /* frames after a base and alone, after which it is decided whether the base pays */
    KC_MIN_REPLACED = 2048,   /* bytes of an object that may keep the version before in memory */
    KC_RENEWAL = 64,          /* frames after which it is decided whether a new base follows */
    KC_LEARNING = 64,         /* objects before the first slot list */
};

/* An object to be encoded. */
typedef struct {
    const kr_byte *raw;  /* its bytes */
    size_t size;         /* bytes */
    kr_text identity[4]; /* namespace, name, uid, resourceVersion */
    uint32_t hint;       /* the template of the version before, or that version itself; 0: none */
    size_t hinted;       /* bytes of that version's blob */
    int is_replaced;     /* the hint is that version itself, and stays in memory only if it is used now */
    int may_be_template; /* 0: it will not be in the collection */
} kc_object;

/* An encoded object. */
typedef struct {
    kr_text blob;        /* valid until the next call of the process */
    uint32_t codec;      /* the template, or the base of a frame; 0: none */
    int is_frame;        /* the blob is a frame */
    int placeholders;    /* the bytes in the frame, or the blob itself, have placeholders */
    int is_template;     /* call kc_adopt once it has a record */
    uint32_t joins;      /* bytes that it adds to the base; 0: it does not join */
    unsigned depth;      /* templates below it */
    kc_traits traits;    /* for kc_adopt */
} kc_encoded;

/* The search for the best template of one object. */
typedef struct {
    kc_coder *c;                  /* where to look */
    const kc_object *x;           /* the object */
    kc_own own;                   /* of the object */
    uint32_t tried[KC_MAX_TRIED]; /* templates that were compared */
    uint32_t count;               /* of those */
    uint32_t number;              /* the best one; 0: none */
    kc_template *t;               /* the same, with a pin */
    int diff;                     /* which of the process is its diff */
    uint32_t estimate;            /* of that diff */
    int suits;                    /* it is as good as those of other objects */
} kc_search;

/* Compares the object with a template, unless a suitable one is found; ignores number 0. */
static void kc_try(kc_search *s, uint32_t number)
{
    kc_coder *c = s->c;
    kc_process *p = c->process;
    if (s->suits || !kc_number_is_used(&c->templates, number) || s->count == KC_MAX_TRIED)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->tried[i] == number)
            return;
    s->tried[s->count++] = number;
    kc_template *t = kc_pin(c, number);
    if (!t)
        return;
    kc_entry *e = kc_entry_of(&c->templates, number);
    kc_diff *d = &p->diff[!s->diff];
    kc_walk w = kc_walk_start(&p->walk, t, &s->own, s->x->raw, &p->dates);
    if (!kc_diff_make(d, &w, t, s->x->raw, (uint32_t)s->x->size, s->estimate, e->literals)
        || d->estimate >= s->estimate) {
        kc_unpin(c, t);
        return;
    }
    kc_unpin(c, s->t);
    s->t = t;
    s->number = number;
    s->diff = !s->diff;
    s->estimate = d->estimate;
    float usual = e->siblings >= 2 ? e->mean : c->mean;
    s->suits = !d->structures && (float)d->estimate <= usual * 1.25f + 6;
}

/* Compares the object with the template of the version before. It suits if the object hardly takes more than before. A
 * version that would stay in memory only for this object is used only if the object then takes a quarter of it. */
static void kc_try_hint(kc_search *s)
{
    const kc_object *x = s->x;
    if (x->is_replaced && x->size < KC_MIN_REPLACED)
        return;
    uint32_t most = s->estimate;
    if (x->is_replaced && x->hinted / 4 < most)
        s->estimate = (uint32_t)(x->hinted / 4);
    kc_try(s, x->hint);
    if (!s->number)
        s->estimate = most;
    s->suits = s->number && (s->suits || s->estimate <= x->hinted + x->hinted / 4 + 32);
}

/* Looks for a template by name, shape and name again. Returns whether the object should become one itself. */
static int kc_search_all(kc_search *s, kc_traits *traits)
{
    kc_coder *c = s->c;
    const kc_finder *f = &c->finder;
    uint32_t size = (uint32_t)s->x->size;
    uint32_t nearest = kc_group_nearest(f, &c->templates, traits->group, size);
    float fair = c->mean * 1.5f + 24 > (float)size / 24 ? c->mean * 1.5f + 24 : (float)size / 24;
    int by_name = 2 * c->name_hits >= c->named;
    if (by_name) {
        kc_try(s, nearest);
        c->named++;
        c->name_hits += (uint32_t)s->suits;
        if (c->named > 256) {
            c->named /= 2;
            c->name_hits /= 2;
        }
    } else if (c->arrived % 16 == 0)
        c->name_hits++;
    if (s->suits)
        return 0;
    kc_traits_of_shape(traits, s->x->raw, s->x->size);
    kc_try(s, kc_hint_find(f, kc_group_and_shape(traits)));
    if (!nearest)
        kc_try(s, kc_hint_find(f, traits->outer));
    if (!s->count || !by_name)
        kc_try(s, kc_hint_find(f, traits->fine_shape));
    if ((float)s->estimate > fair)
        kc_try(s, nearest);
    if ((float)s->estimate > fair) {
        kc_try(s, kc_hint_find(f, traits->fine_shape));
        kc_try(s, kc_hint_find(f, traits->shape));
        kc_try(s, kc_hint_find(f, traits->outer_name));
        if (!s->count && c->templates.used < 8)
            kc_try(s, c->last);
    }
    if (!s->number || s->suits)
        return 0;
    int becomes = (float)s->estimate > c->mean * 2.5f + 48;
    const kc_entry *e = kc_entry_of(&c->templates, s->number);
    if (c->process->diff[s->diff].structures || (float)s->estimate > e->mean * 1.25f + 6) {
        /* The second object of its group and shape is more typical than the first one. */
        if (traits->group)
            becomes |= kc_came_before(&c->finder, kc_group_and_shape(traits));
        if (!kc_hint_find(f, traits->fine_shape))
            becomes |= kc_came_before(&c->finder, traits->fine_shape);
    }
    return becomes && e->depth < KC_MAX_DEPTH - 1;
}

/* Learns from an object that was coded against a template and does not become one. */
static void kc_learn(kc_coder *c, const kc_search *s, const kc_traits *traits)
{
    kc_process *p = c->process;
    kc_entry *e = kc_entry_of(&c->templates, s->number);
    float estimate = (float)s->estimate;
    int grows = e->siblings < UINT8_MAX;
    e->siblings += (uint8_t)grows;
    e->mean = e->siblings <= 2 ? estimate : 0.9f * e->mean + 0.1f * estimate;
    c->mean = c->mean > 0 ? 0.98f * c->mean + 0.02f * estimate : estimate;
    c->coded++;
    c->last = s->number;
    int samples = c->coded >= KC_LEARNING / 2 && c->coded % (c->coded < 2 * KC_LEARNING ? 4 : 32) == 0;
    int first = !e->list && e->siblings >= 2, later = grows && (e->siblings == 64 || e->siblings == UINT8_MAX);
    int lists = (first || later) && c->coded > KC_LEARNING;
    if ((samples || lists) && s->t->count <= KC_MAX_LEARNT && kc_rates_reserve(&c->rates, s->t->count)) {
        kc_kinds(s->t, p->kind);
        if (samples)
            kc_rates_note(&c->rates, s->t, &p->diff[s->diff], p->kind);
        if (lists)
            kc_list_add(&c->templates, s->number, kc_slots_new(&c->rates, s->t, p->kind));
    }
    if (traits->group) {
        if (s->tried[0] != s->number)
            kc_group_add(&c->finder, traits->group, s->number);
        if (traits->fine_shape)
            kc_hint_set(&c->finder, kc_group_and_shape(traits), s->number, 0);
    }
}

/* Returns the number that kc_adopt takes; 0: the object cannot become a template. */
static inline uint32_t kc_adopt_reserve(kc_coder *c)
{
    return kc_literals_newest(&c->templates) ? kc_number_reserve(&c->templates) : 0;
}

/* Returns whether the frame to come is compared with one alone: less often while the base pays. */
static inline int kc_samples_frame(const kc_coder *c)
{
    return c->framed % (c->alone_until || c->framed < 32 ? 2 : 16) == 1;
}

/* Learns from the lengths of a frame after the base and of one alone; decides whether to use the base. */
static inline void kc_learn_base(kc_coder *c, size_t after, size_t alone)
{
    c->paid += after + alone / 8 <= alone;
    if (++c->samples < KC_SAMPLES)
        return;
    c->alone_until = c->paid ? 0 : 2 * c->framed;
    c->samples = c->paid = 0;
}

/* Begins the first base, or a new one when most objects of the current one have left the collection. */
static inline void kc_renew_base(kc_coder *c)
{
    kr_text namespace;
    int left = 0;
    if (!c->bases.current) {
        kc_base_begin(&c->bases);
        return;
    }
    const kc_base *b = kc_base_of(&c->bases, c->bases.current);
    if (!b->is_full || c->framed % KC_RENEWAL)
        return;
    for (int i = 0; i < b->count; i++) {
        uint32_t record = kc_entry_of(&c->templates, b->member[i])->record;
        left += (c->source(c->context, record, &namespace).word & KR_LIMBO) != 0;
    }
    if (2 * left > b->count)
        kc_base_begin(&c->bases);
}

/* Compresses the object after the base, or alone; 0 if there is no memory. */
static int kc_encode_frame(kc_coder *c, const kc_object *x, kc_encoded *made)
{
    kc_process *p = c->process;
    kr_text none = {NULL, 0}, prefix = none, frame = none;
    const int searched = c->framed++ >= c->alone_until;
    if (!kc_buffer_reserve(&p->room, x->size))
        return 0;
    kr_text source = {p->room.at, kc_cut(x->raw, x->size, x->identity, p->room.at, &made->placeholders)};
    *made = (kc_encoded){.placeholders = made->placeholders, .traits = made->traits};
    if (searched && x->size <= KC_MAX_SEARCHED) {
        kc_renew_base(c);
        kc_base *b = c->bases.current ? kc_base_of(&c->bases, c->bases.current) : NULL;
        int joins = b && x->may_be_template && kc_base_admits(b, source.len) && kc_adopt_reserve(c);
        if (joins || (b && b->is_full)) {
            prefix = kc_base_content(c, c->bases.current, b->count);
            if (!prefix.at)
                return 0;
            made->codec = c->bases.current;
            made->joins = joins ? (uint32_t)source.len : 0;
        }
    }
    if (made->codec && !made->joins) {
        size_t alone = kc_samples_frame(c) ? kc_frame_write(&p->frames, &source, &none, 1).len : 0;
        frame = kc_frame_write_after(&p->frames, &source, &prefix, c, made->codec);
        if (alone)
            kc_learn_base(c, frame.len, alone);
    } else
        frame = kc_frame_write(&p->frames, &source, &prefix, searched);
    if (!frame.len)
        return 0;
    made->is_frame = frame.len < source.len;
    made->blob = made->is_frame ? frame : source;
    if (!made->is_frame)
        made->codec = made->joins = 0;
    return 1;
}

/* Counts an object for which a template was looked for; decides whether to look further on. */
static inline void kc_learn_trial(kc_coder *c, size_t size, int hit)
{
    uint32_t weight = 1 + (uint32_t)size / KC_WEIGHT;
    c->trials += weight;
    c->hits += hit ? weight : 0;
    if (c->trials < KC_TRIAL)
        return;
    c->sleeps_until = c->hits < KC_MIN_HITS ? 2 * c->arrived : 0;
    c->trials = c->hits = 0;
}

/* Encodes an object; 0 if there is no memory. */
static int kc_encode(kc_coder *c, const kc_object *x, kc_encoded *made)
{
    kc_process *p = c->process;
    kc_search s = {.c = c, .x = x, .estimate = (uint32_t)(x->size < KC_MAX_DIFFED ? x->size / 4 + 32 : 0)};
    size_t size = 0;
    int becomes = 0, tried = 0;
    memset(made, 0, sizeof *made);
    kc_own_init(&s.own, x->identity);
    if (s.estimate) {
        kc_try_hint(&s);
        if (!s.suits) {
            kc_traits_of_name(&made->traits, &s.own);
            if (c->arrived++ >= c->sleeps_until) {
                becomes = kc_search_all(&s, &made->traits);
                tried = s.count > 0;
            }
        }
    }
    if (s.number) {
        const kc_entry *e = kc_entry_of(&c->templates, s.number);
        size_t most = x->size / 2 + 16;
        if (!kc_buffer_reserve(&p->room, KC_HEAD_ROOM + KC_PAYLOAD_ROOM + 2 * x->size)
            || !kc_buffer_reserve(&p->blob, most)) {
            kc_unpin(c, s.t);
            return 0;
        }
        uint16_t who = (uint16_t)kc_hash(x->identity[KC_NAME].at, x->identity[KC_NAME].len);
        size = kc_blob_write(
            &p->diff[s.diff], x->raw, e->list, e->literals, who, p->room.at, p->blob.at, most);
        made->blob = (kr_text){p->blob.at, size};
        made->codec = s.number;
        made->depth = e->depth + 1u;
    }
    if (size && size <= x->size / 8 + 16) {
        if (!becomes)
            kc_learn(c, &s, &made->traits);
    } else {
        kc_encoded frame = *made;
        if (!kc_encode_frame(c, x, &frame)) {
            kc_unpin(c, s.t);
            return 0;
        }
        if (!size || frame.blob.len < size) {
            *made = frame;
            becomes = made->joins || c->arrived >= c->sleeps_until;
        } else if (!becomes)
            kc_learn(c, &s, &made->traits);
    }
    kc_unpin(c, s.t);
    if (tried)
        kc_learn_trial(c, x->size, !made->is_frame && made->codec);
    made->is_template = becomes && x->may_be_template && x->size <= KC_MAX_TEMPLATE;
    if (made->is_template && !made->traits.shape)
        kc_traits_of_shape(&made->traits, x->raw, x->size);
    return 1;
}

#endif
