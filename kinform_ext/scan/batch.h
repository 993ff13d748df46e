/* One object of a Batch: positions in the batch's block of bytes.
 *
 * Holds numbers, no pointers, so that the block can move, and another extension module can read it without a call.
 */
#ifndef KINFORM_BATCH_H
#define KINFORM_BATCH_H

#include <stddef.h>

/* The metadata that identifies a version of an object. */
enum { KS_NAMESPACE, KS_NAME, KS_UID, KS_RESOURCE_VERSION, KS_TEXTS };

enum { KS_ADDED, KS_MODIFIED, KS_DELETED };

typedef struct {
    size_t at, len; /* bytes, from the start of the block */
} ks_span;

typedef struct {
    ks_span raw;            /* the pruned JSON: apiVersion and kind first, the other members as the server sent them */
    ks_span text[KS_TEXTS]; /* values as UTF-8, inside `raw` where it has no escapes, else after it; len 0: absent */
    int verb;               /* KS_ADDED, KS_MODIFIED or KS_DELETED; KS_ADDED for an item of a LIST */
} ks_object;

#endif
