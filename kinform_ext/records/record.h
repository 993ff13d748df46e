/* A record: one version of an object, as it is stored in a slab.
 *
 * It has no padding. Its fields, in this order:
 *
 *     word       4 B     id (26 bits), state (6 bits)
 *     form       1 B     how resourceVersion, uid and blob are stored, and whether the record is a template
 *     partition  varint  namespace and stream
 *     name       varint, bytes
 *     codec      varint  number of the template of the blob, or of the base of a frame; 0: none
 *     number     varint  the record's own number as a template; only if it is one
 *     raw_len    varint  bytes of the whole JSON
 *     blob_len   varint
 *     rv         the bytes of the number, lowest first; or varint and text if it is not a canonical decimal < 2**64
 *     uid        16 B; or varint and text if it is not a canonical lowercase UUID; or nothing
 *     blob
 *
 * Only the word of a record changes. Nothing here allocates. Bound: 2 GiB of JSON.
 */
#ifndef KINFORM_RECORD_H
#define KINFORM_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "canonical.h"

enum { KR_ID_BITS = 26 };
#define KR_ID_MASK ((1u << KR_ID_BITS) - 1)
#define KR_NONE 0xffffffffu

/* State. The meaning of KR_MARK and of the two stale bits depends on the stream: see stream.h. */
#define KR_STAGED (1u << 26)    /* came with a relist that is not swept yet */
#define KR_MARK (2u << 26)      /* the mark of mark and sweep */
#define KR_STALE0 (4u << 26)
#define KR_STALE1 (8u << 26)
#define KR_SHADOWED (16u << 26) /* a staged record has the same key */
#define KR_LIMBO (32u << 26)    /* removed from the collection, but still needed: see table.h */

/* Form: how resourceVersion, uid and blob are stored. A uid with neither bit is empty.
 *
 * A blob is a frame of zstandard, or the differences from the template that the codec names, or, without either, the
 * JSON itself. */
enum {
    KR_RV_MASK = 7,
    KR_RV_NONE = 0,
    KR_RV_LONG = 6,       /* a number of 8 bytes; 1 to 5: a number of 1 to 5 bytes */
    KR_RV_TEXT = 7,
    KR_UID_PACKED = 8,
    KR_UID_TEXT = 16,
    KR_UID_MASK = 24,
    KR_PLACEHOLDERS = 32, /* the bytes in the blob have placeholders: see placeholders.h */
    KR_FRAME = 64,        /* the blob is a frame, compressed after the base that the codec names, or alone */
    KR_TEMPLATE = 128,    /* the record is a template */
};

typedef unsigned char kr_byte;

typedef struct {
    const kr_byte *at; /* owned by another */
    size_t len;        /* bytes */
} kr_text;

/* A record, parsed. The texts point into it. */
typedef struct {
    uint32_t word;      /* id and state */
    kr_byte form;       /* KR_RV_... | KR_UID_... | KR_PLACEHOLDERS | KR_FRAME | KR_TEMPLATE */
    uint32_t partition; /* namespace and stream */
    uint32_t codec;     /* the template of the blob, or the base of a frame; 0: none */
    uint32_t number;    /* of the record, if it is a template; else 0 */
    size_t raw_len;     /* bytes of the whole JSON */
    kr_text name;       /* never empty */
    kr_text rv, uid;    /* in their stored form */
    kr_text blob;       /* the encoded JSON */
    size_t size;        /* bytes of the record */
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

/* Reads a varint of up to `bits` bits, 32 or 64, from untrusted bytes; 0 if it is longer, or does not end there. */
static inline int kr_try_read_varint(const kr_byte **pp, const kr_byte *end, int bits, uint64_t *n)
{
    *n = 0;
    for (int shift = 0; shift < bits && *pp < end; shift += 7) {
        kr_byte c = *(*pp)++;
        *n |= (uint64_t)(c & 127) << shift;
        if (!(c & 128))
            return *n <= UINT64_MAX >> (64 - bits);
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

/* The identity of a version: uid and resourceVersion in their stored form. */
typedef struct {
    kr_byte form;       /* KR_RV_... | KR_UID_... */
    kr_byte packed[16]; /* the uid, if KR_UID_PACKED */
    kr_byte number[8];  /* the resourceVersion, if it is a number */
    kr_text uid, rv;    /* point into these two, or to the caller's texts */
} kr_identity;

/* Returns the bytes of a resourceVersion in a form other than KR_RV_TEXT. */
static inline size_t kr_rv_size(int form)
{
    return form == KR_RV_LONG ? 8 : (size_t)form;
}

/* Sets the identity from texts, which must outlive it. */
static inline void kr_identify(kr_identity *identity, const kr_text *uid, const kr_text *rv)
{
    uint64_t n;
    identity->uid = *uid;
    identity->rv = *rv;
    if (!uid->len)
        identity->form = 0;
    else if (uid->len == KR_UUID_LEN && kr_pack_uuid(uid->at, identity->packed)) {
        identity->form = KR_UID_PACKED;
        identity->uid.at = identity->packed;
        identity->uid.len = 16;
    } else
        identity->form = KR_UID_TEXT;
    if (!rv->len)
        identity->form |= KR_RV_NONE;
    else if (kr_parse_decimal(rv->at, rv->len, &n)) {
        int form = 1;
        while (form < KR_RV_LONG && n >> (8 * form))
            form++;
        for (int i = 0; i < 8; i++)
            identity->number[i] = (kr_byte)(n >> (8 * i));
        identity->form |= (kr_byte)form;
        identity->rv.at = identity->number;
        identity->rv.len = kr_rv_size(form);
    } else
        identity->form |= KR_RV_TEXT;
}

/* ---- reading ---- */

/* Reads the name and partition of a record only. */
static inline kr_text kr_name(const kr_byte *p, uint32_t *partition)
{
    kr_text name;
    p += 5;
    *partition = (uint32_t)kr_read_varint(&p);
    name.len = (size_t)kr_read_varint(&p);
    name.at = p;
    return name;
}

static inline void kr_read(const kr_byte *from, kr_view *v)
{
    const kr_byte *p = from + 5;
    v->word = kr_word(from);
    v->form = from[4];
    v->partition = (uint32_t)kr_read_varint(&p);
    v->name.len = (size_t)kr_read_varint(&p);
    v->name.at = p;
    p += v->name.len;
    v->codec = (uint32_t)kr_read_varint(&p);
    v->number = v->form & KR_TEMPLATE ? (uint32_t)kr_read_varint(&p) : 0;
    v->raw_len = (size_t)kr_read_varint(&p);
    v->blob.len = (size_t)kr_read_varint(&p);
    int rv = v->form & KR_RV_MASK, uid = v->form & KR_UID_MASK;
    v->rv.len = rv == KR_RV_TEXT ? (size_t)kr_read_varint(&p) : kr_rv_size(rv);
    v->rv.at = p;
    p += v->rv.len;
    v->uid.len = uid == KR_UID_TEXT ? (size_t)kr_read_varint(&p) : uid == KR_UID_PACKED ? 16 : 0;
    v->uid.at = p;
    p += v->uid.len;
    v->blob.at = p;
    v->size = (size_t)(p - from) + v->blob.len;
}

/* Parses untrusted bytes; 0 unless a whole record lies before `end`. */
static inline int kr_try_read(const kr_byte *from, const kr_byte *end, kr_view *v)
{
    uint64_t partition, name, codec, number, raw, blob, len = 0;
    const kr_byte *p = from + 5;
    if (end - from < 6)
        return 0;
    int rv = from[4] & KR_RV_MASK, uid = from[4] & KR_UID_MASK;
    if (uid == KR_UID_MASK)
        return 0;
    if (!kr_try_read_varint(&p, end, 32, &partition) || !kr_try_read_varint(&p, end, 32, &name))
        return 0;
    if (!name || name > (uint64_t)(end - p))
        return 0;
    p += name;
    if (!kr_try_read_varint(&p, end, 32, &codec) || (from[4] & KR_TEMPLATE && !kr_try_read_varint(&p, end, 32, &number))
        || !kr_try_read_varint(&p, end, 32, &raw) || !kr_try_read_varint(&p, end, 32, &blob))
        return 0;
    len = kr_rv_size(rv);
    if (rv == KR_RV_TEXT && !kr_try_read_varint(&p, end, 32, &len))
        return 0;
    if (len > (uint64_t)(end - p))
        return 0;
    p += len;
    len = uid == KR_UID_PACKED ? 16 : 0;
    if (uid == KR_UID_TEXT && !kr_try_read_varint(&p, end, 32, &len))
        return 0;
    if (len > (uint64_t)(end - p) || blob > (uint64_t)(end - p) - len)
        return 0;
    kr_read(from, v);
    return 1;
}

static inline int kr_same_uid(const kr_view *v, const kr_identity *identity)
{
    return !((v->form ^ identity->form) & KR_UID_MASK) && v->uid.len == identity->uid.len
        && !memcmp(v->uid.at, identity->uid.at, v->uid.len);
}

static inline int kr_same_rv(const kr_view *v, const kr_identity *identity)
{
    return !((v->form ^ identity->form) & KR_RV_MASK) && v->rv.len == identity->rv.len
        && !memcmp(v->rv.at, identity->rv.at, v->rv.len);
}

static inline int kr_has_uid_and_rv(kr_byte form)
{
    return (form & KR_UID_MASK) && (form & KR_RV_MASK);
}

/* Returns the uid as text; `to` has room for KR_UUID_LEN bytes and is used if it is stored in packed form. */
static inline kr_text kr_uid_text(const kr_view *v, kr_byte *to)
{
    kr_text t = v->uid;
    if ((v->form & KR_UID_MASK) == KR_UID_PACKED) {
        kr_unpack_uuid(v->uid.at, to);
        t.at = to;
        t.len = KR_UUID_LEN;
    }
    return t;
}

/* Returns the resourceVersion as text; `to` has room for 20 bytes and is used if it is stored as a number. */
static inline kr_text kr_rv_text(const kr_view *v, kr_byte *to)
{
    kr_text t = v->rv;
    uint64_t n = 0;
    int rv = v->form & KR_RV_MASK;
    if (rv != KR_RV_NONE && rv != KR_RV_TEXT) {
        for (size_t i = v->rv.len; i-- > 0;)
            n = n << 8 | v->rv.at[i];
        t.at = to;
        t.len = kr_format_decimal(n, to);
    }
    return t;
}

/* ---- writing ---- */

/* The fields of a record to be written. */
typedef struct {
    uint32_t partition;          /* namespace and stream */
    uint32_t codec;              /* the template of the blob, or the base of a frame; 0: none */
    uint32_t number;             /* of the record, if it is a template; else 0 */
    kr_byte form;                /* KR_PLACEHOLDERS | KR_FRAME */
    size_t raw_len;              /* bytes of the whole JSON */
    kr_text name;                /* never empty */
    kr_text blob;                /* the encoded JSON */
    const kr_identity *identity; /* uid and resourceVersion */
} kr_new;

/* Returns the bytes that kr_write writes. */
static inline size_t kr_size(const kr_new *n)
{
    const kr_identity *identity = n->identity;
    return 5 + kr_varint_size(n->partition) + kr_varint_size(n->name.len) + n->name.len + kr_varint_size(n->codec)
        + (n->number ? kr_varint_size(n->number) : 0) + kr_varint_size(n->raw_len) + kr_varint_size(n->blob.len)
        + ((identity->form & KR_RV_MASK) == KR_RV_TEXT ? kr_varint_size(identity->rv.len) : 0) + identity->rv.len
        + ((identity->form & KR_UID_MASK) == KR_UID_TEXT ? kr_varint_size(identity->uid.len) : 0) + identity->uid.len
        + n->blob.len;
}

static inline kr_byte *kr_put_text(kr_byte *o, const kr_text *t)
{
    if (t->len)
        memcpy(o, t->at, t->len);
    return o + t->len;
}

static inline void kr_write(kr_byte *o, const kr_new *n, uint32_t word)
{
    const kr_identity *identity = n->identity;
    kr_set_word(o, word);
    o[4] = (kr_byte)(identity->form | n->form | (n->number ? KR_TEMPLATE : 0));
    o = kr_put_varint(o + 5, n->partition);
    o = kr_put_varint(o, n->name.len);
    o = kr_put_text(o, &n->name);
    o = kr_put_varint(o, n->codec);
    if (n->number)
        o = kr_put_varint(o, n->number);
    o = kr_put_varint(o, n->raw_len);
    o = kr_put_varint(o, n->blob.len);
    if ((identity->form & KR_RV_MASK) == KR_RV_TEXT)
        o = kr_put_varint(o, identity->rv.len);
    o = kr_put_text(o, &identity->rv);
    if ((identity->form & KR_UID_MASK) == KR_UID_TEXT)
        o = kr_put_varint(o, identity->uid.len);
    o = kr_put_text(o, &identity->uid);
    kr_put_text(o, &n->blob);
}

/* Fills the fields to write a copy of a record, whose partition, codec or blob the caller may change. */
static inline void kr_new_from_view(const kr_view *v, kr_new *n, kr_identity *identity)
{
    identity->form = v->form & (KR_RV_MASK | KR_UID_MASK);
    identity->uid = v->uid;
    identity->rv = v->rv;
    n->partition = v->partition;
    n->codec = v->codec;
    n->number = v->number;
    n->form = v->form & (KR_PLACEHOLDERS | KR_FRAME);
    n->raw_len = v->raw_len;
    n->name = v->name;
    n->blob = v->blob;
    n->identity = identity;
}

#endif
