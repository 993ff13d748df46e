/* keep_last: chooses the newest elements of each `type` of a list, or the last ones if no element has a type.
 *
 * Reads the first level of each element as the server sent it, before pruning. O(n log n) in the number of elements.
 * Source: RFC 3339 for lastTransitionTime.
 */
#ifndef KINFORM_KEEP_LAST_H
#define KINFORM_KEEP_LAST_H

#include <stdlib.h>

#include "../json/json_skip.h"

typedef struct {
    kj_ptr stop;       /* after the element */
    kj_text type;      /* its member `type`, if that is a string */
    int64_t seconds;   /* of lastTransitionTime, since the year 1; INT64_MIN: absent or invalid, the oldest */
    uint64_t fraction; /* of the second, in units of 10**-18 */
    size_t position;   /* index in the list */
    int keep;          /* the result */
} ks_element;

/* The elements of the list in progress, after those of the lists around it. */
typedef struct {
    ks_element *elements;   /* malloc'd */
    size_t count, capacity; /* of `elements`; count <= capacity */
} ks_element_stack;

static inline int ks_two_digits(kj_ptr p) { return (p[0] - '0') * 10 + p[1] - '0'; }

/* Sets the time of an element from an RFC 3339 text: any offset, 18 digits of the fraction. Any other text means the
 * oldest time. */
static void ks_parse_time(ks_element *e, const kj_text *t)
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
    int year = ks_two_digits(s) * 100 + ks_two_digits(s + 2), month = ks_two_digits(s + 5), day = ks_two_digits(s + 8);
    int hour = ks_two_digits(s + 11), minute = ks_two_digits(s + 14), second = ks_two_digits(s + 17);
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
        if (ks_two_digits(s + i + 1) > 23 || ks_two_digits(s + i + 4) > 59)
            return;
        shift = (ks_two_digits(s + i + 1) * 60 + ks_two_digits(s + i + 4)) * (s[i] == '+' ? 60 : -60);
    } else if (i + 1 != n || (s[i] | 0x20) != 'z')
        return;
    int64_t before = year - 1, count = before * 365 + before / 4 - before / 100 + before / 400 + day;
    for (int m = 1; m < month; m++)
        count += days[m - 1] + (leap && m == 2);
    e->seconds = ((count * 24 + hour) * 60 + minute) * 60 + second - shift;
    e->fraction = fraction;
}

/* Replaces each type that has escapes by its value, so that comparisons need not decode. Sets `*values` to the memory
 * of these values, to be freed after the last comparison; NULL if no type has escapes. */
static int ks_decode_types(ks_element *e, size_t n, unsigned char **values)
{
    size_t len = 0;
    *values = NULL;
    for (size_t i = 0; i < n; i++)
        if (e[i].type.at && e[i].type.has_escapes)
            len += e[i].type.len;
    if (!len)
        return KJ_OK;
    unsigned char *to = *values = (unsigned char *)malloc(len);
    if (!to)
        return KJ_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        kj_text *type = &e[i].type;
        if (!type->at || !type->has_escapes)
            continue;
        type->len = kj_unescape(type->at, type->len, to);
        type->at = to;
        type->has_escapes = 0;
        to += type->len;
    }
    return KJ_OK;
}

/* Orders by the length of `type`, then by its value, so that equal types are neighbors; elements without a type come
 * first. `ks_decode_types` has decoded the types. */
static int ks_compare_types(const kj_text *a, const kj_text *b)
{
    if (!a->at || !b->at)
        return (a->at != NULL) - (b->at != NULL);
    if (a->len != b->len)
        return a->len > b->len ? 1 : -1;
    return memcmp(a->at, b->at, a->len);
}

/* Orders by type, then from the oldest to the newest; at equal times the later position is newer. */
static int ks_compare_ages(const void *left, const void *right)
{
    const ks_element *a = (const ks_element *)left, *b = (const ks_element *)right;
    int order = ks_compare_types(&a->type, &b->type);
    if (order)
        return order;
    if (a->seconds != b->seconds)
        return a->seconds > b->seconds ? 1 : -1;
    if (a->fraction != b->fraction)
        return a->fraction > b->fraction ? 1 : -1;
    return a->position > b->position ? 1 : -1;
}

static int ks_compare_positions(const void *left, const void *right)
{
    const ks_element *a = (const ks_element *)left, *b = (const ks_element *)right;
    return a->position > b->position ? 1 : -1;
}

/* Reads the type and time of an element that is an object, and advances past it. */
static int ks_read_condition(kj_ptr *pp, kj_ptr end, ks_element *e)
{
    kj_ptr p = *pp + 1;
    kj_text time = {0}, key, *to;
    int r = KJ_INCOMPLETE;
    KJ_SKIP_SPACE(p, end, out);
    for (int first = 1; !(first && *p == '}'); first = 0) {
        if ((r = kj_read_key(&p, end, &key)))
            goto out;
        to = kj_is(&key, "type") ? &e->type : kj_is(&key, "lastTransitionTime") ? &time : NULL;
        if (to)
            to->at = NULL;
        if ((r = to && *p == '"' ? kj_read_string(&p, end, to) : kj_skip_value(&p, end)))
            goto out;
        r = KJ_INCOMPLETE;
        KJ_SKIP_SPACE(p, end, out);
        if (*p == '}')
            break;
        r = KJ_MALFORMED;
        if (*p != ',')
            goto out;
        p++;
        r = KJ_INCOMPLETE;
        KJ_SKIP_SPACE(p, end, out);
    }
    p++;
    ks_parse_time(e, &time);
    r = KJ_OK;
out:
    *pp = p;
    return r;
}

/* Pushes the elements of the list whose inside starts at `p` in their order, and sets `keep` of each. `last`: how many
 * to keep of each type. The caller pops them. */
static int ks_choose_elements(ks_element_stack *s, kj_ptr p, kj_ptr end, size_t last)
{
    size_t base = s->count, n, run = 0;
    unsigned char *values;
    int r = KJ_INCOMPLETE, typed = 0;
    ks_element *e;
    KJ_SKIP_SPACE(p, end, out);
    while (!(s->count == base && *p == ']')) {
        if (s->count == s->capacity) {
            size_t capacity = s->capacity ? s->capacity * 2 : 16;
            ks_element *grown = (ks_element *)realloc(s->elements, capacity * sizeof *grown);
            if (!grown)
                return KJ_NO_MEMORY;
            s->elements = grown;
            s->capacity = capacity;
        }
        e = &s->elements[s->count];
        memset(e, 0, sizeof *e);
        e->seconds = INT64_MIN;
        e->position = s->count - base;
        if ((r = *p == '{' ? ks_read_condition(&p, end, e) : kj_skip_value(&p, end)))
            return r;
        typed |= e->type.at != NULL;
        e->stop = p;
        s->count++;
        r = KJ_INCOMPLETE;
        KJ_SKIP_SPACE(p, end, out);
        if (*p == ']')
            break;
        if (*p != ',')
            return KJ_MALFORMED;
        p++;
        KJ_SKIP_SPACE(p, end, out);
    }
    n = s->count - base;
    r = KJ_OK;
    if (!n)
        goto out;
    e = s->elements + base;
    if (!typed) {
        for (size_t i = 0; i < n; i++)
            e[i].keep = n - i <= last;
        goto out;
    }
    if ((r = ks_decode_types(e, n, &values)))
        return r;
    qsort(e, n, sizeof *e, ks_compare_ages);
    for (size_t i = n; i-- > 0;) {
        run = i + 1 < n && !ks_compare_types(&e[i].type, &e[i + 1].type) ? run + 1 : 1;
        e[i].keep = run <= last;
    }
    free(values);
    qsort(e, n, sizeof *e, ks_compare_positions);
out:
    return r;
}

#endif
