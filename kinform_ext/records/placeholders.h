/* Placeholders: control bytes in the JSON to encode, in place of strings that the record stores anyway.
 *
 * A string equal to a value of the record is replaced by one byte: 1 namespace, 2 name, 3 uid, 4 resourceVersion, 5 the
 * name up to its last dot (the name of an event starts with the name of its object). The string begins after a quote,
 * and ends before a quote or a backslash, as in a string of JSON. The first of equal values is taken. These bytes
 * never occur in JSON that passed the scanner. Values are restored byte for byte, so the meaning of the string does not
 * matter.
 * Bound: 32 placeholders per object.
 */
#ifndef KINFORM_PLACEHOLDERS_H
#define KINFORM_PLACEHOLDERS_H

#include "record.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The values, the first four in the order of KS_NAMESPACE and so on. The placeholder of value i is the byte i + 1. */
enum { KR_VALUE_NAMESPACE, KR_VALUE_NAME, KR_VALUE_UID, KR_VALUE_RV, KR_VALUE_STEM, KR_VALUES };
enum { KR_MAX_SPANS = 32 };

/* Bytes of the JSON to replace. */
typedef struct {
    size_t at, len; /* bytes, from the start of the JSON */
    kr_byte code;   /* the placeholder */
} kr_span;

/* Writes the JSON with placeholders in place of the spans, which are sorted and do not overlap. Returns the end. */
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

/* Returns the first placeholder in [p, end), or end. */
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

/* Returns a name up to its last dot, empty without one. */
static inline kr_text kr_name_stem(const kr_text *name)
{
    const kr_byte *dot = (const kr_byte *)memrchr(name->at, '.', name->len);
    return (kr_text){name->at, dot ? (size_t)(dot - name->at) : 0};
}

/* Returns the first value that the string after this opening quote is, or -1. A string inside a string ends in a
 * backslash. */
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

/* Finds the strings that are equal to a value, in order; returns their number. Empty values are ignored. */
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

/* Writes the JSON with the values in place of the placeholders; 0 unless exactly `size` bytes are written. */
static inline int kr_restore_values(
    kr_byte *to, size_t size, const kr_byte *from, size_t len, const kr_text value[KR_VALUES])
{
    const kr_byte *p = from, *end = from + len;
    for (;;) {
        const kr_byte *next = kr_next_placeholder(p, end);
        size_t run = (size_t)(next - p);
        if (run > size)
            return 0;
        memcpy(to, p, run);
        to += run;
        size -= run;
        if (next == end)
            return !size;
        const kr_text *v = &value[*next - 1];
        if (v->len > size)
            return 0;
        if (v->len)
            memcpy(to, v->at, v->len);
        to += v->len;
        size -= v->len;
        p = next + 1;
    }
}

#endif
