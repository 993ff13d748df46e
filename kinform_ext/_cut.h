/* The values that a record keeps beside its blob, cut from the JSON and put back.
 *
 * A value is replaced by one control byte: 1 namespace, 2 name, 3 uid, 4 resourceVersion. Such bytes never occur in
 * JSON that passed the scanner. What is cut is put back byte for byte.
 */
#ifndef KINFORM_CUT_H
#define KINFORM_CUT_H

#include "_record.h"
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { KC_VALUES = 4 };

typedef struct {
    size_t at, len;
    kt_byte code;
} kc_span;

/* The spans in the order of their places. */
static inline void kc_sort(kc_span *span, int count)
{
    for (int i = 1; i < count; i++)
        for (int j = i; j && span[j].at < span[j - 1].at; j--) {
            kc_span other = span[j];
            span[j] = span[j - 1];
            span[j - 1] = other;
        }
}

/* `span` sorted, none over another; `to` has room for what is left. */
static inline kt_byte *kc_cut(kt_byte *to, const kt_byte *raw, size_t len, const kc_span *span, int count)
{
    size_t from = 0;
    for (int i = 0; i < count; i++) {
        memcpy(to, raw + from, span[i].at - from);
        to += span[i].at - from;
        *to++ = span[i].code;
        from = span[i].at + span[i].len;
    }
    memcpy(to, raw + from, len - from);
    return to + (len - from);
}

/* The first of the bytes 1 to 4 in [p, end), or end. */
static inline const kt_byte *kc_next(const kt_byte *p, const kt_byte *end)
{
#ifdef __SSE2__
    const __m128i one = _mm_set1_epi8(1), three = _mm_set1_epi8(3);
    for (; end - p >= 64; p += 64) {
        __m128i a = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)p), one);
        __m128i b = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + 16)), one);
        __m128i c = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + 32)), one);
        __m128i d = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + 48)), one);
        __m128i least = _mm_min_epu8(_mm_min_epu8(a, b), _mm_min_epu8(c, d));
        if (_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(least, three), least)))
            break;
    }
#endif
    while (p < end && (kt_byte)(*p - 1) > 3)
        p++;
    return p;
}

/* The spans where a JSON string says one of the values first, in order; how many. */
static inline int kc_seek(kc_span *span, const kt_byte *raw, size_t len, const kt_text value[KC_VALUES])
{
    int count = 0, kept = 0;
    const kt_byte *end = raw + len;
    if (kc_next(raw, end) != end)
        return 0;
    for (int i = 0; i < KC_VALUES; i++) {
        const kt_byte *p = raw;
        size_t n = value[i].len;
        while (n && (p = (const kt_byte *)memmem(p, (size_t)(end - p), value[i].at, n))
               && !(p > raw && p[-1] == '"' && p + n < end && p[n] == '"'))
            p++;
        if (n && p)
            span[count++] = (kc_span){(size_t)(p - raw), n, (kt_byte)(i + 1)};
    }
    kc_sort(span, count);
    for (int i = 0; i < count; i++)
        if (!kept || span[i].at >= span[kept - 1].at + span[kept - 1].len)
            span[kept++] = span[i];
    return kept;
}

/* Puts the values back: 0 unless exactly `room` bytes come out. */
static inline int kc_restore(kt_byte *to, size_t room, const kt_byte *cut, size_t len, const kt_text value[KC_VALUES])
{
    const kt_byte *p = cut, *end = cut + len;
    for (;;) {
        const kt_byte *next = kc_next(p, end);
        size_t run = (size_t)(next - p);
        if (run > room)
            return 0;
        memcpy(to, p, run);
        to += run;
        room -= run;
        if (next == end)
            return !room;
        const kt_text *v = &value[*next - 1];
        if (v->len > room)
            return 0;
        if (v->len)
            memcpy(to, v->at, v->len);
        to += v->len;
        room -= v->len;
        p = next + 1;
    }
}

/* The values of a record, copied: a record may go while its blob is decoded. */
typedef struct {
    kt_text value[KC_VALUES];
    kt_byte small[512], *large;
} kc_values;

/* 0 if there is no memory. */
static inline int kc_hold(kc_values *held, const kt_view *v, const kt_text *space)
{
    kt_byte uid[36], rv[20];
    kt_text value[KC_VALUES] = {*space, v->name, kt_uid_text(v, uid), kt_rv_text(v, rv)};
    size_t size = value[0].len + value[1].len + value[2].len + value[3].len;
    kt_byte *to = held->small;
    held->large = NULL;
    if (size > sizeof held->small && !(to = held->large = (kt_byte *)malloc(size)))
        return 0;
    for (int i = 0; i < KC_VALUES; i++) {
        held->value[i].at = to;
        held->value[i].len = value[i].len;
        to = kt_put_text(to, &value[i]);
    }
    return 1;
}

static inline void kc_let(kc_values *held)
{
    free(held->large);
}

#endif
