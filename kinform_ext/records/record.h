/* One record: a version of an object as it lies in a slab, without padding, fields in this order:
 *
 *     word      4 B     id (26 bits), state (6 bits)
 *     form      1 B     how resourceVersion and uid are kept, and whether the blob is cut
 *     place     varint  namespace and stream
 *     name      varint, bytes
 *     codec     varint  0: the blob is the JSON itself
 *     raw_len   varint  bytes of the whole JSON
 *     blob_len  varint
 *     rv        as many bytes as the number needs, or varint and text where it is no canonical decimal < 2**64
 *     uid       16 B, or varint and text where it is no canonical lowercase UUID, or nothing
 *     blob
 *
 * A record is never changed but for its word. Nothing here allocates.
 */
#ifndef KINFORM_RECORD_H
#define KINFORM_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KR_ID_BITS = 26 };
#define KR_ID_MASK ((1u << KR_ID_BITS) - 1)
#define KR_NONE 0xffffffffu

/* State. What KR_MARK and the two KT_STALEs mean depends on the stream (_table.h). */
#define KR_STAGED (1u << 26)   /* came with a state that was not swept yet */
#define KR_MARK (2u << 26)
#define KR_STALE0 (4u << 26)
#define KR_STALE1 (8u << 26)
#define KR_SHADOWED (16u << 26) /* a staged record has the same key */
#define KR_LIMBO (32u << 26)    /* no longer of the collection: some iterator may ask for it */

/* Form. */
enum { KR_RV_MASK = 15, KR_RV_NONE = 14, KR_RV_TEXT = 15, KR_UID_PACKED = 16, KR_UID_TEXT = 32, KR_UID_MASK = 48, KR_PLACEHOLDERS = 64 };

typedef unsigned char kr_byte;

typedef struct {
    const kr_byte *at;
    size_t len;
} kr_text;

typedef struct {
    uint32_t word;
    kr_byte form;
    uint32_t place, codec;
    size_t raw_len;
    kr_text name, rv, uid, blob; /* rv and uid as they are kept */
    size_t size;                 /* of the whole record */
} kr_view;

/* ---- numbers ---- */

static inline size_t kr_varint_size(uint64_t n)
{
    size_t size = 1;
    while (n >= 128) {
        n >>= 7;
        size++;
    }
    return size;
}

static inline kr_byte *kr_put_varint(kr_byte *o, uint64_t n)
{
    while (n >= 128) {
        *o++ = (kr_byte)(n | 128);
        n >>= 7;
    }
    *o++ = (kr_byte)n;
    return o;
}

static inline uint64_t kr_read_varint(const kr_byte **pp)
{
    const kr_byte *p = *pp;
    uint64_t n = *p & 127;
    for (int shift = 7; *p++ & 128; shift += 7)
        n |= (uint64_t)(*p & 127) << shift;
    *pp = p;
    return n;
}

/* The same from bytes that may be anything: 0 where they do not hold a number below 2**32. */
static inline int kr_try_read_varint(const kr_byte **pp, const kr_byte *end, uint64_t *n)
{
    *n = 0;
    for (int shift = 0; shift < 35 && *pp < end; shift += 7) {
        kr_byte c = *(*pp)++;
        *n |= (uint64_t)(c & 127) << shift;
        if (!(c & 128))
            return *n <= UINT32_MAX;
    }
    return 0;
}

static inline uint32_t kr_word(const kr_byte *p)
{
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

static inline void kr_set_word(kr_byte *p, uint32_t word)
{
    memcpy(p, &word, 4);
}

/* ---- uid and resourceVersion ---- */

static inline int kr_hex_digit(kr_byte c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline int kr_is_dash(int i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static inline int kr_pack_uid(const kr_text *t, kr_byte to[16])
{
    if (t->len != 36)
        return 0;
    for (int i = 0, o = 0; i < 36;) {
        if (kr_is_dash(i)) {
            if (t->at[i++] != '-')
                return 0;
            continue;
        }
        int high = kr_hex_digit(t->at[i]), low = kr_hex_digit(t->at[i + 1]);
        if ((high | low) < 0)
            return 0;
        to[o++] = (kr_byte)(high << 4 | low);
        i += 2;
    }
    return 1;
}

static inline void kr_unpack_uid(const kr_byte *from, kr_byte to[36])
{
    for (int i = 0; i < 36;) {
        if (kr_is_dash(i)) {
            to[i++] = '-';
            continue;
        }
        to[i++] = (kr_byte)"0123456789abcdef"[*from >> 4];
        to[i++] = (kr_byte)"0123456789abcdef"[*from++ & 15];
    }
}

/* Canonical decimal below 2**64: no sign, no leading zero. */
static inline int kr_parse_decimal(const kr_text *t, uint64_t *n)
{
    *n = 0;
    if (!t->len || t->len > 20 || (t->at[0] == '0' && t->len > 1))
        return 0;
    for (size_t i = 0; i < t->len; i++) {
        unsigned digit = (unsigned)t->at[i] - '0';
        if (digit > 9 || *n > (UINT64_MAX - digit) / 10)
            return 0;
        *n = *n * 10 + digit;
    }
    return 1;
}

static inline size_t kr_format_decimal(uint64_t n, kr_byte to[20])
{
    kr_byte turned[20];
    size_t len = 0;
    do
        turned[len++] = (kr_byte)('0' + n % 10);
    while (n /= 10);
    for (size_t i = 0; i < len; i++)
        to[i] = turned[len - 1 - i];
    return len;
}

/* Who a version is: uid and resourceVersion as a record keeps them. */
typedef struct {
    kr_byte form;
    kr_byte packed[16], number[8];
    kr_text uid, rv;
} kr_identity;

static inline void kr_identify(kr_identity *who, const kr_text *uid, const kr_text *rv)
{
    uint64_t n;
    who->uid = *uid;
    who->rv = *rv;
    if (!uid->len)
        who->form = 0;
    else if (kr_pack_uid(uid, who->packed)) {
        who->form = KR_UID_PACKED;
        who->uid.at = who->packed;
        who->uid.len = 16;
    } else
        who->form = KR_UID_TEXT;
    if (!rv->len)
        who->form |= KR_RV_NONE;
    else if (kr_parse_decimal(rv, &n)) {
        size_t len = 0;
        for (; n; n >>= 8)
            who->number[len++] = (kr_byte)n;
        who->form |= (kr_byte)len;
        who->rv.at = who->number;
        who->rv.len = len;
    } else
        who->form |= KR_RV_TEXT;
}

/* ---- reading ---- */

static inline kr_text kr_name(const kr_byte *p, uint32_t *place)
{
    kr_text name;
    p += 5;
    *place = (uint32_t)kr_read_varint(&p);
    name.len = (size_t)kr_read_varint(&p);
    name.at = p;
    return name;
}

static inline void kr_read(const kr_byte *from, kr_view *v)
{
    const kr_byte *p = from + 5;
    v->word = kr_word(from);
    v->form = from[4];
    v->place = (uint32_t)kr_read_varint(&p);
    v->name.len = (size_t)kr_read_varint(&p);
    v->name.at = p;
    p += v->name.len;
    v->codec = (uint32_t)kr_read_varint(&p);
    v->raw_len = (size_t)kr_read_varint(&p);
    v->blob.len = (size_t)kr_read_varint(&p);
    int rv = v->form & KR_RV_MASK, uid = v->form & KR_UID_MASK;
    v->rv.len = rv == KR_RV_TEXT ? (size_t)kr_read_varint(&p) : rv == KR_RV_NONE ? 0 : (size_t)rv;
    v->rv.at = p;
    p += v->rv.len;
    v->uid.len = uid == KR_UID_TEXT ? (size_t)kr_read_varint(&p) : uid == KR_UID_PACKED ? 16 : 0;
    v->uid.at = p;
    p += v->uid.len;
    v->blob.at = p;
    v->size = (size_t)(p - from) + v->blob.len;
}

/* kr_read for bytes that may be anything: 0 unless one whole record lies before `end`. */
static inline int kr_try_read(const kr_byte *from, const kr_byte *end, kr_view *v)
{
    uint64_t place, name, codec, raw, blob, len = 0;
    const kr_byte *p = from + 5;
    if (end - from < 6)
        return 0;
    int rv = from[4] & KR_RV_MASK, uid = from[4] & KR_UID_MASK;
    if ((rv > 8 && rv < KR_RV_NONE) || uid == KR_UID_MASK || from[4] & 128)
        return 0;
    if (!kr_try_read_varint(&p, end, &place) || !kr_try_read_varint(&p, end, &name) || !name || name > (uint64_t)(end - p))
        return 0;
    p += name;
    if (!kr_try_read_varint(&p, end, &codec) || !kr_try_read_varint(&p, end, &raw) || !kr_try_read_varint(&p, end, &blob))
        return 0;
    if (rv == KR_RV_TEXT ? !kr_try_read_varint(&p, end, &len) : ((len = rv == KR_RV_NONE ? 0 : (uint64_t)rv), 0))
        return 0;
    if (len > (uint64_t)(end - p))
        return 0;
    p += len;
    len = uid == KR_UID_PACKED ? 16 : 0;
    if (uid == KR_UID_TEXT && !kr_try_read_varint(&p, end, &len))
        return 0;
    if (len > (uint64_t)(end - p) || blob > (uint64_t)(end - p) - len)
        return 0;
    kr_read(from, v);
    return 1;
}

static inline int kr_same_uid(const kr_view *v, const kr_identity *who)
{
    return !((v->form ^ who->form) & KR_UID_MASK) && v->uid.len == who->uid.len
        && !memcmp(v->uid.at, who->uid.at, v->uid.len);
}

static inline int kr_same_rv(const kr_view *v, const kr_identity *who)
{
    return !((v->form ^ who->form) & KR_RV_MASK) && v->rv.len == who->rv.len && !memcmp(v->rv.at, who->rv.at, v->rv.len);
}

static inline int kr_has_uid_and_rv(kr_byte form)
{
    return (form & KR_UID_MASK) && (form & KR_RV_MASK) != KR_RV_NONE;
}

/* uid and resourceVersion as text; `to` has room for 36 and 20 bytes, used where they are not kept as text. */
static inline kr_text kr_uid_text(const kr_view *v, kr_byte *to)
{
    kr_text t = v->uid;
    if ((v->form & KR_UID_MASK) == KR_UID_PACKED) {
        kr_unpack_uid(v->uid.at, to);
        t.at = to;
        t.len = 36;
    }
    return t;
}

static inline kr_text kr_rv_text(const kr_view *v, kr_byte *to)
{
    kr_text t = v->rv;
    uint64_t n = 0;
    if ((v->form & KR_RV_MASK) < KR_RV_NONE) {
        for (size_t i = v->rv.len; i-- > 0;)
            n = n << 8 | v->rv.at[i];
        t.at = to;
        t.len = kr_format_decimal(n, to);
    }
    return t;
}

/* ---- writing ---- */

typedef struct {
    uint32_t place, codec;
    int cut;
    size_t raw_len;
    kr_text name, blob;
    const kr_identity *who;
} kr_new;

static inline size_t kr_size(const kr_new *n)
{
    const kr_identity *who = n->who;
    return 5 + kr_varint_size(n->place) + kr_varint_size(n->name.len) + n->name.len + kr_varint_size(n->codec)
        + kr_varint_size(n->raw_len) + kr_varint_size(n->blob.len)
        + ((who->form & KR_RV_MASK) == KR_RV_TEXT ? kr_varint_size(who->rv.len) : 0) + who->rv.len
        + ((who->form & KR_UID_MASK) == KR_UID_TEXT ? kr_varint_size(who->uid.len) : 0) + who->uid.len + n->blob.len;
}

static inline kr_byte *kr_put_text(kr_byte *o, const kr_text *t)
{
    if (t->len)
        memcpy(o, t->at, t->len);
    return o + t->len;
}

static inline void kr_write(kr_byte *o, const kr_new *n, uint32_t word)
{
    const kr_identity *who = n->who;
    kr_set_word(o, word);
    o[4] = (kr_byte)(who->form | (n->cut ? KR_PLACEHOLDERS : 0));
    o = kr_put_varint(o + 5, n->place);
    o = kr_put_varint(o, n->name.len);
    o = kr_put_text(o, &n->name);
    o = kr_put_varint(o, n->codec);
    o = kr_put_varint(o, n->raw_len);
    o = kr_put_varint(o, n->blob.len);
    if ((who->form & KR_RV_MASK) == KR_RV_TEXT)
        o = kr_put_varint(o, who->rv.len);
    o = kr_put_text(o, &who->rv);
    if ((who->form & KR_UID_MASK) == KR_UID_TEXT)
        o = kr_put_varint(o, who->uid.len);
    o = kr_put_text(o, &who->uid);
    kr_put_text(o, &n->blob);
}

/* What a record needs to be written anew with another place, codec or blob. */
static inline void kr_new_from_view(const kr_view *v, kr_new *n, kr_identity *who)
{
    who->form = v->form & (KR_RV_MASK | KR_UID_MASK);
    who->uid = v->uid;
    who->rv = v->rv;
    n->place = v->place;
    n->codec = v->codec;
    n->cut = (v->form & KR_PLACEHOLDERS) != 0;
    n->raw_len = v->raw_len;
    n->name = v->name;
    n->blob = v->blob;
    n->who = who;
}

#endif
