/* The own parts of an object: its identity, segments of its name, and the time in the name of an event.
 *
 * A word of an object that equals a part costs nothing, as the part is stored with the record. The parts of two objects
 * correspond: a template's last name segment stands for the last name segment of each object coded against it.
 * A word that equals several parts is the first of them. A part is absent if the name or namespace lacks its dot or
 * dashes, or if it would be empty.
 */
#ifndef KINFORM_OWN_H
#define KINFORM_OWN_H

#include "../records/placeholders.h"
#include "values.h"

enum {
    KC_NAMESPACE,
    KC_NAME,
    KC_UID,
    KC_RV,
    KC_STEM,         /* the name up to its last dot */
    KC_GROUP,        /* the name up to its last dash */
    KC_GROUP_DASH,   /* the same with the dash */
    KC_OUTER,        /* the name up to its last dash but one; absent with fewer than two dashes */
    KC_OUTER_DASH,   /* the same with the dash */
    KC_LAST,         /* the name after its last dash */
    KC_MIDDLE,       /* the segment before that */
    KC_THIRD,        /* the segment before that; absent with fewer than three dashes */
    KC_FIRST,        /* the name up to its first dash; absent without a dash */
    KC_SPACE_LAST,   /* the namespace after its last dash */
    KC_SPACE_GROUP,  /* the namespace up to its last dash */
    KC_PARTS,
};
enum { KC_MIN_PART = 3 }; /* characters of a part that a word is compared with */

typedef struct {
    kr_text part[KC_PARTS]; /* len 0: absent; the first four are the caller's, the others lie in them */
    int64_t time;           /* seconds since 1970; 0: the name has no time */
} kc_own;

/* Returns the bytes from `from` to `to`, none if `to` is NULL. */
static inline kr_text kc_slice(const kr_byte *from, const kr_byte *to)
{
    return (kr_text){from, to ? (size_t)(to - from) : 0};
}

/* Returns the last `c` in [from, to), NULL if it does not occur. Names are short. */
static inline const kr_byte *kc_last(const kr_byte *from, const kr_byte *to, kr_byte c)
{
    while (to > from)
        if (*--to == c)
            return to;
    return NULL;
}

/* Reads the time in the name of an event: 16 hexadecimal digits after its last dot, in nanoseconds. */
static inline int64_t kc_time_of_name(const kr_text *name, const kr_text *stem)
{
    int64_t nanoseconds = 0;
    if (!stem->len || name->len - stem->len != 17)
        return 0;
    for (const kr_byte *p = name->at + stem->len + 1; p < name->at + name->len; p++) {
        int digit = kr_hex_digit(*p);
        if (digit < 0)
            return 0;
        nanoseconds = (int64_t)((uint64_t)nanoseconds << 4 | (unsigned)digit);
    }
    return nanoseconds > 0 && nanoseconds / 1000000000 <= KC_LAST_SECOND ? nanoseconds / 1000000000 : 0;
}

/* Sets all parts from the identity, whose bytes must outlive `own`. */
static inline void kc_own_init(kc_own *own, const kr_text identity[4])
{
    kr_text *part = own->part;
    for (int i = 0; i < KC_PARTS; i++)
        part[i] = i < 4 ? identity[i] : (kr_text){NULL, 0};
    const kr_byte *start = part[KC_NAME].at, *end = start + part[KC_NAME].len, *space = part[KC_NAMESPACE].at;
    const kr_byte *dash = part[KC_NAME].len ? kc_last(start, end, '-') : NULL;
    const kr_byte *outer = dash ? kc_last(start, dash, '-') : NULL, *third = outer ? kc_last(start, outer, '-') : NULL;
    part[KC_STEM] = kr_name_stem(&part[KC_NAME]);
    if (dash) {
        part[KC_GROUP] = kc_slice(start, dash);
        part[KC_GROUP_DASH] = kc_slice(start, dash + 1);
        part[KC_LAST] = kc_slice(dash + 1, end);
        part[KC_FIRST] = kc_slice(start, (const kr_byte *)memchr(start, '-', part[KC_NAME].len));
    }
    if (outer) {
        part[KC_OUTER] = kc_slice(start, outer);
        part[KC_OUTER_DASH] = kc_slice(start, outer + 1);
        part[KC_MIDDLE] = kc_slice(outer + 1, dash);
    }
    if (third)
        part[KC_THIRD] = kc_slice(third + 1, outer);
    const kr_byte *space_dash = part[KC_NAMESPACE].len ? kc_last(space, space + part[KC_NAMESPACE].len, '-') : NULL;
    if (space_dash) {
        part[KC_SPACE_LAST] = kc_slice(space_dash + 1, space + part[KC_NAMESPACE].len);
        part[KC_SPACE_GROUP] = kc_slice(space, space_dash);
    }
    own->time = kc_time_of_name(&part[KC_NAME], &part[KC_STEM]);
}

/* Returns those of `parts`, a bit for each, in which two objects differ. */
static inline uint32_t kc_own_difference(const kc_own *a, const kc_own *b, uint32_t parts)
{
    uint32_t differs = 0;
    for (; parts; parts &= parts - 1) {
        const kr_text *x = &a->part[__builtin_ctz(parts)], *y = &b->part[__builtin_ctz(parts)];
        if (x->len != y->len || memcmp(x->at, y->at, x->len))
            differs |= parts & -parts;
    }
    return differs;
}

#endif
