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

enum { KC_NAMESPACE, KC_NAME, KC_UID, KC_RV, KC_STEM, KC_VALUES, KC_SPANS = 32 };

typedef struct {
    size_t at, len;
    kt_byte code;
} kc_span;

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

/* The first of the bytes 1 to 5 in [p, end), or end. */
static inline const kt_byte *kc_next(const kt_byte *p, const kt_byte *end)
{
#ifdef __SSE2__
    const __m128i one = _mm_set1_epi8(1), most = _mm_set1_epi8(KC_VALUES - 1);
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
    while (p < end && (kt_byte)(*p - 1) >= KC_VALUES)
        p++;
    return p;
}

static inline kt_text kc_stem(const kt_text *name)
{
    const kt_byte *dot = (const kt_byte *)memrchr(name->at, '.', name->len);
    return (kt_text){name->at, dot ? (size_t)(dot - name->at) : 0};
}

/* Which value a string is, from its opening quote on; -1: none. Strings within strings end in a backslash. */
static inline int kc_which(const kt_byte *quote, const kt_byte *end, const kt_text *value)
{
    for (int i = 0; i < KC_VALUES; i++) {
        size_t n = value[i].len;
        if (n && (size_t)(end - quote) > n + 1 && quote[1] == *value[i].at
            && (quote[n + 1] == '"' || quote[n + 1] == '\\') && !memcmp(quote + 1, value[i].at, n))
            return i;
    }
    return -1;
}

/* The spans of the strings that say one of the values, in order; how many. A value of no length is not looked for. */
static inline int kc_seek(kc_span *span, const kt_byte *raw, size_t len, const kt_text value[KC_VALUES])
{
    const kt_byte *p = raw, *end = raw + len, *passed = raw;
    int count = 0;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    __m128i first[KC_VALUES];
    int firsts = 0;
    for (int i = 0; i < KC_VALUES; i++)
        if (value[i].len)
            first[firsts++] = _mm_set1_epi8((char)*value[i].at);
    for (; end - p > 16 && count < KC_SPANS; p += 16) {
        __m128i after = _mm_loadu_si128((const __m128i *)(p + 1)), any = _mm_setzero_si128();
        for (int i = 0; i < firsts; i++)
            any = _mm_or_si128(any, _mm_cmpeq_epi8(after, first[i]));
        any = _mm_and_si128(any, _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p), quote));
        for (int hits = _mm_movemask_epi8(any); hits && count < KC_SPANS; hits &= hits - 1) {
            const kt_byte *q = p + __builtin_ctz((unsigned)hits);
            int i = q < passed ? -1 : kc_which(q, end, value);
            if (i < 0)
                continue;
            span[count++] = (kc_span){(size_t)(q + 1 - raw), value[i].len, (kt_byte)(i + 1)};
            passed = q + value[i].len + 2;
        }
    }
#endif
    for (; p < end && count < KC_SPANS; p++) {
        int i = *p != '"' || p < passed ? -1 : kc_which(p, end, value);
        if (i < 0)
            continue;
        span[count++] = (kc_span){(size_t)(p + 1 - raw), value[i].len, (kt_byte)(i + 1)};
        passed = p + value[i].len + 2;
    }
    return count;
}

/* Adds a span to those found, unless it lies over one. */
static inline int kc_join(kc_span *span, int count, size_t at, size_t len, int which)
{
    int i = count;
    if (count == KC_SPANS)
        return count;
    while (i && span[i - 1].at >= at)
        i--;
    if ((i && span[i - 1].at + span[i - 1].len > at) || (i < count && at + len > span[i].at))
        return count;
    memmove(&span[i + 1], &span[i], (size_t)(count - i) * sizeof *span);
    span[i] = (kc_span){at, len, (kt_byte)(which + 1)};
    return count + 1;
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
    for (int i = 0; i < KC_STEM; i++) {
        held->value[i].at = to;
        held->value[i].len = value[i].len;
        to = kt_put_text(to, &value[i]);
    }
    held->value[KC_STEM] = kc_stem(&held->value[KC_NAME]);
    return 1;
}

static inline void kc_let(kc_values *held)
{
    free(held->large);
}

#endif
