/* Where a key is: extendible hashing from a 64-bit hash to ids, 4 bytes an entry, in pages of 512 bytes.
 *
 * The first bits of the hash choose the page through a directory; the last ten never change their meaning: four say in
 * which sixteenth of the page an entry is (they lie in order, without gaps), six are kept with the id. So a full page
 * splits and two sparse ones merge by themselves, and there is no moment at which all is copied. The pages are dense in
 * memory: the last one moves into the place of one that goes. The same id is never added twice; keys are the caller's.
 */
#ifndef KINFORM_KEYMAP_H
#define KINFORM_KEYMAP_H

#include "record.h"
#include "slabs.h"

enum { KR_KEYMAP_ENTRIES = 122, KR_KEYMAP_SPARSE = 80, KR_KEYMAP_BLOCK = 32, KR_KEYMAP_BLOCK_BYTES = KR_KEYMAP_BLOCK * 512, KR_KEYMAP_MAX_DEPTH = 28 };

typedef struct {
    uint8_t ends[16]; /* where each sixteenth ends */
    uint32_t depth, prefix; /* the first `depth` bits of every hash in it */
    uint32_t entry[KR_KEYMAP_ENTRIES];
} kr_keymap_page;

typedef struct {
    uint32_t *directory; /* 2**depth numbers of pages */
    kr_keymap_page **piece;
    uint32_t depth, pages, pieces, room;
    uint32_t deepest; /* pages whose depth is the directory's */
} kr_keymap;

typedef uint64_t (*kr_keymap_hash)(const void *of, uint32_t id);

static inline kr_keymap_page *kr_keymap_page_at(const kr_keymap *m, uint32_t number)
{
    return m->piece[number / KR_KEYMAP_BLOCK] + number % KR_KEYMAP_BLOCK;
}

static inline kr_keymap_page *kr_keymap_page_of(const kr_keymap *m, uint64_t hash)
{
    return kr_keymap_page_at(m, m->directory[m->depth ? hash >> (64 - m->depth) : 0]);
}

static inline unsigned kr_keymap_bucket(uint64_t hash)
{
    return (unsigned)(hash >> 6) & 15;
}

static inline uint32_t kr_keymap_entry(uint64_t hash, uint32_t id)
{
    return (uint32_t)(hash & 63) << KR_ID_BITS | id;
}

static void kr_keymap_free(kr_keymap *m)
{
    for (uint32_t i = 0; i < m->pieces; i++)
        kr_unmap(m->piece[i], KR_KEYMAP_BLOCK_BYTES);
    free(m->piece);
    free(m->directory);
    memset(m, 0, sizeof *m);
}

/* One more page at the end, empty; 0 if there is no memory. */
static int kr_keymap_add_page(kr_keymap *m)
{
    if (m->pages == m->pieces * KR_KEYMAP_BLOCK) {
        if (m->pieces == m->room) {
            uint32_t room = m->room + m->room / 4 + 4;
            kr_keymap_page **grown = (kr_keymap_page **)realloc(m->piece, room * sizeof *grown);
            if (!grown)
                return 0;
            m->piece = grown;
            m->room = room;
        }
        if (!(m->piece[m->pieces] = (kr_keymap_page *)kr_map(KR_KEYMAP_BLOCK_BYTES)))
            return 0;
        m->pieces++;
    }
    memset(kr_keymap_page_at(m, m->pages++), 0, 24);
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

/* The directory's entries for a page. */
static void kr_keymap_point_to(kr_keymap *m, const kr_keymap_page *page, uint32_t number)
{
    uint32_t spread = m->depth - page->depth, first = page->prefix << spread;
    for (uint32_t i = 0; i < (uint32_t)1 << spread; i++)
        m->directory[first + i] = number;
}

static void kr_keymap_page_add(kr_keymap_page *page, uint64_t hash, uint32_t id)
{
    unsigned of = kr_keymap_bucket(hash), end = page->ends[of];
    memmove(&page->entry[end + 1], &page->entry[end], (page->ends[15] - end) * sizeof *page->entry);
    page->entry[end] = kr_keymap_entry(hash, id);
    for (; of < 16; of++)
        page->ends[of]++;
}

/* Room for one more entry of this hash; 0 if there is no memory. */
static int kr_keymap_reserve(kr_keymap *m, uint64_t hash, kr_keymap_hash hash_of, const void *of)
{
    for (;;) {
        kr_keymap_page *page = kr_keymap_page_of(m, hash);
        if (page->ends[15] < KR_KEYMAP_ENTRIES)
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
        page = kr_keymap_page_of(m, hash); /* pages stay where they are, but let us not depend on it */
        kr_keymap_page old = *page, *other = kr_keymap_page_at(m, m->pages - 1);
        memset(page, 0, 24);
        page->depth = other->depth = old.depth + 1;
        page->prefix = old.prefix << 1;
        other->prefix = page->prefix | 1;
        for (unsigned i = 0; i < old.ends[15]; i++) {
            uint32_t id = old.entry[i] & KR_ID_MASK;
            uint64_t its = hash_of(of, id);
            kr_keymap_page_add(its >> (63 - old.depth) & 1 ? other : page, its, id);
        }
        kr_keymap_point_to(m, other, m->pages - 1);
        if (page->depth == m->depth)
            m->deepest += 2;
    }
}

static void kr_keymap_add(kr_keymap *m, uint64_t hash, uint32_t id)
{
    kr_keymap_page_add(kr_keymap_page_of(m, hash), hash, id);
}

static void kr_keymap_remove_page(kr_keymap *m, uint32_t number)
{
    uint32_t last = --m->pages;
    if (number != last) {
        *kr_keymap_page_at(m, number) = *kr_keymap_page_at(m, last);
        kr_keymap_point_to(m, kr_keymap_page_at(m, number), number);
    }
    if (m->pages + KR_KEYMAP_BLOCK + KR_KEYMAP_BLOCK / 2 <= m->pieces * KR_KEYMAP_BLOCK)
        kr_unmap(m->piece[--m->pieces], KR_KEYMAP_BLOCK_BYTES);
}

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

static void kr_keymap_merge(kr_keymap *m, kr_keymap_page *page)
{
    while (page->depth) {
        uint32_t buddy_prefix = page->prefix ^ 1;
        uint32_t number = m->directory[buddy_prefix << (m->depth - page->depth)];
        kr_keymap_page *buddy = kr_keymap_page_at(m, number);
        if (buddy->depth != page->depth || buddy->ends[15] + page->ends[15] > KR_KEYMAP_SPARSE)
            return;
        kr_keymap_page one = *page, two = *buddy;
        if (page->depth == m->depth)
            m->deepest -= 2;
        page->depth--;
        page->prefix >>= 1;
        uint32_t mine = m->directory[one.prefix << (m->depth - one.depth)];
        unsigned count = 0, a = 0, b = 0;
        for (unsigned i = 0; i < 16; i++) {
            while (a < one.ends[i])
                page->entry[count++] = one.entry[a++];
            while (b < two.ends[i])
                page->entry[count++] = two.entry[b++];
            page->ends[i] = (uint8_t)count;
        }
        kr_keymap_point_to(m, page, mine);
        uint64_t where = page->depth ? (uint64_t)page->prefix << (64 - page->depth) : 0;
        kr_keymap_remove_page(m, number);
        kr_keymap_halve_directory(m);
        page = kr_keymap_page_of(m, where); /* it may have been the last one, and moved */
    }
}

static void kr_keymap_remove(kr_keymap *m, uint64_t hash, uint32_t id)
{
    kr_keymap_page *page = kr_keymap_page_of(m, hash);
    unsigned of = kr_keymap_bucket(hash), i = of ? page->ends[of - 1] : 0;
    uint32_t entry = kr_keymap_entry(hash, id);
    while (i < page->ends[of] && page->entry[i] != entry)
        i++;
    if (i == page->ends[of])
        return;
    memmove(&page->entry[i], &page->entry[i + 1], (page->ends[15] - i - 1) * sizeof *page->entry);
    for (; of < 16; of++)
        page->ends[of]--;
    if (page->ends[15] < KR_KEYMAP_SPARSE / 2)
        kr_keymap_merge(m, page);
}

static uint64_t kr_keymap_bytes(const kr_keymap *m)
{
    return (uint64_t)m->pages * 512 + m->room * sizeof *m->piece + ((size_t)4 << m->depth);
}

#endif
