/* A collection: records in an array, the coder that coded them, and the objects that they must decode to.
 *
 * It keeps the rules that the coder states for its caller, and counts users as the table does: a record that others
 * need stays in limbo although its object has gone, a base goes when only its members need it, and the number of a
 * template is released with its record. Objects and blobs lie in blocks of exactly their size, so that the sanitizer
 * sees a read that goes too far.
 */
#ifndef COLLECTION_H
#define COLLECTION_H

#include "chance.h"
#include "heap.h"

#define malloc heap_malloc
#define calloc heap_calloc
#define realloc heap_realloc
#include "coder/coder.h"
#undef malloc
#undef calloc
#undef realloc

/* An object with its identity. */
typedef struct {
    kr_text identity[4]; /* namespace, name, uid, resourceVersion; malloc'd, NULL if it is empty */
    kr_byte *raw;        /* malloc'd */
    size_t size;         /* bytes of `raw` */
} object;

typedef struct {
    object x;             /* what it must decode to */
    kr_identity identity; /* of `x`, in stored form */
    kr_view view;         /* what the coder sees; its blob is malloc'd; KR_LIMBO: its object has gone */
    int is_held;          /* a change holds it */
} record;

typedef struct {
    kc_coder coder;
    object *source;   /* the objects of the dump; malloc'd */
    size_t sources;   /* of those */
    record **record;  /* by id; NULL: the id is free; malloc'd */
    size_t count;     /* ids in use or free */
    size_t capacity;  /* of `record` */
} collection;

static kc_process process;

/* ---- objects ---- */

static kr_byte *copied(const void *from, size_t len)
{
    kr_byte *to = (kr_byte *)malloc(len);
    if (len)
        memcpy(to, from, len);
    return to;
}

static kr_text copied_text(kr_text from)
{
    return (kr_text){from.len ? copied(from.at, from.len) : NULL, from.len};
}

static object object_copy(const object *from)
{
    object x = {.raw = copied(from->raw, from->size), .size = from->size};
    for (int i = 0; i < 4; i++)
        x.identity[i] = copied_text(from->identity[i]);
    return x;
}

static void object_free(object *x)
{
    for (int i = 0; i < 4; i++)
        free((void *)x->identity[i].at);
    free(x->raw);
}

/* ---- records ---- */

static kr_view collection_source(const void *context, uint32_t id, kr_text *namespace)
{
    const record *r = ((const collection *)context)->record[id];
    *namespace = r->x.identity[0];
    return r->view;
}

static void collection_init(collection *c)
{
    memset(&c->coder, 0, sizeof c->coder);
    c->coder.process = &process;
    c->coder.source = collection_source;
    c->coder.context = c;
}

/* Checks that a record decodes to its object, in a block of exactly its size. Returns 0 if the coder refuses. */
static int record_decodes(collection *c, const record *r)
{
    kr_byte *to = heap_guarded(r->x.size);
    memset(to, 0xaa, r->x.size);
    int done = kc_decode(&c->coder, &r->view, &r->x.identity[0], to);
    if (done && memcmp(to, r->x.raw, r->x.size))
        fail("an object of %zu bytes, codec %u, form %d came back changed", r->x.size, r->view.codec, r->view.form);
    CHECK(heap_unguard(to, r->x.size));
    return done;
}

static void record_check(collection *c, const record *r)
{
    if (!record_decodes(c, r))
        fail("an object of %zu bytes, codec %u, form %d was refused", r->x.size, r->view.codec, r->view.form);
}

/* Checks a record that is not in the collection. A frame that would join a base cannot be read by the coder yet. */
static void record_check_new(collection *c, const record *r, const kc_encoded *made)
{
    if (!made->joins) {
        record_check(c, r);
        return;
    }
    CHECK(made->is_frame && made->joins <= KC_MAX_MEMBER && !kc_base_of(&c->coder.bases, made->codec)->is_full);
    CHECK(!record_decodes(c, r));
    kr_byte *to = (kr_byte *)malloc(made->joins);
    kr_text prefix = kc_base_content(&c->coder, made->codec, kc_base_of(&c->coder.bases, made->codec)->count);
    CHECK(kc_frame_read(&process.frames, &r->view.blob, &prefix, to, made->joins) == (int64_t)made->joins);
    CHECK(made->placeholders || (made->joins == r->x.size && !memcmp(to, r->x.raw, r->x.size)));
    free(to);
}

/* Encodes a copy of an object, and makes a record of it that is not in the collection yet. `hints`: of the version
 * before. NULL: the coder had no memory. */
static record *record_new(collection *c, const object *from, kc_object hints, kc_encoded *made)
{
    record *r = (record *)calloc(1, sizeof *r);
    r->x = object_copy(from);
    kc_object x = hints;
    x.raw = r->x.raw;
    x.size = r->x.size;
    memcpy(x.identity, r->x.identity, sizeof x.identity);
    if (!kc_encode(&c->coder, &x, made)) {
        object_free(&r->x);
        free(r);
        return NULL;
    }
    kr_identify(&r->identity, &r->x.identity[KC_UID], &r->x.identity[KC_RV]);
    int form = (made->is_frame ? KR_FRAME : 0) | (made->placeholders ? KR_PLACEHOLDERS : 0);
    r->view = (kr_view){
        .form = (kr_byte)(r->identity.form | form),
        .codec = made->codec,
        .raw_len = r->x.size,
        .name = r->x.identity[KC_NAME],
        .uid = r->identity.uid,
        .rv = r->identity.rv,
        .blob = {copied(made->blob.at, made->blob.len), made->blob.len},
    };
    return r;
}

static void record_free(record *r)
{
    free((void *)r->view.blob.at);
    object_free(&r->x);
    free(r);
}

static inline int record_is_in_limbo(const record *r)
{
    return (r->view.word & KR_LIMBO) != 0;
}

/* Returns the hints that a table gives for the version that follows a record. */
static kc_object record_hints(const collection *c, const record *r)
{
    const kr_view *v = &r->view;
    return (kc_object){
        .hint = v->number ? v->number : v->form & KR_FRAME ? 0 : v->codec,
        .hinted = v->blob.len,
        .is_replaced = v->number && !kc_entry_of(&c->coder.templates, v->number)->users,
        .may_be_template = 1,
    };
}

/* Adds a record. If it can be a template, makes it one. Returns its id. */
static size_t collection_add(collection *c, record *r, const kc_encoded *made)
{
    size_t id = 0;
    uint32_t number = made->is_template ? kc_adopt_reserve(&c->coder) : 0, codec = r->view.codec;
    while (id < c->count && c->record[id])
        id++;
    if (id == c->capacity) {
        c->capacity = 2 * c->capacity + 16;
        c->record = (record **)realloc(c->record, c->capacity * sizeof *c->record);
    }
    if (id == c->count)
        c->count++;
    c->record[id] = r;
    CHECK(number || !made->joins);
    r->view.number = number;
    if (codec && r->view.form & KR_FRAME)
        kc_base_of(&c->coder.bases, codec)->users++;
    else if (codec)
        kc_entry_of(&c->coder.templates, codec)->users++;
    if (number) {
        kc_object x = {.raw = r->x.raw, .size = r->x.size};
        memcpy(x.identity, r->x.identity, sizeof x.identity);
        kc_adopt(&c->coder, number, (uint32_t)id, &x, made);
    }
    return id;
}

/* ---- users ---- */

static void collection_free(collection *c, size_t id);
static void collection_free_base(collection *c, uint32_t number);

/* Returns whether anything needs a record, a base whose member it is included. */
static int record_is_needed(const collection *c, const record *r)
{
    return r->is_held || (r->view.number && kc_entry_of(&c->coder.templates, r->view.number)->users);
}

/* Returns the base that a record is a member of, or 0. */
static uint32_t base_of_member(const collection *c, const record *r)
{
    const kc_bases *bases = &c->coder.bases;
    const kr_view *v = &r->view;
    return v->number && v->form & KR_FRAME && kc_base_is_used(bases, v->codec)
        && kc_base_position(kc_base_of(bases, v->codec), v->number) >= 0 ? v->codec : 0;
}

/* Returns whether anything but its members needs a base. */
static int base_is_needed(const collection *c, const kc_base *b)
{
    int needed = b->users > 0;
    for (int i = 0; i < b->count; i++) {
        const kc_entry *e = kc_entry_of(&c->coder.templates, b->member[i]);
        const record *r = c->record[e->record];
        needed |= !record_is_in_limbo(r) || e->users > 1 || r->is_held;
    }
    return needed;
}

/* Frees a record in limbo that is not needed any more, or the base whose member it is. */
static void collection_settle(collection *c, size_t id)
{
    const record *r = c->record[id];
    if (!record_is_in_limbo(r))
        return;
    if (!record_is_needed(c, r))
        collection_free(c, id);
    else
        collection_free_base(c, base_of_member(c, r));
}

/* Ends one use of a template. */
static void collection_drop_user(collection *c, uint32_t number)
{
    kc_entry *e = kc_entry_of(&c->coder.templates, number);
    CHECK(e->users > 0);
    e->users--;
    collection_settle(c, e->record);
}

/* Ends a base that only its members need; ignores number 0. */
static void collection_free_base(collection *c, uint32_t number)
{
    if (!number || base_is_needed(c, kc_base_of(&c->coder.bases, number)))
        return;
    kc_base base = *kc_base_of(&c->coder.bases, number);
    kc_base_end(&c->coder, number);
    for (int i = base.count; i-- > 0;)
        collection_drop_user(c, base.member[i]);
}

/* Frees a record that nothing needs, then those that only it used. */
static void collection_free(collection *c, size_t id)
{
    record *r = c->record[id];
    uint32_t codec = r->view.codec;
    int is_frame = r->view.form & KR_FRAME;
    if (r->view.number)
        kc_abandon(&c->coder, r->view.number);
    record_free(r);
    c->record[id] = NULL;
    if (codec && !is_frame)
        collection_drop_user(c, codec);
    else if (codec && kc_base_is_used(&c->coder.bases, codec)) {
        CHECK(kc_base_of(&c->coder.bases, codec)->users > 0);
        kc_base_of(&c->coder.bases, codec)->users--;
        collection_free_base(c, codec);
    }
}

/* Removes an object. Its record stays in limbo as long as it is needed. */
static void collection_remove(collection *c, size_t id)
{
    c->record[id]->view.word |= KR_LIMBO;
    collection_settle(c, id);
}

/* Ends the hold of a record. */
static void collection_release(collection *c, size_t id)
{
    c->record[id]->is_held = 0;
    collection_settle(c, id);
}

/* Returns the id of a random record whose object is in the collection; `count` if none is found nearby. */
static size_t collection_pick(const collection *c)
{
    for (int i = 0; i < 32 && c->count; i++) {
        size_t id = below(c->count);
        if (c->record[id] && !record_is_in_limbo(c->record[id]))
            return id;
    }
    return c->count;
}

/* Encodes all objects of the dump. */
static void collection_fill(collection *c)
{
    for (size_t i = 0; i < c->sources; i++) {
        kc_encoded made;
        record *r = record_new(c, &c->source[i], (kc_object){.may_be_template = 1}, &made);
        CHECK(r);
        record_check_new(c, r, &made);
        collection_add(c, r, &made);
        record_check(c, r);
    }
}

/* Frees all at once, as at the end of a collection that still has objects. */
static void collection_drop(collection *c)
{
    kc_coder_free(&c->coder);
    for (size_t id = 0; id < c->count; id++)
        if (c->record[id])
            record_free(c->record[id]);
    free(c->record);
    c->record = NULL;
    c->count = c->capacity = 0;
}

/* Removes all objects, and checks that no template, base or literal table remains. */
static void collection_clear(collection *c)
{
    for (size_t id = 0; id < c->count; id++)
        if (c->record[id] && c->record[id]->is_held)
            collection_release(c, id);
    for (size_t id = 0; id < c->count; id++)
        if (c->record[id] && !record_is_in_limbo(c->record[id]))
            collection_remove(c, id);
    for (size_t id = 0; id < c->count; id++)
        CHECK(!c->record[id]);
    CHECK(c->coder.templates.used == 0 && c->coder.templates.list_bytes == 0);
    CHECK(!c->coder.templates.literals || c->coder.templates.literals->users == 1);
    for (uint32_t number = 1; number <= c->coder.bases.count; number++)
        CHECK(!kc_base_is_used(&c->coder.bases, number)
              || (number == c->coder.bases.current && !kc_base_of(&c->coder.bases, number)->count));
    collection_drop(c);
}

/* Checks the bases, and counts them as users of their members. `frames`: the records compressed after each, members
 * included. */
static void bases_check(const collection *c, const uint32_t *frames, uint32_t *users)
{
    const kc_bases *bases = &c->coder.bases;
    CHECK(bases->count <= KC_MAX_BASES && (!bases->current || kc_base_is_used(bases, bases->current)));
    for (uint32_t number = 1; number <= bases->count; number++) {
        const kc_base *b = kc_base_of(bases, number);
        if (!b->is_used) {
            CHECK(!frames[number]);
            continue;
        }
        CHECK(b->count <= KC_BASE_OBJECTS && kc_base_size(b) <= KC_BASE_BYTES);
        CHECK(b->users + b->count == frames[number] && (b->is_full || (!b->users && number == bases->current)));
        CHECK(base_is_needed(c, b) || (number == bases->current && !b->count));
        for (int i = 0; i < b->count; i++) {
            CHECK(kc_number_is_used(&c->coder.templates, b->member[i]));
            const record *r = c->record[kc_entry_of(&c->coder.templates, b->member[i])->record];
            CHECK(base_of_member(c, r) == number && kc_base_position(b, b->member[i]) == i);
            CHECK(b->end[i] > (i ? b->end[i - 1] : 0) && b->end[i] - (i ? b->end[i - 1] : 0) <= KC_MAX_MEMBER);
            users[b->member[i]]++;
        }
    }
}

/* Checks the counts of users, and those of the cache. */
static void collection_check(const collection *c)
{
    uint32_t *users = (uint32_t *)calloc(c->coder.templates.count + 1, sizeof *users), used = 0;
    uint32_t frames[KC_MAX_BASES + 1] = {0};
    for (size_t id = 0; id < c->count; id++) {
        const record *r = c->record[id];
        if (!r)
            continue;
        (r->view.form & KR_FRAME ? frames : users)[r->view.codec]++;
        used += r->view.number > 0;
        CHECK(!record_is_in_limbo(r) || record_is_needed(c, r));
    }
    CHECK(used == c->coder.templates.used);
    bases_check(c, frames, users);
    for (uint32_t number = 1; number <= c->coder.templates.count; number++)
        if (kc_number_is_used(&c->coder.templates, number)) {
            const kc_entry *e = kc_entry_of(&c->coder.templates, number);
            const record *r = c->record[e->record];
            CHECK(r->view.number == number && e->users == users[number] && e->depth < KC_MAX_DEPTH);
            if (r->view.codec && !(r->view.form & KR_FRAME))
                CHECK(kc_entry_of(&c->coder.templates, r->view.codec)->depth < e->depth);
            CHECK(e->literals->users > 0 && e->literals->count <= KC_MAX_LITERALS);
        }
    free(users);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < process.cache.count; i++) {
        const kc_template *t = process.cache.at[i];
        CHECK(!t->pins && t->counted == t->size);
        CHECK(kc_entry_of((const kc_templates *)t->owner, t->number)->built == t);
        bytes += t->size;
    }
    CHECK(bytes == process.cache.bytes && bytes <= KC_CACHE_BYTES + 4 * (KC_MAX_TEMPLATE * 8u));
}

/* ---- dumps ---- */

/* Reads the objects of a file: five numbers of 4 bytes, the lengths of what follows: the four parts of the identity,
 * and the object. */
static void collection_load(collection *c, const char *path)
{
    FILE *file = fopen(path, "rb");
    uint32_t len[5];
    size_t capacity = 0;
    memset(c, 0, sizeof *c);
    if (!file)
        fail("%s: cannot be read", path);
    while (fread(len, sizeof *len, 5, file) == 5) {
        object x = {.raw = (kr_byte *)malloc(len[4]), .size = len[4]};
        int done = 1;
        for (int i = 0; i < 4; i++) {
            kr_byte *at = len[i] ? (kr_byte *)malloc(len[i]) : NULL;
            done = done && fread(at ? at : (kr_byte *)"", 1, len[i], file) == len[i];
            x.identity[i] = (kr_text){at, len[i]};
        }
        if (!done || fread(x.raw, 1, x.size, file) != x.size)
            fail("%s: ends in the middle of an object", path);
        if (c->sources == capacity) {
            capacity = 2 * capacity + 64;
            c->source = (object *)realloc(c->source, capacity * sizeof *c->source);
        }
        c->source[c->sources++] = x;
    }
    fclose(file);
    if (!c->sources)
        fail("%s: has no objects", path);
    collection_init(c);
}

static void collection_unload(collection *c)
{
    for (size_t i = 0; i < c->sources; i++)
        object_free(&c->source[i]);
    free(c->source);
}

#endif
