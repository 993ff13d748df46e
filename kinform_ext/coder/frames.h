/* Frames: objects compressed by zstandard, alone or after a prefix.
 *
 * A frame is stored without its magic number, checksum and dictionary id. A prefix is content that is treated as if it
 * preceded the object. The contexts serve the whole process. One of them has the prefix of many frames loaded, which
 * makes such a frame several times cheaper; it is freed when it is not used for a while.
 * Source: RFC 8878.
 */
#ifndef KINFORM_FRAMES_H
#define KINFORM_FRAMES_H

#include <stdlib.h>

#include "bytes.h"
#if __has_include(<zstd.h>)
#include <zstd.h>
#else
#error "no headers of libzstd: install libzstd-dev (Debian, Ubuntu), libzstd-devel (Fedora) or zstd-dev (Alpine)"
#endif

enum {
    KC_FRAME_LEVEL = 3,
    KC_MAX_SEARCHED = 64 << 10, /* bytes of an object for which the next four are used */
    KC_FRAME_WINDOW_BITS = 17,
    KC_FRAME_HASH_BITS = 15,
    KC_FRAME_CHAIN_BITS = 15,
    KC_FRAME_SEARCH_BITS = 4,
    KC_MAGIC_LEN = 4,
    KC_MAX_CONTEXT = 256 << 10, /* bytes; a larger context is freed after its use */
    KC_LOADING = 1 << 20,       /* bytes that must be free before a prefix is loaded */
};

/* Returns whether a prefix can be loaded. libzstd before 1.5.5 crashes if it cannot allocate one. */
static inline int kc_frames_can_load(void)
{
    void *volatile probe = malloc(KC_LOADING); /* volatile: or the compiler drops the pair */
    free(probe);
    return probe != NULL;
}

typedef struct {
    ZSTD_CCtx *writer;   /* for frames that share their prefix with few others; NULL: not made yet */
    ZSTD_CCtx *loaded;   /* has a prefix loaded; NULL: none */
    const void *owner;   /* whose prefix that is */
    uint32_t number;     /* which of the owner's prefixes */
    ZSTD_DCtx *reader;   /* NULL: not made yet */
    kr_byte *room;       /* a frame with its magic number; malloc'd */
    size_t capacity;     /* of `room` */
} kc_frames;

static inline void kc_frames_unload(kc_frames *f)
{
    ZSTD_freeCCtx(f->loaded);
    f->loaded = NULL;
    f->owner = NULL;
}

/* Returns whether zstandard takes a prefix for a dictionary of its own format: not all of its functions would use it as
 * content. */
static inline int kc_is_dictionary(const kr_byte *p, size_t len)
{
    static const kr_byte magic[] = {0x37, 0xa4, 0x30, 0xec};
    return len >= sizeof magic && !memcmp(p, magic, sizeof magic);
}

static inline size_t kc_frames_bytes(const kc_frames *f)
{
    return ZSTD_sizeof_CCtx(f->writer) + ZSTD_sizeof_CCtx(f->loaded) + ZSTD_sizeof_DCtx(f->reader) + f->capacity;
}

static inline int kc_frames_reserve(kc_frames *f, size_t size)
{
    if (size <= f->capacity)
        return 1;
    free(f->room);
    f->room = (kr_byte *)malloc(size);
    f->capacity = f->room ? size : 0;
    return f->room != NULL;
}

/* Frees what only large objects or new kinds of objects need. */
static inline void kc_frames_shrink(kc_frames *f)
{
    if (f->capacity > KC_MAX_CONTEXT) {
        free(f->room);
        f->room = NULL;
        f->capacity = 0;
    }
    if (ZSTD_sizeof_CCtx(f->writer) > KC_MAX_CONTEXT) {
        ZSTD_freeCCtx(f->writer);
        f->writer = NULL;
    }
    kc_frames_unload(f);
}

/* Sets the parameters of a context; `searched`: those for small objects, else the ones of the level. */
static inline void kc_frames_set(ZSTD_CCtx *writer, int searched)
{
    ZSTD_CCtx_setParameter(writer, ZSTD_c_compressionLevel, KC_FRAME_LEVEL);
    ZSTD_CCtx_setParameter(writer, ZSTD_c_dictIDFlag, 0);
    ZSTD_CCtx_setParameter(writer, ZSTD_c_windowLog, searched ? KC_FRAME_WINDOW_BITS : 0);
    ZSTD_CCtx_setParameter(writer, ZSTD_c_hashLog, searched ? KC_FRAME_HASH_BITS : 0);
    ZSTD_CCtx_setParameter(writer, ZSTD_c_chainLog, searched ? KC_FRAME_CHAIN_BITS : 0);
    ZSTD_CCtx_setParameter(writer, ZSTD_c_searchLog, searched ? KC_FRAME_SEARCH_BITS : 0);
    ZSTD_CCtx_setParameter(writer, ZSTD_c_strategy, searched ? ZSTD_lazy2 : 0);
}

static inline kr_text kc_frame_finish(kc_frames *f, ZSTD_CCtx *writer, const kr_text *source)
{
    size_t size = ZSTD_compress2(writer, f->room, f->capacity, source->at, source->len);
    if (ZSTD_isError(size))
        return (kr_text){NULL, 0};
    return (kr_text){f->room + KC_MAGIC_LEN, size - KC_MAGIC_LEN};
}

/* Compresses bytes after a prefix, which may be empty; `searched`: small ones more thoroughly. Returns the frame, which
 * is valid until the next call; len 0 if there is no memory. */
static inline kr_text kc_frame_write(kc_frames *f, const kr_text *source, const kr_text *prefix, int searched)
{
    if (!kc_frames_reserve(f, ZSTD_compressBound(source->len)) || (!f->writer && !(f->writer = ZSTD_createCCtx())))
        return (kr_text){NULL, 0};
    kc_frames_set(f->writer, searched && source->len <= KC_MAX_SEARCHED);
    ZSTD_CCtx_refPrefix(f->writer, prefix->at, prefix->len);
    return kc_frame_finish(f, f->writer, source);
}

/* Compresses bytes as kc_frame_write does, after a prefix that many frames share: a number of the owner. */
static inline kr_text kc_frame_write_after(
    kc_frames *f, const kr_text *source, const kr_text *prefix, const void *owner, uint32_t number)
{
    if (!kc_frames_reserve(f, ZSTD_compressBound(source->len)))
        return (kr_text){NULL, 0};
    if (!f->loaded || f->owner != owner || f->number != number) {
        if (!kc_frames_can_load() || (!f->loaded && !(f->loaded = ZSTD_createCCtx())))
            return (kr_text){NULL, 0};
        kc_frames_set(f->loaded, 1);
        if (ZSTD_isError(ZSTD_CCtx_loadDictionary(f->loaded, prefix->at, prefix->len))) {
            kc_frames_unload(f);
            return (kr_text){NULL, 0};
        }
        f->owner = owner;
        f->number = number;
    }
    return kc_frame_finish(f, f->loaded, source);
}

/* Decompresses a frame to at most `most` bytes; returns their number, -1 if the frame is not valid. */
static inline int64_t kc_frame_read(kc_frames *f, const kr_text *frame, const kr_text *prefix, kr_byte *to, size_t most)
{
    static const uint32_t magic = ZSTD_MAGICNUMBER;
    if (!kc_frames_reserve(f, frame->len + KC_MAGIC_LEN) || (!f->reader && !(f->reader = ZSTD_createDCtx())))
        return -1;
    for (int i = 0; i < KC_MAGIC_LEN; i++)
        f->room[i] = (kr_byte)(magic >> (8 * i));
    memcpy(f->room + KC_MAGIC_LEN, frame->at, frame->len);
    size_t size = ZSTD_decompress_usingDict(
        f->reader, to, most, f->room, frame->len + KC_MAGIC_LEN, prefix->at, prefix->len);
    return ZSTD_isError(size) ? -1 : (int64_t)size;
}

#endif
