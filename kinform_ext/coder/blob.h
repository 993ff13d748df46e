/* A blob: an object as its differences from a template.
 *
 *     varint      explicit operations << 3 | slot list << 1 | whether a bitmap follows; list 0: none
 *     bitmap      a bit for each slot, the lowest bit of a byte first: the slot's word is replaced as the list states;
 *                 without a bitmap all are
 *     heads       for each explicit operation: varint of words passed since the last one << 2 | kind
 *     payloads    of all operations in the order of the walk
 *
 * A head counts from word 0, after another head from the word after that operation, after a structure from the word
 * where it landed. Slots do not change this. The walk continues at the next head, slot or stop, whichever comes first;
 * at the same word a head precedes a slot, and a slot precedes a stop.
 *
 * The bytes before an operation are copied from the template: up to its word; before a structure, up to the end of the
 * word before. A structure lands at its word plus the jump: at the number of words, its literal ends the object.
 *
 * A payload is, by kind and type of the word,
 *     KC_NATIVE     varint of zigzag(value - expected value); a time with microseconds: the same of its seconds, then
 *                   3 bytes of microseconds, the lowest first; UUID: 16 bytes; hexadecimal: half its length
 *     KC_GENERIC    a literal
 *     KC_STRUCTURE  varint of zigzag(jump), then a literal
 *     KC_SAME       nothing
 *
 * A literal is varint(number << 1 | 1), an entry of the literal table; or varint(length << 3 | affixes << 2 | packed
 * << 1), with affixes a byte, and what is between these, packed or as it is: `length` characters. The byte has the
 * lengths of the prefix (low half) and suffix (high half) that are shared with the expected text; 255: both follow as
 * varints. A structure and a shifted time have no expected text.
 *
 * Reading takes hostile bytes: it writes at most the stated size, and takes time in proportion to template and blob.
 */
#ifndef KINFORM_BLOB_H
#define KINFORM_BLOB_H

#include "slots.h"

enum {
    KC_HEAD_ROOM = 10 * KC_MAX_OPS,    /* bytes that the heads of a blob may take while it is written */
    KC_PAYLOAD_ROOM = 32 * KC_MAX_OPS, /* bytes that payloads may take in addition to the object's size */
    KC_WIDE = 32,                      /* bytes that a short copy writes at once */
};

/* ---- writing ---- */

static inline kr_byte *kc_put_literal(
    kr_byte *to, kc_literals *l, const kr_byte *p, uint32_t len, const kc_expected *e, uint16_t who)
{
    uint32_t prefix = 0, suffix = 0;
    if (len >= KC_MIN_LITERAL) {
        uint64_t hash = kc_hash(p, len);
        uint32_t number = kc_literal_find(l, hash, p, len);
        if (number != KC_NO_LITERAL)
            return kr_put_varint(to, (uint64_t)number << 1 | 1);
        kc_literal_note(l, hash, p, len, who);
    }
    if (e->text) {
        uint32_t most = len < e->len ? len : e->len;
        while (prefix < most && p[prefix] == e->text[prefix])
            prefix++;
        while (suffix < most - prefix && p[len - 1 - suffix] == e->text[e->len - 1 - suffix])
            suffix++;
        if (prefix + suffix < 3)
            prefix = suffix = 0;
    }
    uint32_t rest = len - prefix - suffix;
    kr_byte *head = to;
    to = kr_put_varint(to, (uint64_t)rest << 3 | (prefix + suffix > 0) << 2);
    if (prefix + suffix > 0) {
        int is_short = prefix < 15 && suffix < 15;
        *to++ = is_short ? (kr_byte)(prefix | suffix << 4) : 255;
        if (!is_short)
            to = kr_put_varint(kr_put_varint(to, prefix), suffix);
    }
    if (rest >= 2 && kc_pack_text(p + prefix, rest, to)) {
        *head |= 2;
        return to + kc_packed_size(rest);
    }
    memcpy(to, p + prefix, rest);
    return to + rest;
}

static inline kr_byte *kc_put_native(
    kr_byte *to, kc_literals *l, const kr_byte *p, const kc_op *op, unsigned type, uint16_t who)
{
    uint32_t len = op->to - op->from;
    if (type == KC_UUID || type == KC_HEX || type == KC_IP)
        kc_literal_note(l, kc_hash(p, len), p, len, who);
    switch (type) {
    case KC_UUID:
        kr_pack_uuid(p, to);
        return to + 16;
    case KC_HEX:
        kr_pack_hex(p, len, to);
        return to + len / 2;
    case KC_MICRO: {
        uint32_t fraction = (uint32_t)(op->value % 1000000);
        to = kr_put_varint(to, kc_zigzag(op->value / 1000000 - op->expected.value / 1000000));
        *to++ = (kr_byte)fraction;
        *to++ = (kr_byte)(fraction >> 8);
        *to++ = (kr_byte)(fraction >> 16);
        return to;
    }
    default:
        return kr_put_varint(to, kc_zigzag(op->value - op->expected.value));
    }
}

/* Writes a diff to `to`, at most `most` bytes; returns their number, 0 if there would be more.
 *
 * `list`: the slot list, NULL for none. `who`: of the hash of the object's name.
 * `room`: KC_HEAD_ROOM + KC_PAYLOAD_ROOM + the object's size. */
static size_t kc_blob_write(
    const kc_diff *d, const kr_byte *x, const kc_slots *list, kc_literals *l, uint16_t who, kr_byte *room,
    kr_byte *to, size_t most)
{
    kr_byte bitmap[(KC_MAX_SLOTS + 7) / 8] = {0}, *head = room, *payload = room + KC_HEAD_ROOM;
    const kr_byte *start = to;
    uint32_t slots = list ? list->count : 0, slot = 0, used = 0, heads = 0, last = 0;
    int forward = 1; /* after a jump back words come out of order, and slots are not used */
    for (uint32_t i = 0; i < d->count; i++) {
        const kc_op *op = &d->op[i];
        const kr_byte *p = x + op->from;
        if ((size_t)(payload - room) > KC_HEAD_ROOM + most)
            return 0;
        while (slot < slots && (list->slot[slot] & KC_SLOT_WORD) < op->word)
            slot++;
        uint32_t wanted = op->word | (op->kind == KC_GENERIC ? KC_SLOT_GENERIC : 0);
        if (forward && op->kind <= KC_GENERIC && slot < slots && list->slot[slot] == wanted) {
            bitmap[slot / 8] |= (kr_byte)(1 << slot % 8);
            slot++;
            used++;
        } else {
            head = kr_put_varint(head, (uint64_t)(op->word - last) << 2 | op->kind);
            heads++;
            last = op->word + (op->kind == KC_STRUCTURE ? 0 : kc_numbers(op->type));
            if (op->kind == KC_STRUCTURE) {
                last += (uint32_t)op->value;
                forward &= op->value >= 0;
            }
        }
        if (op->kind == KC_NATIVE)
            payload = kc_put_native(payload, l, p, op, op->type, who);
        else if (op->kind != KC_SAME) {
            if (op->kind == KC_STRUCTURE)
                payload = kr_put_varint(payload, kc_zigzag(op->value));
            payload = kc_put_literal(payload, l, p, op->to - op->from, &op->expected, who);
        }
    }
    size_t bits = used < slots ? (slots + 7) / 8 : 0, head_size = (size_t)(head - room);
    size_t payload_size = (size_t)(payload - room) - KC_HEAD_ROOM;
    if (5 + bits + head_size + payload_size > most)
        return 0;
    to = kr_put_varint(to, (uint64_t)heads << 3 | (list ? list->number : 0u) << 1 | (bits > 0));
    memcpy(to, bitmap, bits);
    memcpy(to + bits, room, head_size);
    memcpy(to + bits + head_size, room + KC_HEAD_ROOM, payload_size);
    return (size_t)(to - start) + bits + head_size + payload_size;
}

/* ---- reading ---- */

/* Where the object is written. */
typedef struct {
    kr_byte *start; /* of the object */
    kr_byte *at;    /* the next byte */
    kr_byte *end;   /* at <= end */
} kc_output;

/* Writes bytes; 0 if there is no room for them. The source has at least KC_WIDE bytes, used or not. */
static inline int kc_write(kc_output *out, const kr_byte *from, size_t len)
{
    size_t room = (size_t)(out->end - out->at);
    if (len <= KC_WIDE && room >= KC_WIDE)
        memcpy(out->at, from, KC_WIDE);
    else if (len <= room)
        memcpy(out->at, from, len);
    else
        return 0;
    out->at += len;
    return 1;
}

/* The same from a source without slack. */
static inline int kc_write_exactly(kc_output *out, const kr_byte *from, size_t len)
{
    if (len > (size_t)(out->end - out->at))
        return 0;
    if (len)
        memcpy(out->at, from, len);
    out->at += len;
    return 1;
}

static inline int kc_read_literal(kc_input *in, kc_output *out, const kc_literals *l, const kc_expected *e)
{
    uint64_t head, prefix = 0, suffix = 0;
    if (!kc_read_number(in, &head))
        return 0;
    if (head & 1) {
        if (head >> 1 >= l->count)
            return 0;
        kr_text found = kc_literal_at(l, (uint32_t)(head >> 1));
        return kc_write_exactly(out, found.at, found.len);
    }
    uint64_t rest = head >> 3, room = (uint64_t)(out->end - out->at);
    if (head & 4) {
        const kr_byte *lengths = kc_read_bytes(in, 1);
        if (!lengths || !e->text)
            return 0;
        prefix = *lengths & 15;
        suffix = *lengths >> 4;
        if (*lengths == 255 && (!kc_read_number(in, &prefix) || !kc_read_number(in, &suffix)))
            return 0;
        if (prefix > e->len || suffix > e->len - prefix)
            return 0;
    }
    if (rest > room || prefix + suffix > room - rest)
        return 0;
    const kr_byte *middle = kc_read_bytes(in, head & 2 ? kc_packed_size(rest) : rest);
    if (!middle)
        return 0;
    if (prefix)
        memcpy(out->at, e->text, prefix);
    out->at += prefix;
    if (head & 2)
        kc_unpack_text(middle, rest, out->at);
    else if (rest)
        memcpy(out->at, middle, rest);
    out->at += rest;
    if (suffix)
        memcpy(out->at, e->text + e->len - suffix, suffix);
    out->at += suffix;
    return 1;
}

/* `size`: characters of the template's word. */
static inline int kc_read_native(
    kc_input *in, kc_output *out, unsigned type, size_t size, const kc_expected *e, int64_t *value, kc_dates *dates)
{
    kr_byte text[KC_MAX_VALUE];
    uint64_t n;
    size_t len = 0;
    if (type == KC_HEX) {
        const kr_byte *packed = kc_read_bytes(in, size / 2);
        if (!packed || size > (size_t)(out->end - out->at))
            return 0;
        kr_unpack_hex(packed, size, out->at);
        out->at += size;
        return 1;
    }
    if (type == KC_UUID) {
        const kr_byte *packed = kc_read_bytes(in, 16);
        if (!packed || KR_UUID_LEN > (size_t)(out->end - out->at))
            return 0;
        kr_unpack_uuid(packed, out->at);
        out->at += KR_UUID_LEN;
        return 1;
    }
    if (!kc_read_number(in, &n))
        return 0;
    uint64_t sum = (uint64_t)e->value + (uint64_t)kc_unzigzag(n);
    if (type == KC_MICRO) {
        const kr_byte *fraction = kc_read_bytes(in, 3);
        if (!fraction)
            return 0;
        sum = (uint64_t)(e->value / 1000000) + (uint64_t)kc_unzigzag(n);
        uint32_t rest = fraction[0] | (uint32_t)fraction[1] << 8 | (uint32_t)fraction[2] << 16;
        if (sum > KC_LAST_SECOND || rest > 999999)
            return 0;
        sum = sum * 1000000 + rest;
    }
    *value = (int64_t)sum;
    if (type == KC_DECIMAL && sum < 1000000000000000000u)
        len = kr_format_decimal(sum, text);
    else if (type == KC_IP && sum <= UINT32_MAX)
        len = kc_format_ip((uint32_t)sum, text);
    else if (type == KC_TIME || type == KC_MICRO)
        len = kc_format_time(text, (int64_t)sum, type == KC_MICRO, dates);
    return len && kc_write(out, text, len);
}

/* The next explicit operation. */
typedef struct {
    kc_input in;   /* the heads after it */
    uint32_t left; /* heads in `in` */
    uint32_t word; /* UINT32_MAX: no operation is left */
    int kind;      /* KC_NATIVE ... KC_SAME */
} kc_heads;

/* Reads the next head; 0 if it is not valid. `last`: the word after the last explicit operation. */
static inline int kc_next_head(kc_heads *h, uint32_t last, uint32_t words)
{
    uint64_t n;
    h->word = UINT32_MAX;
    if (!h->left)
        return 1;
    h->left--;
    if (!kc_read_number(&h->in, &n))
        return 0;
    uint64_t word = last + (n >> 2);
    h->kind = (int)(n & 3);
    h->word = (uint32_t)word;
    return word < words || (word == words && h->kind == KC_STRUCTURE);
}

/* Writes the object of a blob to `out`; 0 unless it is exactly `size` bytes, and all of the blob was needed.
 *
 * `w`: a walk that has started, with `out` as its object. `list`: the newest of the template; NULL: it has none. */
static int kc_blob_read(
    kc_walk *w, const kc_slots *list, const kc_literals *l, const kr_text *blob, kr_byte *to, size_t size)
{
    const kc_template *t = w->t;
    kc_input in = {blob->at, blob->at + blob->len};
    kc_output out = {to, to, to + size};
    kc_heads heads = {.kind = KC_SAME};
    uint64_t start, unused;
    uint32_t from = 0, slot = 0;
    if (!kc_read_number(&in, &start) || start >> 3 > KC_MAX_OPS)
        return 0;
    unsigned number = (unsigned)(start >> 1 & 3);
    const kc_slots *slots = number ? list : NULL;
    while (slots && slots->number != number)
        slots = slots->older;
    uint32_t slot_count = slots ? slots->count : 0;
    const kr_byte *bitmap = start & 1 ? kc_read_bytes(&in, (slot_count + 7) / 8) : NULL;
    if ((number && !slots) || ((start & 1) && !bitmap))
        return 0;
    heads.left = (uint32_t)(start >> 3);
    heads.in = in;
    for (uint32_t i = 0; i < heads.left; i++)
        if (!kc_read_number(&in, &unused))
            return 0;
    heads.in.end = in.at;
    if (!kc_next_head(&heads, 0, t->count))
        return 0;
    for (;;) {
        const uint32_t n = w->n;
        uint32_t next = t->special[kc_walk_next(w)].word;
        int kind = -1; /* a stop: what is expected is there */
        if (heads.word >= n && heads.word <= next) {
            next = heads.word;
            kind = heads.kind;
        }
        while (slot < slot_count && bitmap && !(bitmap[slot / 8] >> slot % 8 & 1))
            slot++;
        int explicit = kind >= 0;
        if (slot < slot_count) {
            uint32_t word = slots->slot[slot] & KC_SLOT_WORD;
            if (word >= n && (word < next || (word == next && !explicit))) {
                next = word;
                kind = slots->slot[slot] & KC_SLOT_GENERIC ? KC_GENERIC : KC_NATIVE;
                explicit = 0;
                slot++;
            }
        }
        if (kind == KC_STRUCTURE) {
            uint32_t stopped = kc_end_before(t, kc_walk_start_of(w, next));
            kc_expected none = {NULL, 0, 0};
            uint64_t jump;
            if (stopped < from)
                stopped = from;
            if (!kc_read_number(&in, &jump) || !kc_write(&out, t->raw + from, stopped - from)
                || !kc_read_literal(&in, &out, l, &none))
                return 0;
            uint64_t landing = next + (uint64_t)kc_unzigzag(jump);
            if (landing > t->count || !kc_next_head(&heads, (uint32_t)landing, t->count))
                return 0;
            kc_walk_to(w, (uint32_t)landing);
            from = kc_walk_start_of(w, w->n);
            if (w->n == t->count)
                break;
            continue;
        }
        if (next >= t->count) {
            if (!kc_write(&out, t->raw + from, t->len - from))
                return 0;
            break;
        }
        const kc_word word = kc_walk_word(w, next);
        const uint32_t len = word.stop - word.start;
        if (!kc_write(&out, t->raw + from, word.start - from))
            return 0;
        kr_byte *begin = out.at;
        int64_t value = 0;
        int written;
        if (kind == KC_SAME) {
            written = kc_write(&out, t->raw + word.start, len);
            value = kc_word_value(t, &word, w->dates);
        } else {
            kc_expected e = kc_walk_expect(w, &word);
            if (kind == KC_NATIVE)
                written = kc_read_native(&in, &out, word.type, len, &e, &value, w->dates);
            else if (kind == KC_GENERIC) {
                written = kc_read_literal(&in, &out, l, &e) && out.at > begin;
                value = kc_word_value(t, &word, w->dates);
            } else if (e.text)
                written = kc_write_exactly(&out, e.text, e.len);
            else {
                kr_byte text[KC_MAX_VALUE];
                size_t len_of_time = kc_format_time(text, e.value, word.type == KC_MICRO, w->dates);
                written = len_of_time && kc_write(&out, text, len_of_time);
                kc_walk_note(w, &word, (uint32_t)(begin - to), (uint32_t)len_of_time, e.value);
            }
        }
        if (!written)
            return 0;
        if (kind >= 0)
            kc_walk_replace(w, &word, (uint32_t)(begin - to), (uint32_t)(out.at - begin), value);
        kc_walk_after(w, &word);
        from = word.stop;
        if (explicit && !kc_next_head(&heads, w->n, t->count))
            return 0;
    }
    while (slot < slot_count && bitmap && !(bitmap[slot / 8] >> slot % 8 & 1))
        slot++;
    return out.at == out.end && in.at == in.end && heads.word == UINT32_MAX && slot == slot_count;
}

#endif
