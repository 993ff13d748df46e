/* Round trips: mutated objects come back byte for byte, while collections change as in a cluster.
 *
 * Collections share one process, as in an application. Each step changes an object of the dump or of a record, encodes
 * and decodes it; some of the results stay, and become templates of later ones.
 */
#ifndef ROUNDTRIP_H
#define ROUNDTRIP_H

#include "mutation.h"

/* How the objects of a run were stored. */
typedef struct {
    uint64_t objects;   /* encoded */
    uint64_t bytes;     /* of those */
    uint64_t siblings;  /* coded against a template */
    uint64_t templates; /* became templates */
    uint64_t relatives; /* frames after a relative */
    uint64_t frames;    /* other frames */
    uint64_t plain;     /* stored as they are, with or without placeholders */
} outcome;

/* Encodes and decodes one mutated object; keeps some. */
static void roundtrip_step(collection *c, outcome *sum)
{
    size_t id = collection_pick(c);
    const object *from = &c->source[below(c->sources)], *donor = &c->source[below(c->sources)];
    if (id < c->count && once_in(3))
        from = &c->record[id]->x;
    object x = mutated(from, donor);
    uint32_t hint = 0;
    if (id < c->count && once_in(2))
        hint = once_in(8) ? (uint32_t)draw_bits(32) : c->record[id]->view.codec;
    kc_encoded made;
    int stays = once_in(2);
    record *r = record_new(c, &x, hint, stays || once_in(2), &made);
    CHECK(r);
    sum->objects++;
    sum->bytes += x.size;
    sum->siblings += made.codec && !made.is_frame;
    sum->relatives += made.codec && made.is_frame;
    sum->frames += !made.codec && made.is_frame;
    sum->plain += !made.codec && !made.is_frame;
    sum->templates += made.is_template;
    record_check(c, r);
    if (!stays)
        record_free(r);
    else {
        collection_add(c, r, &made);
        int is_other = id < c->count && c->record[id] && c->record[id] != r && !c->record[id]->is_hidden;
        if (is_other && (once_in(2) || c->count > 2 * c->sources))
            collection_remove(c, id);
        record_check(c, r);
    }
    object_free(&x);
    if (once_in(8) && (id = collection_pick(c)) < c->count)
        record_check(c, c->record[id]);
    if (once_in(512))
        kc_process_shrink(&process);
}

static void check_all(collection *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        collection_check(&c[i]);
        for (size_t id = 0; id < c[i].count; id++)
            if (c[i].record[id])
                record_check(&c[i], c[i].record[id]);
    }
}

/* Runs steps until `most` bytes of objects have been encoded. */
static void roundtrip(collection *c, size_t count, uint64_t most)
{
    outcome sum = {0};
    chance.label = "roundtrip: encode the dumps";
    for (size_t i = 0; i < count; i++)
        collection_fill(&c[i]);
    check_all(c, count);
    chance.label = "roundtrip";
    while (sum.bytes < most) {
        chance.step++;
        if (chance.step % 64 == 0)
            alarm(30);
        collection *one = &c[below(count)];
        roundtrip_step(one, &sum);
        if (once_in(20000)) { /* all objects go */
            collection_clear(one);
            collection_init(one);
            collection_fill(one);
        }
        if (once_in(4000))
            check_all(c, count);
    }
    check_all(c, count);
    for (size_t i = 0; i < count; i++)
        collection_clear(&c[i]);
    CHECK(!process.cache.count && !process.cache.newest && !process.cache.bytes);
    printf("%llu objects, %llu bytes: %llu siblings, %llu relatives, %llu frames, %llu plain; %llu templates\n",
           (unsigned long long)sum.objects, (unsigned long long)sum.bytes, (unsigned long long)sum.siblings,
           (unsigned long long)sum.relatives, (unsigned long long)sum.frames, (unsigned long long)sum.plain,
           (unsigned long long)sum.templates);
    CHECK(sum.siblings && sum.relatives && sum.frames && sum.plain && sum.templates);
}

#endif
