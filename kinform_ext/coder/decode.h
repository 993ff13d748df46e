/* Decoding: from the record of an object to its bytes.
 *
 * Records are not trusted: see blob.h and frames.h. A template is decoded and built when it is needed, and stays in the
 * cache.
 * Bound: a template lies above at most KC_MAX_DEPTH others, so this nests no deeper.
 */
#ifndef KINFORM_DECODE_H
#define KINFORM_DECODE_H

#include "../records/placeholders.h"
#include "blob.h"
#include "process.h"
#include "template_build.h"

enum { KC_MIN_CUT = 2 }; /* bytes of a value that is worth a placeholder; the stem may be shorter */

static int kc_decode(kc_coder *c, const kr_view *v, const kr_text *namespace, kr_byte *to);

/* The identity of a record. */
typedef struct {
    kr_text text[4];          /* namespace, name, uid, resourceVersion */
    kr_byte uid[KR_UUID_LEN]; /* its text, if the record has it packed */
    kr_byte rv[20];           /* the same */
} kc_identity;

static inline void kc_identify(kc_identity *id, const kr_view *v, const kr_text *namespace)
{
    id->text[0] = *namespace;
    id->text[1] = v->name;
    id->text[2] = kr_uid_text(v, id->uid);
    id->text[3] = kr_rv_text(v, id->rv);
}

/* Sets the five values of placeholders. */
static inline void kc_values(kr_text value[KR_VALUES], const kr_text identity[4])
{
    for (int i = 0; i < KR_VALUE_STEM; i++) {
        value[i] = identity[i];
        if (value[i].len < KC_MIN_CUT)
            value[i].len = 0;
    }
    value[KR_VALUE_STEM] = kr_name_stem(&identity[KR_VALUE_NAME]);
}

/* Writes bytes with placeholders in place of the identity, or unchanged if a byte 1 to 5 occurs in them. Returns the
 * length; sets `found` to the number of placeholders. */
static inline size_t kc_cut(const kr_byte *raw, size_t size, const kr_text identity[4], kr_byte *to, int *found)
{
    kr_span span[KR_MAX_SPANS];
    kr_text value[KR_VALUES];
    kc_values(value, identity);
    *found = kr_next_placeholder(raw, raw + size) == raw + size ? kr_find_spans(span, raw, size, value) : 0;
    return (size_t)(kr_put_placeholders(to, raw, size, span, *found) - to);
}

/* Returns a template with a pin, NULL if there is no memory, or its record is damaged. */
static kc_template *kc_pin(kc_coder *c, uint32_t number)
{
    kc_process *p = c->process;
    kc_template *t = kc_cache_get(&p->cache, &c->templates, number);
    kc_identity identity;
    kr_text namespace;
    if (t) {
        kc_cache_use(&p->cache, t);
        return t;
    }
    const kc_entry *e = kc_entry_of(&c->templates, number);
    kr_view v = c->source(c->context, e->record, &namespace);
    if (v.codec && !(v.form & KR_FRAME)
        && (!kc_number_is_used(&c->templates, v.codec) || kc_entry_of(&c->templates, v.codec)->depth >= e->depth))
        return NULL; /* a forged record must not lead in a circle */
    kc_identify(&identity, &v, &namespace);
    if (v.raw_len > KC_MAX_TEMPLATE || !(t = kc_template_new(identity.text, v.raw_len)))
        return NULL;
    if (!kc_decode(c, &v, &namespace, t->raw) || !kc_template_build(t, &p->dates)
        || !kc_cache_add(&p->cache, &c->templates, number, t)) {
        kc_template_free(t);
        return NULL;
    }
    kc_cache_use(&p->cache, t);
    return t;
}

static inline void kc_unpin(kc_coder *c, kc_template *t)
{
    if (t)
        kc_cache_release(&c->process->cache, t);
}

/* Returns the bytes of the first `members` members of a base; len 0 and at NULL if there is no memory, or a member is
 * damaged. They are valid until the next call of the process. */
static kr_text kc_base_content(kc_coder *c, uint32_t number, int members)
{
    kc_content *content = &c->process->content;
    const kc_base *b = kc_base_of(&c->bases, number);
    if (!content->at && !(content->at = (kr_byte *)malloc(KC_BASE_BYTES)))
        return (kr_text){NULL, 0};
    if (content->owner != c || content->number != number)
        *content = (kc_content){content->at, c, number, 0};
    for (; content->members < (uint32_t)members; content->members++) {
        uint32_t i = content->members, start = i ? b->end[i - 1] : 0;
        kr_text namespace, prefix = {content->at, start};
        kr_view v = c->source(c->context, kc_entry_of(&c->templates, b->member[i])->record, &namespace);
        if (kc_frame_read(&c->process->frames, &v.blob, &prefix, content->at + start, b->end[i] - start)
            != b->end[i] - start || kc_is_dictionary(content->at, b->end[i]))
            return (kr_text){NULL, 0};
    }
    return (kr_text){content->at, members ? b->end[members - 1] : 0};
}

/* Sets the bytes that precede the frame of a record; 0 if its base is not valid. */
static inline int kc_frame_prefix(kc_coder *c, const kr_view *v, kr_text *prefix)
{
    *prefix = (kr_text){NULL, 0};
    if (!v->codec)
        return 1;
    if (!kc_base_is_used(&c->bases, v->codec))
        return 0;
    const kc_base *b = kc_base_of(&c->bases, v->codec);
    int position = kc_base_position(b, v->number);
    if (position < 0 && !b->is_full)
        return 0;
    *prefix = kc_base_content(c, v->codec, position < 0 ? b->count : position);
    return prefix->at != NULL;
}

/* Decodes a frame, or an object that is stored as it is. */
static inline int kc_decode_frame(kc_coder *c, const kr_view *v, const kr_text identity[4], kr_byte *to)
{
    kc_process *p = c->process;
    int placeholders = (v->form & KR_PLACEHOLDERS) != 0;
    kr_text source = v->blob, prefix, value[KR_VALUES];
    if (v->form & KR_FRAME) {
        if (!kc_frame_prefix(c, v, &prefix) || !kc_buffer_reserve(&p->room, placeholders ? v->raw_len : 0))
            return 0;
        int64_t size = kc_frame_read(&p->frames, &v->blob, &prefix, placeholders ? p->room.at : to, v->raw_len);
        if (!placeholders || size < 0)
            return size == (int64_t)v->raw_len;
        source = (kr_text){p->room.at, (size_t)size};
    }
    if (placeholders) {
        kc_values(value, identity);
        return kr_restore_values(to, v->raw_len, source.at, source.len, value);
    }
    if (source.len != v->raw_len)
        return 0;
    if (source.len)
        memcpy(to, source.at, source.len);
    return 1;
}

/* Writes the object of a record, which is `raw_len` bytes; 0 if the record is damaged, or there is no memory. */
static int kc_decode(kc_coder *c, const kr_view *v, const kr_text *namespace, kr_byte *to)
{
    kc_process *p = c->process;
    kc_identity identity;
    kc_identify(&identity, v, namespace);
    if (!v->codec || v->form & KR_FRAME)
        return kc_decode_frame(c, v, identity.text, to);
    if (!kc_number_is_used(&c->templates, v->codec))
        return 0;
    kc_template *t = kc_pin(c, v->codec);
    kc_own own;
    if (!t)
        return 0;
    const kc_entry *e = kc_entry_of(&c->templates, v->codec);
    kc_own_init(&own, identity.text);
    kc_walk w = kc_walk_start(&p->walk, t, &own, to, &p->dates);
    int done = kc_blob_read(&w, e->list, e->literals, &v->blob, to, v->raw_len);
    kc_unpin(c, t);
    return done;
}

#endif
