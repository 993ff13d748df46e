/* Updates: which are encoded against the version before, and that chains of them come back. */
#ifndef UPDATE_LIFE_H
#define UPDATE_LIFE_H

#include "internals.h"

/* Returns whether a new version of an object, in which every nth word differs, is encoded against a template. */
static int uses_hint(collection *c, const object *before, size_t every, uint32_t hint, size_t hinted, int is_replaced)
{
    object x = object_copy(before);
    kc_object hints = {.hint = hint, .hinted = hinted, .is_replaced = is_replaced};
    kc_encoded made;
    for (size_t i = 0; i < x.size; i += every * WORD)
        x.raw[i] = (kr_byte)(x.raw[i] == 'a' ? 'b' : 'a');
    record *r = record_new(c, &x, hints, &made);
    CHECK(r);
    record_check_new(c, r, &made);
    CHECK(made.is_frame || made.codec == hint);
    record_free(r);
    object_free(&x);
    return !made.is_frame;
}

/* Makes a template without users of an object of `size` bytes, and checks which updates use it. */
static void check_hint_of(size_t size, int is_large)
{
    collection c = {0};
    kc_encoded made;
    frames_init(&c);
    object x = hexadecimals(size);
    record *r = record_new(&c, &x, (kc_object){0}, &made);
    CHECK(r && made.is_frame && !made.joins && !made.is_template);
    made.is_template = 1;
    collection_add(&c, r, &made);
    uint32_t hint = r->view.number;
    kc_object given = record_hints(&c, r);
    CHECK(hint && given.hint == hint && given.is_replaced && given.hinted == r->view.blob.len);
    CHECK(uses_hint(&c, &x, 50, hint, given.hinted, 0));
    CHECK(uses_hint(&c, &x, 50, hint, given.hinted, 1) == is_large);
    /* Those that take more than a quarter of the version before, but less than it. */
    CHECK(uses_hint(&c, &x, 3, hint, given.hinted, 0));
    CHECK(!uses_hint(&c, &x, 3, hint, given.hinted, 1));
    CHECK(!uses_hint(&c, &x, 50, 0, given.hinted, 0));
    CHECK(!uses_hint(&c, &x, 50, hint + 1, given.hinted, 0));
    object_free(&x);
    collection_clear(&c);
}

/* How updates were encoded. */
typedef struct {
    size_t kept;   /* against the version before, which stays only for that */
    size_t shared; /* against a template that has other users */
} updates;

/* Updates objects again and again, with the hints of a table. */
static void check_updates(collection *c, updates *sum)
{
    kc_encoded made;
    collection_init(c);
    collection_fill(c);
    for (int step = 0; step < 400; step++) {
        size_t id = collection_pick(c);
        if (id == c->count)
            continue;
        object x = object_copy(&c->record[id]->x);
        bytes b = {0};
        set(&b, x.raw, x.size);
        mutate_once(&b, &c->source[below(c->sources)], x.identity);
        free(x.raw);
        x.raw = copied(b.at, b.len);
        x.size = b.len;
        bytes_free(&b);
        kc_object hints = record_hints(c, c->record[id]);
        record *r = record_new(c, &x, hints, &made);
        CHECK(r);
        record_check_new(c, r, &made);
        int is_used = !made.is_frame && made.codec && made.codec == hints.hint;
        sum->kept += hints.is_replaced && is_used;
        sum->shared += !hints.is_replaced && is_used;
        collection_add(c, r, &made);
        uint32_t number = c->record[id]->view.number;
        collection_remove(c, id);
        if (number && is_used && made.codec == number)
            CHECK(c->record[id] && record_is_in_limbo(c->record[id]));
        record_check(c, r);
        object_free(&x);
        if (step % 64 == 0)
            collection_check(c);
    }
    collection_check(c);
    collection_clear(c);
}

static void check_update_life(collection *c, size_t count)
{
    updates sum = {0};
    chance.label = "hints";
    alarm(30);
    check_hint_of(KC_MIN_REPLACED - 1, 0);
    check_hint_of(KC_MIN_REPLACED, 1);
    check_hint_of(20 << 10, 1);
    chance.label = "updates";
    for (size_t i = 0; i < count; i++) {
        alarm(30);
        check_updates(&c[i], &sum);
    }
    CHECK(sum.kept && sum.shared);
}

#endif
