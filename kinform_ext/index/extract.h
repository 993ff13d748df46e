/* The values of an object, read from its JSON: one pass for all indexes of a store, along their paths only.
 *
 * A program is a deterministic trie, compiled by kinform/_paths. A string counts by its value, a number or boolean by
 * its text; null and containers are not values. If the JSON is malformed where it is read, the object has no values. If
 * several members have the same name, each counts. Recursion: at most KJ_MAX_DEPTH levels.
 *
 * A node can also lead to controller references: then the owner that an object there names is a value, see
 * kx_extract_owner.
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
    uint32_t owner;     /* the index that has the owner of a controller reference here, or KX_NONE */
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

/* Copies a decoded string; returns the end of the copy. Its room is at least `t->len`. */
static inline unsigned char *kx_put_text(unsigned char *to, const kj_text *t)
{
    if (t->has_escapes)
        return to + kj_unescape(t->at, t->len, to);
    memcpy(to, t->at, t->len);
    return to + t->len;
}

/* Stages `Kind.group/name`, or `Kind/name` for the core group, if a reference has all parts of it. Returns a kj_ error
 * code. */
static inline int kx_stage_owner(
    kx_indexes *x, uint32_t id, uint32_t index, const kj_text *version, const kj_text *kind, const kj_text *name)
{
    unsigned char small[512], *text = small, *at, *group, *group_end;
    size_t room = version->len + kind->len + name->len + 2;
    int r = KJ_OK;
    if (!version->len || !kind->len || !name->len)
        return KJ_OK;
    if (room > sizeof small && !(text = (unsigned char *)malloc(room)))
        return KJ_NO_MEMORY;
    at = kx_put_text(text, kind);
    if (memchr(text, '/', (size_t)(at - text)))
        goto done;
    group = at + 1;
    *at = '.';
    group_end = kx_put_text(group, version);
    group_end = (unsigned char *)memchr(group, '/', (size_t)(group_end - group));
    if (group_end && group_end > group)
        at = group_end;
    *at++ = '/';
    group_end = kx_put_text(at, name);
    if (!memchr(at, '/', (size_t)(group_end - at)) && !kx_stage(x, id, index, text, (size_t)(group_end - text)))
        r = KJ_NO_MEMORY;
done:
    if (text != small)
        free(text);
    return r;
}

/* Stages the owner that the object at `p` names, if it is a reference with `controller: true`. */
static int kx_extract_owner(kx_indexes *x, uint32_t index, uint32_t id, kj_ptr p, kj_ptr end)
{
    kj_text key, version = {0}, kind = {0}, name = {0};
    int is_controller = 0, r;
    p++;
    KJ_SKIP_SPACE(p, end, more);
    while (*p != '}') {
        if ((r = kj_read_key(&p, end, &key)))
            return r;
        kj_text *text = kj_is(&key, "apiVersion") ? &version
                      : kj_is(&key, "kind")       ? &kind
                      : kj_is(&key, "name")       ? &name
                                                  : NULL;
        kj_ptr value = p;
        if (text && *p == '"')
            r = kj_read_string(&p, end, text);
        else
            r = kj_skip_value(&p, end);
        if (r)
            return r;
        if (kj_is(&key, "controller"))
            is_controller = *value == 't';
        KJ_SKIP_SPACE(p, end, more);
        if (*p == '}')
            break;
        if (*p++ != ',')
            return KJ_MALFORMED;
        KJ_SKIP_SPACE(p, end, more);
    }
    return is_controller ? kx_stage_owner(x, id, index, &version, &kind, &name) : KJ_OK;
more:
    return KJ_INCOMPLETE;
}

/* Stages the values inside the JSON value at `*pp`, whose node is `target`, and advances past it. */
static int kx_extract(kx_indexes *x, int target, uint32_t id, kj_ptr *pp, kj_ptr end, int depth)
{
    const kx_node *node = target == KX_NOWHERE ? NULL : &x->nodes[target];
    unsigned char closer = **pp + 2;
    kj_ptr p = *pp + 1;
    kj_text key;
    int r;
    if (node && node->owner != KX_NONE && **pp == '{' && (r = kx_extract_owner(x, node->owner, id, *pp, end)))
        return r;
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
