/* Canonical texts: decimals, hexadecimals and UUIDs that are stored in less than their characters.
 *
 * A parser accepts a text only if formatting its value gives the same bytes again: no sign, no leading zero, lowercase
 * digits. Nothing here allocates.
 */
#ifndef KINFORM_CANONICAL_H
#define KINFORM_CANONICAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { KR_UUID_LEN = 36 };

/* ---- decimals ---- */

/* Parses a decimal below 2**64; 0 if the text is not one. */
static inline int kr_parse_decimal(const unsigned char *p, size_t len, uint64_t *n)
{
    uint64_t sum = 0;
    if (!len || len > 20 || (p[0] == '0' && len > 1))
        return 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = p[i] - (unsigned)'0';
        if (digit > 9)
            return 0;
        sum = sum * 10 + digit;
    }
    /* Only 20 digits can overflow. If the first one is 1, and they do, the sum is below 10**19 afterwards. */
    if (len == 20 && (p[0] != '1' || sum < UINT64_C(10000000000000000000)))
        return 0;
    *n = sum;
    return 1;
}

/* Returns the number of digits written. */
static inline size_t kr_format_decimal(uint64_t n, unsigned char to[20])
{
    unsigned char reversed[20];
    size_t len = 0;
    do
        reversed[len++] = (unsigned char)('0' + n % 10);
    while (n /= 10);
    for (size_t i = 0; i < len; i++)
        to[i] = reversed[len - 1 - i];
    return len;
}

/* ---- hexadecimals and UUIDs ---- */

/* Returns the value of a lowercase digit, -1 if it is not one. */
static inline int kr_hex_digit(unsigned char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Packs an even number of lowercase digits; 0 if one is not. */
static inline int kr_pack_hex(const unsigned char *p, size_t len, unsigned char *to)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; i + 16 <= len; i += 16) {
        __m128i c = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i digit = _mm_sub_epi8(c, _mm_set1_epi8('0')), letter = _mm_sub_epi8(c, _mm_set1_epi8('a'));
        __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
        __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter);
        if (_mm_movemask_epi8(_mm_or_si128(is_digit, is_letter)) != 0xffff)
            return 0;
        letter = _mm_and_si128(is_letter, _mm_add_epi8(letter, _mm_set1_epi8(10)));
        __m128i half = _mm_or_si128(_mm_and_si128(is_digit, digit), letter);
        __m128i high = _mm_and_si128(_mm_slli_epi16(half, 4), _mm_set1_epi16(0xf0));
        __m128i pair = _mm_or_si128(high, _mm_srli_epi16(half, 8));
        _mm_storel_epi64((__m128i *)(to + i / 2), _mm_packus_epi16(pair, pair));
    }
#endif
    for (; i < len; i += 2) {
        int high = kr_hex_digit(p[i]), low = kr_hex_digit(p[i + 1]);
        if ((high | low) < 0)
            return 0;
        to[i / 2] = (unsigned char)(high << 4 | low);
    }
    return 1;
}

/* Writes `len` digits, an even number. */
static inline void kr_unpack_hex(const unsigned char *from, size_t len, unsigned char *to)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; i + 16 <= len; i += 16) {
        __m128i pair = _mm_loadl_epi64((const __m128i *)(from + i / 2));
        __m128i high = _mm_and_si128(_mm_srli_epi16(pair, 4), _mm_set1_epi8(15));
        __m128i half = _mm_unpacklo_epi8(high, _mm_and_si128(pair, _mm_set1_epi8(15)));
        __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(half, _mm_set1_epi8(9)), _mm_set1_epi8('a' - '0' - 10));
        half = _mm_add_epi8(_mm_add_epi8(half, _mm_set1_epi8('0')), letter);
        _mm_storeu_si128((__m128i *)(to + i), half);
    }
#endif
    for (; i < len; i += 2) {
        to[i] = (unsigned char)"0123456789abcdef"[from[i / 2] >> 4];
        to[i + 1] = (unsigned char)"0123456789abcdef"[from[i / 2] & 15];
    }
}

/* Packs a canonical lowercase UUID of KR_UUID_LEN bytes; 0 if the text is not one. */
static inline int kr_pack_uuid(const unsigned char *p, unsigned char to[16])
{
    unsigned char digits[32];
    if (p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-')
        return 0;
    memcpy(digits, p, 8);
    memcpy(digits + 8, p + 9, 4);
    memcpy(digits + 12, p + 14, 4);
    memcpy(digits + 16, p + 19, 4);
    memcpy(digits + 20, p + 24, 12);
    return kr_pack_hex(digits, 32, to);
}

static inline void kr_unpack_uuid(const unsigned char from[16], unsigned char to[KR_UUID_LEN])
{
    unsigned char digits[32];
    kr_unpack_hex(from, 32, digits);
    memcpy(to, digits, 8);
    memcpy(to + 9, digits + 8, 4);
    memcpy(to + 14, digits + 12, 4);
    memcpy(to + 19, digits + 16, 4);
    memcpy(to + 24, digits + 20, 12);
    to[8] = to[13] = to[18] = to[23] = '-';
}

#endif
