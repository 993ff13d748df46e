/* The locations of records by id: ids of 26 bits, 5 bytes each, in pages of 4,096 ids mapped from the system.
 *
 * An id stays the same while its record moves. Released ids are used again, those of the lowest page first. A page
 * without an id in use is unmapped. Bound: 2**26 ids. No step copies more than the list of pages.
 */
#ifndef KINFORM_IDS_H
#define KINFORM_IDS_H

#include "pages.h"
#include "record.h"

enum {
    KR_ID_PAGE_BITS = 12,
    KR_ID_PAGE = 1 << KR_ID_PAGE_BITS, /* ids in a page */
    KR_SLOT_BYTES = 5,
    KR_ID_PAGE_BYTES = KR_ID_PAGE * KR_SLOT_BYTES,
};
#define KR_MAX_ID_PAGES (1u << (KR_ID_BITS - KR_ID_PAGE_BITS))

/* A slot holds the location of a record, or this bit and the next free slot of its page. */
#define KR_SLOT_FREE ((uint64_t)1 << 39)

typedef struct {
    unsigned char *at;   /* slots; NULL: not mapped */
    uint16_t used;       /* ids in use */
    uint16_t fresh;      /* slots from here on were never used */
    uint16_t first_free; /* first free slot below `fresh`, KR_ID_PAGE: none */
} kr_id_page;

typedef struct {
    kr_id_page *page;  /* by the high bits of an id; malloc'd */
    uint32_t count;    /* pages; those without an id in use are not mapped */
    uint32_t capacity; /* entries of `page`; count <= capacity */
    uint32_t lowest;   /* all pages before this one are full */
} kr_ids;

static void kr_ids_free(kr_ids *ids)
{
    for (uint32_t i = 0; i < ids->count; i++)
        if (ids->page[i].at)
            kr_unmap(ids->page[i].at, KR_ID_PAGE_BYTES);
    free(ids->page);
    memset(ids, 0, sizeof *ids);
}

static inline uint64_t kr_slot_get(const unsigned char *p)
{
    uint32_t low;
    memcpy(&low, p, 4);
    return low | (uint64_t)p[4] << 32;
}

static inline void kr_slot_set(unsigned char *p, uint64_t n)
{
    uint32_t low = (uint32_t)n;
    memcpy(p, &low, 4);
    p[4] = (unsigned char)(n >> 32);
}

static inline unsigned char *kr_slot_of(const kr_ids *ids, uint32_t id)
{
    return ids->page[id >> KR_ID_PAGE_BITS].at + (size_t)(id & (KR_ID_PAGE - 1)) * KR_SLOT_BYTES;
}

/* Returns a bound: all ids in use are below it. */
static inline uint32_t kr_ids_end(const kr_ids *ids)
{
    return ids->count ? (ids->count - 1) * KR_ID_PAGE + ids->page[ids->count - 1].fresh : 0;
}

static inline int kr_id_is_used(const kr_ids *ids, uint32_t id)
{
    uint32_t n = id >> KR_ID_PAGE_BITS;
    return n < ids->count && (id & (KR_ID_PAGE - 1)) < ids->page[n].fresh
        && !(kr_slot_get(kr_slot_of(ids, id)) & KR_SLOT_FREE);
}

/* Returns a bit for each of the 64 ids from `id` on, a multiple of 64: 1 if the id is in use. */
static inline uint64_t kr_ids_used_bits(const kr_ids *ids, uint32_t id)
{
    const kr_id_page *page = &ids->page[id >> KR_ID_PAGE_BITS];
    uint32_t first = id & (KR_ID_PAGE - 1), count = page->fresh > first ? page->fresh - first : 0;
    uint64_t bits = 0;
    const unsigned char *p = page->at + (size_t)first * KR_SLOT_BYTES + KR_SLOT_BYTES - 1;
    for (uint32_t i = 0; i < (count < 64 ? count : 64); i++, p += KR_SLOT_BYTES)
        bits |= (uint64_t)!(*p & 128) << i; /* the highest bit of a slot: KR_SLOT_FREE */
    return bits;
}

/* Returns the first id in use that is not below `id`, or KR_NONE. */
static inline uint32_t kr_id_next_used(const kr_ids *ids, uint32_t id)
{
    uint32_t end = kr_ids_end(ids);
    while (id < end) {
        const kr_id_page *page = &ids->page[id >> KR_ID_PAGE_BITS];
        uint32_t i = id & (KR_ID_PAGE - 1);
        if (page->used)
            for (; i < page->fresh; i++)
                if (!(kr_slot_get(page->at + (size_t)i * KR_SLOT_BYTES) & KR_SLOT_FREE))
                    return (id & ~(uint32_t)(KR_ID_PAGE - 1)) + i;
        id = (id | (KR_ID_PAGE - 1)) + 1;
    }
    return KR_NONE;
}

static inline uint64_t kr_id_location(const kr_ids *ids, uint32_t id)
{
    return kr_slot_get(kr_slot_of(ids, id));
}

static inline void kr_id_set_location(kr_ids *ids, uint32_t id, uint64_t location)
{
    kr_slot_set(kr_slot_of(ids, id), location);
}

/* Returns a free id whose slot is mapped, KR_NONE if there is no memory. kr_id_take takes it. */
static uint32_t kr_id_reserve(kr_ids *ids)
{
    while (ids->lowest < ids->count && ids->page[ids->lowest].used == KR_ID_PAGE)
        ids->lowest++;
    if (ids->lowest == ids->count) {
        if (ids->count == KR_MAX_ID_PAGES)
            return KR_NONE;
        if (ids->count == ids->capacity) {
            uint32_t capacity = ids->capacity + ids->capacity / 4 + 4;
            kr_id_page *grown = (kr_id_page *)realloc(ids->page, capacity * sizeof *grown);
            if (!grown)
                return KR_NONE;
            ids->page = grown;
            ids->capacity = capacity;
        }
        ids->page[ids->count++] = (kr_id_page){NULL, 0, 0, KR_ID_PAGE};
    }
    kr_id_page *page = &ids->page[ids->lowest];
    if (!page->at && !(page->at = (unsigned char *)kr_map(KR_ID_PAGE_BYTES)))
        return KR_NONE;
    return ids->lowest * KR_ID_PAGE + (page->first_free < KR_ID_PAGE ? page->first_free : page->fresh);
}

static inline void kr_id_take(kr_ids *ids, uint32_t id, uint64_t location)
{
    kr_id_page *page = &ids->page[id >> KR_ID_PAGE_BITS];
    if (page->first_free < KR_ID_PAGE)
        page->first_free = (uint16_t)kr_slot_get(kr_slot_of(ids, id));
    else
        page->fresh++;
    page->used++;
    kr_slot_set(kr_slot_of(ids, id), location);
}

/* Releases an id; never needs memory. */
static void kr_id_release(kr_ids *ids, uint32_t id)
{
    uint32_t n = id >> KR_ID_PAGE_BITS;
    kr_id_page *page = &ids->page[n];
    kr_slot_set(kr_slot_of(ids, id), KR_SLOT_FREE | page->first_free);
    page->first_free = (uint16_t)(id & (KR_ID_PAGE - 1));
    if (n < ids->lowest)
        ids->lowest = n;
    if (--page->used)
        return;
    kr_unmap(page->at, KR_ID_PAGE_BYTES);
    *page = (kr_id_page){NULL, 0, 0, KR_ID_PAGE};
    while (ids->count && !ids->page[ids->count - 1].at)
        ids->count--;
    if (ids->lowest > ids->count)
        ids->lowest = ids->count;
}

/* Returns the resident bytes. */
static uint64_t kr_ids_bytes(const kr_ids *ids)
{
    uint64_t sum = ids->capacity * sizeof *ids->page;
    for (uint32_t i = 0; i < ids->count; i++)
        sum += kr_round_to_pages((size_t)ids->page[i].fresh * KR_SLOT_BYTES);
    return sum;
}

#endif
