/* Mutations: changes of an object or of its identity, as clusters make them and as they never would. */
#ifndef MUTATION_H
#define MUTATION_H

#include "collection.h"

enum { MAX_MUTATED = 1536 << 10 }; /* bytes; a larger object is cut */

/* Bytes that grow. */
typedef struct {
    kr_byte *at;     /* malloc'd */
    size_t len;      /* bytes */
    size_t capacity; /* of `at` */
} bytes;

static void bytes_free(bytes *b)
{
    free(b->at);
}

/* Puts `len` bytes in place of `removed` bytes at `at`. They must not lie in `b`. */
static void replace(bytes *b, size_t at, size_t removed, const void *from, size_t len)
{
    size_t grown = b->len - removed + len;
    if (grown > b->capacity || !b->at) {
        b->capacity = grown + grown / 2 + 64;
        b->at = (kr_byte *)realloc(b->at, b->capacity);
    }
    memmove(b->at + at + len, b->at + at + removed, b->len - at - removed);
    if (len)
        memcpy(b->at + at, from, len);
    b->len = grown;
}

static void set(bytes *b, const void *from, size_t len)
{
    b->len = 0;
    replace(b, 0, 0, from, len);
}

/* Words at the edges of what the coder recognizes. */
static const char *const edge_words[] = {
    "0", "00", "01", "7", "999999999999999999", "1000000000000000000", "18446744073709551616", "-1", "1.5", "1e9",
    "0.0.0.0", "255.255.255.255", "256.1.1.1", "10.01.0.3", "1.2.3", "1.2.3.4.5", "10.0.0.1",
    "2026-02-28T23:59:59Z", "2026-02-30T00:00:00Z", "2024-02-29T12:00:00Z", "2100-02-29T12:00:00Z",
    "2026-03-21T23:59:60Z", "2026-03-21T24:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z",
    "2199-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "2026-03-21T06:19:49.000001Z", "2026-03-21T06:19:49.999999Z",
    "2026-03-21T06:19:49.123Z", "2026-03-21T06:19:49+01:00", "2026-03-21t06:19:49z", "2199-12-31T23:59:59.999999Z",
    "2026-03-21T06", "1970-01-01T00:00:00.000000Z", "cafebabe", "CAFEBABE", "cafebab", "deadbeefdeadbeef",
    "6f1c2b9e-0d6c-4c1e-8f3a-2b7d9e5a1c04",
    "6F1C2B9E-0D6C-4C1E-8F3A-2B7D9E5A1C04", "6f1c2b9e-0d6c-4c1e-8f3a-2b7d9e5a1c0",
    "a", "-", ".", "_", "---", "name", "\"", "\":\"", "{}", "[]", ",", "\\", "\\\"", "\x01", "\x02\x03", "\x05", "\xff",
};

static const char *edge_word(void)
{
    return edge_words[below(sizeof edge_words / sizeof *edge_words)];
}

/* Fills bytes with characters of one of several alphabets. */
static void fill(kr_byte *to, size_t len)
{
    static const char *const alphabets[] = {
        "0123456789", "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz0123456789-.", "a", "ab", "{}[]\",:",
        "\x01\x02\x03\x04\x05", "-.", "0123456789.", "ABCDEFGHIJKLMNOPQRSTUVWXYZ+/=",
    };
    size_t kind = below(sizeof alphabets / sizeof *alphabets + 2);
    for (size_t i = 0; i < len; i++)
        to[i] = kind < sizeof alphabets / sizeof *alphabets
            ? (kr_byte)alphabets[kind][below(strlen(alphabets[kind]))]
            : (kr_byte)draw();
}

/* Sets `at` and returns the length of a word at or after a random place; 0 if no word follows. */
static size_t random_word(const kr_byte *p, size_t len, size_t *at)
{
    *at = len ? below(len) : 0;
    while (*at > 0 && *at < len && kc_is_word(p[*at - 1]))
        --*at;
    while (*at < len && !kc_is_word(p[*at]))
        ++*at;
    return kc_word_end(p, *at, len) - *at;
}

/* Sets `at` and returns the length of the bytes from one comma to another: a member of a JSON object, or several. */
static size_t random_member(const kr_byte *p, size_t len, size_t *at)
{
    size_t from = len ? below(len) : 0;
    while (from < len && p[from] != ',')
        from++;
    *at = from;
    size_t to = from + 1;
    for (size_t more = 1 + below(3); more && to < len; to++)
        if (p[to] == ',' && !--more)
            break;
    return from < len && to < len ? to - from : 0;
}

/* Changes bytes once; `donor` is an object of which parts may be taken. */
static void mutate_once(bytes *b, const object *donor, const kr_text identity[4])
{
    kr_byte some[64];
    size_t at = b->len ? below(b->len) : 0, left = b->len - at, word_at, len, donor_at;
    switch (below(24)) {
    case 0: /* flip bits */
        for (size_t i = 1 + below(8); i && b->len; i--)
            b->at[below(b->len)] ^= (kr_byte)(1u << below(8));
        break;
    case 1: /* overwrite */
        fill(b->at + at, left < 32 ? left : below(32));
        break;
    case 2: /* cut */
        replace(b, at, below((left < 400 ? left : 400) + 1), NULL, 0);
        break;
    case 3: /* insert */
        len = below(sizeof some);
        fill(some, len);
        replace(b, at, 0, some, len);
        break;
    case 4: { /* move a piece */
        len = below((left < 2000 ? left : 2000) + 1);
        kr_byte *piece = copied(b->at + at, len);
        replace(b, at, len, NULL, 0);
        replace(b, below(b->len + 1), 0, piece, len);
        free(piece);
        break;
    }
    case 5: /* change digits */
        for (size_t changes = 1 + below(6); at < b->len && changes; at++)
            if (b->at[at] - (unsigned)'0' < 10 && once_in(2)) {
                b->at[at] = (kr_byte)('0' + below(10));
                changes--;
            }
        break;
    case 6: { /* duplicate a member */
        len = random_member(b->at, b->len, &at);
        kr_byte *piece = copied(b->at + at, len);
        replace(b, at, 0, piece, len);
        free(piece);
        break;
    }
    case 7: /* remove a member */
        len = random_member(b->at, b->len, &at);
        replace(b, at, len, NULL, 0);
        break;
    case 8: /* cut the end, or the start */
        if (once_in(8))
            replace(b, 0, at, NULL, 0);
        else
            b->len -= once_in(6) ? left : below((b->len < 20 ? b->len : 20) + 1);
        break;
    case 9: { /* a long string */
        len = (size_t)draw_bits(once_in(8) ? 17 : 11);
        kr_byte *text = (kr_byte *)malloc(len);
        fill(text, len);
        replace(b, at, 0, text, len);
        free(text);
        break;
    }
    case 10:
    case 11: { /* a part of the identity as a word */
        kr_text part = identity[below(4)];
        len = random_word(b->at, b->len, &word_at);
        if (part.len && once_in(2))
            part.len = 1 + below(part.len);
        replace(b, word_at, len, part.at, part.len);
        break;
    }
    case 12:
    case 13: { /* a word of another object */
        size_t donated = random_word(donor->raw, donor->size, &donor_at);
        len = random_word(b->at, b->len, &word_at);
        replace(b, word_at, len, donor->raw + donor_at, donated);
        break;
    }
    case 14: /* the end of another object */
        donor_at = donor->size ? below(donor->size) : 0;
        replace(b, at, left, donor->raw + donor_at, donor->size - donor_at);
        break;
    case 15: /* a piece of another object */
        donor_at = donor->size ? below(donor->size) : 0;
        len = below((donor->size - donor_at < 600 ? donor->size - donor_at : 600) + 1);
        replace(b, at, 0, donor->raw + donor_at, len);
        break;
    case 16:
    case 17: { /* all words that are equal */
        kr_byte word[128];
        const char *to = edge_word();
        len = random_word(b->at, b->len, &word_at);
        if (!len || len > sizeof word)
            break;
        memcpy(word, b->at + word_at, len);
        if (once_in(2)) {
            fill(some, 20);
            some[20] = 0;
            to = (const char *)some;
        }
        for (size_t i = 0, most = 64; i + len <= b->len && most; i++)
            if (!memcmp(b->at + i, word, len)) {
                replace(b, i, len, to, strlen(to));
                i += strlen(to);
                most--;
            }
        break;
    }
    case 18:
    case 19:
    case 20: { /* a word at an edge */
        const char *to = edge_word();
        len = random_word(b->at, b->len, &word_at);
        replace(b, word_at, len, to, strlen(to));
        break;
    }
    case 21: /* the case of letters */
        for (size_t i = at; i < b->len && i < at + 40; i++)
            if ((b->at[i] | 0x20u) - 'a' < 26)
                b->at[i] ^= 0x20;
        break;
    case 22: /* make a word longer or shorter by one */
        len = random_word(b->at, b->len, &word_at);
        if (len && once_in(2))
            replace(b, word_at + (once_in(2) ? 0 : len - 1), 1, NULL, 0);
        else
            replace(b, word_at + (once_in(2) ? 0 : len), 0, &"0a-."[below(4)], 1);
        break;
    default: /* repeat a word many times */
        len = random_word(b->at, b->len, &word_at);
        if (len && len < sizeof some) {
            memcpy(some, b->at + word_at, len);
            some[len] = ',';
            for (size_t i = below(40); i; i--)
                replace(b, word_at, 0, some, len + 1);
        }
    }
    if (b->len > MAX_MUTATED)
        b->len = MAX_MUTATED;
}

/* Makes bytes that are like no object. */
static void make_strange(bytes *b, const object *donor)
{
    size_t len = (size_t)draw_bits(once_in(100) ? 21 : once_in(20) ? 18 : 13);
    set(b, "", 0);
    switch (below(6)) {
    case 0: /* one alphabet */
    case 1: {
        kr_byte *text = (kr_byte *)malloc(len);
        fill(text, len);
        set(b, text, len);
        free(text);
        break;
    }
    case 2: /* edge words with one delimiter */
        while (b->len < len) {
            const char *word = edge_word();
            replace(b, b->len, 0, word, strlen(word));
            replace(b, b->len, 0, ",", 1);
        }
        break;
    case 3: { /* one word again and again */
        const char *word = edge_word();
        while (b->len < len) {
            replace(b, b->len, 0, word, strlen(word));
            replace(b, b->len, 0, ",", 1);
        }
        break;
    }
    case 4: /* pieces of an object again and again, in any order */
        while (b->len < len && donor->size) {
            size_t at = below(donor->size), most = donor->size - at < 200 ? donor->size - at : 200;
            replace(b, b->len, 0, donor->raw + at, 1 + below(most));
        }
        break;
    default: /* all bytes in order */
        while (b->len < len) {
            kr_byte next = (kr_byte)b->len;
            replace(b, b->len, 0, &next, 1);
        }
    }
}

/* Changes a part of an identity. Frees the old one. */
static void mutate_identity(kr_text identity[4], const object *donor)
{
    static const char *const suffix[] = {
        "-", ".", "-0", "-abcde", "-7d9f8b6c5d-x2x4z", ".17a1b2c3d4e5f607", ".0000000000000001", ".ffffffffffffffff",
        "--", "..", "-a.b-c", ".17A1B2C3D4E5F607",
    };
    int i = (int)below(4);
    bytes b = {0};
    set(&b, identity[i].at, identity[i].len);
    switch (below(8)) {
    case 0:
        b.len = 0;
        break;
    case 1:
    case 2:
        set(&b, donor->identity[i].at, donor->identity[i].len);
        break;
    case 3: {
        kr_text other = identity[below(4)];
        set(&b, other.at, other.len);
        break;
    }
    case 4: {
        kr_byte text[300];
        size_t len = once_in(8) ? below(sizeof text) : below(24);
        fill(text, len);
        set(&b, text, len);
        break;
    }
    case 5:
        for (size_t at = 0; at < b.len; at++)
            if (b.at[at] == '-' || b.at[at] == '.')
                b.at[at] = (kr_byte)"-.x"[below(3)];
        break;
    default: {
        const char *more = suffix[below(sizeof suffix / sizeof *suffix)];
        replace(&b, b.len, 0, more, strlen(more));
    }
    }
    if (i == KC_NAME && !b.len)
        set(&b, "x", 1); /* a record has a name */
    free((void *)identity[i].at);
    identity[i] = copied_text((kr_text){b.at, b.len});
    bytes_free(&b);
}

/* Returns a changed copy of an object. */
static object mutated(const object *from, const object *donor)
{
    object x = object_copy(from);
    bytes b = {0};
    while (once_in(4))
        mutate_identity(x.identity, donor);
    if (once_in(40))
        make_strange(&b, donor);
    else
        set(&b, x.raw, x.size);
    do
        mutate_once(&b, donor, once_in(4) ? donor->identity : x.identity);
    while (!once_in(3));
    free(x.raw);
    x.raw = copied(b.at, b.len);
    x.size = b.len;
    bytes_free(&b);
    return x;
}

enum { WORD = 17 }; /* bytes of a hexadecimal and a comma */

/* Makes an object of hexadecimals. */
static object hexadecimals(size_t size)
{
    object x = {.raw = (kr_byte *)malloc(size), .size = size};
    x.identity[KC_NAME] = (kr_text){copied("x", 1), 1};
    for (size_t i = 0; i < size; i++)
        x.raw[i] = (kr_byte)(i % WORD == WORD - 1 ? ',' : "0123456789abcdef"[below(16)]);
    return x;
}

#endif
