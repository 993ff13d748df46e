/* The bases of a collection: its first objects, one after another, as the prefix of its frames.
 *
 * A base takes the first objects that no template suits, until it is full. A member is compressed after the members
 * before it, any other object after the whole of a full base. So every frame can be read with one base, and a base can
 * be made again from the frames of its members. Members are templates, whose records a base keeps. When most of its
 * objects have left the collection, a new base follows; an old one stays until its last user goes.
 * Bound: KC_BASE_OBJECTS members of KC_BASE_BYTES in all, KC_MAX_BASES bases. Number 0 stands for no base.
 */
#ifndef KINFORM_BASES_H
#define KINFORM_BASES_H

#include "templates.h"

enum { KC_BASE_OBJECTS = 16, KC_BASE_BYTES = 64 << 10, KC_MAX_MEMBER = 16 << 10, KC_MAX_BASES = 255 };

typedef struct {
    uint16_t member[KC_BASE_OBJECTS]; /* numbers of the templates */
    uint32_t end[KC_BASE_OBJECTS];    /* of each in the content; the first begins at 0 */
    uint32_t users;                   /* records compressed after the whole of it */
    uint8_t count;                    /* members */
    uint8_t is_full;                  /* no more members join */
    uint8_t is_used;                  /* 0: the number is free */
} kc_base;

typedef struct {
    kc_base *base;    /* by number less 1; malloc'd */
    uint32_t count;   /* numbers in use or free */
    uint32_t current; /* the base for new frames; 0: none */
} kc_bases;

static inline kc_base *kc_base_of(const kc_bases *b, uint32_t number)
{
    return &b->base[number - 1];
}

static inline int kc_base_is_used(const kc_bases *b, uint64_t number)
{
    return number && number <= b->count && kc_base_of(b, (uint32_t)number)->is_used;
}

static inline uint32_t kc_base_size(const kc_base *b)
{
    return b->count ? b->end[b->count - 1] : 0;
}

/* Returns the position of a template in a base, -1 if it is no member. */
static inline int kc_base_position(const kc_base *b, uint32_t template)
{
    for (int i = 0; template && i < b->count; i++)
        if (b->member[i] == template)
            return i;
    return -1;
}

/* Begins a base and makes it the current one; 0 if there are too many, or there is no memory. */
static inline int kc_base_begin(kc_bases *b)
{
    uint32_t number = 1;
    while (number <= b->count && kc_base_of(b, number)->is_used)
        number++;
    if (number > KC_MAX_BASES)
        return 0;
    if (number > b->count) {
        kc_base *grown = (kc_base *)realloc(b->base, number * sizeof *grown);
        if (!grown)
            return 0;
        b->base = grown;
        b->count = number;
    }
    memset(kc_base_of(b, number), 0, sizeof *b->base);
    kc_base_of(b, number)->is_used = 1;
    b->current = number;
    return 1;
}

/* Returns whether an object of `size` bytes may join; declares the base full if it would, but there is no room. */
static inline int kc_base_admits(kc_base *b, size_t size)
{
    if (b->is_full || size > KC_MAX_MEMBER)
        return 0;
    b->is_full = b->count == KC_BASE_OBJECTS || kc_base_size(b) + size > KC_BASE_BYTES;
    return !b->is_full;
}

/* Adds a member; the caller counts the base as a user of the template. `size`: bytes of the frame's content. */
static inline void kc_base_join(kc_base *b, uint32_t template, uint32_t size)
{
    b->end[b->count] = kc_base_size(b) + size;
    b->member[b->count++] = (uint16_t)template;
}

static inline uint64_t kc_bases_bytes(const kc_bases *b)
{
    return b->count * sizeof *b->base;
}

#endif
