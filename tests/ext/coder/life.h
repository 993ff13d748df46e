/* The life of templates and literal tables: numbers are reused, tables go with their last template, nothing leaks. */
#ifndef LIFE_H
#define LIFE_H

#include "internals.h"

/* Takes and releases numbers at random, and compares with a plain array. */
static void check_numbers(void)
{
    kc_templates t = {0};
    uint8_t *taken = (uint8_t *)calloc(KC_MAX_TEMPLATES + 1, 1);
    size_t used = 0, before = heap_bytes();
    for (int step = 0; step < 200000; step++) {
        uint32_t number = (uint32_t)below(300) + 1;
        if (once_in(2) && used < 250) {
            number = kc_number_reserve(&t);
            CHECK(number && !taken[number] && !kc_number_is_used(&t, number) && number <= used + 1 + t.count);
            if (once_in(8))
                continue; /* a number that is not taken is reserved again */
            kc_number_take(&t, number, (uint32_t)step, 100, 1, literals_shared(&t));
            CHECK(kc_entry_of(&t, number)->record == (uint32_t)step);
            taken[number] = 1;
            used++;
            for (size_t lists = below(5); lists; lists--) {
                kr_byte slots[6] = {0};
                kc_list_add(&t, number, kc_slots_copy(slots, 3));
            }
            CHECK(list_count(kc_entry_of(&t, number)) <= KC_MAX_LISTS);
        } else if (taken[number]) {
            kc_number_release(&t, number);
            taken[number] = 0;
            used--;
        }
        CHECK(t.used == used && kc_number_is_used(&t, number) == taken[number]);
        CHECK(t.count <= 300 && !kc_number_is_used(&t, 0) && !kc_number_is_used(&t, (uint64_t)t.count + 1));
    }
    uint64_t lists = 0;
    for (uint32_t number = 1; number <= t.count; number++)
        lists += taken[number] ? list_count(kc_entry_of(&t, number)) * (sizeof(kc_slots) + 6) : 0;
    CHECK(lists == t.list_bytes);
    while ((used = kc_number_reserve(&t)))
        kc_number_take(&t, (uint32_t)used, 1, 100, 1, literals_shared(&t));
    CHECK(t.used == KC_MAX_TEMPLATES && t.count == KC_MAX_TEMPLATES);
    kc_templates_free(&t);
    CHECK(heap_bytes() == before);
    free(taken);
}

/* Adds a literal that no table has. */
static int add_any(kc_literals *l, size_t len)
{
    kr_byte text[KC_MAX_LITERAL];
    for (size_t i = 0; i < len; i++)
        text[i] = (kr_byte)draw();
    return kc_literals_add(l, text, len);
}

/* A full table is replaced; it goes with the last template that keeps it. */
static void check_literal_tables(size_t len)
{
    kc_templates t = {0};
    size_t before = heap_bytes();
    uint32_t first = kc_number_reserve(&t);
    kc_number_take(&t, first, 1, 100, 0, literals_shared(&t));
    kc_literals *old = kc_entry_of(&t, first)->literals;
    uint32_t second = kc_number_reserve(&t);
    kc_number_take(&t, second, 2, 100, 0, literals_shared(&t));
    CHECK(old == kc_entry_of(&t, second)->literals && old->users == 3);
    while (add_any(old, len))
        CHECK(old->count <= KC_MAX_LITERALS && literals_used(old) <= KC_MAX_LITERAL_BYTES);
    CHECK(kc_literals_is_full(old) && old->users == 3);
    CHECK((old->count == KC_MAX_LITERALS) == (len * KC_MAX_LITERALS < KC_MAX_LITERAL_BYTES));
    uint32_t third = kc_number_reserve(&t);
    kc_number_take(&t, third, 3, 100, 0, literals_shared(&t));
    CHECK(kc_entry_of(&t, third)->literals != old && t.literals != old && old->users == 2 && t.literals->users == 2);
    uint64_t counted = kc_templates_bytes(&t);
    kc_number_release(&t, first);
    CHECK(old->users == 1 && kc_templates_bytes(&t) == counted);
    uint64_t table = old->size;
    size_t heap = heap_bytes();
    kc_number_release(&t, second);
    CHECK(heap - heap_bytes() == table && kc_templates_bytes(&t) == counted - table);
    kc_templates_free(&t);
    CHECK(heap_bytes() == before);
}

/* A table finds what was added, and nothing else. A literal is added when a second object has it. */
static void check_literals(void)
{
    kr_byte *text[2000];
    size_t len[2000], before = heap_bytes(), sights = 0;
    kc_literals *l = kc_literals_new();
    for (uint32_t i = 0; i < 2000; i++) {
        len[i] = KC_MIN_LITERAL + 2 + below(60);
        text[i] = (kr_byte *)malloc(len[i]);
        for (size_t j = 0; j < len[i]; j++)
            text[i][j] = (kr_byte)draw();
        uint64_t hash = kc_hash(text[i], len[i]);
        CHECK(kc_literal_find(l, hash, text[i], len[i]) == KC_NO_LITERAL);
        for (uint16_t who = 1; who < 8 && kc_literal_find(l, hash, text[i], len[i]) == KC_NO_LITERAL; who++) {
            for (int times = 0; times < 2; times++)
                if (who == 1 || !times)
                    kc_literal_note(l, hash, text[i], len[i], who);
            CHECK(who > 1 || l->count == i);
            sights++;
        }
        CHECK(l->count == i + 1 && kc_literal_find(l, hash, text[i], len[i]) == i);
        CHECK(kc_literal_find(l, kc_hash(text[i], len[i] - 1), text[i], len[i] - 1) == KC_NO_LITERAL);
    }
    CHECK(sights >= 4000 && sights < 4100);
    for (uint32_t i = 0; i < 2000; i++) {
        kr_text found = kc_literal_at(l, i);
        CHECK(found.len == len[i] && !memcmp(found.at, text[i], len[i]));
        CHECK(kc_literal_find(l, kc_hash(text[i], len[i]), text[i], len[i]) == i);
        free(text[i]);
    }
    kr_byte long_text[KC_MAX_LITERAL + 1] = {0};
    CHECK(!kc_literals_add(l, long_text, sizeof long_text) && l->count == 2000);
    for (uint16_t who = 1; who < 4; who++) {
        kc_literal_note(l, kc_hash(long_text, sizeof long_text), long_text, sizeof long_text, who);
        kc_literal_note(l, kc_hash(long_text, 2), long_text, 2, who);
    }
    CHECK(l->count == 2000);
    CHECK(heap_bytes() - before == l->size);
    kc_literals_release(l);
    CHECK(heap_bytes() == before);
}

/* Templates outlive their objects, and go with their last user, in any order of deletion. */
static void check_templates(collection *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        collection_fill(&c[i]); /* the buffers of the process grow to their size */
        collection_clear(&c[i]);
        collection_init(&c[i]);
    }
    forget_frames();
    size_t before = heap_bytes();
    for (int round = 0; round < 3; round++) {
        uint64_t hidden = 0;
        for (size_t i = 0; i < count; i++) {
            collection_fill(&c[i]);
            CHECK(c[i].coder.templates.used > 0);
        }
        for (size_t i = 0; i < count; i++) {
            size_t left = c[i].count;
            while (left > c[i].count / 4) {
                size_t id = collection_pick(&c[i]);
                if (id == c[i].count)
                    break;
                collection_remove(&c[i], id);
                left--;
                if (once_in(16)) {
                    kc_cache_shrink(&process.cache, below(KC_CACHE_BYTES));
                    for (id = 0; id < c[i].count; id++)
                        if (c[i].record[id])
                            record_check(&c[i], c[i].record[id]);
                }
            }
            collection_check(&c[i]);
            for (size_t id = 0; id < c[i].count; id++)
                hidden += c[i].record[id] && record_is_in_limbo(c[i].record[id]);
        }
        CHECK(hidden > 0);
        for (size_t i = 0; i < count; i++) {
            if (once_in(4))
                kc_cache_shrink(&process.cache, 0);
            if (once_in(2))
                collection_drop(&c[i]);
            else
                collection_clear(&c[i]);
            collection_init(&c[i]);
        }
        CHECK(!process.cache.count && !process.cache.newest && !process.cache.bytes);
        forget_frames();
        CHECK(heap_bytes() == before);
    }
}

/* Templates in use stay, although they take more than the cache may. */
static void check_pins(void)
{
    enum { LARGE = 5 };
    collection c = {0};
    kc_template *t[LARGE];
    collection_init(&c);
    for (int i = 0; i < LARGE; i++) {
        object x = {.raw = (kr_byte *)malloc(KC_MAX_TEMPLATE), .size = KC_MAX_TEMPLATE};
        kr_byte name[] = {'p', (kr_byte)('0' + i)};
        kc_encoded made;
        x.identity[KC_NAME] = (kr_text){copied(name, sizeof name), sizeof name};
        for (size_t j = 0; j < x.size; j++)
            x.raw[j] = (kr_byte)(j % 5 ? 'a' + below(26) : ','); /* nearly as many words as possible */
        record *r = record_new(&c, &x, (kc_object){.may_be_template = 1}, &made);
        CHECK(r && !made.codec);
        made.is_template = 1;
        collection_add(&c, r, &made);
        CHECK(r->view.number == (uint32_t)i + 1);
        object_free(&x);
    }
    kc_cache_shrink(&process.cache, 0);
    for (int i = 0; i < LARGE; i++) {
        t[i] = kc_pin(&c.coder, (uint32_t)i + 1);
        CHECK(t[i]);
    }
    CHECK(process.cache.bytes > KC_CACHE_BYTES);
    for (int i = 0; i < LARGE; i++)
        CHECK(t[i]->pins == 1 && !memcmp(t[i]->raw, c.record[i]->x.raw, KC_MAX_TEMPLATE));
    for (int i = 0; i < LARGE; i++)
        kc_unpin(&c.coder, t[i]);
    kc_cache_shrink(&process.cache, KC_CACHE_BYTES);
    CHECK(process.cache.bytes <= KC_CACHE_BYTES);
    collection_clear(&c);
    CHECK(!process.cache.count && !process.cache.newest && !process.cache.bytes);
}

static void check_life(collection *c, size_t count)
{
    chance.label = "numbers";
    check_numbers();
    alarm(30);
    chance.label = "literal tables";
    check_literal_tables(16);
    check_literal_tables(KC_MAX_LITERAL);
    check_literal_tables(33);
    chance.label = "literals";
    check_literals();
    chance.label = "pins";
    check_pins();
    alarm(30);
    chance.label = "templates";
    check_templates(c, count);
}

#endif
