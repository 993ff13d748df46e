/* Failing allocations: each allocation of each call fails once, and the call returns 0 or does without. */
#ifndef MEMORY_H
#define MEMORY_H

#include "internals.h"

enum { MAX_FAILED_OBJECTS = 30 }; /* of each collection */

/* Encodes, adopts and decodes objects; the nth allocation of each fails, for each n. */
static void check_memory_of(collection *c)
{
    size_t refused = 0, stored = 0, adopted = 0, unread = 0;
    for (size_t i = 0; i < c->sources && i < MAX_FAILED_OBJECTS; i++)
        for (long left = 0;; left++) {
            kc_encoded made;
            alarm(30);
            chance.step++;
            forget_buffers();
            heap_left = left;
            record *r = record_new(c, &c->source[i], (kc_object){.may_be_template = 1}, &made);
            int failed = heap_left < 0;
            if (r) {
                collection_add(c, r, &made);
                failed = heap_left < 0;
                adopted += r->view.number > 0;
            }
            heap_left = -1;
            stored += r != NULL;
            refused += !r;
            if (!r) {
                CHECK(failed);
                continue;
            }
            record_check(c, r);
            collection_check(c);
            for (long reads = 0; !failed; reads++) {
                forget_buffers();
                heap_left = reads;
                int done = record_decodes(c, r), survived = heap_left >= 0;
                heap_left = -1;
                unread += !done;
                CHECK(done || !survived);
                if (survived)
                    break;
            }
            if (!failed)
                break;
        }
    for (size_t id = 0; id < c->count; id++)
        if (c->record[id])
            record_check(c, c->record[id]);
    CHECK(refused && stored && adopted && unread);
}

static void check_memory(collection *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        chance.label = "memory";
        check_memory_of(&c[i]);
        collection_clear(&c[i]);
    }
    forget_buffers();
}

#endif
