/* Finds the end of a JSON value without checking its grammar: for values that are dropped, or that continue in the next
 * chunk.
 *
 * kj_skip_brackets finds the closing bracket 64 bytes at a time. kj_skip_part finds the end of any value across chunks.
 * Neither reads a byte twice. The only error is a raw control character in a string: a line end inside a string shows
 * that the string was truncated.
 * Source: bit masks of a block as in Langdale and Lemire, "Parsing gigabytes of JSON per second" (2019).
 */
#ifndef KINFORM_JSON_SKIP_H
#define KINFORM_JSON_SKIP_H

#include "json.h"

static inline int kj_popcount(uint64_t x)
{
#if defined(__x86_64__) && !defined(__POPCNT__) /* gcc's builtin would call a function with a table */
    x -= x >> 1 & KJ_LANES(0x55);
    x = (x & KJ_LANES(0x33)) + (x >> 2 & KJ_LANES(0x33));
    return (int)(((x + (x >> 4)) & KJ_LANES(0x0f)) * KJ_LANES(1) >> 56);
#else
    return __builtin_popcountll(x);
#endif
}

/* A bit for each of 64 bytes, the first byte lowest. */
typedef struct {
    uint64_t quote, backslash; /* `"` and `\` */
    uint64_t control;          /* below 0x20 */
    uint64_t open, close;      /* brackets of both kinds: `{` and `[`, `}` and `]` differ in the bit 0x20 only */
} kj_masks;

static inline kj_masks kj_classify(kj_ptr p)
{
    kj_masks m = {0, 0, 0, 0, 0};
#ifdef KJ_SSE2
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), last = _mm_set1_epi8(0x1f);
    const __m128i fold = _mm_set1_epi8(0x20), open = _mm_set1_epi8('{'), close = _mm_set1_epi8('}');
    for (int at = 0; at < 64; at += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(p + at)), folded = _mm_or_si128(x, fold);
        m.quote |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, quote)) << at;
        m.backslash |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, backslash)) << at;
        m.control |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(x, last), x)) << at;
        m.open |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(folded, open)) << at;
        m.close |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(folded, close)) << at;
    }
#else
#define KJ_PACK(high) (((high) >> 7) * UINT64_C(0x0102040810204080) >> 56)
    for (int at = 0; at < 64; at += 8) {
        uint64_t x = kj_load8(p + at), folded = x | KJ_LANES(0x20);
        m.quote |= KJ_PACK(kj_zero_bytes(x ^ KJ_LANES('"'))) << at;
        m.backslash |= KJ_PACK(kj_zero_bytes(x ^ KJ_LANES('\\'))) << at;
        m.control |= KJ_PACK(kj_zero_bytes(x & KJ_LANES(0xe0))) << at;
        m.open |= KJ_PACK(kj_zero_bytes(folded ^ KJ_LANES('{'))) << at;
        m.close |= KJ_PACK(kj_zero_bytes(folded ^ KJ_LANES('}'))) << at;
    }
#undef KJ_PACK
#endif
    return m;
}

/* The state between two chunks; all zero at the start. */
typedef struct {
    uint64_t depth;     /* open brackets */
    uint64_t in_string; /* all bits set inside a string, else 0 */
    uint64_t escaped;   /* 1: the next byte follows an odd number of backslashes */
} kj_brackets;

/* Advances past the bracket that closes the value. Both kinds of brackets count alike, so `[}` ends too. KJ_MALFORMED
 * leaves `*pp` on a raw control character inside a string. */
static inline int kj_skip_brackets(kj_brackets *s, kj_ptr *pp, kj_ptr end)
{
    const uint64_t even = UINT64_C(0x5555555555555555);
    kj_ptr p = *pp;
    unsigned char last[64];
    while (p < end) {
        size_t n = (size_t)(end - p);
        kj_masks m;
        if (n >= 64) {
            n = 64;
            m = kj_classify(p);
        } else {
            memset(last, ' ', sizeof last);
            memcpy(last, p, n);
            m = kj_classify(last);
        }
        uint64_t escaped = s->escaped;
        if (m.backslash | escaped) {
            uint64_t backslash = m.backslash & ~escaped, follows = backslash << 1 | escaped, runs;
            uint64_t odd = backslash & ~even & ~follows;
            uint64_t over = (uint64_t)__builtin_add_overflow(odd, backslash, &runs);
            escaped = (even ^ runs << 1) & follows;
            s->escaped = n == 64 ? over : escaped >> n & 1;
        }
        uint64_t in = m.quote & ~escaped;
        in ^= in << 1;
        in ^= in << 2;
        in ^= in << 4;
        in ^= in << 8;
        in ^= in << 16;
        in ^= in << 32;
        in ^= s->in_string;
        uint64_t open = m.open & ~in, close = m.close & ~in, control = m.control & in;
        uint64_t closing = (uint64_t)kj_popcount(close), at = UINT64_C(1) << 63;
        if (s->depth <= closing) { /* otherwise the value cannot end in this block */
            uint64_t depth = s->depth, left = close;
            for (; left; left &= left - 1) {
                at = left & -left;
                if (depth + (uint64_t)kj_popcount(open & (at - 1)) == (uint64_t)kj_popcount(close & (at - 1)) + 1)
                    break;
            }
            if (left) {
                if (!(control & (at - 1))) {
                    *pp = p + __builtin_ctzll(at) + 1;
                    return KJ_OK;
                }
            }
        }
        if (control) {
            *pp = p + __builtin_ctzll(control);
            return KJ_MALFORMED;
        }
        s->depth += (uint64_t)kj_popcount(open) - closing;
        s->in_string = (uint64_t)((int64_t)in >> 63);
        p += n;
    }
    *pp = p;
    return KJ_INCOMPLETE;
}

/* A value that is fed in parts; all zero at the start. */
typedef struct {
    kj_brackets brackets;  /* of a container */
    unsigned char first;   /* first byte: `{` or `[` a container, `"` a string, any other a bare word; 0: none yet */
    unsigned char escaped; /* of a string: the last byte was a backslash that escapes the next one */
} kj_skip_state;

static inline int kj_is_delimiter(unsigned char c)
{
    return c <= ' ' || c == ',' || c == ':' || c == '"' || (c | 0x20) == '{' || (c | 0x20) == '}';
}

/* Advances past the value. A bare word ends before the delimiter that follows it. KJ_MALFORMED leaves `*pp` on a raw
 * control character inside a string. */
static inline int kj_skip_part(kj_skip_state *u, kj_ptr *pp, kj_ptr end)
{
    kj_ptr p = *pp;
    if (!u->first && p < end) {
        u->first = *p;
        if (*p == '"')
            p++;
    }
    if ((u->first | 0x20) == '{')
        return kj_skip_brackets(&u->brackets, pp, end);
    if (u->first == '"')
        for (; p < end; p++) {
            if (*p < 0x20) {
                *pp = p;
                return KJ_MALFORMED;
            }
            if (u->escaped)
                u->escaped = 0;
            else if (*p == '\\')
                u->escaped = 1;
            else if (*p == '"') {
                *pp = p + 1;
                return KJ_OK;
            }
        }
    else {
        while (p < end && !kj_is_delimiter(*p))
            p++;
        if (p < end) {
            *pp = p;
            return KJ_OK;
        }
    }
    *pp = p;
    return KJ_INCOMPLETE;
}

/* Advances past a value that is dropped. Checks the grammar of scalars, where that costs nothing. */
static inline int kj_skip_value(kj_ptr *pp, kj_ptr end)
{
    kj_brackets brackets = {0, 0, 0};
    int has_escapes, r;
    if ((**pp | 0x20) == '{')
        return kj_skip_brackets(&brackets, pp, end);
    if (**pp != '"')
        return kj_check_scalar(pp, end);
    ++*pp;
    if ((r = kj_check_string(pp, end, &has_escapes)) == KJ_OK)
        ++*pp;
    return r;
}

#endif
