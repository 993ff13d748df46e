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
    uint64_t members;   /* frames that joined a base */
    uint64_t after;     /* frames after a full base */
    uint64_t alone;     /* frames alone */
    uint64_t plain;     /* stored as they are, with or without placeholders */
    uint64_t updates;   /* of them, encoded with the hints of the version before */
    uint64_t chained;   /* of those, coded against that version, which was no template for others */
} outcome;

static void count_outcome(outcome *sum, const record *r, const kc_object *hints, const kc_encoded *made)
{
    sum->objects++;
    sum->bytes += r->x.size;
    sum->siblings += made->codec && !made->is_frame;
    sum->members += made->joins > 0;
    sum->after += made->codec && made->is_frame && !made->joins;
    sum->alone += !made->codec && made->is_frame;
    sum->plain += !made->codec && !made->is_frame;
    sum->templates += made->is_template;
    sum->updates += hints->hinted > 0;
    sum->chained += hints->is_replaced && !made->is_frame && made->codec && made->codec == hints->hint;
}

/* Returns hints for an object: those of a table, or any. */
static kc_object draw_hints(const collection *c, const record *before)
{
    kc_object hints = {.may_be_template = !once_in(8)};
    if (!before || once_in(3))
        return hints;
    hints = record_hints(c, before);
    if (once_in(4)) {
        hints.hint = once_in(2) ? (uint32_t)draw_bits(32) : (uint32_t)below(c->coder.templates.count + 2u);
        hints.hinted = (size_t)draw_bits(once_in(8) ? 40 : 12);
        hints.is_replaced = once_in(2);
    }
    return hints;
}

/* Holds records, and ends holds. */
static void change_holds(collection *c)
{
    size_t id = below(c->count);
    if (c->record[id] && c->record[id]->is_held)
        collection_release(c, id);
    else if (c->record[id])
        c->record[id]->is_held = !record_is_in_limbo(c->record[id]);
}

/* Encodes and decodes one mutated object; keeps some. */
static void roundtrip_step(collection *c, outcome *sum)
{
    size_t id = collection_pick(c);
    record *before = id < c->count ? c->record[id] : NULL;
    const object *from = &c->source[below(c->sources)], *donor = &c->source[below(c->sources)];
    if (before && once_in(2))
        from = &before->x;
    object x = mutated(from, donor);
    kc_object hints = draw_hints(c, before);
    kc_encoded made;
    record *r = record_new(c, &x, hints, &made);
    CHECK(r);
    count_outcome(sum, r, &hints, &made);
    record_check_new(c, r, &made);
    if (once_in(2))
        record_free(r);
    else {
        if (!hints.may_be_template && once_in(2)) { /* as a deleted object, which only a change holds */
            r->view.word |= KR_LIMBO;
            r->is_held = 1;
        }
        collection_add(c, r, &made);
        if (before && (!once_in(3) || c->count > 2 * c->sources))
            collection_remove(c, id);
        record_check(c, r);
    }
    object_free(&x);
    if (once_in(8))
        change_holds(c);
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
    printf("%llu objects, %llu bytes: %llu siblings, %llu members, %llu after a base, %llu alone, %llu plain; "
           "%llu templates, %llu updates, %llu against the version before\n",
           (unsigned long long)sum.objects, (unsigned long long)sum.bytes, (unsigned long long)sum.siblings,
           (unsigned long long)sum.members, (unsigned long long)sum.after, (unsigned long long)sum.alone,
           (unsigned long long)sum.plain, (unsigned long long)sum.templates, (unsigned long long)sum.updates,
           (unsigned long long)sum.chained);
    CHECK(sum.siblings && sum.members && sum.after && sum.alone && sum.plain && sum.templates && sum.chained);
}

#endif
