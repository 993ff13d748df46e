/* A hash map that stores no keys: it maps a 64-bit hash to ids by extendible hashing, with 4 bytes per entry, in pages
 * of 512 bytes.
 *
 * The first bits of a hash choose a page through a directory. Four of the last ten bits choose a bucket of the page,
 * and six are stored with the id. A full page splits in two and two sparse pages merge, so no step copies more than two
 * pages and the directory. Pages are dense in memory: when a page is removed, the last page takes its number. The
 * caller compares the keys and never adds the same id twice. Bound: 2**28 pages.
 * Source: Fagin et al., "Extendible hashing" (1979).
 */
#ifndef KINFORM_KEYMAP_H
#define KINFORM_KEYMAP_H

#include "pages.h"
#include "record.h"

enum {
    KR_KEYMAP_ENTRIES = 122,  /* of a full page */
    KR_KEYMAP_SPARSE = 80,    /* most entries of a page after a merge, so that it does not split again at once */
    KR_KEYMAP_CROWDED = 144,  /* mean entries of pages almost all of which split: two standard deviations above full */
    KR_KEYMAP_BUCKETS = 16,   /* of a page */
    KR_KEYMAP_BLOCK = 32,     /* pages that are mapped together */
    KR_KEYMAP_BLOCK_BYTES = KR_KEYMAP_BLOCK * 512,
    KR_KEYMAP_HEADER = 24,    /* bytes of a page before its entries */
    KR_KEYMAP_MAX_DEPTH = 28, /* bits of a hash that choose a page; the last ten choose bucket and tag */
};

typedef struct {
    uint8_t ends[KR_KEYMAP_BUCKETS];   /* end of each bucket in `entry`; buckets lie in order, without gaps */
    uint32_t depth;                    /* bits that all hashes in the page have in common, at the front */
    uint32_t prefix;                   /* these bits */
    uint32_t entry[KR_KEYMAP_ENTRIES]; /* tag (6 bits of the hash), id (26 bits) */
} kr_keymap_page;

typedef struct {
    uint32_t *directory;    /* 2**depth page numbers, by the first bits of a hash */
    kr_keymap_page **block; /* mapped pages, KR_KEYMAP_BLOCK each */
    uint32_t depth;         /* of the directory; no page is deeper */
    uint32_t pages;         /* in use, numbered without gaps */
    uint32_t blocks;        /* mapped */
    uint32_t capacity;      /* entries of `block`; blocks <= capacity */
    uint32_t deepest;       /* pages whose depth is that of the directory; 0: the directory can be halved */
} kr_keymap;

/* Returns the hash of an id's key; `context` is passed on. */
typedef uint64_t (*kr_keymap_hash)(const void *context, uint32_t id);

static inline kr_keymap_page *kr_keymap_page_at(const kr_keymap *m, uint32_t number)
{
    return m->block[number / KR_KEYMAP_BLOCK] + number % KR_KEYMAP_BLOCK;
}

static inline kr_keymap_page *kr_keymap_page_of(const kr_keymap *m, uint64_t hash)
{
    return kr_keymap_page_at(m, m->directory[m->depth ? hash >> (64 - m->depth) : 0]);
}

/* Starts to read the page of a hash into the processor's cache. */
static inline void kr_keymap_prefetch(const kr_keymap *m, uint64_t hash)
{
    __builtin_prefetch(kr_keymap_page_of(m, hash));
}

static inline unsigned kr_keymap_bucket(uint64_t hash)
{
    return (unsigned)(hash >> 6) & 15;
}

static inline uint32_t kr_keymap_entry(uint64_t hash, uint32_t id)
{
    return (uint32_t)(hash & 63) << KR_ID_BITS | id;
}

static inline unsigned kr_keymap_page_count(const kr_keymap_page *page)
{
    return page->ends[KR_KEYMAP_BUCKETS - 1];
}

static void kr_keymap_free(kr_keymap *m)
{
    for (uint32_t i = 0; i < m->blocks; i++)
        kr_unmap(m->block[i], KR_KEYMAP_BLOCK_BYTES);
    free(m->block);
    free(m->directory);
    memset(m, 0, sizeof *m);
}

/* Adds an empty page at the end; 0 if there is no memory. */
static int kr_keymap_add_page(kr_keymap *m)
{
    if (m->pages == m->blocks * KR_KEYMAP_BLOCK) {
        if (m->blocks == m->capacity) {
            uint32_t capacity = m->capacity + m->capacity / 4 + 4;
            kr_keymap_page **grown = (kr_keymap_page **)realloc(m->block, capacity * sizeof *grown);
            if (!grown)
                return 0;
            m->block = grown;
            m->capacity = capacity;
        }
        if (!(m->block[m->blocks] = (kr_keymap_page *)kr_map(KR_KEYMAP_BLOCK_BYTES)))
            return 0;
        m->blocks++;
    }
    memset(kr_keymap_page_at(m, m->pages++), 0, KR_KEYMAP_HEADER);
    return 1;
}

static int kr_keymap_init(kr_keymap *m)
{
    memset(m, 0, sizeof *m);
    m->directory = (uint32_t *)calloc(1, sizeof *m->directory);
    if (!m->directory || !kr_keymap_add_page(m))
        return 0;
    m->deepest = 1;
    return 1;
}

/* Splits an empty map of one page for `count` entries, so that hardly a hash is computed again while they are added. It
 * makes few pages that the entries would not need. Without memory, or if the map has more pages, it does nothing. */
static inline void kr_keymap_expect(kr_keymap *m, uint32_t count)
{
    uint32_t depth = 0, *directory;
    while (depth < KR_KEYMAP_MAX_DEPTH && count >> depth > KR_KEYMAP_CROWDED)
        depth++;
    if (m->pages > 1 || !(directory = (uint32_t *)malloc(sizeof *directory << depth)))
        return;
    while (m->pages >> depth == 0)
        if (!kr_keymap_add_page(m)) {
            m->pages = 1;
            free(directory);
            return;
        }
    for (uint32_t i = 0; i < m->pages; i++) {
        kr_keymap_page_at(m, i)->depth = depth;
        kr_keymap_page_at(m, i)->prefix = directory[i] = i;
    }
    free(m->directory);
    m->directory = directory;
    m->depth = depth;
    m->deepest = m->pages;
}

/* Sets the entries of the directory that lead to a page. */
static void kr_keymap_point_to(kr_keymap *m, const kr_keymap_page *page, uint32_t number)
{
    uint32_t spread = m->depth - page->depth, first = page->prefix << spread;
    for (uint32_t i = 0; i < (uint32_t)1 << spread; i++)
        m->directory[first + i] = number;
}

/* Adds an entry to a page that is not full. */
static void kr_keymap_page_add(kr_keymap_page *page, uint64_t hash, uint32_t id)
{
    unsigned bucket = kr_keymap_bucket(hash), end = page->ends[bucket];
    memmove(&page->entry[end + 1], &page->entry[end], (kr_keymap_page_count(page) - end) * sizeof *page->entry);
    page->entry[end] = kr_keymap_entry(hash, id);
    for (; bucket < KR_KEYMAP_BUCKETS; bucket++)
        page->ends[bucket]++;
}

/* Makes room for one entry of this hash, and splits a full page; 0 if there is no memory. */
static int kr_keymap_reserve(kr_keymap *m, uint64_t hash, kr_keymap_hash hash_of, const void *context)
{
    for (;;) {
        kr_keymap_page *page = kr_keymap_page_of(m, hash);
        if (kr_keymap_page_count(page) < KR_KEYMAP_ENTRIES)
            return 1;
        if (page->depth == m->depth) {
            if (m->depth == KR_KEYMAP_MAX_DEPTH)
                return 0;
            uint32_t *wider = (uint32_t *)malloc(((size_t)2 << m->depth) * sizeof *wider);
            if (!wider)
                return 0;
            for (size_t i = 0; i < (size_t)1 << m->depth; i++)
                wider[2 * i] = wider[2 * i + 1] = m->directory[i];
            free(m->directory);
            m->directory = wider;
            m->depth++;
            m->deepest = 0;
        }
        if (!kr_keymap_add_page(m))
            return 0;
        page = kr_keymap_page_of(m, hash);
        kr_keymap_page old = *page, *other = kr_keymap_page_at(m, m->pages - 1);
        memset(page, 0, KR_KEYMAP_HEADER);
        page->depth = other->depth = old.depth + 1;
        page->prefix = old.prefix << 1;
        other->prefix = page->prefix | 1;
        for (unsigned i = 0; i < kr_keymap_page_count(&old); i++) {
            uint32_t id = old.entry[i] & KR_ID_MASK;
            uint64_t its_hash = hash_of(context, id);
            kr_keymap_page_add(its_hash >> (63 - old.depth) & 1 ? other : page, its_hash, id);
        }
        kr_keymap_point_to(m, other, m->pages - 1);
        if (page->depth == m->depth)
            m->deepest += 2;
    }
}

/* Adds an entry; kr_keymap_reserve has made room. */
static void kr_keymap_add(kr_keymap *m, uint64_t hash, uint32_t id)
{
    kr_keymap_page_add(kr_keymap_page_of(m, hash), hash, id);
}

/* Removes a page; the last one moves to its number. */
static void kr_keymap_remove_page(kr_keymap *m, uint32_t number)
{
    uint32_t last = --m->pages;
    if (number != last) {
        *kr_keymap_page_at(m, number) = *kr_keymap_page_at(m, last);
        kr_keymap_point_to(m, kr_keymap_page_at(m, number), number);
    }
    if (m->pages + KR_KEYMAP_BLOCK + KR_KEYMAP_BLOCK / 2 <= m->blocks * KR_KEYMAP_BLOCK)
        kr_unmap(m->block[--m->blocks], KR_KEYMAP_BLOCK_BYTES);
}

/* Halves the directory while no page needs its depth. */
static void kr_keymap_halve_directory(kr_keymap *m)
{
    while (m->depth && !m->deepest) {
        m->depth--;
        for (size_t i = 0; i < (size_t)1 << m->depth; i++)
            m->directory[i] = m->directory[2 * i];
        uint32_t *smaller = (uint32_t *)realloc(m->directory, ((size_t)1 << m->depth) * sizeof *smaller);
        if (smaller)
            m->directory = smaller;
        for (uint32_t i = 0; i < m->pages; i++)
            m->deepest += kr_keymap_page_at(m, i)->depth == m->depth;
    }
}

/* Merges a page with the page of its sibling prefix, as long as both are sparse. */
static void kr_keymap_merge(kr_keymap *m, kr_keymap_page *page)
{
    while (page->depth) {
        uint32_t sibling_prefix = page->prefix ^ 1;
        uint32_t number = m->directory[sibling_prefix << (m->depth - page->depth)];
        kr_keymap_page *sibling = kr_keymap_page_at(m, number);
        unsigned sum = kr_keymap_page_count(page) + kr_keymap_page_count(sibling);
        if (sibling->depth != page->depth || sum > KR_KEYMAP_SPARSE)
            return;
        kr_keymap_page one = *page, two = *sibling;
        if (page->depth == m->depth)
            m->deepest -= 2;
        page->depth--;
        page->prefix >>= 1;
        uint32_t mine = m->directory[one.prefix << (m->depth - one.depth)];
        unsigned count = 0, a = 0, b = 0;
        for (unsigned i = 0; i < KR_KEYMAP_BUCKETS; i++) {
            while (a < one.ends[i])
                page->entry[count++] = one.entry[a++];
            while (b < two.ends[i])
                page->entry[count++] = two.entry[b++];
            page->ends[i] = (uint8_t)count;
        }
        kr_keymap_point_to(m, page, mine);
        uint64_t hash = page->depth ? (uint64_t)page->prefix << (64 - page->depth) : 0;
        kr_keymap_remove_page(m, number);
        kr_keymap_halve_directory(m);
        page = kr_keymap_page_of(m, hash); /* it may have moved, as the last one */
    }
}

/* Removes an entry; a missing one is ignored. Never needs memory. */
static void kr_keymap_remove(kr_keymap *m, uint64_t hash, uint32_t id)
{
    kr_keymap_page *page = kr_keymap_page_of(m, hash);
    unsigned bucket = kr_keymap_bucket(hash), i = bucket ? page->ends[bucket - 1] : 0;
    uint32_t entry = kr_keymap_entry(hash, id);
    while (i < page->ends[bucket] && page->entry[i] != entry)
        i++;
    if (i == page->ends[bucket])
        return;
    memmove(&page->entry[i], &page->entry[i + 1], (kr_keymap_page_count(page) - i - 1) * sizeof *page->entry);
    for (; bucket < KR_KEYMAP_BUCKETS; bucket++)
        page->ends[bucket]--;
    if (kr_keymap_page_count(page) < KR_KEYMAP_SPARSE / 2)
        kr_keymap_merge(m, page);
}

/* Returns the resident bytes. */
static uint64_t kr_keymap_bytes(const kr_keymap *m)
{
    return (uint64_t)m->pages * 512 + m->capacity * sizeof *m->block + ((size_t)4 << m->depth);
}

#endif
