/* The refcounts of the codecs: for each codec, the number of records, and of versions copied out of a table, that need
 * it.
 *
 * Shared by a table and the versions copied out of it; it lives as long as any of them. Bound: 65,536 codecs.
 */
#ifndef KINFORM_REFCOUNTS_H
#define KINFORM_REFCOUNTS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t *count;   /* by codec; malloc'd */
    uint32_t capacity; /* entries of `count`; a codec beyond it has refcount 0 */
} kr_refcounts;

/* Makes room for the count of a codec; 0 if there is no memory. */
static inline int kr_refcounts_reserve(kr_refcounts *r, uint32_t codec)
{
    if (codec < r->capacity)
        return 1;
    uint32_t capacity = codec + codec / 4 + 4;
    uint32_t *grown = (uint32_t *)realloc(r->count, capacity * sizeof *grown);
    if (!grown)
        return 0;
    memset(grown + r->capacity, 0, (capacity - r->capacity) * sizeof *grown);
    r->count = grown;
    r->capacity = capacity;
    return 1;
}

#endif
