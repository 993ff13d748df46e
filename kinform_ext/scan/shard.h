/* Shards: parts of a collection, by a hash of the uid.
 *
 * The hash is FNV-1a with 64 bits, as in a kube-apiserver. Its values are divided into ranges of equal size, one for
 * each shard.
 * Source: KEP-5866; "The FNV Non-Cryptographic Hash Algorithm" (draft-eastlake-fnv).
 */
#ifndef KINFORM_SHARD_H
#define KINFORM_SHARD_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t ks_fnv_1a(const unsigned char *p, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

/* Returns the index of the shard of a uid: 0 to count - 1. */
static inline uint32_t ks_shard_of(const unsigned char *uid, size_t len, uint32_t count)
{
    uint64_t hash = ks_fnv_1a(uid, len);
    /* The upper 64 bits of hash * count, without a type of 128 bits. */
    return (uint32_t)(((hash >> 32) * count + ((hash & 0xffffffffu) * count >> 32)) >> 32);
}

#endif
