/* The verb and key of an object that is skipped, as far as its bytes can be read.
 *
 * The bytes may be malformed or end early. Reading stops at the first byte that makes no sense; fields read before it
 * are kept.
 */
#ifndef KINFORM_PARTIAL_KEY_H
#define KINFORM_PARTIAL_KEY_H

#include "../json/json_skip.h"
#include "batch.h"

/* The object that is read: a WATCH frame, an item, or the metadata of an item. */
enum { KS_FRAME, KS_ITEM, KS_METADATA };

typedef struct {
    kj_text verb;            /* `type` of the frame */
    kj_text field[KS_TEXTS]; /* of the metadata */
    int complete;            /* 1: the metadata was read to its end, so that a field without a text is absent */
} ks_partial_key;

/* Reads the object at `*pp` as far as possible, and leaves `*pp` where it stopped. All of `found` is 0 before the first
 * call. Recursion: three levels. */
static void ks_read_partial_key(kj_ptr *pp, kj_ptr end, int level, ks_partial_key *found)
{
    static const char *const names[] = {"namespace", "name", "uid", "resourceVersion"};
    kj_ptr p = *pp;
    int known = 1;
    if (p == end || *p != '{')
        return;
    p++;
    if (level == KS_METADATA) {
        memset(found->field, 0, sizeof found->field);
        found->complete = 0;
    }
    for (;;) {
        kj_text key, *to = NULL;
        int inner = 0;
        KJ_SKIP_SPACE(p, end, out);
        if (*p == '}')
            break;
        if (kj_read_key(&p, end, &key))
            goto out;
        if (level == KS_FRAME) {
            to = kj_is(&key, "type") ? &found->verb : NULL;
            inner = kj_is(&key, "object") ? KS_ITEM : 0;
        } else if (level == KS_ITEM)
            inner = kj_is(&key, "metadata") ? KS_METADATA : 0;
        else
            for (int i = 0; i < KS_TEXTS; i++)
                if (kj_is(&key, names[i]))
                    to = &found->field[i];
        if (to)
            to->at = NULL;
        if (inner) {
            kj_ptr q = p;
            ks_read_partial_key(&q, end, inner, found);
        }
        if (to && *p == '"') {
            kj_text t;
            if (kj_read_string(&p, end, &t))
                goto out;
            *to = t;
        } else {
            known &= !to || *p == 'n'; /* null is absent; any other value that is not a string is unknown */
            kj_skip_state state = {{0, 0, 0}, 0, 0};
            if (kj_is_delimiter(*p) && *p != '"' && (*p | 0x20) != '{')
                goto out;
            if (kj_skip_part(&state, &p, end))
                goto out;
        }
        KJ_SKIP_SPACE(p, end, out);
        if (*p == ',')
            p++;
        else if (*p != '}')
            goto out;
    }
    if (level == KS_METADATA)
        found->complete = known;
out:
    *pp = p;
}

#endif
