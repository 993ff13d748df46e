/* What a Batch knows of one object: places and lengths in the batch's one block of bytes. Plain numbers, no pointers,
 * so that another extension module can read a batch without a call. */
#ifndef KINFORM_BATCH_H
#define KINFORM_BATCH_H

#include <stddef.h>
#include <stdint.h>

enum { KS_NAMESPACE, KS_NAME, KS_UID, KS_RESOURCE_VERSION, KS_TEXTS };

typedef struct {
    size_t at, len;
} ks_span;

typedef struct {
    ks_span raw;            /* the normalised, pruned JSON */
    size_t body;            /* raw[:body] is `{"apiVersion":...,"kind":...,`, the same bytes for all of a kind */
    ks_span text[KS_TEXTS]; /* plain UTF-8, in `raw` where it holds no escapes */
    uint64_t offset;        /* of the item (LIST) or the frame (WATCH) in the body of the answer */
    size_t wire;            /* bytes of that item or frame */
    int verb;               /* 0 ADDED, 1 MODIFIED, 2 DELETED */
} ks_object;

#endif
