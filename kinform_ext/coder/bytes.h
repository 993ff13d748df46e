/* Bytes: classes of bytes, hashes, common prefixes, and the numbers of blobs.
 *
 * A word is a run of letters, digits, `.`, `_`, `-` and bytes from 128 on, so a name, a number or a UUID is one word.
 * Nothing here allocates.
 */
#ifndef KINFORM_BYTES_H
#define KINFORM_BYTES_H

#include <stdint.h>
#include <string.h>

#include "../records/hash.h"
#include "../records/record.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { KC_SLACK = 65 }; /* bytes after the content of a buffer that kc_word_mask and kc_key_mask may read */

static inline int kc_is_word(kr_byte c)
{
    unsigned letter = (c | 0x20u) - 'a', other = c - (unsigned)'-';
    return letter < 26 || (other < 13 && c != '/') || c == '_' || c >= 128;
}

/* Returns the end of the word at `at`: `at` itself if none begins there. */
static inline size_t kc_word_end(const kr_byte *p, size_t at, size_t len)
{
    while (at < len && kc_is_word(p[at]))
        at++;
    return at;
}

/* Returns a bit for each of 64 bytes that belongs to a word. */
static inline uint64_t kc_word_mask(const kr_byte *p)
{
    uint64_t mask = 0;
#ifdef __SSE2__
    const __m128i blank = _mm_set1_epi8(0x20), slash = _mm_set1_epi8('/'), underscore = _mm_set1_epi8('_');
    const __m128i to_letter = _mm_set1_epi8(127 - 'z'), to_other = _mm_set1_epi8(127 - '9');
    const __m128i letters = _mm_set1_epi8(127 - 26), others = _mm_set1_epi8(127 - 13);
    for (int i = 0; i < 4; i++) {
        __m128i c = _mm_loadu_si128((const __m128i *)(p + 16 * i));
        __m128i is_letter = _mm_cmpgt_epi8(_mm_add_epi8(_mm_or_si128(c, blank), to_letter), letters);
        __m128i is_other = _mm_cmpgt_epi8(_mm_add_epi8(c, to_other), others);
        __m128i is_ascii = _mm_or_si128(_mm_or_si128(is_letter, is_other), _mm_cmpeq_epi8(c, underscore));
        __m128i is_word = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(c, slash), is_ascii), c); /* signs only */
        mask |= (uint64_t)(unsigned)_mm_movemask_epi8(is_word) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++)
        mask |= (uint64_t)kc_is_word(p[i]) << i;
#endif
    return mask;
}

/* Returns whether a word that ends at `end` is a key of a JSON object. */
static inline int kc_is_key_end(const kr_byte *end)
{
    return end[0] == '"' && end[1] == ':';
}

/* Returns a bit for each of 64 bytes at which a key ends. */
static inline uint64_t kc_key_mask(const kr_byte *p)
{
    uint64_t mask = 0;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), colon = _mm_set1_epi8(':');
    for (int i = 0; i < 64; i += 16) {
        __m128i is_quote = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(p + i)), quote);
        __m128i is_colon = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(p + i + 1)), colon);
        mask |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_and_si128(is_quote, is_colon)) << i;
    }
#else
    for (int i = 0; i < 64; i++)
        mask |= (uint64_t)kc_is_key_end(p + i) << i;
#endif
    return mask;
}

/* Returns how many bits are set; not all processors have an instruction for it. */
static inline uint32_t kc_bits(uint64_t n)
{
    n -= n >> 1 & 0x5555555555555555u;
    n = (n & 0x3333333333333333u) + (n >> 2 & 0x3333333333333333u);
    return (uint32_t)(((n + (n >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
}

static inline uint64_t kc_load8(const kr_byte *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint32_t kc_load4(const kr_byte *p)
{
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

/* Hashes bytes; the same in each process, as nothing that lives longer than the process depends on it. */
static inline uint64_t kc_hash(const kr_byte *p, size_t len)
{
    return kr_hash(p, len, 0x9e3779b97f4a7c15u);
}

/* Returns the length of the common prefix. */
static inline size_t kc_common(const kr_byte *a, const kr_byte *b, size_t len)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; i + 64 <= len; i += 64) {
        __m128i all = _mm_set1_epi8(-1);
        for (int j = 0; j < 64; j += 16)
            all = _mm_and_si128(all, _mm_cmpeq_epi8(
                _mm_loadu_si128((const __m128i *)(a + i + j)), _mm_loadu_si128((const __m128i *)(b + i + j))));
        if (_mm_movemask_epi8(all) != 0xffff)
            break;
    }
    for (; i + 16 <= len; i += 16) {
        unsigned same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(
            _mm_loadu_si128((const __m128i *)(a + i)), _mm_loadu_si128((const __m128i *)(b + i))));
        if (same != 0xffff)
            return i + (size_t)__builtin_ctz(~same);
    }
#endif
    while (i < len && a[i] == b[i])
        i++;
    return i;
}

/* Folds the sign of a number into its lowest bit. */
static inline uint64_t kc_zigzag(int64_t n)
{
    return (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
}

static inline int64_t kc_unzigzag(uint64_t n)
{
    return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

/* Untrusted bytes, read from the front. */
typedef struct {
    const kr_byte *at;  /* the next byte */
    const kr_byte *end; /* at <= end */
} kc_input;

/* Reads a varint of up to 64 bits; 0 if it does not end there. */
static inline int kc_read_number(kc_input *in, uint64_t *n)
{
    return kr_try_read_varint(&in->at, in->end, 64, n);
}

/* Returns the next bytes and passes them, NULL if there are fewer. */
static inline const kr_byte *kc_read_bytes(kc_input *in, uint64_t len)
{
    const kr_byte *found = in->at;
    if (len > (uint64_t)(in->end - in->at))
        return NULL;
    in->at += len;
    return found;
}

#endif
