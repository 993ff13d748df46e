/* The finder: which templates may suit an object, by its name and the shape of its keys.
 *
 * All entries are hints. A wrong one costs a comparison: two keys may share an entry, and a number may name a younger
 * template. The entries of a new template take the first places of their buckets. An entry that is learnt later takes
 * the last place, and moves forward each time it is found, so that names that never come again displace little.
 * Bound: at most 62 bytes a template (200 for the first one), 2.7 MiB in all.
 */
#ifndef KINFORM_FINDER_H
#define KINFORM_FINDER_H

#include "templates.h"

enum {
    KC_GROUP_TEMPLATES = 4,  /* templates of one group */
    KC_WAYS = 4,             /* entries of a bucket */
};

typedef struct {
    uint16_t tag;      /* of the hash */
    uint16_t template; /* 0: the entry is free */
} kc_hint;

typedef struct {
    uint16_t tag;                          /* of the hash */
    uint16_t template[KC_GROUP_TEMPLATES]; /* newest first; 0: none */
} kc_group;

/* The hashes under which a template is found. 0: it has none. */
typedef struct {
    uint64_t group;      /* namespace, name up to its last dash */
    uint64_t outer;      /* namespace, name up to its last dash but one */
    uint64_t outer_name; /* the same without the namespace */
    uint64_t shape;      /* the keys */
    uint64_t fine_shape; /* the keys, and the values of `kind` and `reason` */
} kc_traits;

typedef struct {
    kc_group *group;   /* malloc'd */
    kc_hint *hint;     /* by name and shape, in buckets of KC_WAYS; malloc'd */
    uint32_t groups;   /* entries of `group`: a power of two, or 0 */
    uint32_t hints;    /* the same of `hint` */
    uint16_t *seen;    /* by hash: tag of a shape that came once; malloc'd */
    uint32_t sights;   /* entries of `seen`: a power of two, or 0 */
    uint32_t templates;/* for which all were sized */
} kc_finder;

static inline void kc_finder_free(kc_finder *f)
{
    free(f->group);
    free(f->hint);
    free(f->seen);
    memset(f, 0, sizeof *f);
}

static inline uint64_t kc_finder_bytes(const kc_finder *f)
{
    return f->groups * sizeof *f->group + f->hints * sizeof *f->hint + f->sights * sizeof *f->seen;
}

static inline uint16_t kc_tag(uint64_t hash)
{
    return (uint16_t)(hash >> 48);
}

/* ---- names and shapes ---- */

/* Sets the hashes of names. */
static inline void kc_traits_of_name(kc_traits *traits, const kc_own *own)
{
    const kr_text *part = own->part;
    const kr_text *outer = part[KC_OUTER].len ? &part[KC_OUTER] : &part[KC_GROUP];
    uint64_t space = kc_hash(part[KC_NAMESPACE].at, part[KC_NAMESPACE].len);
    memset(traits, 0, sizeof *traits);
    if (!part[KC_GROUP].len)
        return;
    traits->group = kr_mix(kc_hash(part[KC_GROUP].at, part[KC_GROUP].len), space | 1) | 1;
    if (!part[KC_NAMESPACE].len)
        return;
    traits->outer_name = kc_hash(outer->at, outer->len) | 1;
    traits->outer = kr_mix(traits->outer_name, space | 3) | 1;
}

/* Sets the hashes of the shape: of the last four bytes of each key. */
static inline void kc_traits_of_shape(kc_traits *traits, const kr_byte *x, size_t size)
{
    uint64_t shape = 0x51ed270b, values = 0;
    size_t i = 4;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), colon = _mm_set1_epi8(':');
    for (; i + 32 <= size; i += 16) {
        __m128i here = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(x + i)), quote);
        __m128i next = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(x + i + 1)), colon);
        unsigned bits = (unsigned)_mm_movemask_epi8(_mm_and_si128(here, next));
        for (; bits; bits &= bits - 1) {
            const kr_byte *end = x + i + __builtin_ctz(bits);
            uint32_t key = kc_load4(end - 4);
            shape = (shape ^ key) * 0x9e3779b97f4a7c15u;
            shape ^= shape >> 29;
            if ((key == 0x6e6f7361 || key == 0x646e696b) && (size_t)(x + size - end) > 11) /* ...ason, kind */
                values = kr_mix(values ^ kc_load8(end + 3), 0xa0761d6478bd642fu);
        }
    }
#else
    for (; i + 12 <= size; i++)
        if (x[i] == '"' && x[i + 1] == ':') {
            uint32_t key = kc_load4(x + i - 4);
            shape = (shape ^ key) * 0x9e3779b97f4a7c15u;
            shape ^= shape >> 29;
            if ((key == 0x6e6f7361 || key == 0x646e696b) && size - i > 11)
                values = kr_mix(values ^ kc_load8(x + i + 3), 0xa0761d6478bd642fu);
        }
#endif
    shape = kr_mix(shape, 0xe7037ed1a0b428dbu);
    traits->shape = shape | 1;
    traits->fine_shape = kr_mix(shape ^ values, 0x8ebc6af09c88c6e3u) | 1;
}

static inline uint64_t kc_group_and_shape(const kc_traits *traits)
{
    return traits->group ? kr_mix(traits->group, traits->fine_shape) | 1 : 0;
}

/* ---- groups and hints ---- */

/* Returns the place of a hash in its bucket, KC_WAYS if it has none. */
static inline int kc_hint_place(const kc_hint *bucket, uint64_t hash)
{
    int i = 0;
    while (i < KC_WAYS && !(bucket[i].template && bucket[i].tag == kc_tag(hash)))
        i++;
    return i;
}

static inline uint32_t kc_hint_find(const kc_finder *f, uint64_t hash)
{
    if (!hash || !f->hints)
        return 0;
    kc_hint *bucket = &f->hint[hash & (f->hints - KC_WAYS)];
    int i = kc_hint_place(bucket, hash);
    if (i == KC_WAYS)
        return 0;
    kc_hint found = bucket[i];
    if (i) {
        bucket[i] = bucket[i - 1];
        bucket[i - 1] = found;
    }
    return found.template;
}

/* `first`: a new entry takes the first place of its bucket, else the last one. */
static inline void kc_hint_set(kc_finder *f, uint64_t hash, uint32_t template, int first)
{
    if (!hash || !f->hints)
        return;
    kc_hint *bucket = &f->hint[hash & (f->hints - KC_WAYS)];
    int i = kc_hint_place(bucket, hash);
    if (i == KC_WAYS)
        i--;
    if (first) {
        memmove(&bucket[1], &bucket[0], (size_t)i * sizeof *bucket);
        i = 0;
    }
    bucket[i] = (kc_hint){kc_tag(hash), (uint16_t)template};
}

/* Returns the entry of a group, NULL without one; `make`: takes the entry of another group if needed. */
static inline kc_group *kc_group_find(const kc_finder *f, uint64_t hash, int make)
{
    if (!hash || !f->groups)
        return NULL;
    kc_group *pair = &f->group[hash & (f->groups - 2)], last = pair[1];
    if (pair[0].template[0] && pair[0].tag == kc_tag(hash))
        return &pair[0];
    if (last.template[0] && last.tag == kc_tag(hash)) {
        pair[1] = pair[0];
        pair[0] = last;
        return &pair[0];
    }
    if (!make)
        return NULL;
    memset(&pair[1], 0, sizeof *pair);
    pair[1].tag = kc_tag(hash);
    return &pair[1];
}

/* Returns the template of a group whose length is nearest to `size`, 0 without one. */
static inline uint32_t kc_group_nearest(const kc_finder *f, const kc_templates *t, uint64_t hash, uint32_t size)
{
    const kc_group *g = kc_group_find(f, hash, 0);
    uint32_t best = 0, least = UINT32_MAX;
    for (int i = 0; g && i < KC_GROUP_TEMPLATES && g->template[i]; i++) {
        if (!kc_number_is_used(t, g->template[i]))
            continue;
        uint32_t len = kc_entry_of(t, g->template[i])->len * (uint32_t)KC_LEN_UNIT;
        uint32_t distance = len > size ? len - size : size - len;
        if (!best || distance + 24 < least) { /* 24: a newer template is better than a slightly nearer one */
            best = g->template[i];
            least = distance;
        }
    }
    return best;
}

static inline void kc_group_add(kc_finder *f, uint64_t hash, uint32_t template)
{
    kc_group *g = kc_group_find(f, hash, 1);
    int i = 0;
    if (!g)
        return;
    while (i < KC_GROUP_TEMPLATES - 1 && g->template[i] && g->template[i] != template)
        i++;
    memmove(&g->template[1], &g->template[0], (size_t)i * sizeof *g->template);
    g->template[0] = (uint16_t)template;
}

/* Records that a group or shape came; returns whether it came before, and forgets it then. */
static inline int kc_came_before(kc_finder *f, uint64_t hash)
{
    if (!f->sights)
        return 0;
    uint16_t *entry = &f->seen[hash & (f->sights - 1)], tag = (uint16_t)(hash >> 48 | 1);
    int before = *entry == tag;
    *entry = before ? 0 : tag;
    return before;
}

/* ---- size ---- */

/* Doubles a table, or makes one of `least` entries. An entry goes where its hash leads: the bits that the smaller table
 * did not use are not known, so it is copied to both places. Without memory nothing changes. */
static inline void kc_double(void **table, uint32_t *count, uint32_t least, uint32_t most, size_t size)
{
    uint32_t grown = *count ? 2 * *count : least;
    kr_byte *made = grown > most ? NULL : (kr_byte *)calloc(grown, size);
    if (!made)
        return;
    if (*count) {
        memcpy(made, *table, *count * size);
        memcpy(made + *count * size, *table, *count * size);
    }
    free(*table);
    *table = made;
    *count = grown;
}

/* Makes room for one more template. Without memory the finder forgets more. */
static void kc_finder_grow(kc_finder *f, uint32_t templates)
{
    if (templates <= f->templates)
        return;
    kc_double((void **)&f->group, &f->groups, 4, KC_MAX_TEMPLATES + 1, sizeof *f->group);
    kc_double((void **)&f->hint, &f->hints, 32, 8 * (KC_MAX_TEMPLATES + 1), sizeof *f->hint);
    kc_double((void **)&f->seen, &f->sights, 16, 1024, sizeof *f->seen);
    f->templates = f->templates ? 2 * f->templates : 6;
}

#endif
