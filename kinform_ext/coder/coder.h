/* The coder of a collection: turns objects into blobs, and blobs into objects.
 *
 * An object is coded once, when it arrives: as its differences from a template where a good one is found, else as a
 * frame after the base of the collection, else as it is. An object that differs much becomes a template itself. The
 * caller keeps the records, and passes them back when a template is needed: see kc_source.
 *
 * What all collections share is in kc_process: the cache and the buffers. One thread at a time uses it; the caller's
 * lock is the GIL, and nothing here releases it or calls back except for kc_source.
 */
#ifndef KINFORM_CODER_H
#define KINFORM_CODER_H

#include "../records/placeholders.h"
#include "bases.h"
#include "blob.h"
#include "cache.h"
#include "finder.h"
#include "frames.h"

enum {
    KC_MAX_TRIED = 12,        /* templates that are compared with one object */
    KC_MAX_DIFFED = 256 << 10,/* bytes of an object that is compared with templates */
    KC_MIN_CUT = 2,           /* bytes of a value that is worth a placeholder; the stem may be shorter */
    KC_TRIAL = 64,            /* objects after which it is decided whether to look for templates further on */
    KC_MIN_HITS = 8,          /* of those, objects that must have found one */
    KC_WEIGHT = 8 << 10,      /* a larger object counts for more than one in both */
    KC_SAMPLES = 4,           /* frames after a base and alone, after which it is decided whether the base pays */
    KC_MIN_REPLACED = 2048,   /* bytes of an object that may keep the version before in memory */
    KC_RENEWAL = 64,          /* frames after which it is decided whether a new base follows */
    KC_LEARNING = 64,         /* objects before the first slot list */
    KC_MAX_ROOM = 256 << 10,  /* bytes of a buffer that are kept */
};

/* Memory that is used again. */
typedef struct {
    kr_byte *at;     /* malloc'd; NULL: none yet */
    size_t capacity; /* bytes */
} kc_buffer;

/* The content of the base that was used last. */
typedef struct {
    kr_byte *at;          /* KC_BASE_BYTES; malloc'd; NULL: none yet */
    const void *owner;    /* the coder whose base it is; NULL: no content */
    uint32_t number;      /* of the base */
    uint32_t members;     /* whose bytes are there */
} kc_content;

/* The parts that all collections of the process share. */
typedef struct {
    kc_cache cache;           /* built templates */
    kc_frames frames;         /* contexts */
    kc_content content;       /* of a base */
    kc_walk_room walk;        /* for walks */
    kc_date date;             /* the last date that was converted */
    kc_diff diff[2];          /* the best one so far, and the one being made */
    uint16_t kind[KC_MAX_LEARNT]; /* of the words of a template */
    kc_buffer room;           /* for parts of blobs, cut objects and prefixes */
    kc_buffer blob;           /* for the blob of an object */
} kc_process;

/* Returns a record of the table, and its namespace. The texts stay valid until the table changes. */
typedef kr_view (*kc_source)(const void *context, uint32_t record, kr_text *namespace);

typedef struct {
    kc_process *process;      /* shared */
    kc_source source;         /* reads the record of a template */
    const void *context;      /* its first argument */
    kc_templates templates;   /* by number */
    kc_bases bases;           /* by number */
    kc_finder finder;         /* finds one for an object */
    kc_rates rates;           /* for slot lists */
    float mean;               /* of the estimates of recent objects */
    uint32_t coded;           /* objects that were coded against a template */
    uint32_t named, name_hits;/* objects whose group had a template, and of those, the ones that suited */
    uint32_t last;            /* the template that was used last; 0: none */
    uint64_t arrived;         /* objects that were encoded without a hint */
    uint64_t sleeps_until;    /* as long as `arrived` is less, no template is looked for */
    uint32_t trials, hits;    /* objects for which one was looked for since the last decision, and found */
    uint64_t framed;          /* objects that were compressed */
    uint64_t alone_until;     /* as long as `framed` is less, no base is used */
    uint32_t samples, paid;   /* frames compared with one without base since the last decision, and 1/8 smaller */
} kc_coder;

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

/* Makes room for `size` bytes; what the buffer had is lost. 0 if there is no memory. */
static inline int kc_buffer_reserve(kc_buffer *b, size_t size)
{
    if (size <= b->capacity)
        return 1;
    free(b->at);
    b->at = (kr_byte *)malloc(size + size / 4);
    b->capacity = b->at ? size + size / 4 : 0;
    return b->at != NULL;
}

static inline void kc_buffer_shrink(kc_buffer *b, size_t most)
{
    if (b->capacity <= most)
        return;
    free(b->at);
    *b = (kc_buffer){NULL, 0};
}

static inline void kc_process_init(kc_process *p)
{
    p->date.day = -1;
}

/* Returns the bytes that all collections share, without the cache. */
static inline uint64_t kc_process_bytes(const kc_process *p)
{
    return sizeof *p + kc_frames_bytes(&p->frames) + p->room.capacity + p->blob.capacity
        + (p->content.at ? KC_BASE_BYTES : 0);
}

/* Frees buffers that only a large object needed. */
static inline void kc_process_shrink(kc_process *p)
{
    kc_frames_shrink(&p->frames);
    kc_buffer_shrink(&p->room, KC_MAX_ROOM);
    kc_buffer_shrink(&p->blob, KC_MAX_ROOM);
}

/* Forgets the content of a base. */
static inline void kc_forget_base(kc_coder *c, uint32_t number)
{
    kc_process *p = c->process;
    if (p->content.owner == c && p->content.number == number)
        p->content.owner = NULL;
    if (p->frames.owner == c && p->frames.number == number)
        kc_frames_unload(&p->frames);
}

static void kc_coder_free(kc_coder *c)
{
    for (uint32_t number = 1; number <= c->bases.count; number++)
        kc_forget_base(c, number);
    kc_cache_drop(&c->process->cache, &c->templates);
    kc_templates_free(&c->templates);
    free(c->bases.base);
    kc_finder_free(&c->finder);
    free(c->rates.rate);
}

/* Returns the bytes that the coder of this collection takes, without the cache. */
static inline uint64_t kc_coder_bytes(const kc_coder *c)
{
    return kc_templates_bytes(&c->templates) + kc_bases_bytes(&c->bases) + kc_finder_bytes(&c->finder)
        + c->rates.count * sizeof *c->rates.rate;
}

/* Returns the bytes of its templates in the cache. */
static inline uint64_t kc_coder_cached(const kc_coder *c)
{
    uint64_t sum = 0;
    const kc_cache *cache = &c->process->cache;
    for (uint32_t i = 0; i < cache->count; i++)
        sum += cache->at[i]->owner == &c->templates ? cache->at[i]->counted : 0;
    return sum;
}

/* ---- decoding ---- */

static int kc_decode(kc_coder *c, const kr_view *v, const kr_text *namespace, kr_byte *to);

/* The identity of a record. */
typedef struct {
    kr_text text[4];          /* namespace, name, uid, resourceVersion */
    kr_byte uid[KC_UUID_LEN]; /* its text, if the record has it packed */
    kr_byte rv[20];           /* the same */
} kc_identity;

static inline void kc_identify(kc_identity *id, const kr_view *v, const kr_text *namespace)
{
    id->text[0] = *namespace;
    id->text[1] = v->name;
    id->text[2] = v->uid;
    if ((v->form & KR_UID_MASK) == KR_UID_PACKED) {
        kc_unpack_uuid(v->uid.at, id->uid);
        id->text[2] = (kr_text){id->uid, KC_UUID_LEN};
    }
    id->text[3] = kr_rv_text(v, id->rv);
}

/* Sets the five values of placeholders. */
static inline void kc_values(kr_text value[KR_VALUES], const kr_text identity[4])
{
    for (int i = 0; i < KR_VALUE_STEM; i++) {
        value[i] = identity[i];
        if (value[i].len < KC_MIN_CUT)
            value[i].len = 0;
    }
    value[KR_VALUE_STEM] = kr_name_stem(&identity[KR_VALUE_NAME]);
}

/* Writes bytes with placeholders in place of the identity, or unchanged if a byte 1 to 5 occurs in them. Returns the
 * length; sets `found` to the number of placeholders. */
static inline size_t kc_cut(const kr_byte *raw, size_t size, const kr_text identity[4], kr_byte *to, int *found)
{
    kr_span span[KR_MAX_SPANS];
    kr_text value[KR_VALUES];
    kc_values(value, identity);
    *found = kr_next_placeholder(raw, raw + size) == raw + size ? kr_find_spans(span, raw, size, value) : 0;
    return (size_t)(kr_put_placeholders(to, raw, size, span, *found) - to);
}

/* Returns a template with a pin, NULL if there is no memory, or its record is damaged. */
static kc_template *kc_pin(kc_coder *c, uint32_t number)
{
    kc_process *p = c->process;
    kc_template *t = kc_cache_get(&p->cache, &c->templates, number);
    kc_identity identity;
    kr_text namespace;
    if (t) {
        kc_cache_use(&p->cache, t);
        return t;
    }
    const kc_entry *e = kc_entry_of(&c->templates, number);
    kr_view v = c->source(c->context, e->record, &namespace);
    if (v.codec && !(v.form & KR_FRAME)
        && (!kc_number_is_used(&c->templates, v.codec) || kc_entry_of(&c->templates, v.codec)->depth >= e->depth))
        return NULL; /* a forged record must not lead in a circle */
    kc_identify(&identity, &v, &namespace);
    if (v.raw_len > KC_MAX_TEMPLATE || !(t = kc_template_new(identity.text, v.raw_len)))
        return NULL;
    if (!kc_decode(c, &v, &namespace, t->raw) || !kc_template_build(t, &p->date)
        || !kc_cache_add(&p->cache, &c->templates, number, t)) {
        kc_template_free(t);
        return NULL;
    }
    kc_cache_use(&p->cache, t);
    return t;
}

static inline void kc_unpin(kc_coder *c, kc_template *t)
{
    if (t)
        kc_cache_release(&c->process->cache, t);
}

/* Returns the bytes of the first `members` members of a base; len 0 and at NULL if there is no memory, or a member is
 * damaged. They are valid until the next call of the process. */
static kr_text kc_base_content(kc_coder *c, uint32_t number, int members)
{
    kc_content *content = &c->process->content;
    const kc_base *b = kc_base_of(&c->bases, number);
    if (!content->at && !(content->at = (kr_byte *)malloc(KC_BASE_BYTES)))
        return (kr_text){NULL, 0};
    if (content->owner != c || content->number != number)
        *content = (kc_content){content->at, c, number, 0};
    for (; content->members < (uint32_t)members; content->members++) {
        uint32_t i = content->members, start = i ? b->end[i - 1] : 0;
        kr_text namespace, prefix = {content->at, start};
        kr_view v = c->source(c->context, kc_entry_of(&c->templates, b->member[i])->record, &namespace);
        if (kc_frame_read(&c->process->frames, &v.blob, &prefix, content->at + start, b->end[i] - start)
            != b->end[i] - start || kc_is_dictionary(content->at, b->end[i]))
            return (kr_text){NULL, 0};
    }
    return (kr_text){content->at, members ? b->end[members - 1] : 0};
}

/* Sets the bytes that precede the frame of a record; 0 if its base is not valid. */
static inline int kc_frame_prefix(kc_coder *c, const kr_view *v, kr_text *prefix)
{
    *prefix = (kr_text){NULL, 0};
    if (!v->codec)
        return 1;
    if (!kc_base_is_used(&c->bases, v->codec))
        return 0;
    const kc_base *b = kc_base_of(&c->bases, v->codec);
    int position = kc_base_position(b, v->number);
    if (position < 0 && !b->is_full)
        return 0;
    *prefix = kc_base_content(c, v->codec, position < 0 ? b->count : position);
    return prefix->at != NULL;
}

/* Decodes a frame, or an object that is stored as it is. */
static inline int kc_decode_frame(kc_coder *c, const kr_view *v, const kr_text identity[4], kr_byte *to)
{
    kc_process *p = c->process;
    int placeholders = (v->form & KR_PLACEHOLDERS) != 0;
    kr_text source = v->blob, prefix, value[KR_VALUES];
    if (v->form & KR_FRAME) {
        if (!kc_frame_prefix(c, v, &prefix) || !kc_buffer_reserve(&p->room, placeholders ? v->raw_len : 0))
            return 0;
        int64_t size = kc_frame_read(&p->frames, &v->blob, &prefix, placeholders ? p->room.at : to, v->raw_len);
        if (!placeholders || size < 0)
            return size == (int64_t)v->raw_len;
        source = (kr_text){p->room.at, (size_t)size};
    }
    if (placeholders) {
        kc_values(value, identity);
        return kr_restore_values(to, v->raw_len, source.at, source.len, value);
    }
    if (source.len != v->raw_len)
        return 0;
    if (source.len)
        memcpy(to, source.at, source.len);
    return 1;
}

/* Writes the object of a record, which is `raw_len` bytes; 0 if the record is damaged, or there is no memory. */
static int kc_decode(kc_coder *c, const kr_view *v, const kr_text *namespace, kr_byte *to)
{
    kc_process *p = c->process;
    kc_identity identity;
    kc_identify(&identity, v, namespace);
    if (!v->codec || v->form & KR_FRAME)
        return kc_decode_frame(c, v, identity.text, to);
    if (!kc_number_is_used(&c->templates, v->codec))
        return 0;
    kc_template *t = kc_pin(c, v->codec);
    kc_own own;
    if (!t)
        return 0;
    const kc_entry *e = kc_entry_of(&c->templates, v->codec);
    kc_own_init(&own, identity.text);
    kc_walk w = kc_walk_start(&p->walk, t, &own, to, &p->date);
    int done = kc_blob_read(&w, e->list, e->literals, &v->blob, to, v->raw_len);
    kc_unpin(c, t);
    return done;
}

/* ---- encoding ---- */

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
    kc_walk w = kc_walk_start(&p->walk, t, &s->own, s->x->raw, &p->date);
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
