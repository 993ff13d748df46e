/* Copies one object from the response into the block of a batch: prunes it, writes apiVersion and kind first, and notes
 * where its key and version are.
 *
 * A program is a deterministic trie, compiled by kinform/_paths. Kept bytes are copied in runs as long as possible.
 * Kept values have passed the JSON grammar; of dropped values only the end is found. The block keeps nothing of an
 * object unless ks_prune_object returns KJ_OK. Recursion: at most KJ_MAX_DEPTH levels.
 */
#ifndef KINFORM_PRUNE_H
#define KINFORM_PRUNE_H

#include "batch.h"
#include "keep_last.h"

/* Where a member or element leads: the index of a node, or one of these. KS_FIELD - i: field i, which every program
 * keeps. */
enum { KS_KEEP = -1, KS_DROP = -2, KS_FIELD = -3 };

/* The fields of an object that are located: KS_TEXTS and these. */
enum { KS_KIND = KS_TEXTS, KS_API_VERSION, KS_FIELDS };

typedef struct {
    kj_ptr name; /* UTF-8, owned by the caller */
    size_t len;  /* bytes of `name` */
    int target;  /* of the member */
} ks_child;

typedef struct {
    ks_child *children; /* members with a target of their own; malloc'd by the caller */
    int count;          /* of `children` */
    int other;          /* target of all other members, and of elements */
    int keep_scalar;    /* 1: a scalar at this node is kept, 0: dropped */
    size_t keep_last;   /* elements of a list to keep of each type; 0: all */
} ks_node;

typedef struct {
    unsigned char *block;       /* malloc'd; [0, used) belongs to complete objects */
    size_t used, capacity;      /* bytes; used <= capacity */
    ks_node *nodes;             /* the program, owned by the caller */
    int root, metadata;         /* nodes of an object and of its metadata */
    unsigned char *kind;        /* default kind, as the inside of a JSON string; malloc'd */
    unsigned char *api_version; /* default apiVersion, likewise */
    size_t kind_len;            /* bytes of `kind`; 0: no default */
    size_t api_version_len;     /* bytes of `api_version`; 0: no default */
    size_t header;              /* bytes of the last object's header: the gap to leave before the next object */
    ks_element_stack lists;     /* lists under keep_last around the current position */
    /* the current object */
    kj_ptr end;                 /* of the bytes */
    kj_ptr run;                 /* start of the run of kept bytes that is not copied yet */
    unsigned char *out;         /* where in the block that run goes */
    kj_text field[KS_FIELDS];   /* in the source bytes */
    size_t field_at[KS_TEXTS];  /* position of the text in the block, if it is present */
} ks_pruner;

/* Makes room for `more` bytes after the `used` ones. The block may move. */
static inline int ks_reserve(ks_pruner *s, size_t more)
{
    if (s->capacity - s->used >= more)
        return KJ_OK;
    size_t capacity = s->used + more + s->used / 4;
    unsigned char *block = (unsigned char *)realloc(s->block, capacity);
    if (!block)
        return KJ_NO_MEMORY;
    s->block = block;
    s->capacity = capacity;
    return KJ_OK;
}

static inline int ks_find_target(const ks_node *node, const kj_text *key)
{
    for (int i = 0; i < node->count; i++)
        if (kj_equals(key, node->children[i].name, node->children[i].len))
            return node->children[i].target;
    return node->other;
}

/* Copies the run of kept bytes, which ends at `to`. The caller sets the start of the next one. */
static inline void ks_copy_run(ks_pruner *s, kj_ptr to)
{
    if (to > s->run) {
        size_t n = (size_t)(to - s->run);
        memcpy(s->out, s->run, n);
        s->out += n;
    }
}

/* ---- values ---- */

static int ks_prune_members(ks_pruner *s, const ks_node *node, kj_ptr *pp, int depth);
static int ks_prune_elements(ks_pruner *s, const ks_node *node, kj_ptr *pp, int depth);

/* Locates a field that must be a string or null. */
static int ks_read_field(ks_pruner *s, int target, kj_ptr *pp, int *dropped)
{
    int field = KS_FIELD - target;
    kj_text *t = &s->field[field];
    *dropped = field >= KS_TEXTS; /* kind and apiVersion move to the header */
    if (**pp != '"') {
        t->at = NULL;
        return kj_check_word(pp, s->end, "null", 4);
    }
    int r = kj_read_string(pp, s->end, t);
    if (!r && !*dropped)
        s->field_at[field] = (size_t)(s->out - s->block) + (size_t)(t->at - s->run);
    return r;
}

/* Prunes the value at `*pp` and advances past it. Sets `*dropped` if the caller must drop the whole member. */
static inline int ks_prune_value(ks_pruner *s, int target, kj_ptr *pp, int depth, int *dropped)
{
    *dropped = target == KS_DROP;
    if (target == KS_KEEP)
        return kj_check_value(pp, s->end, depth);
    if (target == KS_DROP)
        return kj_skip_value(pp, s->end);
    if (target <= KS_FIELD)
        return ks_read_field(s, target, pp, dropped);
    const ks_node *node = &s->nodes[target];
    if (target == s->metadata)
        memset(s->field, 0, KS_TEXTS * sizeof *s->field); /* of two members `metadata` the last one counts */
    if (**pp == '{')
        return ks_prune_members(s, node, pp, depth);
    if (**pp == '[')
        return ks_prune_elements(s, node, pp, depth);
    *dropped = !node->keep_scalar;
    return kj_check_value(pp, s->end, depth);
}

/* Advances from the end of a value to the next member or element, or past the closing bracket, and ends the run of kept
 * bytes before a dropped value. `*kept` is the end of the last kept value, `*any` whether there is one. */
static inline int ks_next(
    ks_pruner *s, kj_ptr *pp, kj_ptr *kept, int *any, int dropped, unsigned char closer, int *done)
{
    kj_ptr p = *pp;
    if (!dropped) {
        *any = 1;
        *kept = p;
    }
    KJ_SKIP_SPACE(p, s->end, more);
    if (dropped) {
        ks_copy_run(s, *kept);
        s->run = p;
    }
    if (*p == closer) {
        *done = 1;
        *pp = p + 1;
        return KJ_OK;
    }
    *pp = p;
    if (*p != ',')
        return KJ_MALFORMED;
    p++;
    KJ_SKIP_SPACE(p, s->end, more);
    if (dropped && !*any)
        s->run = p;
    *pp = p;
    return KJ_OK;
more:
    *pp = p;
    return KJ_INCOMPLETE;
}

static int ks_prune_members(ks_pruner *s, const ks_node *node, kj_ptr *pp, int depth)
{
    kj_ptr p = *pp + 1, kept = p;
    int any = 0, done = 0, dropped = 0, r = KJ_TOO_DEEP;
    kj_text key;
    if (depth >= KJ_MAX_DEPTH)
        return r;
    r = KJ_INCOMPLETE;
    KJ_SKIP_SPACE(p, s->end, out);
    r = KJ_OK;
    if (*p == '}') {
        p++;
        goto out;
    }
    while (!done)
        if ((r = kj_read_key(&p, s->end, &key))
            || (r = ks_prune_value(s, ks_find_target(node, &key), &p, depth + 1, &dropped))
            || (r = ks_next(s, &p, &kept, &any, dropped, '}', &done)))
            break;
out:
    *pp = p;
    return r;
}

static int ks_prune_elements(ks_pruner *s, const ks_node *node, kj_ptr *pp, int depth)
{
    kj_ptr p = *pp + 1, kept = p;
    int any = 0, done = 0, dropped = 0, r = KJ_TOO_DEEP;
    size_t base = s->lists.count;
    if (depth >= KJ_MAX_DEPTH)
        return r;
    if (node->keep_last && (r = ks_choose_elements(&s->lists, p, s->end, node->keep_last)))
        return r;
    r = KJ_INCOMPLETE;
    KJ_SKIP_SPACE(p, s->end, out);
    r = KJ_OK;
    if (*p == ']') {
        p++;
        goto out;
    }
    for (size_t i = base; !done; i++) {
        if (node->keep_last && !s->lists.elements[i].keep) {
            p = s->lists.elements[i].stop;
            dropped = 1;
        } else if ((r = ks_prune_value(s, node->other, &p, depth + 1, &dropped)))
            break;
        if ((r = ks_next(s, &p, &kept, &any, dropped, ']', &done)))
            break;
    }
    s->lists.count = base;
out:
    *pp = p;
    return r;
}

/* ---- one object ---- */

static inline unsigned char *ks_put(unsigned char *o, const void *from, size_t n)
{
    memcpy(o, from, n);
    return o + n;
}

/* Appends the object whose brace is at `*pp` to the block, pruned, and advances past it. Fills `object` except for
 * `verb`. An object without a name is KJ_MALFORMED. */
static inline int ks_prune_object(ks_pruner *s, kj_ptr *pp, kj_ptr end, ks_object *object)
{
    kj_ptr p = *pp + 1;
    size_t gap = s->header;
    int r = KJ_INCOMPLETE;
    KJ_SKIP_SPACE(p, end, out);
    if (ks_reserve(s, gap + s->kind_len + s->api_version_len + 64 + (size_t)(end - *pp)))
        return KJ_NO_MEMORY;
    memset(s->field, 0, sizeof s->field);
    s->end = end;
    s->run = p;
    s->out = s->block + s->used + gap;
    s->lists.count = 0;
    p = *pp;
    r = ks_prune_members(s, &s->nodes[s->root], &p, 0);
    if (r)
        goto out;
    ks_copy_run(s, p);
    r = KJ_MALFORMED;
    if (!s->field[KS_NAME].at || !s->field[KS_NAME].len)
        goto out;

    /* The header: `{"apiVersion":...,"kind":...,`. Objects of one body share it, so the gap nearly always fits. */
    const kj_text *kind = &s->field[KS_KIND], *api = &s->field[KS_API_VERSION];
    const unsigned char *k = kind->len && kind->at ? kind->at : s->kind;
    const unsigned char *a = api->len && api->at ? api->at : s->api_version;
    size_t klen = k == s->kind ? s->kind_len : kind->len, alen = a == s->api_version ? s->api_version_len : api->len;
    size_t header = 1 + (alen ? alen + 16 : 0) + (klen ? klen + 10 : 0), moved = 0;
    unsigned char *body = s->block + s->used + gap;
    size_t body_len = (size_t)(s->out - body);
    if (header > gap) {
        moved = header - gap;
        memmove(body + moved, body, body_len);
        body += moved;
    }
    unsigned char *o = body - header;
    object->raw.at = (size_t)(o - s->block);
    object->raw.len = header + body_len;
    *o++ = '{';
    if (alen)
        o = ks_put(ks_put(ks_put(o, "\"apiVersion\":\"", 14), a, alen), "\",", 2);
    if (klen)
        ks_put(ks_put(ks_put(o, "\"kind\":\"", 8), k, klen), "\",", 2);
    s->header = header;

    size_t used = s->used;
    s->used = object->raw.at + object->raw.len;
    for (int i = 0; i < KS_TEXTS; i++) {
        const kj_text *t = &s->field[i];
        object->text[i].at = t->at ? s->field_at[i] + moved : 0;
        object->text[i].len = t->at ? t->len : 0;
        if (t->at && t->has_escapes) {
            if (ks_reserve(s, t->len)) {
                s->used = used;
                return KJ_NO_MEMORY;
            }
            object->text[i].at = s->used;
            object->text[i].len = kj_unescape(t->at, t->len, s->block + s->used);
            s->used += object->text[i].len;
        }
    }
    r = KJ_OK;
out:
    *pp = p;
    return r;
}

#endif
