/* The values of an object, read from its JSON: one pass for all indexes of a store, along their paths only.
 *
 * A program is a deterministic trie, compiled by kinform/_paths. A string counts by its value, a number or boolean by
 * its text; null and containers are not values. If the JSON is malformed where it is read, the object has no values. If
 * several members have the same name, each counts. Recursion: at most KJ_MAX_DEPTH levels.
 */
#ifndef KINFORM_EXTRACT_H
#define KINFORM_EXTRACT_H

#include "../json/json_skip.h"
#include "values.h"

/* Where a member or element leads that is on no path; any other target is the index of a node. */
enum { KX_NOWHERE = -1 };

typedef struct {
    unsigned char *name; /* UTF-8, malloc'd */
    size_t len;          /* bytes of `name` */
    int target;          /* of the member */
} kx_child;

typedef struct kx_node {
    kx_child *children; /* members with a target of their own; malloc'd */
    uint32_t count;     /* of `children` */
    int other;          /* target of all other members, and of elements */
    uint32_t *ends;     /* the indexes whose path ends here: a scalar is a value of theirs; malloc'd */
    uint32_t end_count; /* of `ends` */
} kx_node;

static inline int kx_stage_all(kx_indexes *x, const kx_node *node, uint32_t id, const unsigned char *text, size_t len)
{
    for (uint32_t i = 0; i < node->end_count; i++)
        if (!kx_stage(x, id, node->ends[i], text, len))
            return KJ_NO_MEMORY;
    return KJ_OK;
}

static inline int kx_extract_scalar(kx_indexes *x, const kx_node *node, uint32_t id, kj_ptr *pp, kj_ptr end)
{
    kj_ptr start = *pp;
    kj_text t;
    unsigned char small[256] = {0}, *plain = small;
    int r;
    if (*start != '"') {
        r = kj_check_scalar(pp, end);
        return r || *start == 'n' ? r : kx_stage_all(x, node, id, start, (size_t)(*pp - start));
    }
    if ((r = kj_read_string(pp, end, &t)) || !node->end_count)
        return r;
    if (!t.has_escapes)
        return kx_stage_all(x, node, id, t.at, t.len);
    if (t.len > sizeof small && !(plain = (unsigned char *)calloc(1, t.len)))
        return KJ_NO_MEMORY;
    size_t len = kj_unescape(t.at, t.len, plain);
    r = kx_stage_all(x, node, id, plain, len);
    if (plain != small)
        free(plain);
    return r;
}

static inline int kx_find_target(const kx_node *node, const kj_text *key)
{
    for (uint32_t i = 0; i < node->count; i++)
        if (kj_equals(key, node->children[i].name, node->children[i].len))
            return node->children[i].target;
    return node->other;
}

/* Stages the values inside the JSON value at `*pp`, whose node is `target`, and advances past it. */
static int kx_extract(kx_indexes *x, int target, uint32_t id, kj_ptr *pp, kj_ptr end, int depth)
{
    const kx_node *node = target == KX_NOWHERE ? NULL : &x->nodes[target];
    unsigned char closer = **pp + 2;
    kj_ptr p = *pp + 1;
    kj_text key;
    int r;
    if (!node || (node->other == KX_NOWHERE && (**pp == '[' || (**pp == '{' && !node->count))))
        return kj_skip_value(pp, end);
    if (**pp != '{' && **pp != '[')
        return kx_extract_scalar(x, node, id, pp, end);
    if (depth >= KJ_MAX_DEPTH)
        return KJ_TOO_DEEP;
    KJ_SKIP_SPACE(p, end, more);
    if (*p == closer) {
        *pp = p + 1;
        return KJ_OK;
    }
    for (;;) {
        target = node->other;
        if (closer == '}') {
            if ((r = kj_read_key(&p, end, &key)))
                return r;
            target = kx_find_target(node, &key);
        }
        if ((r = kx_extract(x, target, id, &p, end, depth + 1)))
            return r;
        KJ_SKIP_SPACE(p, end, more);
        if (*p == closer) {
            *pp = p + 1;
            return KJ_OK;
        }
        if (*p++ != ',')
            return KJ_MALFORMED;
        KJ_SKIP_SPACE(p, end, more);
    }
more:
    return KJ_INCOMPLETE;
}

/* Replaces the values of an id by those of this JSON. If there is no memory, the id has no values, and returns 0. */
static inline int kx_index_json(kx_indexes *x, uint32_t id, const unsigned char *raw, size_t len)
{
    kj_ptr p = raw;
    kx_release(x, id);
    p = kj_skip_space(p, raw + len);
    if (!x->node_count || p == raw + len)
        return 1;
    int r = kx_extract(x, 0, id, &p, raw + len, 0);
    if (!r)
        return kx_commit(x, id);
    kx_abort(x, id);
    return r != KJ_NO_MEMORY;
}

/* Frees a program of `count` nodes; NULL is ignored. */
static inline void kx_free_nodes(kx_node *nodes, uint32_t count)
{
    for (uint32_t i = 0; nodes && i < count; i++) {
        for (uint32_t j = 0; j < nodes[i].count; j++)
            free(nodes[i].children[j].name);
        free(nodes[i].children);
        free(nodes[i].ends);
    }
    free(nodes);
}

#endif
