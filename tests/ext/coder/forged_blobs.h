/* Forged blobs, frames and lengths: any bytes, changed bytes of valid ones, and bytes that resemble them. */
#ifndef FORGED_BLOBS_H
#define FORGED_BLOBS_H

#include "internals.h"

/* Appends a number; most are small, some have more bytes than needed. */
static void put_number(bytes *b, uint64_t n)
{
    kr_byte text[12];
    size_t len = (size_t)(kr_put_varint(text, n) - text);
    if (once_in(50)) {
        text[len - 1] |= 0x80;
        text[len++] = (kr_byte)(once_in(2) ? 0 : draw());
    }
    replace(b, b->len, 0, text, len);
}

/* Appends what may be a literal, where a text of `expected` bytes is expected. */
static void put_literal(bytes *b, size_t expected)
{
    kr_byte some[64];
    uint64_t len = once_in(30) ? draw_bits(64) : below(20);
    if (once_in(3)) {
        put_number(b, (once_in(4) ? draw_bits(20) : below(40)) << 1 | 1);
        return;
    }
    uint64_t flags = below(4) << 1;
    put_number(b, len << 3 | flags);
    if (flags & 4) {
        size_t prefix = below(expected + 1), suffix = expected - prefix + below(3); /* as many as there are, or more */
        some[0] = prefix < 15 && suffix < 15 && once_in(2) ? (kr_byte)(prefix | suffix << 4)
            : once_in(2) ? 255 : (kr_byte)draw();
        replace(b, b->len, 0, some, 1);
        if (some[0] == 255) {
            put_number(b, once_in(3) ? draw_bits(once_in(8) ? 64 : 6) : prefix);
            put_number(b, once_in(3) ? draw_bits(once_in(8) ? 64 : 6) : suffix);
        }
    }
    len = len < sizeof some ? len : sizeof some;
    fill(some, len);
    replace(b, b->len, 0, some, flags & 2 ? kc_packed_size(len) : len);
}

/* Makes what may be a blob of differences. */
static void forge_blob(bytes *b)
{
    uint32_t heads = once_in(40) ? (uint32_t)draw_bits(11) : (uint32_t)below(6), kinds[8] = {0};
    unsigned list = (unsigned)below(4), has_bitmap = once_in(3);
    kr_byte some[32];
    set(b, "", 0);
    put_number(b, (uint64_t)heads << 3 | list << 1 | has_bitmap);
    if (has_bitmap)
        for (size_t i = below(sizeof some); i; i--) {
            some[0] = (kr_byte)(draw() & draw());
            replace(b, b->len, 0, some, 1);
        }
    for (uint32_t i = 0; i < heads; i++) {
        uint64_t kind = below(4);
        int64_t gap = once_in(30) ? (int64_t)draw() : once_in(6) ? -(int64_t)draw_bits(10) : (int64_t)draw_bits(8);
        kinds[i % 8] = (uint32_t)kind;
        put_number(b, kc_zigzag(gap) << 2 | kind);
    }
    for (uint32_t i = 0; i < heads + below(3); i++)
        switch (kinds[i % 8]) {
        case KC_NATIVE: {
            size_t len = below(sizeof some);
            put_number(b, draw_bits(once_in(6) ? 64 : 12));
            fill(some, len);
            if (once_in(2))
                replace(b, b->len, 0, some, len);
            break;
        }
        case KC_STRUCTURE: {
            int64_t jump = once_in(20) ? (int64_t)draw() : (int64_t)draw_bits(6) - (int64_t)draw_bits(6);
            put_number(b, kc_zigzag(jump));
        } /* fall through */
        case KC_GENERIC:
            put_literal(b, below(12));
        }
}

/* Makes what may be a frame without its magic number. */
static void forge_frame(bytes *b, const kr_text *other)
{
    kr_byte some[64];
    set(b, "", 0);
    do {
        uint64_t claims = draw_bits(once_in(4) ? 64 : 17);
        unsigned size = (unsigned)below(4), is_single = (unsigned)below(2);
        some[0] = (kr_byte)(size << 6 | is_single << 5 | (once_in(8) ? below(32) : 0));
        replace(b, b->len, 0, some, 1);
        if (!is_single) {
            some[0] = (kr_byte)(once_in(3) ? draw() : below(64));
            replace(b, b->len, 0, some, 1);
        }
        size_t field = size ? (size_t)1 << size : is_single;
        replace(b, b->len, 0, &claims, field);
        for (size_t blocks = below(4); blocks; blocks--) {
            uint32_t len = (uint32_t)draw_bits(once_in(4) ? 21 : 10);
            uint32_t head = len << 3 | (uint32_t)below(4) << 1 | (blocks == 1);
            replace(b, b->len, 0, &head, 3);
            len = (uint32_t)below(sizeof some);
            fill(some, len);
            replace(b, b->len, 0, some, len);
        }
        if (once_in(3))
            replace(b, b->len, 0, other->at, other->len);
        static const uint32_t magic[] = {ZSTD_MAGICNUMBER, ZSTD_MAGIC_SKIPPABLE_START, 0xfd2fb527};
        if (once_in(3))
            replace(b, b->len, 0, &magic[below(3)], 4);
    } while (once_in(3));
}

/* Changes bytes of a blob a few times. */
static void damage(bytes *b, const kr_text *other)
{
    kr_byte some[16];
    for (size_t changes = 1 + below(3); changes; changes--) {
        size_t at = b->len ? below(b->len) : 0, left = b->len - at;
        switch (below(7)) {
        case 0:
            if (left)
                b->at[at] ^= (kr_byte)(1u << below(8));
            break;
        case 1:
            if (left)
                b->at[at] = (kr_byte)draw();
            break;
        case 2:
            replace(b, at, below((left < 8 ? left : 8) + 1), NULL, 0);
            break;
        case 3:
            fill(some, sizeof some);
            replace(b, at, 0, some, below(sizeof some));
            break;
        case 4:
            b->len = at;
            break;
        case 5: /* the first byte states operations, slot list and bitmap */
            if (b->len)
                b->at[0] = (kr_byte)draw();
            break;
        default:
            if (other->len) {
                size_t from = below(other->len);
                replace(b, at, left, other->at + from, other->len - from);
            }
        }
    }
}

/* Makes a valid frame of a part of an object, sometimes after another part. */
static void make_frame(bytes *b, const object *x)
{
    size_t from = below(x->size + 1), len = once_in(2) ? x->size - from : below(x->size - from + 1);
    kr_text prefix = {x->raw, once_in(2) ? 0 : below(x->size + 1)};
    kr_text made = other_frame(x->raw + from, len, &prefix);
    set(b, made.at, made.len);
}

static void forge_any_blob(bytes *b, const kr_text *own, const kr_text *other)
{
    size_t len = (size_t)draw_bits(9);
    set(b, own->at, own->len);
    switch (below(8)) {
    case 0:
        forge_blob(b);
        break;
    case 1:
        forge_frame(b, other);
        break;
    case 2:
        set(b, "", 0);
        while (b->len < len)
            put_number(b, draw_bits(once_in(10) ? 64 : 7));
        break;
    case 3: {
        kr_byte *text = (kr_byte *)malloc(len);
        fill(text, len);
        set(b, text, len);
        free(text);
        break;
    }
    default:
        damage(b, other);
    }
}

static size_t forge_length(size_t len)
{
    switch (below(8)) {
    case 0:
        return len + 1;
    case 1:
        return len - (len > 0);
    case 2:
        return 0;
    case 3:
        return (size_t)draw_bits(20);
    case 4:
        return KC_MAX_TEMPLATE + below(3) - 1;
    case 5:
        return len - below((len < 40 ? len : 40) + 1);
    default:
        return len;
    }
}

#endif
