/* How many records, and versions copied out of a table, need each codec. Outlives the table while such a version lives. */
#ifndef KINFORM_USERS_H
#define KINFORM_USERS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t *count, room;
} kr_refcounts;

/* 0 if there is no memory. */
static inline int kr_refcounts_reserve(kr_refcounts *u, uint32_t codec)
{
    if (codec < u->room)
        return 1;
    uint32_t room = codec + codec / 4 + 4;
    uint32_t *grown = (uint32_t *)realloc(u->count, room * sizeof *grown);
    if (!grown)
        return 0;
    memset(grown + u->room, 0, (room - u->room) * sizeof *grown);
    u->count = grown;
    u->room = room;
    return 1;
}

#endif
