/* The JSON grammar on bytes: checks values, reads strings.
 *
 * Each function advances `*pp` over the bytes it has read and never reads outside [*pp, end). Allocates no memory and
 * calls no Python.
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

/* Nested containers. Half of CPython's recursion limit, so that any Python decoder can read what passes here. */
#define KJ_MAX_DEPTH 500

typedef const unsigned char *kj_ptr;

enum {
    KJ_OK,
    KJ_INCOMPLETE, /* the bytes end inside the value; more bytes may complete it */
    KJ_MALFORMED,  /* no further byte can make it valid */
    KJ_TOO_DEEP,   /* more than KJ_MAX_DEPTH containers */
    KJ_NO_MEMORY,
};

/* For Cython: its checked build cannot subtract pointers. */
static inline size_t kj_distance(kj_ptr p, kj_ptr end) { return (size_t)(end - p); }

static inline int kj_is_space(unsigned char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static inline kj_ptr kj_skip_space(kj_ptr p, kj_ptr end)
{
    while (p < end && kj_is_space(*p))
        p++;
    return p;
}

/* Advances `p` past white space; jumps to `incomplete` at the end of the bytes. */
#define KJ_SKIP_SPACE(p, end, incomplete)    \
    do {                                     \
        if ((p) < (end) && *(p) <= ' ')      \
            (p) = kj_skip_space((p), (end)); \
        if ((p) == (end))                    \
            goto incomplete;                 \
    } while (0)

/* ---- eight bytes at once ---- */

/* A byte repeated eight times. */
#define KJ_LANES(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Loads eight bytes, the first one lowest on any machine. */
static inline uint64_t kj_load8(kj_ptr p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

/* Sets the high bit of each byte that is zero. Exact: no carry between bytes. */
static inline uint64_t kj_zero_bytes(uint64_t x)
{
    return ~(((x & KJ_LANES(0x7f)) + KJ_LANES(0x7f)) | x | KJ_LANES(0x7f));
}

/* ---- strings ---- */

/* Returns the value of a hexadecimal digit, or -1. */
static inline int kj_hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns the value of four hexadecimal digits, or -1. */
static inline long kj_hex4(kj_ptr p)
{
    int a = kj_hex_digit(p[0]), b = kj_hex_digit(p[1]), c = kj_hex_digit(p[2]), d = kj_hex_digit(p[3]);
    return (a | b | c | d) < 0 ? -1 : (long)a << 12 | b << 8 | c << 4 | d;
}

/* Reads the escape sequence whose backslash is at `*pp`. Half a surrogate pair is malformed, as in msgspec. */
static inline int kj_read_escape(kj_ptr *pp, kj_ptr end, long *point)
{
    kj_ptr p = *pp;
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return KJ_INCOMPLETE;
    if (p[1] != 'u') {
        const char *found = p[1] ? strchr(letters, p[1]) : NULL;
        if (!found)
            return KJ_MALFORMED;
        *point = meanings[found - letters];
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

/* Writes a code point as UTF-8; returns its 1 to 4 bytes. */
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

/* Writes the inside of a string that kj_check_string accepted as UTF-8; returns the length, at most `len`. */
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

/* Reads the bytes of a string's value without a copy. */
typedef struct {
    kj_ptr p, end;        /* the part not read yet */
    int has_escapes;      /* 0: the bytes are the value */
    int ready, next;      /* one[next..ready) are the rest of an escaped character */
    unsigned char one[4]; /* that character as UTF-8 */
} kj_chars;

/* Returns the next byte of the value, -1 at its end. */
static inline int kj_next_byte(kj_chars *s)
{
    long point = 0;
    if (s->next < s->ready)
        return s->one[s->next++];
    if (s->p == s->end)
        return -1;
    if (!s->has_escapes || *s->p != '\\')
        return *s->p++;
    if (kj_read_escape(&s->p, s->end, &point))
        return -1;
    s->ready = kj_put_utf8(point, s->one);
    s->next = 1;
    return s->one[0];
}

/* Compares the values of two strings as memcmp does; a prefix is less. */
static inline int kj_compare(kj_ptr a, size_t a_len, int a_escapes, kj_ptr b, size_t b_len, int b_escapes)
{
    kj_chars left = {a, a + a_len, a_escapes, 0, 0, {0}}, right = {b, b + b_len, b_escapes, 0, 0, {0}};
    for (;;) {
        int x = kj_next_byte(&left), y = kj_next_byte(&right);
        if (x != y || x < 0)
            return x - y;
    }
}

/* Returns whether the bytes are valid UTF-8: no overlong form, no surrogate. */
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

/* Checks a string: `*pp` is after the opening quote, and on the closing one after KJ_OK. A raw control character is
 * malformed: a line end inside a string shows that the string was truncated. */
static inline int kj_check_string(kj_ptr *pp, kj_ptr end, int *has_escapes)
{
    kj_ptr start = *pp, p = start;
    unsigned non_ascii = 0;
    long point;
    int r;
    *has_escapes = 0;
    for (;;) {
#ifdef KJ_SSE2
        const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), last = _mm_set1_epi8(0x1f);
        while (end - p >= 16) {
            __m128i x = _mm_loadu_si128((const __m128i *)p);
            __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, backslash));
            stop = _mm_or_si128(stop, _mm_cmpeq_epi8(_mm_min_epu8(x, last), x));
            unsigned stops = (unsigned)_mm_movemask_epi8(stop), high = (unsigned)_mm_movemask_epi8(x);
            if (stops) {
                non_ascii |= high & (stops ^ (stops - 1));
                p += __builtin_ctz(stops);
                goto stopped;
            }
            non_ascii |= high;
            p += 16;
        }
#else
        while (end - p >= 8) {
            uint64_t x = kj_load8(p);
            uint64_t stops = kj_zero_bytes(x ^ KJ_LANES('"')) | kj_zero_bytes(x ^ KJ_LANES('\\'));
            stops |= kj_zero_bytes(x & KJ_LANES(0xe0));
            if (stops) {
                non_ascii |= (x & KJ_LANES(0x80) & (stops ^ (stops - 1))) != 0;
                p += __builtin_ctzll(stops) / 8;
                goto stopped;
            }
            non_ascii |= (x & KJ_LANES(0x80)) != 0;
            p += 8;
        }
#endif
        for (; p < end && *p != '"' && *p != '\\' && *p >= 0x20; p++)
            non_ascii |= *p & 0x80;
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
        *has_escapes = 1;
    }
    *pp = p;
    return non_ascii && !kj_is_utf8(start, p) ? KJ_MALFORMED : KJ_OK;
}

/* ---- values ---- */

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

/* Checks a number, true, false or null. A number that ends at `end` is incomplete: digits may follow. */
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

/* Checks the value at `*pp`, which lies inside `depth` containers, and advances past it. An error leaves `*pp` where
 * the check failed. Iterative: 500 bytes of stack at any depth. */
static inline int kj_check_value(kj_ptr *pp, kj_ptr end, int depth)
{
    unsigned char closer[KJ_MAX_DEPTH];
    int open = 0, room = KJ_MAX_DEPTH - depth, r = KJ_OK, has_escapes;
    kj_ptr p = *pp;
value:
    if (*p == '"') {
        p++;
        if ((r = kj_check_string(&p, end, &has_escapes)))
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
    if ((r = kj_check_string(&p, end, &has_escapes)))
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

/* ---- strings that stay in the bytes ---- */

typedef struct {
    kj_ptr at;       /* after the opening quote; NULL: absent */
    size_t len;      /* bytes between the quotes */
    int has_escapes; /* 0: these bytes are the value */
} kj_text;

/* Returns whether the value of a string is these bytes. */
static inline int kj_equals(const kj_text *t, kj_ptr plain, size_t len)
{
    return t->has_escapes ? !kj_compare(t->at, t->len, 1, plain, len, 0) : t->len == len && !memcmp(t->at, plain, len);
}

static inline int kj_is(const kj_text *t, const char *plain) { return kj_equals(t, (kj_ptr)plain, strlen(plain)); }

/* Reads the string whose opening quote is at `*pp`, and advances past it. */
static inline int kj_read_string(kj_ptr *pp, kj_ptr end, kj_text *t)
{
    kj_ptr p = *pp + 1, at = p;
    int r = kj_check_string(&p, end, &t->has_escapes);
    t->at = at;
    t->len = (size_t)(p - at);
    *pp = r ? p : p + 1;
    return r;
}

/* Reads a key from its opening quote, and advances to the first byte of its value. */
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
