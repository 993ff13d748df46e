/* JSON on bytes, the whole grammar: what a string means, and whether a value is one.
 *
 * Every function moves `*pp` over what it reads and never reads outside [*pp, end). Allocates nothing, calls nothing
 * of Python. KJ_INCOMPLETE says that the bytes end too early, KJ_MALFORMED that no byte more could make it right.
 * Source: RFC 8259.
 */
#ifndef KINFORM_JSON_H
#define KINFORM_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(KINFORM_PORTABLE)
#define KJ_SSE2
#include <emmintrin.h>
#endif

/* Half of what CPython's own recursion limit leaves to a decoder: what passes here can be decoded by anyone. */
#define KJ_MAX_DEPTH 500

typedef const unsigned char *kj_ptr;

enum { KJ_OK, KJ_INCOMPLETE, KJ_MALFORMED, KJ_TOO_DEEP, KJ_NO_MEMORY };
enum { KJ_ESCAPES = 1 };

/* For Cython, whose checked builds cannot subtract pointers. */
static inline size_t kj_distance(kj_ptr p, kj_ptr end) { return (size_t)(end - p); }

static inline int kj_is_space(unsigned char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static inline kj_ptr kj_skip_space(kj_ptr p, kj_ptr end)
{
    while (p < end && kj_is_space(*p))
        p++;
    return p;
}

/* To the next byte that is no white space; `more` where there is none. */
#define KJ_SKIP_SPACE(p, end, more)                          \
    do {                                                \
        if ((p) < (end) && *(p) <= ' ')                 \
            (p) = kj_skip_space((p), (end));                 \
        if ((p) == (end))                               \
            goto more;                                  \
    } while (0)

/* ---- eight bytes at once ---- */

#define KJ_LANES(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline uint64_t kj_load8(kj_ptr p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

/* The high bit of every byte that is zero; exact, no carry from byte to byte. */
static inline uint64_t kj_zero_bytes(uint64_t x) { return ~(((x & KJ_LANES(0x7f)) + KJ_LANES(0x7f)) | x | KJ_LANES(0x7f)); }

/* ---- strings ---- */

static inline int kj_hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline long kj_hex4(kj_ptr p)
{
    int a = kj_hex_digit(p[0]), b = kj_hex_digit(p[1]), c = kj_hex_digit(p[2]), d = kj_hex_digit(p[3]);
    return (a | b | c | d) < 0 ? -1 : (long)a << 12 | b << 8 | c << 4 | d;
}

/* One escape sequence, `*pp` on its backslash: past it, its code point in `*point`. Half a surrogate pair is no
 * character, and msgspec refuses it too. */
static inline int kj_read_escape(kj_ptr *pp, kj_ptr end, long *point)
{
    kj_ptr p = *pp;
    static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return KJ_INCOMPLETE;
    if (p[1] != 'u') {
        const char *found = p[1] ? strchr(plain, p[1]) : NULL;
        if (!found)
            return KJ_MALFORMED;
        *point = meant[found - plain];
        *pp = p + 2;
        return KJ_OK;
    }
    if (end - p < 6)
        return KJ_INCOMPLETE;
    long high = kj_hex4(p + 2), low;
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return KJ_MALFORMED;
    *point = high;
    *pp = p + 6;
    if (high < 0xd800 || high > 0xdfff)
        return KJ_OK;
    *pp = p;
    if (end - p < 12)
        return KJ_INCOMPLETE;
    if (p[6] != '\\' || p[7] != 'u' || (low = kj_hex4(p + 8)) < 0xdc00 || low > 0xdfff)
        return KJ_MALFORMED;
    *point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    *pp = p + 12;
    return KJ_OK;
}

static inline int kj_put_utf8(long point, unsigned char *out)
{
    if (point < 0x80) {
        out[0] = (unsigned char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (unsigned char)(0xc0 | point >> 6);
        out[1] = (unsigned char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (unsigned char)(0xe0 | point >> 12);
        out[1] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (unsigned char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (unsigned char)(0xf0 | point >> 18);
    out[1] = (unsigned char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (unsigned char)(0x80 | (point & 0x3f));
    return 4;
}

/* The inside of a string that kj_check_string has passed, as UTF-8; returns its length, never more than what it was. */
static inline size_t kj_unescape(kj_ptr p, size_t len, unsigned char *out)
{
    kj_ptr end = p + len;
    unsigned char *o = out;
    long point = 0;
    while (p < end) {
        if (*p != '\\')
            *o++ = *p++;
        else if (kj_read_escape(&p, end, &point) == KJ_OK)
            o += kj_put_utf8(point, o);
        else
            break;
    }
    return (size_t)(o - out);
}

typedef struct {
    kj_ptr p, end;
    int escapes, ready, next;
    unsigned char one[4];
} kj_chars;

/* The next byte of what a string means, -1 at its end. */
static inline int kj_next_char(kj_chars *s)
{
    long point = 0;
    if (s->next < s->ready)
        return s->one[s->next++];
    if (s->p == s->end)
        return -1;
    if (!s->escapes || *s->p != '\\')
        return *s->p++;
    if (kj_read_escape(&s->p, s->end, &point))
        return -1;
    s->ready = kj_put_utf8(point, s->one);
    s->next = 1;
    return s->one[0];
}

/* As memcmp orders what both strings mean, the shorter first; `escapes` tells which hold escape sequences. */
static inline int kj_compare(kj_ptr a, size_t a_len, int a_escapes, kj_ptr b, size_t b_len, int b_escapes)
{
    kj_chars left = {a, a + a_len, a_escapes, 0, 0, {0}}, right = {b, b + b_len, b_escapes, 0, 0, {0}};
    for (;;) {
        int x = kj_next_char(&left), y = kj_next_char(&right);
        if (x != y || x < 0)
            return x - y;
    }
}

static inline int kj_is_utf8(kj_ptr p, kj_ptr end)
{
    while (p < end) {
        unsigned char c = *p, least = 0x80, most = 0xbf;
        int n;
        if (c < 0x80) {
            p++;
            continue;
        }
        if (c >= 0xc2 && c <= 0xdf)
            n = 1;
        else if (c >= 0xe0 && c <= 0xef) {
            n = 2;
            if (c == 0xe0)
                least = 0xa0; /* overlong */
            if (c == 0xed)
                most = 0x9f; /* surrogates */
        } else if (c >= 0xf0 && c <= 0xf4) {
            n = 3;
            if (c == 0xf0)
                least = 0x90;
            if (c == 0xf4)
                most = 0x8f; /* beyond U+10FFFF */
        } else
            return 0;
        if (end - p <= n || p[1] < least || p[1] > most)
            return 0;
        for (int i = 2; i <= n; i++)
            if (p[i] < 0x80 || p[i] > 0xbf)
                return 0;
        p += n + 1;
    }
    return 1;
}

/* `*pp` stands after the opening quote; KJ_OK leaves it on the closing one. A raw control character is an error:
 * it is what tells a string that was cut off from one that runs on into the next line. */
static inline int kj_check_string(kj_ptr *pp, kj_ptr end, int *how)
{
    kj_ptr start = *pp, p = start;
    unsigned wide = 0;
    long point;
    int r;
    *how = 0;
    for (;;) {
#ifdef KJ_SSE2
        const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), last = _mm_set1_epi8(0x1f);
        while (end - p >= 16) {
            __m128i x = _mm_loadu_si128((const __m128i *)p);
            __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, backslash));
            stop = _mm_or_si128(stop, _mm_cmpeq_epi8(_mm_min_epu8(x, last), x));
            unsigned stops = (unsigned)_mm_movemask_epi8(stop), high = (unsigned)_mm_movemask_epi8(x);
            if (stops) {
                wide |= high & (stops ^ (stops - 1));
                p += __builtin_ctz(stops);
                goto stopped;
            }
            wide |= high;
            p += 16;
        }
#else
        while (end - p >= 8) {
            uint64_t x = kj_load8(p);
            uint64_t stops = kj_zero_bytes(x ^ KJ_LANES('"')) | kj_zero_bytes(x ^ KJ_LANES('\\')) | kj_zero_bytes(x & KJ_LANES(0xe0));
            if (stops) {
                wide |= (x & KJ_LANES(0x80) & (stops ^ (stops - 1))) != 0;
                p += __builtin_ctzll(stops) / 8;
                goto stopped;
            }
            wide |= (x & KJ_LANES(0x80)) != 0;
            p += 8;
        }
#endif
        for (; p < end && *p != '"' && *p != '\\' && *p >= 0x20; p++)
            wide |= *p & 0x80;
        if (p == end) {
            *pp = p;
            return KJ_INCOMPLETE;
        }
    stopped:
        if (*p == '"')
            break;
        *pp = p;
        if (*p != '\\')
            return KJ_MALFORMED;
        if ((r = kj_read_escape(&p, end, &point)))
            return r;
        *how = KJ_ESCAPES;
    }
    *pp = p;
    return wide && !kj_is_utf8(start, p) ? KJ_MALFORMED : KJ_OK;
}

/* ---- the whole grammar ---- */

static inline int kj_check_digits(kj_ptr *pp, kj_ptr end)
{
    kj_ptr p = *pp;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    int r = p == end ? KJ_INCOMPLETE : p == *pp ? KJ_MALFORMED : KJ_OK;
    *pp = p;
    return r;
}

static inline int kj_check_number(kj_ptr *pp, kj_ptr end)
{
    kj_ptr p = *pp;
    int r = KJ_OK;
    if (*p == '-')
        p++;
    if (p < end && *p == '0')
        p++;
    else if ((r = kj_check_digits(&p, end)))
        goto out;
    if (p < end && *p == '.') {
        p++;
        if ((r = kj_check_digits(&p, end)))
            goto out;
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        r = kj_check_digits(&p, end);
    } else if (p == end)
        r = KJ_INCOMPLETE;
out:
    *pp = p;
    return r;
}

static inline int kj_check_word(kj_ptr *pp, kj_ptr end, const char *word, size_t len)
{
    if ((size_t)(end - *pp) < len)
        return KJ_INCOMPLETE;
    if (memcmp(*pp, word, len))
        return KJ_MALFORMED;
    *pp += len;
    return KJ_OK;
}

/* A number, true, false or null; one that touches `end` may go on. */
static inline int kj_check_scalar(kj_ptr *pp, kj_ptr end)
{
    switch (**pp) {
    case 't':
        return kj_check_word(pp, end, "true", 4);
    case 'f':
        return kj_check_word(pp, end, "false", 5);
    case 'n':
        return kj_check_word(pp, end, "null", 4);
    default:
        return kj_check_number(pp, end);
    }
}

/* Past the value that starts at `*pp`, inside `depth` containers. Anything but KJ_OK leaves `*pp` where it failed. */
static inline int kj_check_value(kj_ptr *pp, kj_ptr end, int depth)
{
    unsigned char closer[KJ_MAX_DEPTH];
    int open = 0, room = KJ_MAX_DEPTH - depth, r = KJ_OK, how;
    kj_ptr p = *pp;
value:
    if (*p == '"') {
        p++;
        if ((r = kj_check_string(&p, end, &how)))
            goto out;
        p++;
    } else if (*p == '{' || *p == '[') {
        if (open >= room) {
            r = KJ_TOO_DEEP;
            goto out;
        }
        closer[open++] = *p + 2;
        p++;
        KJ_SKIP_SPACE(p, end, more);
        if (*p != closer[open - 1]) {
            if (closer[open - 1] == '}')
                goto key;
            goto value;
        }
        p++;
        open--;
    } else if ((r = kj_check_scalar(&p, end)))
        goto out;
after:
    if (!open)
        goto out;
    KJ_SKIP_SPACE(p, end, more);
    if (*p == ',') {
        p++;
        KJ_SKIP_SPACE(p, end, more);
        if (closer[open - 1] == ']')
            goto value;
    } else if (*p == closer[open - 1]) {
        p++;
        open--;
        goto after;
    } else
        goto bad;
key:
    if (*p != '"')
        goto bad;
    p++;
    if ((r = kj_check_string(&p, end, &how)))
        goto out;
    p++;
    KJ_SKIP_SPACE(p, end, more);
    if (*p != ':')
        goto bad;
    p++;
    KJ_SKIP_SPACE(p, end, more);
    goto value;
bad:
    r = KJ_MALFORMED;
    goto out;
more:
    r = KJ_INCOMPLETE;
out:
    *pp = p;
    return r;
}

/* ---- strings as they stand in the bytes ---- */

typedef struct {
    kj_ptr at; /* NULL: absent */
    size_t len;
    int how; /* KJ_ESCAPES, or what stands there is what it means */
} kj_text;

static inline int kj_equals(const kj_text *t, kj_ptr plain, size_t len)
{
    return t->how ? !kj_compare(t->at, t->len, 1, plain, len, 0) : t->len == len && !memcmp(t->at, plain, len);
}

static inline int kj_is(const kj_text *t, const char *plain) { return kj_equals(t, (kj_ptr)plain, strlen(plain)); }

/* The string at `*pp` (a quote), past it. */
static inline int kj_read_string(kj_ptr *pp, kj_ptr end, kj_text *t)
{
    kj_ptr p = *pp + 1, at = p;
    int r = kj_check_string(&p, end, &t->how);
    t->at = at;
    t->len = (size_t)(p - at);
    *pp = r ? p : p + 1;
    return r;
}

/* From the quote of a key to the first byte of its value. */
static inline int kj_read_key(kj_ptr *pp, kj_ptr end, kj_text *key)
{
    kj_ptr p = *pp;
    int r;
    if (*p != '"')
        return KJ_MALFORMED;
    if ((r = kj_read_string(&p, end, key)))
        goto out;
    r = KJ_INCOMPLETE;
    KJ_SKIP_SPACE(p, end, out);
    if (*p != ':') {
        r = KJ_MALFORMED;
        goto out;
    }
    p++;
    KJ_SKIP_SPACE(p, end, out);
    r = KJ_OK;
out:
    *pp = p;
    return r;
}

#endif
