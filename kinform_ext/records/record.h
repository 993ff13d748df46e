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

enum { KT_ID_BITS = 26 };
#define KT_ID_MASK ((1u << KT_ID_BITS) - 1)
#define KT_NONE 0xffffffffu

/* State. What KT_MARK and the two KT_STALEs mean depends on the stream (_table.h). */
#define KT_STAGED (1u << 26)   /* came with a state that was not swept yet */
#define KT_MARK (2u << 26)
#define KT_STALE0 (4u << 26)
#define KT_STALE1 (8u << 26)
#define KT_SHADOWED (16u << 26) /* a staged record has the same key */
#define KT_LIMBO (32u << 26)    /* no longer of the collection: some iterator may ask for it */

/* Form. */
enum { KT_RV = 15, KT_RV_NONE = 14, KT_RV_TEXT = 15, KT_UID_PACKED = 16, KT_UID_TEXT = 32, KT_UID = 48, KT_CUT = 64 };

typedef unsigned char kt_byte;

typedef struct {
    const kt_byte *at;
    size_t len;
} kt_text;

typedef struct {
    uint32_t word;
    kt_byte form;
    uint32_t place, codec;
    size_t raw_len;
    kt_text name, rv, uid, blob; /* rv and uid as they are kept */
    size_t size;                 /* of the whole record */
} kt_view;

/* ---- numbers ---- */

static inline size_t kt_varint_size(uint64_t n)
{
    size_t size = 1;
    while (n >= 128) {
        n >>= 7;
        size++;
    }
    return size;
}

static inline kt_byte *kt_put_varint(kt_byte *o, uint64_t n)
{
    while (n >= 128) {
        *o++ = (kt_byte)(n | 128);
        n >>= 7;
    }
    *o++ = (kt_byte)n;
    return o;
}

static inline uint64_t kt_get_varint(const kt_byte **pp)
{
    const kt_byte *p = *pp;
    uint64_t n = *p & 127;
    for (int shift = 7; *p++ & 128; shift += 7)
        n |= (uint64_t)(*p & 127) << shift;
    *pp = p;
    return n;
}

/* The same from bytes that may be anything: 0 where they do not hold a number below 2**32. */
static inline int kt_try_varint(const kt_byte **pp, const kt_byte *end, uint64_t *n)
{
    *n = 0;
    for (int shift = 0; shift < 35 && *pp < end; shift += 7) {
        kt_byte c = *(*pp)++;
        *n |= (uint64_t)(c & 127) << shift;
        if (!(c & 128))
            return *n <= UINT32_MAX;
    }
    return 0;
}

static inline uint32_t kt_word(const kt_byte *p)
{
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

static inline void kt_set_word(kt_byte *p, uint32_t word)
{
    memcpy(p, &word, 4);
}

/* ---- uid and resourceVersion ---- */

static inline int kt_hex(kt_byte c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline int kt_dash(int i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static inline int kt_pack_uid(const kt_text *t, kt_byte to[16])
{
    if (t->len != 36)
        return 0;
    for (int i = 0, o = 0; i < 36;) {
        if (kt_dash(i)) {
            if (t->at[i++] != '-')
                return 0;
            continue;
        }
        int high = kt_hex(t->at[i]), low = kt_hex(t->at[i + 1]);
        if ((high | low) < 0)
            return 0;
        to[o++] = (kt_byte)(high << 4 | low);
        i += 2;
    }
    return 1;
}

static inline void kt_unpack_uid(const kt_byte *from, kt_byte to[36])
{
    for (int i = 0; i < 36;) {
        if (kt_dash(i)) {
            to[i++] = '-';
            continue;
        }
        to[i++] = (kt_byte)"0123456789abcdef"[*from >> 4];
        to[i++] = (kt_byte)"0123456789abcdef"[*from++ & 15];
    }
}

/* Canonical decimal below 2**64: no sign, no leading zero. */
static inline int kt_number(const kt_text *t, uint64_t *n)
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

static inline size_t kt_digits(uint64_t n, kt_byte to[20])
{
    kt_byte turned[20];
    size_t len = 0;
    do
        turned[len++] = (kt_byte)('0' + n % 10);
    while (n /= 10);
    for (size_t i = 0; i < len; i++)
        to[i] = turned[len - 1 - i];
    return len;
}

/* Who a version is: uid and resourceVersion as a record keeps them. */
typedef struct {
    kt_byte form;
    kt_byte packed[16], number[8];
    kt_text uid, rv;
} kt_who;

static inline void kt_describe(kt_who *who, const kt_text *uid, const kt_text *rv)
{
    uint64_t n;
    who->uid = *uid;
    who->rv = *rv;
    if (!uid->len)
        who->form = 0;
    else if (kt_pack_uid(uid, who->packed)) {
        who->form = KT_UID_PACKED;
        who->uid.at = who->packed;
        who->uid.len = 16;
    } else
        who->form = KT_UID_TEXT;
    if (!rv->len)
        who->form |= KT_RV_NONE;
    else if (kt_number(rv, &n)) {
        size_t len = 0;
        for (; n; n >>= 8)
            who->number[len++] = (kt_byte)n;
        who->form |= (kt_byte)len;
        who->rv.at = who->number;
        who->rv.len = len;
    } else
        who->form |= KT_RV_TEXT;
}

/* ---- reading ---- */

static inline kt_text kt_name(const kt_byte *p, uint32_t *place)
{
    kt_text name;
    p += 5;
    *place = (uint32_t)kt_get_varint(&p);
    name.len = (size_t)kt_get_varint(&p);
    name.at = p;
    return name;
}

static inline void kt_read(const kt_byte *from, kt_view *v)
{
    const kt_byte *p = from + 5;
    v->word = kt_word(from);
    v->form = from[4];
    v->place = (uint32_t)kt_get_varint(&p);
    v->name.len = (size_t)kt_get_varint(&p);
    v->name.at = p;
    p += v->name.len;
    v->codec = (uint32_t)kt_get_varint(&p);
    v->raw_len = (size_t)kt_get_varint(&p);
    v->blob.len = (size_t)kt_get_varint(&p);
    int rv = v->form & KT_RV, uid = v->form & KT_UID;
    v->rv.len = rv == KT_RV_TEXT ? (size_t)kt_get_varint(&p) : rv == KT_RV_NONE ? 0 : (size_t)rv;
    v->rv.at = p;
    p += v->rv.len;
    v->uid.len = uid == KT_UID_TEXT ? (size_t)kt_get_varint(&p) : uid == KT_UID_PACKED ? 16 : 0;
    v->uid.at = p;
    p += v->uid.len;
    v->blob.at = p;
    v->size = (size_t)(p - from) + v->blob.len;
}

/* kt_read for bytes that may be anything: 0 unless one whole record lies before `end`. */
static inline int kt_try_read(const kt_byte *from, const kt_byte *end, kt_view *v)
{
    uint64_t place, name, codec, raw, blob, len = 0;
    const kt_byte *p = from + 5;
    if (end - from < 6)
        return 0;
    int rv = from[4] & KT_RV, uid = from[4] & KT_UID;
    if ((rv > 8 && rv < KT_RV_NONE) || uid == KT_UID || from[4] & 128)
        return 0;
    if (!kt_try_varint(&p, end, &place) || !kt_try_varint(&p, end, &name) || !name || name > (uint64_t)(end - p))
        return 0;
    p += name;
    if (!kt_try_varint(&p, end, &codec) || !kt_try_varint(&p, end, &raw) || !kt_try_varint(&p, end, &blob))
        return 0;
    if (rv == KT_RV_TEXT ? !kt_try_varint(&p, end, &len) : ((len = rv == KT_RV_NONE ? 0 : (uint64_t)rv), 0))
        return 0;
    if (len > (uint64_t)(end - p))
        return 0;
    p += len;
    len = uid == KT_UID_PACKED ? 16 : 0;
    if (uid == KT_UID_TEXT && !kt_try_varint(&p, end, &len))
        return 0;
    if (len > (uint64_t)(end - p) || blob > (uint64_t)(end - p) - len)
        return 0;
    kt_read(from, v);
    return 1;
}

static inline int kt_same_uid(const kt_view *v, const kt_who *who)
{
    return !((v->form ^ who->form) & KT_UID) && v->uid.len == who->uid.len
        && !memcmp(v->uid.at, who->uid.at, v->uid.len);
}

static inline int kt_same_rv(const kt_view *v, const kt_who *who)
{
    return !((v->form ^ who->form) & KT_RV) && v->rv.len == who->rv.len && !memcmp(v->rv.at, who->rv.at, v->rv.len);
}

static inline int kt_has_both(kt_byte form)
{
    return (form & KT_UID) && (form & KT_RV) != KT_RV_NONE;
}

/* uid and resourceVersion as text; `to` has room for 36 and 20 bytes, used where they are not kept as text. */
static inline kt_text kt_uid_text(const kt_view *v, kt_byte *to)
{
    kt_text t = v->uid;
    if ((v->form & KT_UID) == KT_UID_PACKED) {
        kt_unpack_uid(v->uid.at, to);
        t.at = to;
        t.len = 36;
    }
    return t;
}

static inline kt_text kt_rv_text(const kt_view *v, kt_byte *to)
{
    kt_text t = v->rv;
    uint64_t n = 0;
    if ((v->form & KT_RV) < KT_RV_NONE) {
        for (size_t i = v->rv.len; i-- > 0;)
            n = n << 8 | v->rv.at[i];
        t.at = to;
        t.len = kt_digits(n, to);
    }
    return t;
}

/* ---- writing ---- */

typedef struct {
    uint32_t place, codec;
    int cut;
    size_t raw_len;
    kt_text name, blob;
    const kt_who *who;
} kt_new;

static inline size_t kt_size(const kt_new *n)
{
    const kt_who *who = n->who;
    return 5 + kt_varint_size(n->place) + kt_varint_size(n->name.len) + n->name.len + kt_varint_size(n->codec)
        + kt_varint_size(n->raw_len) + kt_varint_size(n->blob.len)
        + ((who->form & KT_RV) == KT_RV_TEXT ? kt_varint_size(who->rv.len) : 0) + who->rv.len
        + ((who->form & KT_UID) == KT_UID_TEXT ? kt_varint_size(who->uid.len) : 0) + who->uid.len + n->blob.len;
}

static inline kt_byte *kt_put_text(kt_byte *o, const kt_text *t)
{
    if (t->len)
        memcpy(o, t->at, t->len);
    return o + t->len;
}

static inline void kt_write(kt_byte *o, const kt_new *n, uint32_t word)
{
    const kt_who *who = n->who;
    kt_set_word(o, word);
    o[4] = (kt_byte)(who->form | (n->cut ? KT_CUT : 0));
    o = kt_put_varint(o + 5, n->place);
    o = kt_put_varint(o, n->name.len);
    o = kt_put_text(o, &n->name);
    o = kt_put_varint(o, n->codec);
    o = kt_put_varint(o, n->raw_len);
    o = kt_put_varint(o, n->blob.len);
    if ((who->form & KT_RV) == KT_RV_TEXT)
        o = kt_put_varint(o, who->rv.len);
    o = kt_put_text(o, &who->rv);
    if ((who->form & KT_UID) == KT_UID_TEXT)
        o = kt_put_varint(o, who->uid.len);
    o = kt_put_text(o, &who->uid);
    kt_put_text(o, &n->blob);
}

/* What a record needs to be written anew with another place, codec or blob. */
static inline void kt_again(const kt_view *v, kt_new *n, kt_who *who)
{
    who->form = v->form & (KT_RV | KT_UID);
    who->uid = v->uid;
    who->rv = v->rv;
    n->place = v->place;
    n->codec = v->codec;
    n->cut = (v->form & KT_CUT) != 0;
    n->raw_len = v->raw_len;
    n->name = v->name;
    n->blob = v->blob;
    n->who = who;
}

#endif
