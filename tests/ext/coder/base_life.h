/* The life of bases: which objects join, when a new base follows, when one ends, and what a damaged member breaks. */
#ifndef BASE_LIFE_H
#define BASE_LIFE_H

#include "internals.h"

/* Encodes and adds an object of random hexadecimals, which is like no other. Returns its id. */
static size_t add_hexadecimals(collection *c, size_t size, kc_encoded *made)
{
    static unsigned names;
    char name[16];
    object x = {.raw = (kr_byte *)malloc(size), .size = size};
    size_t len = (size_t)snprintf(name, sizeof name, "x%u", names++);
    x.identity[KC_NAME] = (kr_text){copied(name, len), len};
    for (size_t i = 0; i < size; i++)
        x.raw[i] = (kr_byte)"0123456789abcdef"[below(16)];
    record *r = record_new(c, &x, (kc_object){.may_be_template = 1}, made);
    CHECK(r && made->is_frame && !made->placeholders);
    record_check_new(c, r, made);
    size_t id = collection_add(c, r, made);
    record_check(c, r);
    object_free(&x);
    return id;
}

/* Adds an object, and checks which base it is compressed after, and whether it joins that one. */
static void expect_frame(collection *c, size_t size, uint32_t base, int joins)
{
    kc_encoded made;
    add_hexadecimals(c, size, &made);
    if (made.codec != base || made.joins != (joins ? size : 0))
        fail("an object of %zu bytes: base %u, %u bytes join", size, made.codec, made.joins);
}

static kc_base *base_of(const collection *c, uint32_t number)
{
    CHECK(kc_base_is_used(&c->coder.bases, number));
    return kc_base_of(&c->coder.bases, number);
}

/* Objects of the largest and smallest sizes that a bound admits. */
static void check_base_sizes(void)
{
    collection c = {0};
    frames_init(&c);
    expect_frame(&c, KC_MAX_MEMBER + 1, 0, 0);
    for (int i = 0; i < KC_BASE_BYTES / KC_MAX_MEMBER; i++)
        expect_frame(&c, KC_MAX_MEMBER, 1, 1);
    CHECK(kc_base_size(base_of(&c, 1)) == KC_BASE_BYTES && !base_of(&c, 1)->is_full);
    expect_frame(&c, KC_MAX_MEMBER + 1, 0, 0);
    expect_frame(&c, 100, 1, 0);
    CHECK(base_of(&c, 1)->is_full);
    expect_frame(&c, KC_MAX_SEARCHED, 1, 0);
    expect_frame(&c, KC_MAX_SEARCHED + 1, 0, 0);
    collection_check(&c);
    collection_clear(&c);

    frames_init(&c);
    for (int i = 0; i < KC_BASE_OBJECTS; i++)
        expect_frame(&c, 200, 1, 1);
    expect_frame(&c, 200, 1, 0);
    CHECK(base_of(&c, 1)->count == KC_BASE_OBJECTS && base_of(&c, 1)->users == 1);
    collection_clear(&c);

    frames_init(&c);
    for (int i = 0; i < KC_BASE_BYTES / KC_MAX_MEMBER - 1; i++)
        expect_frame(&c, KC_MAX_MEMBER, 1, 1);
    expect_frame(&c, KC_MAX_MEMBER - 100, 1, 1);
    expect_frame(&c, 100, 1, 1);
    expect_frame(&c, 100, 1, 0);
    CHECK(kc_base_size(base_of(&c, 1)) == KC_BASE_BYTES);
    collection_clear(&c);

    frames_init(&c);
    for (int i = 0; i < KC_BASE_BYTES / KC_MAX_MEMBER - 1; i++)
        expect_frame(&c, KC_MAX_MEMBER, 1, 1);
    expect_frame(&c, KC_MAX_MEMBER - 100, 1, 1);
    expect_frame(&c, 101, 1, 0);
    CHECK(kc_base_size(base_of(&c, 1)) == KC_BASE_BYTES - 100 && base_of(&c, 1)->is_full);
    collection_clear(&c);
}

/* Fills a new base, and adds an object that is compressed after it. Returns the base. */
static uint32_t add_base(collection *c, size_t members[KC_BASE_OBJECTS], size_t *user)
{
    kc_encoded made;
    uint32_t number = 0;
    for (int i = 0; i < KC_BASE_OBJECTS; i++) {
        renew_next(&c->coder);
        members[i] = add_hexadecimals(c, 100 + below(100), &made);
        CHECK(made.joins && (!i || made.codec == number) && made.codec == c->coder.bases.current);
        number = made.codec;
    }
    *user = add_hexadecimals(c, 200, &made);
    CHECK(made.codec == number && !made.joins && base_of(c, number)->is_full);
    return number;
}

/* A base is renewed when more than half of its members have left; the old one stays until its last user goes. */
static void check_renewal(void)
{
    collection c = {0};
    size_t member[KC_BASE_OBJECTS], user;
    kc_encoded made;
    frames_init(&c);
    CHECK(add_base(&c, member, &user) == 1);
    for (int i = 0; i < KC_BASE_OBJECTS; i++) {
        renew_next(&c.coder);
        size_t other = add_hexadecimals(&c, 200, &made);
        if (2 * i > KC_BASE_OBJECTS) {
            CHECK(made.codec == 2 && made.joins && c.coder.bases.current == 2 && base_of(&c, 1)->users == 1);
            break;
        }
        CHECK(made.codec == 1);
        collection_remove(&c, other);
        collection_remove(&c, member[i]);
        CHECK(record_is_in_limbo(c.record[member[i]]));
        collection_check(&c);
    }
    CHECK(kc_base_is_used(&c.coder.bases, 2));
    record_check(&c, c.record[user]);
    collection_remove(&c, user);
    CHECK(kc_base_is_used(&c.coder.bases, 1)); /* some members are still in the collection */
    c.record[member[0]]->is_held = 1;
    for (int i = 0; i < KC_BASE_OBJECTS; i++)
        if (!record_is_in_limbo(c.record[member[i]]))
            collection_remove(&c, member[i]);
    CHECK(kc_base_is_used(&c.coder.bases, 1));
    record_check(&c, c.record[member[0]]);
    collection_check(&c);
    collection_release(&c, member[0]);
    CHECK(!kc_base_is_used(&c.coder.bases, 1) && !c.record[member[0]]);
    collection_check(&c);
    collection_clear(&c);
}

/* At most KC_MAX_BASES are in use; then the last one stays, until a number is free again. */
static void check_many_bases(void)
{
    collection c = {0};
    size_t member[KC_BASE_OBJECTS], user[KC_MAX_BASES + 1];
    kc_encoded made;
    frames_init(&c);
    for (uint32_t number = 1; number <= KC_MAX_BASES; number++) {
        CHECK(add_base(&c, member, &user[number]) == number);
        for (int i = 0; i < KC_BASE_OBJECTS; i++)
            collection_remove(&c, member[i]);
    }
    renew_next(&c.coder);
    size_t other = add_hexadecimals(&c, 200, &made);
    CHECK(made.codec == KC_MAX_BASES && !made.joins);
    for (uint32_t number = 1; number <= KC_MAX_BASES; number++)
        record_check(&c, c.record[user[number]]);
    collection_check(&c);
    uint32_t freed = 1 + (uint32_t)below(KC_MAX_BASES - 1);
    record_check(&c, c.record[user[freed]]); /* so that the content of this base is in memory */
    collection_remove(&c, user[freed]);
    CHECK(!kc_base_is_used(&c.coder.bases, freed));
    CHECK(add_base(&c, member, &user[freed]) == freed); /* nothing of its former content is used */
    for (uint32_t number = 1; number <= KC_MAX_BASES; number++)
        record_check(&c, c.record[user[number]]);
    record_check(&c, c.record[other]);
    collection_check(&c);
    collection_clear(&c);
}

/* A base that zstandard takes for a dictionary counts as damaged, as it is not content for all functions. An object of
 * JSON never begins so, but one of a forged dump may. */
static void check_dictionary(int members_before)
{
    static const kr_byte magic[] = {0x37, 0xa4, 0x30, 0xec};
    collection c = {0};
    kc_encoded made;
    frames_init(&c);
    for (int i = 0; i < members_before; i++)
        add_hexadecimals(&c, 200, &made);
    object x = hexadecimals(400);
    memcpy(x.raw, magic, sizeof magic);
    for (int i = members_before; i < KC_BASE_OBJECTS + 1; i++) {
        record *r = record_new(&c, &x, (kc_object){.may_be_template = 1}, &made);
        CHECK(!r == (i && !members_before));
        CHECK(!kc_base_content(&c.coder, 1, i).at == !r);
        if (!r)
            break;
        collection_add(&c, r, &made);
        record_check(&c, r);
        x.raw[WORD * i] = '-';
    }
    object_free(&x);
    collection_check(&c);
    collection_clear(&c);
}

static void check_dictionaries(void)
{
    check_dictionary(0);
    check_dictionary(1);
}

/* A collection that has the address of one that ended does not use the content of its bases. */
static void check_same_address(void)
{
    collection c = {0};
    size_t member[KC_BASE_OBJECTS], user;
    for (int round = 0; round < 2; round++) {
        frames_init(&c);
        uint32_t number = add_base(&c, member, &user);
        if (round)
            kc_forget_base(&c.coder, number);
        record_check(&c, c.record[user]);
        collection_drop(&c);
    }
}

/* Reads all records of a base of which one member is damaged. Nothing is written behind the end of that member. */
static void read_damaged(
    collection *c, uint32_t number, const size_t member[KC_BASE_OBJECTS], size_t user, int damaged)
{
    const uint32_t end = base_of(c, number)->end[damaged];
    kc_forget_base(&c->coder, number);
    memset(process.content.at + end, HEAP_GUARD_BYTE, KC_BASE_BYTES - end);
    for (int i = 0; i < KC_BASE_OBJECTS; i++)
        CHECK(record_decodes(c, c->record[member[i]]) == (i < damaged));
    CHECK(!record_decodes(c, c->record[user]));
    for (uint32_t i = end; i < KC_BASE_BYTES; i++)
        CHECK(process.content.at[i] == HEAP_GUARD_BYTE);
}

/* With a damaged member, all that precedes it can be read, and nothing else of its base. */
static void check_damaged_member(void)
{
    collection c = {0};
    size_t member[KC_BASE_OBJECTS], user;
    frames_init(&c);
    uint32_t number = add_base(&c, member, &user);
    for (int i = 0; i < KC_BASE_OBJECTS; i++) {
        record *r = c.record[member[i]];
        kr_view kept = r->view;
        kr_text prefix = kc_base_content(&c.coder, number, i);
        size_t sizes[] = {r->x.size - 1, r->x.size + 1, 0, KC_MAX_MEMBER, KC_BASE_BYTES};
        for (size_t n = 0; n <= sizeof sizes / sizeof *sizes; n++) {
            if (n == sizeof sizes / sizeof *sizes)
                r->view.blob.len = below(kept.blob.len); /* is cut */
            else { /* a valid frame of another size than the base states */
                kr_byte *raw = (kr_byte *)calloc(1, sizes[n] + 1);
                prefix = kc_base_content(&c.coder, number, i);
                kr_text other = other_frame(raw, sizes[n], &prefix);
                r->view.blob = (kr_text){copied(other.at, other.len), other.len};
                free(raw);
            }
            read_damaged(&c, number, member, user, i);
            object x = object_copy(&r->x);
            kc_encoded made;
            x.raw[0] = '-';
                    CHECK(!record_new(&c, &x, (kc_object){0}, &made));
            object_free(&x);
            if (r->view.blob.at != kept.blob.at)
                free((void *)r->view.blob.at);
            r->view = kept;
            kc_forget_base(&c.coder, number);
        }
        record_check(&c, c.record[user]);
    }
    collection_check(&c);
    collection_clear(&c);
}

static void check_base_life(void)
{
    static const struct {
        const char *label;
        void (*check)(void);
    } checks[] = {
        {"sizes of members", check_base_sizes}, {"renewal", check_renewal}, {"many bases", check_many_bases},
        {"dictionaries", check_dictionaries}, {"same address", check_same_address},
        {"damaged members", check_damaged_member},
    };
    forget_buffers();
    size_t before = heap_bytes();
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        chance.label = checks[i].label;
        alarm(30);
        checks[i].check();
        forget_buffers();
        CHECK(heap_bytes() == before);
    }
}

#endif
