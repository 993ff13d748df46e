/* Frames: objects compressed by zstandard, alone or after the bytes of a relative.
 *
 * A frame is stored without its magic number, checksum and dictionary id. A prefix is content that is treated as if it
 * preceded the object. One context for each direction serves the whole process.
 * Source: RFC 8878.
 */
#ifndef KINFORM_FRAMES_H
#define KINFORM_FRAMES_H

#include <stdlib.h>

#include "bytes.h"
#if __has_include(<zstd.h>)
#include <zstd.h>
#else
#error "the headers of libzstd are missing: install libzstd-dev (Debian, Ubuntu), libzstd-devel (Fedora) or zstd-dev (Alpine)"
#endif

enum {
    KC_FRAME_LEVEL = 3,
    KC_MAX_SEARCHED = 48 << 10, /* bytes for which the next four are used */
    KC_FRAME_WINDOW_BITS = 16,
    KC_FRAME_HASH_BITS = 13,
    KC_FRAME_CHAIN_BITS = 13,
    KC_FRAME_SEARCH_BITS = 4,
    KC_MAGIC_LEN = 4,
    KC_MAX_CONTEXT = 256 << 10, /* bytes; a larger context is freed after its use */
};

typedef struct {
    ZSTD_CCtx *writer; /* NULL: not made yet */
    ZSTD_DCtx *reader; /* the same */
    kr_byte *room;     /* a frame with its magic number; malloc'd */
    size_t capacity;   /* of `room` */
} kc_frames;

static inline void kc_frames_free(kc_frames *f)
{
    ZSTD_freeCCtx(f->writer);
    ZSTD_freeDCtx(f->reader);
    free(f->room);
    memset(f, 0, sizeof *f);
}

static inline size_t kc_frames_bytes(const kc_frames *f)
{
    return (f->writer ? ZSTD_sizeof_CCtx(f->writer) : 0) + (f->reader ? ZSTD_sizeof_DCtx(f->reader) : 0) + f->capacity;
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

static inline void kc_frames_shrink(kc_frames *f)
{
    if (f->capacity > KC_MAX_CONTEXT) {
        free(f->room);
        f->room = NULL;
        f->capacity = 0;
    }
    if (f->writer && ZSTD_sizeof_CCtx(f->writer) > KC_MAX_CONTEXT) {
        ZSTD_freeCCtx(f->writer);
        f->writer = NULL;
    }
}

/* Compresses bytes; `searched`: small ones more thoroughly. Returns the frame, which is valid until the next call;
 * len 0 if there is no memory. */
static inline kr_text kc_frame_write(
    kc_frames *f, const kr_text *source, const kr_text *prefix, int searched)
{
    kr_text frame = {NULL, 0};
    if (!kc_frames_reserve(f, ZSTD_compressBound(source->len)))
        return frame;
    if (!f->writer) {
        f->writer = ZSTD_createCCtx();
        if (!f->writer)
            return frame;
        ZSTD_CCtx_setParameter(f->writer, ZSTD_c_compressionLevel, KC_FRAME_LEVEL);
        ZSTD_CCtx_setParameter(f->writer, ZSTD_c_dictIDFlag, 0);
    }
    searched &= source->len <= KC_MAX_SEARCHED; /* 0 stands for the level's own parameters */
    ZSTD_CCtx_setParameter(f->writer, ZSTD_c_windowLog, searched ? KC_FRAME_WINDOW_BITS : 0);
    ZSTD_CCtx_setParameter(f->writer, ZSTD_c_hashLog, searched ? KC_FRAME_HASH_BITS : 0);
    ZSTD_CCtx_setParameter(f->writer, ZSTD_c_chainLog, searched ? KC_FRAME_CHAIN_BITS : 0);
    ZSTD_CCtx_setParameter(f->writer, ZSTD_c_searchLog, searched ? KC_FRAME_SEARCH_BITS : 0);
    ZSTD_CCtx_setParameter(f->writer, ZSTD_c_strategy, searched ? ZSTD_lazy2 : 0);
    if (prefix->len)
        ZSTD_CCtx_refPrefix(f->writer, prefix->at, prefix->len);
    size_t size = ZSTD_compress2(f->writer, f->room, f->capacity, source->at, source->len);
    if (!ZSTD_isError(size))
        frame = (kr_text){f->room + KC_MAGIC_LEN, size - KC_MAGIC_LEN};
    return frame;
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
    if (prefix->len)
        ZSTD_DCtx_refPrefix(f->reader, prefix->at, prefix->len);
    else
        ZSTD_DCtx_reset(f->reader, ZSTD_reset_session_and_parameters);
    size_t size = ZSTD_decompressDCtx(f->reader, to, most, f->room, frame->len + KC_MAGIC_LEN);
    return ZSTD_isError(size) ? -1 : (int64_t)size;
}

#endif
