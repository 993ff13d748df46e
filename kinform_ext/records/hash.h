/* A seeded 64-bit hash of bytes: a different seed in each table, so that names cannot be chosen to collide.
 *
 * Source: the folded multiplication of wyhash.
 */
#ifndef KINFORM_HASH_H
#define KINFORM_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Multiplies to 128 bits and folds the halves. */
static inline uint64_t kr_mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t kr_hash(const unsigned char *p, size_t n, uint64_t seed)
{
    uint64_t h = seed ^ n * 0x9e3779b97f4a7c15u, word;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = kr_mix(h ^ word, 0xd6e8feb86659fd93u);
    }
    if (n) {
        word = 0;
        memcpy(&word, p, n);
        h = kr_mix(h ^ word, 0xa0761d6478bd642fu);
    }
    return kr_mix(h ^ seed, 0xe7037ed1a0b428dbu) ^ h;
}

#endif
