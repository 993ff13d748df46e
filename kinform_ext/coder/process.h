/* The state of coders: what each collection has, and what all of them share.
 *
 * One thread at a time uses kc_process; the caller's lock is the GIL, and nothing in this folder releases it or calls
 * back except for kc_source.
 * Bound: see the parts. Buffers for large objects are freed by kc_process_shrink.
 */
#ifndef KINFORM_PROCESS_H
#define KINFORM_PROCESS_H

#include "bases.h"
#include "cache.h"
#include "finder.h"
#include "frames.h"

enum { KC_MAX_ROOM = 256 << 10 }; /* bytes of a buffer that are kept */

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

/* The parts that all collections of the process share. All 0 at first. */
typedef struct {
    kc_cache cache;           /* built templates */
    kc_frames frames;         /* contexts */
    kc_content content;       /* of a base */
    kc_walk_room walk;        /* for walks */
    kc_dates dates;           /* that were converted last */
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

#endif
