/* One object from the wire to its place in a batch: paths dropped and kept, header in front, key and version noted.
 *
 * A program is a deterministic trie (kinform/_paths.py compiles it). The walk copies what is kept in runs as long as
 * possible: `mark` is where the bytes not yet copied begin. Nothing is left in the block unless ks_prune_object says KJ_OK.
 * What is kept has passed the grammar; of what is dropped only the end is sought.
 */
#ifndef KINFORM_PRUNE_H
#define KINFORM_PRUNE_H

#include "batch.h"
#include "keep_last.h"

/* A target is the index of a node, or one of these; below KS_DROP the fields that outlive any program. */
enum { KS_KEEP = -1, KS_DROP = -2, KS_FIELD = -3 };
enum { KS_KIND = KS_TEXTS, KS_API_VERSION, KS_FIELDS };

typedef struct {
    kj_ptr name;
    size_t len;
    int target;
} ks_child;

typedef struct {
    ks_child *children;
    int count;
    int other; /* members without a child, and elements */
    int keep_scalar;
    size_t keep_last; /* 0: all */
} ks_node;

typedef struct {
    unsigned char *block; /* malloc'd; [0, used) belongs to objects taken */
    size_t used, room;
    ks_node *nodes;
    int root, metadata;
    unsigned char *kind, *api; /* insides of JSON strings, for objects that tell none; malloc'd */
    size_t kind_len, api_len;
    size_t header; /* of the object before: room to leave */
    ks_element_stack lists;
    /* the object in hand */
    kj_ptr end, mark;
    unsigned char *out;
    kj_text field[KS_FIELDS];
    size_t place[KS_TEXTS]; /* of a field's text in the block */
} ks_pruner;

static inline int ks_reserve(ks_pruner *w, size_t more)
{
    if (w->room - w->used >= more)
        return KJ_OK;
    size_t room = w->used + more + w->used / 4;
    unsigned char *block = (unsigned char *)realloc(w->block, room);
    if (!block)
        return KJ_NO_MEMORY;
    w->block = block;
    w->room = room;
    return KJ_OK;
}

static inline int ks_find_target(const ks_node *node, const kj_text *key)
{
    for (int i = 0; i < node->count; i++)
        if (kj_equals(key, node->children[i].name, node->children[i].len))
            return node->children[i].target;
    return node->other;
}

static inline void ks_copy_run(ks_pruner *w, kj_ptr to)
{
    if (to > w->mark) {
        size_t n = (size_t)(to - w->mark);
        memcpy(w->out, w->mark, n);
        w->out += n;
    }
}

/* ---- the walk ---- */

static int ks_prune_members(ks_pruner *w, const ks_node *node, kj_ptr *pp, int depth);
static int ks_prune_elements(ks_pruner *w, const ks_node *node, kj_ptr *pp, int depth);

static int ks_read_field(ks_pruner *w, int target, kj_ptr *pp, int *dropped)
{
    int field = KS_FIELD - target;
    kj_text *t = &w->field[field];
    *dropped = field >= KS_TEXTS; /* kind and apiVersion go to the header */
    if (**pp != '"') {
        t->at = NULL;
        return kj_check_word(pp, w->end, "null", 4);
    }
    int r = kj_read_string(pp, w->end, t);
    if (!r && !*dropped)
        w->place[field] = (size_t)(w->out - w->block) + (size_t)(t->at - w->mark);
    return r;
}

static inline int ks_prune_value(ks_pruner *w, int target, kj_ptr *pp, int depth, int *dropped)
{
    *dropped = target == KS_DROP;
    if (target == KS_KEEP)
        return kj_check_value(pp, w->end, depth);
    if (target == KS_DROP)
        return kj_skip_value(pp, w->end);
    if (target <= KS_FIELD)
        return ks_read_field(w, target, pp, dropped);
    const ks_node *node = &w->nodes[target];
    if (target == w->metadata)
        memset(w->field, 0, KS_TEXTS * sizeof *w->field); /* a second one counts alone */
    if (**pp == '{')
        return ks_prune_members(w, node, pp, depth);
    if (**pp == '[')
        return ks_prune_elements(w, node, pp, depth);
    *dropped = !node->keep_scalar;
    return kj_check_value(pp, w->end, depth);
}

/* After a member or element that was dropped: `kept` ends the last one that was not. `*pp` stands behind the value and
 * moves to the next one, or behind the closing bracket. */
static inline int ks_next(ks_pruner *w, kj_ptr *pp, kj_ptr *kept, int *any, int dropped, unsigned char closer, int *done)
{
    kj_ptr p = *pp;
    if (!dropped) {
        *any = 1;
        *kept = p;
    }
    KJ_SKIP_SPACE(p, w->end, more);
    if (dropped) {
        ks_copy_run(w, *kept);
        w->mark = p;
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
    KJ_SKIP_SPACE(p, w->end, more);
    if (dropped && !*any)
        w->mark = p;
    *pp = p;
    return KJ_OK;
more:
    *pp = p;
    return KJ_INCOMPLETE;
}

static int ks_prune_members(ks_pruner *w, const ks_node *node, kj_ptr *pp, int depth)
{
    kj_ptr p = *pp + 1, kept = p;
    int any = 0, done = 0, dropped = 0, r = KJ_TOO_DEEP;
    kj_text key;
    if (depth >= KJ_MAX_DEPTH)
        return r;
    r = KJ_INCOMPLETE;
    KJ_SKIP_SPACE(p, w->end, out);
    r = KJ_OK;
    if (*p == '}') {
        p++;
        goto out;
    }
    while (!done)
        if ((r = kj_read_key(&p, w->end, &key)) || (r = ks_prune_value(w, ks_find_target(node, &key), &p, depth + 1, &dropped))
            || (r = ks_next(w, &p, &kept, &any, dropped, '}', &done)))
            break;
out:
    *pp = p;
    return r;
}

static int ks_prune_elements(ks_pruner *w, const ks_node *node, kj_ptr *pp, int depth)
{
    kj_ptr p = *pp + 1, kept = p;
    int any = 0, done = 0, dropped = 0, r = KJ_TOO_DEEP;
    size_t base = w->lists.count;
    if (depth >= KJ_MAX_DEPTH)
        return r;
    if (node->keep_last && (r = ks_choose_elements(&w->lists, p, w->end, node->keep_last)))
        return r;
    r = KJ_INCOMPLETE;
    KJ_SKIP_SPACE(p, w->end, out);
    r = KJ_OK;
    if (*p == ']') {
        p++;
        goto out;
    }
    for (size_t i = base; !done; i++) {
        if (node->keep_last && !w->lists.elements[i].keep) {
            p = w->lists.elements[i].stop;
            dropped = 1;
        } else if ((r = ks_prune_value(w, node->other, &p, depth + 1, &dropped)))
            break;
        if ((r = ks_next(w, &p, &kept, &any, dropped, ']', &done)))
            break;
    }
    w->lists.count = base;
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

/* Takes the object at `*pp` (a brace): past it, pruned bytes at the end of the block, `rec` filled except for offset,
 * wire and verb. KJ_MALFORMED also where it has no name. */
static inline int ks_prune_object(ks_pruner *w, kj_ptr *pp, kj_ptr end, ks_object *rec)
{
    kj_ptr p = *pp + 1;
    size_t gap = w->header;
    int r = KJ_INCOMPLETE;
    KJ_SKIP_SPACE(p, end, out);
    if (ks_reserve(w, gap + w->kind_len + w->api_len + 64 + (size_t)(end - *pp)))
        return KJ_NO_MEMORY;
    memset(w->field, 0, sizeof w->field);
    w->end = end;
    w->mark = p;
    w->out = w->block + w->used + gap;
    w->lists.count = 0;
    p = *pp;
    r = ks_prune_members(w, &w->nodes[w->root], &p, 0);
    if (r)
        goto out;
    ks_copy_run(w, p);
    r = KJ_MALFORMED;
    if (!w->field[KS_NAME].at || !w->field[KS_NAME].len)
        goto out;

    /* The header. Objects of one body share theirs, so that the gap left for it nearly always fits. */
    const kj_text *kind = &w->field[KS_KIND], *api = &w->field[KS_API_VERSION];
    const unsigned char *k = kind->len && kind->at ? kind->at : w->kind, *a = api->len && api->at ? api->at : w->api;
    size_t klen = k == w->kind ? w->kind_len : kind->len, alen = a == w->api ? w->api_len : api->len;
    size_t header = 1 + (alen ? alen + 16 : 0) + (klen ? klen + 10 : 0), moved = 0;
    unsigned char *body = w->block + w->used + gap;
    size_t body_len = (size_t)(w->out - body);
    if (header > gap) {
        moved = header - gap;
        memmove(body + moved, body, body_len);
        body += moved;
    }
    unsigned char *o = body - header;
    rec->raw.at = (size_t)(o - w->block);
    rec->raw.len = header + body_len;
    rec->body = header;
    *o++ = '{';
    if (alen)
        o = ks_put(ks_put(ks_put(o, "\"apiVersion\":\"", 14), a, alen), "\",", 2);
    if (klen)
        ks_put(ks_put(ks_put(o, "\"kind\":\"", 8), k, klen), "\",", 2);
    w->header = header;

    size_t used = w->used;
    w->used = rec->raw.at + rec->raw.len;
    for (int i = 0; i < KS_TEXTS; i++) {
        const kj_text *t = &w->field[i];
        rec->text[i].at = t->at ? w->place[i] + moved : 0;
        rec->text[i].len = t->at ? t->len : 0;
        if (t->at && t->how) {
            if (ks_reserve(w, t->len)) {
                w->used = used;
                return KJ_NO_MEMORY;
            }
            rec->text[i].at = w->used;
            rec->text[i].len = kj_unescape(t->at, t->len, w->block + w->used);
            w->used += rec->text[i].len;
        }
    }
    r = KJ_OK;
out:
    *pp = p;
    return r;
}

#endif
