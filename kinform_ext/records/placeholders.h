/* The values that a record keeps beside its blob, cut from the JSON wherever a string says just that, and put back.
 *
 * A value is replaced by one control byte: 1 namespace, 2 name, 3 uid, 4 resourceVersion, 5 the name up to its last dot
 * (an event's is the name of what it is about). Such bytes never occur in JSON that passed the scanner. It does not
 * matter what a string means: what is cut is put back byte for byte.
 */
#ifndef KINFORM_CUT_H
#define KINFORM_CUT_H

#include "record.h"
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { KR_VALUE_NAMESPACE, KR_VALUE_NAME, KR_VALUE_UID, KR_VALUE_RV, KR_VALUE_STEM, KR_VALUES, KR_MAX_SPANS = 32 };

typedef struct {
    size_t at, len;
    kr_byte code;
} kr_span;

/* `span` sorted, none over another; `to` has room for what is left. */
static inline kr_byte *kr_put_placeholders(kr_byte *to, const kr_byte *raw, size_t len, const kr_span *span, int count)
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

/* The first of the bytes 1 to 5 in [p, end), or end. */
static inline const kr_byte *kr_next_placeholder(const kr_byte *p, const kr_byte *end)
{
#ifdef __SSE2__
    const __m128i one = _mm_set1_epi8(1), most = _mm_set1_epi8(KR_VALUES - 1);
    for (; end - p >= 64; p += 64) {
        __m128i a = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)p), one);
        __m128i b = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + 16)), one);
        __m128i c = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + 32)), one);
        __m128i d = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(p + 48)), one);
        __m128i least = _mm_min_epu8(_mm_min_epu8(a, b), _mm_min_epu8(c, d));
        if (_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(least, most), least)))
            break;
    }
#endif
    while (p < end && (kr_byte)(*p - 1) >= KR_VALUES)
        p++;
    return p;
}

static inline kr_text kr_name_stem(const kr_text *name)
{
    const kr_byte *dot = (const kr_byte *)memrchr(name->at, '.', name->len);
    return (kr_text){name->at, dot ? (size_t)(dot - name->at) : 0};
}

/* Which value a string is, from its opening quote on; -1: none. Strings within strings end in a backslash. */
static inline int kr_match_value(const kr_byte *quote, const kr_byte *end, const kr_text *value)
{
    for (int i = 0; i < KR_VALUES; i++) {
        size_t n = value[i].len;
        if (n && (size_t)(end - quote) > n + 1 && quote[1] == *value[i].at
            && (quote[n + 1] == '"' || quote[n + 1] == '\\') && !memcmp(quote + 1, value[i].at, n))
            return i;
    }
    return -1;
}

/* The spans of the strings that say one of the values, in order; how many. A value of no length is not looked for. */
static inline int kr_find_spans(kr_span *span, const kr_byte *raw, size_t len, const kr_text value[KR_VALUES])
{
    const kr_byte *p = raw, *end = raw + len, *passed = raw;
    int count = 0;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    __m128i first[KR_VALUES];
    int firsts = 0;
    for (int i = 0; i < KR_VALUES; i++)
        if (value[i].len)
            first[firsts++] = _mm_set1_epi8((char)*value[i].at);
    for (; end - p > 16 && count < KR_MAX_SPANS; p += 16) {
        __m128i after = _mm_loadu_si128((const __m128i *)(p + 1)), any = _mm_setzero_si128();
        for (int i = 0; i < firsts; i++)
            any = _mm_or_si128(any, _mm_cmpeq_epi8(after, first[i]));
        any = _mm_and_si128(any, _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p), quote));
        for (int hits = _mm_movemask_epi8(any); hits && count < KR_MAX_SPANS; hits &= hits - 1) {
            const kr_byte *q = p + __builtin_ctz((unsigned)hits);
            int i = q < passed ? -1 : kr_match_value(q, end, value);
            if (i < 0)
                continue;
            span[count++] = (kr_span){(size_t)(q + 1 - raw), value[i].len, (kr_byte)(i + 1)};
            passed = q + value[i].len + 2;
        }
    }
#endif
    for (; p < end && count < KR_MAX_SPANS; p++) {
        int i = *p != '"' || p < passed ? -1 : kr_match_value(p, end, value);
        if (i < 0)
            continue;
        span[count++] = (kr_span){(size_t)(p + 1 - raw), value[i].len, (kr_byte)(i + 1)};
        passed = p + value[i].len + 2;
    }
    return count;
}

/* Adds a span to those found, unless it lies over one. */
static inline int kr_add_span(kr_span *span, int count, size_t at, size_t len, int which)
{
    int i = count;
    if (count == KR_MAX_SPANS)
        return count;
    while (i && span[i - 1].at >= at)
        i--;
    if ((i && span[i - 1].at + span[i - 1].len > at) || (i < count && at + len > span[i].at))
        return count;
    memmove(&span[i + 1], &span[i], (size_t)(count - i) * sizeof *span);
    span[i] = (kr_span){at, len, (kr_byte)(which + 1)};
    return count + 1;
}

/* Puts the values back: 0 unless exactly `room` bytes come out. */
static inline int kr_restore_values(kr_byte *to, size_t room, const kr_byte *cut, size_t len, const kr_text value[KR_VALUES])
{
    const kr_byte *p = cut, *end = cut + len;
    for (;;) {
        const kr_byte *next = kr_next_placeholder(p, end);
        size_t run = (size_t)(next - p);
        if (run > room)
            return 0;
        memcpy(to, p, run);
        to += run;
        room -= run;
        if (next == end)
            return !room;
        const kr_text *v = &value[*next - 1];
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
    kr_text value[KR_VALUES];
    kr_byte small[512], *large;
} kr_values;

/* 0 if there is no memory. */
static inline int kr_values_copy(kr_values *held, const kr_view *v, const kr_text *space)
{
    kr_byte uid[36], rv[20];
    kr_text value[KR_VALUES] = {*space, v->name, kr_uid_text(v, uid), kr_rv_text(v, rv)};
    size_t size = value[0].len + value[1].len + value[2].len + value[3].len;
    kr_byte *to = held->small;
    held->large = NULL;
    if (size > sizeof held->small && !(to = held->large = (kr_byte *)malloc(size)))
        return 0;
    for (int i = 0; i < KR_VALUE_STEM; i++) {
        held->value[i].at = to;
        held->value[i].len = value[i].len;
        to = kr_put_text(to, &value[i]);
    }
    held->value[KR_VALUE_STEM] = kr_name_stem(&held->value[KR_VALUE_NAME]);
    return 1;
}

static inline void kr_values_release(kr_values *held)
{
    free(held->large);
}

#endif
