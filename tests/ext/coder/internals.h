/* All that these tests know of the insides of the coder's structures; other files use functions of the coder only. */
#ifndef INTERNALS_H
#define INTERNALS_H

#include "mutation.h"

/* ---- the process ---- */

/* Frees the content of a base. */
static void forget_content(void)
{
    free(process.content.at);
    memset(&process.content, 0, sizeof process.content);
}

/* Frees the contexts of zstandard. */
static void forget_frames(void)
{
    kc_frames *f = &process.frames;
    ZSTD_freeCCtx(f->writer);
    ZSTD_freeCCtx(f->loaded);
    ZSTD_freeDCtx(f->reader);
    free(f->room);
    memset(f, 0, sizeof *f);
}

/* Frees what the process keeps between calls, so that most calls allocate anew. */
static void forget_buffers(void)
{
    kc_cache_shrink(&process.cache, 0);
    forget_frames();
    kc_buffer_shrink(&process.room, 0);
    kc_buffer_shrink(&process.blob, 0);
    forget_content();
}

/* ---- templates ---- */

/* Makes a template of any bytes. */
static kc_template *template_of(const object *x)
{
    kc_template *t = kc_template_new(x->identity, x->size);
    if (x->size)
        memcpy(t->raw, x->raw, x->size);
    CHECK(kc_template_build(t, &process.dates));
    return t;
}

/* ---- slot lists ---- */

/* The slot lists of a template, from the newest one. */
typedef struct {
    kc_slots *newest; /* malloc'd, as the older ones; NULL: it has no list */
} lists;

/* Makes slot lists of any words, in any order; some are missing. */
static lists forge_lists(uint32_t words)
{
    lists made = {NULL};
    for (int i = 0; i < KC_MAX_LISTS; i++) {
        uint16_t slot[KC_MAX_SLOTS], word = 0;
        size_t count = once_in(8) ? KC_MAX_SLOTS : below(12);
        for (size_t j = 0; j < count; j++) {
            word = (uint16_t)(once_in(8) ? draw() : word + below(words / (count + 1) + 2));
            slot[j] = (uint16_t)(word ^ (once_in(3) ? KC_SLOT_GENERIC : 0));
        }
        kc_slots *list = once_in(4) ? NULL : kc_slots_copy((const kr_byte *)slot, count);
        if (list) {
            list->number = (uint16_t)(i + 1);
            list->older = made.newest;
            made.newest = list;
        }
    }
    return made;
}

static size_t lists_bytes(const lists *l)
{
    size_t sum = 0;
    for (const kc_slots *list = l->newest; list; list = list->older)
        sum += list->count * sizeof *list->slot;
    return sum;
}

static void lists_free(lists *l)
{
    for (kc_slots *list = l->newest, *older; list; list = older) {
        older = list->older;
        free(list);
    }
}

/* Returns how many lists a template has. */
static uint32_t list_count(const kc_entry *e)
{
    return e->list ? e->list->number : 0;
}

/* Exchanges the lists of a template for others. */
static void lists_swap(kc_entry *e, lists *l)
{
    kc_slots *before = e->list;
    e->list = l->newest;
    l->newest = before;
}

/* Reads a value that replaces a word of a type, and of `size` characters. */
static int read_native(kc_input *in, kc_output *out, int type, size_t size, const kc_expected *e, kc_dates *dates)
{
    int64_t value;
    return kc_read_native(in, out, (unsigned)type, size, e, &value, dates);
}

static int read_blob(
    kc_walk *w, const lists *l, const kc_literals *literals, const kr_text *blob, kr_byte *to, size_t size)
{
    return kc_blob_read(w, l->newest, literals, blob, to, size);
}

/* ---- bases ---- */

/* Changes a base as no dump should: its members, what they add, how many there are, and whether it is full. Members
 * stay templates, as a loader sees to that. */
static void forge_base(const kc_templates *t, kc_base *b)
{
    for (size_t changes = 1 + below(3); changes; changes--) {
        uint32_t number = 1 + (uint32_t)below(t->count), i = (uint32_t)below(b->count + 1u), end = 0;
        switch (below(5)) {
        case 0:
            if (i < b->count && kc_number_is_used(t, number))
                b->member[i] = (uint16_t)number;
            break;
        case 1: { /* the same sizes, but for one */
            uint32_t was = 0, wrong = i;
            for (i = 0; i < b->count; i++) {
                uint32_t size = b->end[i] - was;
                was = b->end[i];
                if (i == wrong)
                    size = once_in(3) ? 1 + (uint32_t)below(KC_MAX_MEMBER) : once_in(2) ? size + 1 : size - (size > 1);
                end = b->end[i] = end + size > KC_BASE_BYTES ? KC_BASE_BYTES : end + size;
            }
            break;
        }
        case 2: /* any sizes, often all of the content */
            for (i = 0; i < b->count; i++) {
                end += once_in(8) ? KC_MAX_MEMBER : (uint32_t)below(KC_BASE_BYTES / KC_BASE_OBJECTS + 1);
                end = b->end[i] = end > KC_BASE_BYTES ? KC_BASE_BYTES : end;
            }
            break;
        case 3:
            b->count = (uint8_t)i;
            break;
        default:
            b->is_full = !b->is_full;
        }
    }
}

/* Makes the next frame decide about a new base. */
static void renew_next(kc_coder *c)
{
    c->framed = (c->framed | (KC_RENEWAL - 1)) + KC_RENEWAL;
    c->alone_until = c->samples = c->paid = 0;
}

/* Begins a collection that looks for no templates: all objects are compressed, but those with a hint. */
static void frames_init(collection *c)
{
    collection_init(c);
    c->coder.sleeps_until = UINT64_MAX;
}

/* Compresses bytes as a record's frame. The frame is valid until the next call. */
static kr_text other_frame(const kr_byte *p, size_t len, const kr_text *prefix)
{
    return kc_frame_write(&process.frames, &(kr_text){p, len}, prefix, once_in(2));
}

/* ---- literal tables ---- */

/* Makes a table of any texts. */
static kc_literals *forge_literals(void)
{
    kc_literals *l = kc_literals_new();
    kr_byte text[KC_MAX_LITERAL];
    size_t least = below(60);
    int is_exact = once_in(2); /* no memory after the last entry, so that the sanitizer sees a number too large */
    while (l->count < least || (is_exact && l->count < l->capacity)) {
        size_t len = once_in(8) ? KC_MAX_LITERAL : KC_MIN_LITERAL + below(40);
        fill(text, len);
        kc_literals_add(l, text, len);
    }
    return l;
}

/* Returns the bytes of all entries. */
static size_t literals_used(const kc_literals *l)
{
    if (!l->count)
        return 0;
    kr_text last = kc_literal_at(l, l->count - 1);
    return (size_t)(last.at + last.len - l->bytes);
}

/* Returns the newest table of a collection, for one template more. */
static kc_literals *literals_shared(kc_templates *t)
{
    kc_literals *l = kc_literals_newest(t);
    CHECK(l);
    l->users++;
    return l;
}

#endif
