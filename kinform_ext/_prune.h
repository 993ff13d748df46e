/* One object from the wire to its place in a batch: paths dropped and kept, header in front, key and version noted.
 *
 * A program is a deterministic trie (kinform/_paths.py compiles it). The walk copies what is kept in runs as long as
 * possible: `mark` is where the bytes not yet copied begin. Nothing is left in the block unless kp_take says KJ_OK.
 * What is kept has passed the grammar; of what is dropped only the end is sought.
 */
#ifndef KINFORM_PRUNE_H
#define KINFORM_PRUNE_H

#include <stdlib.h>

#include "_batch.h"
#include "_json.h"

/* A target is the index of a node, or one of these; below KP_DROP the fields that outlive any program. */
enum { KP_KEEP = -1, KP_DROP = -2, KP_FIELD = -3 };
enum { KP_KIND = KB_TEXTS, KP_API, KP_FIELDS };

typedef struct {
    kj_ptr name;
    size_t len;
    int target;
} kp_child;

typedef struct {
    kp_child *children;
    int count;
    int other; /* members without a child, and elements */
    int keep_scalar;
    size_t keep_last; /* 0: all */
} kp_node;

typedef struct {
    kj_ptr at; /* NULL: absent */
    size_t len;
    int how;
    size_t out; /* where it will stand in the block */
} kp_text;

/* An element of a list under keep_last. */
typedef struct {
    kj_ptr stop;
    kp_text type;
    int64_t seconds;
    uint64_t fraction;
    size_t position;
    int keep;
} kp_element;

typedef struct {
    unsigned char *block; /* malloc'd; [0, used) belongs to objects taken */
    size_t used, room;
    kp_node *nodes;
    int root, metadata;
    unsigned char *kind, *api; /* insides of JSON strings, for objects that tell none; malloc'd */
    size_t kind_len, api_len;
    size_t header; /* of the object before: room to leave */
    kp_element *elements;
    size_t element_count, element_room;
    /* the object in hand */
    kj_ptr end, mark;
    unsigned char *out;
    kp_text field[KP_FIELDS];
} kp_walk;

static inline int kp_reserve(kp_walk *w, size_t more)
{
    if (w->room - w->used >= more)
        return KJ_OK;
    size_t room = w->used + more + w->used / 4;
    unsigned char *block = (unsigned char *)realloc(w->block, room);
    if (!block)
        return KJ_NOMEM;
    w->block = block;
    w->room = room;
    return KJ_OK;
}

static inline int kp_same(const kp_text *t, kj_ptr plain, size_t len)
{
    return t->how ? !kj_compare(t->at, t->len, 1, plain, len, 0) : t->len == len && !memcmp(t->at, plain, len);
}

static inline int kp_is(const kp_text *t, const char *plain) { return kp_same(t, (kj_ptr)plain, strlen(plain)); }

static inline int kp_find(const kp_node *node, const kp_text *key)
{
    for (int i = 0; i < node->count; i++)
        if (kp_same(key, node->children[i].name, node->children[i].len))
            return node->children[i].target;
    return node->other;
}

static inline void kp_flush(kp_walk *w, kj_ptr to)
{
    if (to > w->mark) {
        size_t n = (size_t)(to - w->mark);
        memcpy(w->out, w->mark, n);
        w->out += n;
    }
}

/* The string at `*pp` (a quote), past it. */
static inline int kp_string(kj_ptr *pp, kj_ptr end, kp_text *t)
{
    kj_ptr p = *pp + 1, at = p;
    int r = kj_string(&p, end, &t->how);
    t->at = at;
    t->len = (size_t)(p - at);
    *pp = r ? p : p + 1;
    return r;
}

/* From the quote of a key to the first byte of its value. */
static inline int kp_key(kj_ptr *pp, kj_ptr end, kp_text *key)
{
    kj_ptr p = *pp;
    int r;
    if (*p != '"')
        return KJ_BAD;
    if ((r = kp_string(&p, end, key)))
        goto out;
    r = KJ_MORE;
    KJ_SPACE(p, end, out);
    if (*p != ':') {
        r = KJ_BAD;
        goto out;
    }
    p++;
    KJ_SPACE(p, end, out);
    r = KJ_OK;
out:
    *pp = p;
    return r;
}

/* ---- keep_last ---- */

static inline int kp_two(kj_ptr p) { return (p[0] - '0') * 10 + p[1] - '0'; }

/* RFC 3339, any offset and fraction (18 digits count); all that is none is the oldest of all. */
static void kp_time(kp_element *e, const kp_text *t)
{
    unsigned char s[64];
    e->seconds = INT64_MIN;
    e->fraction = 0;
    if (!t->at || t->len > sizeof s)
        return;
    size_t n = kj_unescape(t->at, t->len, s), i;
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    if (n < 20)
        return;
    for (i = 0; i < 19; i++)
        if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' : shape[i] == 'T' ? (s[i] | 0x20) != 't' : s[i] != shape[i])
            return;
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = kp_two(s) * 100 + kp_two(s + 2), month = kp_two(s + 5), day = kp_two(s + 8);
    int hour = kp_two(s + 11), minute = kp_two(s + 14), second = kp_two(s + 17);
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1 || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 60)
        return;
    if (day < 1 || day > days[month - 1] + (leap && month == 2))
        return;
    uint64_t fraction = 0, unit = UINT64_C(100000000000000000);
    if (s[i] == '.') {
        size_t first = ++i;
        for (; i < n && s[i] >= '0' && s[i] <= '9'; i++, unit /= 10)
            fraction += (uint64_t)(s[i] - '0') * unit;
        if (i == first)
            return;
    }
    int64_t shift = 0;
    if (i + 6 == n && (s[i] == '+' || s[i] == '-') && s[i + 3] == ':') {
        for (size_t k = 1; k < 6; k++)
            if (k != 3 && (s[i + k] < '0' || s[i + k] > '9'))
                return;
        if (kp_two(s + i + 1) > 23 || kp_two(s + i + 4) > 59)
            return;
        shift = (kp_two(s + i + 1) * 60 + kp_two(s + i + 4)) * (s[i] == '+' ? 60 : -60);
    } else if (i + 1 != n || (s[i] | 0x20) != 'z')
        return;
    int64_t before = year - 1, count = before * 365 + before / 4 - before / 100 + before / 400 + day;
    for (int m = 1; m < month; m++)
        count += days[m - 1] + (leap && m == 2);
    e->seconds = ((count * 24 + hour) * 60 + minute) * 60 + second - shift;
    e->fraction = fraction;
}

static int kp_type_order(const kp_text *a, const kp_text *b)
{
    if (!a->at || !b->at)
        return (a->at != NULL) - (b->at != NULL);
    return kj_compare(a->at, a->len, a->how, b->at, b->len, b->how);
}

static int kp_by_age(const void *left, const void *right)
{
    const kp_element *a = (const kp_element *)left, *b = (const kp_element *)right;
    int order = kp_type_order(&a->type, &b->type);
    if (order)
        return order;
    if (a->seconds != b->seconds)
        return a->seconds > b->seconds ? 1 : -1;
    if (a->fraction != b->fraction)
        return a->fraction > b->fraction ? 1 : -1;
    return a->position > b->position ? 1 : -1;
}

static int kp_by_position(const void *left, const void *right)
{
    const kp_element *a = (const kp_element *)left, *b = (const kp_element *)right;
    return a->position > b->position ? 1 : -1;
}

/* The first level of an element: past it, its `type` and its time. */
static int kp_condition(kj_ptr *pp, kj_ptr end, kp_element *e)
{
    kj_ptr p = *pp + 1;
    kp_text time = {0}, key, *to;
    int r = KJ_MORE;
    KJ_SPACE(p, end, out);
    for (int first = 1; !(first && *p == '}'); first = 0) {
        if ((r = kp_key(&p, end, &key)))
            goto out;
        to = kp_is(&key, "type") ? &e->type : kp_is(&key, "lastTransitionTime") ? &time : NULL;
        if (to)
            to->at = NULL;
        if ((r = to && *p == '"' ? kp_string(&p, end, to) : kj_drop(&p, end)))
            goto out;
        r = KJ_MORE;
        KJ_SPACE(p, end, out);
        if (*p == '}')
            break;
        r = KJ_BAD;
        if (*p != ',')
            goto out;
        p++;
        r = KJ_MORE;
        KJ_SPACE(p, end, out);
    }
    p++;
    kp_time(e, &time);
    r = KJ_OK;
out:
    *pp = p;
    return r;
}

/* Looks through the list whose first element may start at `p`, and marks what stays. Leaves its elements, in order,
 * at the top of w->elements. */
static int kp_choose(kp_walk *w, kj_ptr p, size_t last)
{
    size_t base = w->element_count, n, run = 0;
    int r = KJ_MORE, typed = 0;
    KJ_SPACE(p, w->end, out);
    while (!(w->element_count == base && *p == ']')) {
        if (w->element_count == w->element_room) {
            size_t room = w->element_room ? w->element_room * 2 : 16;
            kp_element *grown = (kp_element *)realloc(w->elements, room * sizeof *grown);
            if (!grown)
                return KJ_NOMEM;
            w->elements = grown;
            w->element_room = room;
        }
        kp_element *e = &w->elements[w->element_count];
        memset(e, 0, sizeof *e);
        e->seconds = INT64_MIN;
        e->position = w->element_count - base;
        if ((r = *p == '{' ? kp_condition(&p, w->end, e) : kj_drop(&p, w->end)))
            return r;
        typed |= e->type.at != NULL;
        e->stop = p;
        w->element_count++;
        r = KJ_MORE;
        KJ_SPACE(p, w->end, out);
        if (*p == ']')
            break;
        if (*p != ',')
            return KJ_BAD;
        p++;
        KJ_SPACE(p, w->end, out);
    }
    n = w->element_count - base;
    kp_element *e = w->elements + base;
    for (size_t i = 0; i < n && !typed; i++)
        e[i].seconds = 0, e[i].fraction = 0;
    qsort(e, n, sizeof *e, kp_by_age);
    for (size_t i = n; i-- > 0;) {
        run = i + 1 < n && !kp_type_order(&e[i].type, &e[i + 1].type) ? run + 1 : 1;
        e[i].keep = run <= last;
    }
    qsort(e, n, sizeof *e, kp_by_position);
    r = KJ_OK;
out:
    return r;
}

/* ---- the walk ---- */

static int kp_object(kp_walk *w, const kp_node *node, kj_ptr *pp, int depth);
static int kp_array(kp_walk *w, const kp_node *node, kj_ptr *pp, int depth);

static int kp_field(kp_walk *w, int target, kj_ptr *pp, int *dropped)
{
    int field = KP_FIELD - target;
    kp_text *t = &w->field[field];
    *dropped = field >= KB_TEXTS; /* kind and apiVersion go to the header */
    if (**pp != '"') {
        t->at = NULL;
        return kj_word(pp, w->end, "null", 4);
    }
    int r = kp_string(pp, w->end, t);
    if (!r && !*dropped)
        t->out = (size_t)(w->out - w->block) + (size_t)(t->at - w->mark);
    return r;
}

static inline int kp_target(kp_walk *w, int target, kj_ptr *pp, int depth, int *dropped)
{
    *dropped = target == KP_DROP;
    if (target == KP_KEEP)
        return kj_value(pp, w->end, depth);
    if (target == KP_DROP)
        return kj_drop(pp, w->end);
    if (target <= KP_FIELD)
        return kp_field(w, target, pp, dropped);
    const kp_node *node = &w->nodes[target];
    if (target == w->metadata)
        memset(w->field, 0, KB_TEXTS * sizeof *w->field); /* a second one counts alone */
    if (**pp == '{')
        return kp_object(w, node, pp, depth);
    if (**pp == '[')
        return kp_array(w, node, pp, depth);
    *dropped = !node->keep_scalar;
    return kj_value(pp, w->end, depth);
}

/* After a member or element that was dropped: `kept` ends the last one that was not. `*pp` stands behind the value and
 * moves to the next one, or behind the closing bracket. */
static inline int kp_next(kp_walk *w, kj_ptr *pp, kj_ptr *kept, int *any, int dropped, unsigned char closer, int *done)
{
    kj_ptr p = *pp;
    if (!dropped) {
        *any = 1;
        *kept = p;
    }
    KJ_SPACE(p, w->end, more);
    if (dropped) {
        kp_flush(w, *kept);
        w->mark = p;
    }
    if (*p == closer) {
        *done = 1;
        *pp = p + 1;
        return KJ_OK;
    }
    *pp = p;
    if (*p != ',')
        return KJ_BAD;
    p++;
    KJ_SPACE(p, w->end, more);
    if (dropped && !*any)
        w->mark = p;
    *pp = p;
    return KJ_OK;
more:
    *pp = p;
    return KJ_MORE;
}

static int kp_object(kp_walk *w, const kp_node *node, kj_ptr *pp, int depth)
{
    kj_ptr p = *pp + 1, kept = p;
    int any = 0, done = 0, dropped = 0, r = KJ_DEEP;
    kp_text key;
    if (depth >= KJ_MAX_DEPTH)
        return r;
    r = KJ_MORE;
    KJ_SPACE(p, w->end, out);
    r = KJ_OK;
    if (*p == '}') {
        p++;
        goto out;
    }
    while (!done)
        if ((r = kp_key(&p, w->end, &key)) || (r = kp_target(w, kp_find(node, &key), &p, depth + 1, &dropped))
            || (r = kp_next(w, &p, &kept, &any, dropped, '}', &done)))
            break;
out:
    *pp = p;
    return r;
}

static int kp_array(kp_walk *w, const kp_node *node, kj_ptr *pp, int depth)
{
    kj_ptr p = *pp + 1, kept = p;
    int any = 0, done = 0, dropped = 0, r = KJ_DEEP;
    size_t base = w->element_count;
    if (depth >= KJ_MAX_DEPTH)
        return r;
    if (node->keep_last && (r = kp_choose(w, p, node->keep_last)))
        return r;
    r = KJ_MORE;
    KJ_SPACE(p, w->end, out);
    r = KJ_OK;
    if (*p == ']') {
        p++;
        goto out;
    }
    for (size_t i = base; !done; i++) {
        if (node->keep_last && !w->elements[i].keep) {
            p = w->elements[i].stop;
            dropped = 1;
        } else if ((r = kp_target(w, node->other, &p, depth + 1, &dropped)))
            break;
        if ((r = kp_next(w, &p, &kept, &any, dropped, ']', &done)))
            break;
    }
    w->element_count = base;
out:
    *pp = p;
    return r;
}

/* ---- one object ---- */

static inline unsigned char *kp_put(unsigned char *o, const void *from, size_t n)
{
    memcpy(o, from, n);
    return o + n;
}

/* Takes the object at `*pp` (a brace): past it, pruned bytes at the end of the block, `rec` filled except for offset,
 * wire and verb. KJ_BAD also where it has no name. */
static int kp_take(kp_walk *w, kj_ptr *pp, kj_ptr end, kb_record *rec)
{
    kj_ptr p = *pp + 1;
    size_t gap = w->header;
    int r = KJ_MORE;
    KJ_SPACE(p, end, out);
    if (kp_reserve(w, gap + w->kind_len + w->api_len + 64 + (size_t)(end - *pp)))
        return KJ_NOMEM;
    memset(w->field, 0, sizeof w->field);
    w->end = end;
    w->mark = p;
    w->out = w->block + w->used + gap;
    w->element_count = 0;
    p = *pp;
    r = kp_object(w, &w->nodes[w->root], &p, 0);
    if (r)
        goto out;
    kp_flush(w, p);
    r = KJ_BAD;
    if (!w->field[KB_NAME].at || !w->field[KB_NAME].len)
        goto out;

    /* The header. Objects of one body share theirs, so that the gap left for it nearly always fits. */
    const kp_text *kind = &w->field[KP_KIND], *api = &w->field[KP_API];
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
        o = kp_put(kp_put(kp_put(o, "\"apiVersion\":\"", 14), a, alen), "\",", 2);
    if (klen)
        kp_put(kp_put(kp_put(o, "\"kind\":\"", 8), k, klen), "\",", 2);
    w->header = header;

    size_t used = w->used;
    w->used = rec->raw.at + rec->raw.len;
    for (int i = 0; i < KB_TEXTS; i++) {
        const kp_text *t = &w->field[i];
        rec->text[i].at = t->at ? t->out + moved : 0;
        rec->text[i].len = t->at ? t->len : 0;
        if (t->at && t->how) {
            if (kp_reserve(w, t->len)) {
                w->used = used;
                return KJ_NOMEM;
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

/* ---- what can be told of an object that is left out ---- */

enum { KP_FRAME, KP_ITEM, KP_META };

typedef struct {
    kp_text verb, field[KB_TEXTS];
    int complete; /* the metadata was read to its end: what is absent is absent */
} kp_key_found;

/* Looks for the key in bytes that may be malformed or end early; stops where it cannot go on. */
static void kp_peek(kj_ptr *pp, kj_ptr end, int level, kp_key_found *found)
{
    static const char *const names[] = {"namespace", "name", "uid", "resourceVersion"};
    kj_ptr p = *pp;
    int plain = 1;
    if (p == end || *p != '{')
        return;
    p++;
    if (level == KP_META) {
        memset(found->field, 0, sizeof found->field);
        found->complete = 0;
    }
    for (;;) {
        kp_text key, *to = NULL;
        int inner = 0;
        KJ_SPACE(p, end, out);
        if (*p == '}')
            break;
        if (kp_key(&p, end, &key))
            goto out;
        if (level == KP_FRAME) {
            to = kp_is(&key, "type") ? &found->verb : NULL;
            inner = kp_is(&key, "object") ? KP_ITEM : 0;
        } else if (level == KP_ITEM)
            inner = kp_is(&key, "metadata") ? KP_META : 0;
        else
            for (int i = 0; i < KB_TEXTS; i++)
                if (kp_is(&key, names[i]))
                    to = &found->field[i];
        if (to)
            to->at = NULL;
        if (inner) {
            kj_ptr q = p;
            kp_peek(&q, end, inner, found);
        }
        if (to && *p == '"') {
            kp_text t;
            if (kp_string(&p, end, &t))
                goto out;
            *to = t;
        } else {
            plain &= !to || *p == 'n'; /* a namespace that is no string is not the absence of one */
            kj_unit unit = {{0, 0, 0}, 0, 0};
            if (kj_is_delimiter(*p) && *p != '"' && (*p | 0x20) != '{')
                goto out;
            if (kj_unit_end(&unit, &p, end))
                goto out;
        }
        KJ_SPACE(p, end, out);
        if (*p == ',')
            p++;
        else if (*p != '}')
            goto out;
    }
    if (level == KP_META)
        found->complete = plain;
out:
    *pp = p;
}

#endif
