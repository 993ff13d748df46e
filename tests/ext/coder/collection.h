/* A collection: records in an array, the coder that coded them, and the objects that they must decode to.
 *
 * It keeps the rules that the coder states for its caller: a record with users stays, although its object has gone, and
 * the number of a template is released with its record. Objects and blobs lie in blocks of exactly their size, so that
 * the sanitizer sees a read that goes too far.
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
    kr_view view;         /* what the coder sees; its blob is malloc'd */
    uint32_t number;      /* of the template that it is; 0: none */
    int is_hidden;        /* its object has gone, but the template has users */
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
    kr_byte *to = (kr_byte *)malloc(r->x.size);
    memset(to, 0xaa, r->x.size);
    int done = kc_decode(&c->coder, &r->view, &r->x.identity[0], to);
    if (done && memcmp(to, r->x.raw, r->x.size))
        fail("an object of %zu bytes, codec %u, form %d came back changed", r->x.size, r->view.codec, r->view.form);
    free(to);
    return done;
}

static void record_check(collection *c, const record *r)
{
    if (!record_decodes(c, r))
        fail("an object of %zu bytes, codec %u, form %d was refused", r->x.size, r->view.codec, r->view.form);
}

/* Encodes a copy of an object, and makes a record of it that is not in the collection yet. NULL: the coder had no
 * memory. */
static record *record_new(collection *c, const object *from, uint32_t hint, int may_be_template, kc_encoded *made)
{
    record *r = (record *)calloc(1, sizeof *r);
    r->x = object_copy(from);
    kc_object x = {.raw = r->x.raw, .size = r->x.size, .hint = hint, .may_be_template = may_be_template};
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

/* Adds a record. If it can be a template, makes it one. */
static void collection_add(collection *c, record *r, const kc_encoded *made)
{
    size_t id = 0;
    while (id < c->count && c->record[id])
        id++;
    if (id == c->capacity) {
        c->capacity = 2 * c->capacity + 16;
        c->record = (record **)realloc(c->record, c->capacity * sizeof *c->record);
    }
    if (id == c->count)
        c->count++;
    c->record[id] = r;
    if (r->view.codec)
        kc_entry_of(&c->coder.templates, r->view.codec)->users++;
    uint32_t number = made->is_template ? kc_adopt_reserve(&c->coder) : 0;
    if (number) {
        kc_object x = {.raw = r->x.raw, .size = r->x.size};
        memcpy(x.identity, r->x.identity, sizeof x.identity);
        kc_adopt(&c->coder, number, (uint32_t)id, &x, made);
        r->number = number;
    }
}

/* Frees a record that has no users, then those that only it used. */
static void collection_settle(collection *c, size_t id)
{
    record *r = c->record[id];
    uint32_t codec = r->view.codec;
    if (r->number) {
        kc_entry *e = kc_entry_of(&c->coder.templates, r->number);
        if (e->users)
            return;
        kc_abandon(&c->coder, r->number);
    }
    record_free(r);
    c->record[id] = NULL;
    if (!codec)
        return;
    kc_entry *e = kc_entry_of(&c->coder.templates, codec);
    CHECK(e->users > 0);
    if (!--e->users && c->record[e->record]->is_hidden)
        collection_settle(c, e->record);
}

/* Removes an object. Its record stays hidden as long as it has users. */
static void collection_remove(collection *c, size_t id)
{
    c->record[id]->is_hidden = 1;
    collection_settle(c, id);
}

/* Returns the id of a random record whose object is in the collection; `count` if none is found nearby. */
static size_t collection_pick(const collection *c)
{
    for (int i = 0; i < 32 && c->count; i++) {
        size_t id = below(c->count);
        if (c->record[id] && !c->record[id]->is_hidden)
            return id;
    }
    return c->count;
}

/* Encodes all objects of the dump. */
static void collection_fill(collection *c)
{
    for (size_t i = 0; i < c->sources; i++) {
        kc_encoded made;
        record *r = record_new(c, &c->source[i], 0, 1, &made);
        CHECK(r);
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

/* Removes all objects, and checks that no template or literal table remains. */
static void collection_clear(collection *c)
{
    for (size_t id = 0; id < c->count; id++)
        if (c->record[id] && !c->record[id]->is_hidden)
            collection_remove(c, id);
    for (size_t id = 0; id < c->count; id++)
        CHECK(!c->record[id]);
    CHECK(c->coder.templates.used == 0 && c->coder.templates.list_bytes == 0);
    CHECK(!c->coder.templates.literals || c->coder.templates.literals->users == 1);
    collection_drop(c);
}

/* Checks the counts of users, and those of the cache. */
static void collection_check(const collection *c)
{
    uint32_t *users = (uint32_t *)calloc(c->coder.templates.count + 1, sizeof *users), used = 0;
    for (size_t id = 0; id < c->count; id++)
        if (c->record[id]) {
            users[c->record[id]->view.codec]++;
            used += c->record[id]->number > 0;
        }
    CHECK(used == c->coder.templates.used);
    for (uint32_t number = 1; number <= c->coder.templates.count; number++)
        if (kc_number_is_used(&c->coder.templates, number)) {
            const kc_entry *e = kc_entry_of(&c->coder.templates, number);
            const record *r = c->record[e->record];
            CHECK(r->number == number && e->users == users[number] && e->depth <= KC_MAX_DEPTH);
            CHECK(!r->view.codec || kc_entry_of(&c->coder.templates, r->view.codec)->depth < e->depth);
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
