/* What can be told of an object that is left out: its verb and its key, as far as they can be read.
 *
 * Reads bytes that may be malformed or end early, and stops where it cannot go on.
 */
#ifndef KINFORM_PARTIAL_KEY_H
#define KINFORM_PARTIAL_KEY_H

#include "batch.h"
#include "../json/json_skip.h"

enum { KS_FRAME, KS_ITEM, KS_METADATA };

typedef struct {
    kj_text verb, field[KS_TEXTS];
    int complete; /* the metadata was read to its end: what is absent is absent */
} ks_partial_key;

/* Looks for the key in bytes that may be malformed or end early; stops where it cannot go on. */
static void ks_read_partial_key(kj_ptr *pp, kj_ptr end, int level, ks_partial_key *found)
{
    static const char *const names[] = {"namespace", "name", "uid", "resourceVersion"};
    kj_ptr p = *pp;
    int plain = 1;
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
            plain &= !to || *p == 'n'; /* a namespace that is no string is not the absence of one */
            kj_skip_state unit = {{0, 0, 0}, 0, 0};
            if (kj_is_delimiter(*p) && *p != '"' && (*p | 0x20) != '{')
                goto out;
            if (kj_skip_part(&unit, &p, end))
                goto out;
        }
        KJ_SKIP_SPACE(p, end, out);
        if (*p == ',')
            p++;
        else if (*p != '}')
            goto out;
    }
    if (level == KS_METADATA)
        found->complete = plain;
out:
    *pp = p;
}

#endif
