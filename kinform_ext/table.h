/* A table: records, ids, keys, namespaces and streams as one whole. Each function here leaves it consistent.
 *
 * A record has one id, lies at one location of the slabs, and belongs to one partition. The key map has the ids of all
 * records but those in limbo: at most one plain and one staged record for each key of a stream. A record in limbo was
 * removed from the collection, but is still needed: an iterator has it pinned, a change holds it, or other records are
 * coded against it. It is freed with its last such need.
 *
 * Over 500 lines, as each way to add, keep and remove a record changes the same counts.
 */
#ifndef KINFORM_TABLE_H
#define KINFORM_TABLE_H

#include "coder/coder.h"
#include "index/values.h"
#include "records/holds.h"
#include "records/ids.h"
#include "records/keymap.h"
#include "records/namespaces.h"
#include "records/slabs.h"
#include "stream.h"

/* The ids that an iterator has not passed yet. */
typedef struct kt_pin {
    uint64_t *bits;       /* a bit for each id, and then a bit for each that was removed since; malloc'd */
    uint32_t words;       /* half of the entries of `bits` */
    uint32_t removed;     /* ids that were removed since */
    struct kt_pin *next;  /* next pin of the table */
    struct kt_pin **link; /* the pointer to this pin; NULL: released */
} kt_pin;

typedef struct {
    uint64_t names; /* bytes of the names */
    uint64_t blobs; /* bytes of the encoded JSON */
    uint64_t raws;  /* bytes of the whole JSON */
} kt_totals;

typedef struct {
    kr_slabs slabs;           /* the records */
    kr_ids ids;               /* from ids to locations in the slabs */
    kr_keymap keys;           /* from a key (partition and name) to ids */
    kr_namespaces namespaces; /* the namespaces and partitions of the records */
    kt_stream *stream;        /* by number; malloc'd */
    uint32_t streams;         /* entries of `stream` */
    kc_coder coder;           /* the templates, which are records of this table */
    kr_holds holds;           /* records that changes hold */
    kx_indexes *indexes;      /* owned by the caller; NULL: none */
    kt_pin *pins;             /* of all iterators */
    kt_totals totals;         /* of all records but those in limbo */
    uint64_t visible;         /* records that readers see */
    uint64_t stale;           /* of those, stale ones */
    uint64_t records;         /* all records but those in limbo */
    uint64_t limbo;           /* records in limbo */
    uint64_t limbo_bytes;     /* bytes of the slabs that they take */
    uint64_t hidden;          /* of the records in limbo, templates with users */
    uint64_t hidden_bytes;    /* bytes of the slabs that these take */
} kt_table;

static kr_view kt_source(const void *context, uint32_t id, kr_text *namespace);

static int kt_init(kt_table *t, kc_process *process, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    kr_slabs_init(&t->slabs);
    t->coder.process = process;
    t->coder.source = kt_source;
    t->coder.context = t;
    return kr_namespaces_init(&t->namespaces, seed) && kr_keymap_init(&t->keys);
}

static void kt_free(kt_table *t)
{
    kc_coder_free(&t->coder);
    kr_slabs_free(&t->slabs);
    kr_ids_free(&t->ids);
    kr_keymap_free(&t->keys);
    kr_namespaces_free(&t->namespaces);
    kr_holds_free(&t->holds);
    free(t->stream);
    t->stream = NULL;
}

static inline kr_byte *kt_record(const kt_table *t, uint32_t id)
{
    return kr_slab_address(&t->slabs, kr_id_location(&t->ids, id));
}

/* Returns the record of a template; see kc_source. */
static kr_view kt_source(const void *context, uint32_t id, kr_text *namespace)
{
    const kt_table *t = (const kt_table *)context;
    kr_view v;
    kr_read(kt_record(t, id), &v);
    *namespace = kr_partition_namespace(&t->namespaces, v.partition);
    return v;
}

static inline kt_stream *kt_stream_of(const kt_table *t, uint32_t partition)
{
    return &t->stream[t->namespaces.partition[partition].stream];
}

/* Makes a stream of this number exist; 0 if there is no memory. */
static int kt_stream_reserve(kt_table *t, uint32_t number)
{
    if (number < t->streams)
        return 1;
    uint32_t count = number + number / 4 + 1;
    kt_stream *grown = (kt_stream *)realloc(t->stream, count * sizeof *grown);
    if (!grown)
        return 0;
    t->stream = grown;
    for (; t->streams < count; t->streams++) {
        memset(&grown[t->streams], 0, sizeof *grown);
        grown[t->streams].stale_bit = KR_STALE0;
        grown[t->streams].next_stale_bit = KR_STALE1;
    }
    return 1;
}

/* ---- finding ---- */

static inline uint64_t kt_key_hash(const kr_namespaces *p, uint32_t partition, const kr_text *name)
{
    return kr_hash(name->at, name->len, p->partition[partition].seed);
}

static uint64_t kt_record_hash(const void *context, uint32_t id)
{
    const kt_table *t = (const kt_table *)context;
    uint32_t partition;
    kr_text name = kr_name(kt_record(t, id), &partition);
    return kt_key_hash(&t->namespaces, partition, &name);
}

/* The records of one key in one stream. */
typedef struct {
    uint32_t plain, staged; /* ids, or KR_NONE */
} kt_found;

/* Returns the records of a key. */
static kt_found kt_find(const kt_table *t, uint32_t partition, const kr_text *name, uint64_t hash)
{
    const kr_keymap_page *page = kr_keymap_page_of(&t->keys, hash);
    unsigned bucket = kr_keymap_bucket(hash), i = bucket ? page->ends[bucket - 1] : 0;
    uint32_t tag = kr_keymap_entry(hash, 0);
    kt_found found = {KR_NONE, KR_NONE};
    for (; i < page->ends[bucket]; i++) {
        if ((page->entry[i] ^ tag) & ~KR_ID_MASK)
            continue;
        uint32_t id = page->entry[i] & KR_ID_MASK, its_partition;
        const kr_byte *record = kt_record(t, id);
        kr_text its_name = kr_name(record, &its_partition);
        if (its_partition != partition || its_name.len != name->len || memcmp(its_name.at, name->at, name->len))
            continue;
        if (kr_word(record) & KR_STAGED)
            found.staged = id;
        else
            found.plain = id;
    }
    return found;
}

/* Returns the records that have the key of this one. */
static kt_found kt_find_same_key(const kt_table *t, uint32_t id)
{
    uint32_t partition;
    kr_text name = kr_name(kt_record(t, id), &partition);
    return kt_find(t, partition, &name, kt_key_hash(&t->namespaces, partition, &name));
}

/* Returns the id that readers see under a key, of any stream, or KR_NONE. */
static uint32_t kt_find_visible(const kt_table *t, const kr_text *namespace, const kr_text *name)
{
    uint32_t i = kr_namespace_find(&t->namespaces, namespace, kr_namespace_hash(&t->namespaces, namespace));
    if (i == KR_NONE)
        return i;
    for (i = t->namespaces.namespace[i].first; i != KR_NONE; i = t->namespaces.partition[i].next) {
        kt_found found = kt_find(t, i, name, kt_key_hash(&t->namespaces, i, name));
        const kt_stream *s = kt_stream_of(t, i);
        if (found.staged != KR_NONE && kt_is_visible(s, kr_word(kt_record(t, found.staged))))
            return found.staged;
        if (found.plain != KR_NONE && kt_is_visible(s, kr_word(kt_record(t, found.plain))))
            return found.plain;
    }
    return KR_NONE;
}

/* ---- adding and removing ---- */

/* Adds the sizes of a record to the totals, or subtracts them. */
static inline void kt_count_bytes(kt_totals *totals, const kr_view *v, int sign)
{
    totals->names += (uint64_t)(sign * (int64_t)v->name.len);
    totals->blobs += (uint64_t)(sign * (int64_t)v->blob.len);
    totals->raws += (uint64_t)(sign * (int64_t)v->raw_len);
}

/* Room for a record. */
typedef struct {
    uint32_t id;   /* free, its slot mapped */
    uint32_t slab; /* has room for the record */
} kt_reservation;

/* Reserves all that kt_add needs, which must follow at once; 0 if there is no memory. */
static int kt_reserve(kt_table *t, const kr_new *n, uint64_t hash, kt_reservation *room)
{
    if (!kr_keymap_reserve(&t->keys, hash, kt_record_hash, t))
        return 0;
    room->id = kr_id_reserve(&t->ids);
    if (room->id == KR_NONE)
        return 0;
    room->slab = kr_slab_reserve(&t->slabs, kr_size(n));
    return room->slab != KR_NO_SLAB;
}

/* Counts a hidden template; `sign` -1: counts it no longer. */
static inline void kt_count_hidden(kt_table *t, const kr_view *v, int sign)
{
    t->hidden += (uint64_t)(int64_t)sign;
    t->hidden_bytes += (uint64_t)(sign * (int64_t)v->size);
}

static inline void kt_add_user(kt_table *t, kc_entry *e)
{
    kr_view v;
    if (e->users++)
        return;
    kr_read(kt_record(t, e->record), &v);
    if (v.word & KR_LIMBO)
        kt_count_hidden(t, &v, 1);
}

/* Writes a record to the slabs, which no key leads to yet. */
static void kt_place(kt_table *t, const kr_new *n, const kt_reservation *room, uint32_t state)
{
    uint64_t location = kr_slab_take(&t->slabs, room->slab, kr_size(n));
    kr_write(kr_slab_address(&t->slabs, location), n, room->id | state);
    kr_id_take(&t->ids, room->id, location);
    if (n->codec && n->form & KR_FRAME)
        kc_base_of(&t->coder.bases, n->codec)->users++;
    else if (n->codec)
        kt_add_user(t, kc_entry_of(&t->coder.templates, n->codec));
    t->namespaces.partition[n->partition].refcount++;
}

/* Adds a record. `state`: its state bits. */
static void kt_add(kt_table *t, const kr_new *n, uint64_t hash, const kt_reservation *room, uint32_t state)
{
    kt_stream *s = kt_stream_of(t, n->partition);
    kt_place(t, n, room, state);
    kr_keymap_add(&t->keys, hash, room->id);
    t->totals.names += n->name.len;
    t->totals.blobs += n->blob.len;
    t->totals.raws += n->raw_len;
    t->records++;
    if (state & KR_STAGED)
        s->staged++;
    else {
        s->plain++;
        s->marked += s->phase == KT_SWEEPING;
        s->stale += (state & s->stale_bit) != 0;
        t->stale += (state & s->stale_bit) != 0;
        t->visible++;
    }
}

/* Adds a record that is not in the collection, and that the caller holds. */
static void kt_add_to_limbo(kt_table *t, const kr_new *n, const kt_reservation *room)
{
    kt_place(t, n, room, KR_LIMBO);
    t->limbo++;
    t->limbo_bytes += kr_size(n);
}

static int kt_is_pinned(const kt_table *t, uint32_t id)
{
    for (const kt_pin *pin = t->pins; pin; pin = pin->next)
        if (id / 64 < pin->words && pin->bits[id / 64] >> (id % 64) & 1)
            return 1;
    return 0;
}

/* Records in each pin of a record that no key leads to it any more. */
static void kt_mark_removed(kt_table *t, uint32_t id)
{
    for (kt_pin *pin = t->pins; pin; pin = pin->next)
        if (id / 64 < pin->words && pin->bits[id / 64] >> (id % 64) & 1) {
            pin->bits[pin->words + id / 64] |= (uint64_t)1 << (id % 64);
            pin->removed++;
        }
}

static inline int kt_is_used_template(const kt_table *t, const kr_view *v)
{
    return v->number && kc_entry_of(&t->coder.templates, v->number)->users;
}

/* Returns whether a record must stay although it is not in the collection. */
static inline int kt_is_needed(const kt_table *t, uint32_t id, const kr_view *v)
{
    return kt_is_used_template(t, v) || kr_is_held(&t->holds, id) || kt_is_pinned(t, id);
}

/* ---- templates and bases ---- */

static void kt_free_record(kt_table *t, uint32_t id);
static void kt_free_base_if_unneeded(kt_table *t, uint32_t number);

/* Returns the base that a record is a member of, or 0. */
static inline uint32_t kt_base_of_member(const kt_table *t, const kr_view *v)
{
    if (!v->number || !(v->form & KR_FRAME) || !kc_base_is_used(&t->coder.bases, v->codec))
        return 0;
    return kc_base_position(kc_base_of(&t->coder.bases, v->codec), v->number) >= 0 ? v->codec : 0;
}

/* Returns whether a member is needed by anything but its base. */
static inline int kt_is_needed_member(const kt_table *t, uint32_t number)
{
    const kc_entry *e = kc_entry_of(&t->coder.templates, number);
    return !(kr_word(kt_record(t, e->record)) & KR_LIMBO) || e->users > 1 || kr_is_held(&t->holds, e->record)
        || kt_is_pinned(t, e->record);
}

/* Ends one use of a template: frees its record if it is in limbo, and nothing else needs it. */
static void kt_drop_user(kt_table *t, uint32_t number)
{
    kc_entry *e = kc_entry_of(&t->coder.templates, number);
    uint32_t id = e->record;
    kr_view v;
    e->users--;
    kr_read(kt_record(t, id), &v);
    if (!(v.word & KR_LIMBO))
        return;
    if (e->users) {
        kt_free_base_if_unneeded(t, kt_base_of_member(t, &v));
        return;
    }
    kt_count_hidden(t, &v, -1);
    if (!kt_is_needed(t, id, &v))
        kt_free_record(t, id);
}

/* Ends a base that only its members need; ignores number 0. */
static void kt_free_base_if_unneeded(kt_table *t, uint32_t number)
{
    if (!kc_base_is_used(&t->coder.bases, number))
        return;
    kc_base base = *kc_base_of(&t->coder.bases, number);
    if (base.users)
        return;
    for (int i = 0; i < base.count; i++)
        if (kt_is_needed_member(t, base.member[i]))
            return;
    kc_base_end(&t->coder, number);
    for (int i = base.count; i-- > 0;)
        kt_drop_user(t, base.member[i]);
}

/* Frees a record to which no key leads, then each template in limbo and each base that only this record needed. */
static void kt_free_record(kt_table *t, uint32_t id)
{
    uint64_t location = kr_id_location(&t->ids, id);
    kr_view v;
    kr_read(kr_slab_address(&t->slabs, location), &v);
    const uint32_t codec = v.codec;
    const int is_frame = v.form & KR_FRAME;
    if (v.word & KR_LIMBO) {
        t->limbo--;
        t->limbo_bytes -= v.size;
    }
    if (v.number)
        kc_abandon(&t->coder, v.number);
    kr_partition_release(&t->namespaces, v.partition);
    kr_slab_release(&t->slabs, location, v.size);
    kr_id_release(&t->ids, id);
    if (!codec)
        return;
    if (!is_frame) {
        kt_drop_user(t, codec);
    } else if (kc_base_is_used(&t->coder.bases, codec)) {
        kc_base_of(&t->coder.bases, codec)->users--;
        kt_free_base_if_unneeded(t, codec);
    }
}

/* Frees a record in limbo that is not needed any more, or the base whose member it is; ignores other records. */
static void kt_free_if_unneeded(kt_table *t, uint32_t id)
{
    kr_view v;
    if (!(kr_word(kt_record(t, id)) & KR_LIMBO))
        return;
    kr_read(kt_record(t, id), &v);
    if (!kt_is_needed(t, id, &v))
        kt_free_record(t, id);
    else
        kt_free_base_if_unneeded(t, kt_base_of_member(t, &v));
}

/* Ends a hold of a record. */
static void kt_release(kt_table *t, uint32_t id)
{
    if (kr_hold_release(&t->holds, id))
        kt_free_if_unneeded(t, id);
}

/* Removes a record from the collection: frees it, or puts it in limbo if it is needed. */
static void kt_remove(kt_table *t, uint32_t id)
{
    kr_byte *record = kt_record(t, id);
    kr_view v;
    kr_read(record, &v);
    kt_stream *s = kt_stream_of(t, v.partition);
    if (kt_is_visible(s, v.word))
        t->visible--;
    if (kt_is_stale(s, v.word)) {
        t->stale--;
        s->stale--;
    }
    if (s->phase == KT_RELISTING && (v.word & s->next_stale_bit))
        s->next_stale--;
    if (v.word & KR_STAGED)
        s->staged--;
    else {
        s->plain--;
        s->marked -= s->phase == KT_RELISTING ? (v.word & KR_MARK) != s->epoch
                   : s->phase == KT_SWEEPING ? (v.word & KR_MARK) == s->epoch
                                             : 0;
        s->shadowed -= (v.word & KR_SHADOWED) != 0;
    }
    kr_keymap_remove(&t->keys, kt_key_hash(&t->namespaces, v.partition, &v.name), id);
    kt_count_bytes(&t->totals, &v, -1);
    if (t->indexes)
        kx_release(t->indexes, id);
    t->records--;
    kt_mark_removed(t, id);
    if (!kt_is_needed(t, id, &v)) {
        kt_free_record(t, id);
        return;
    }
    kt_flip(record, KR_LIMBO);
    t->limbo++;
    t->limbo_bytes += v.size;
    if (kt_is_used_template(t, &v)) {
        kt_count_hidden(t, &v, 1);
        kt_free_base_if_unneeded(t, kt_base_of_member(t, &v));
    }
}

/* ---- relists ---- */

/* Makes the new state of a stream visible. `keep`: records that it lacks stay, as stale. */
static void kt_commit(kt_table *t, kt_stream *s, int keep)
{
    uint32_t old = s->plain, missing = s->plain - s->marked - s->shadowed, was = s->stale_bit;
    t->visible += s->staged + s->marked + (keep ? missing : 0);
    t->visible -= old;
    t->stale += s->next_stale + (keep ? missing : 0);
    t->stale -= s->stale;
    s->uncleared = s->stale;
    s->stale = s->next_stale + (keep ? missing : 0);
    s->next_stale = 0;
    s->stale_bit = s->next_stale_bit;
    s->next_stale_bit = was;
    s->epoch ^= KR_MARK;
    s->keep_missing = (uint8_t)keep;
    s->phase = KT_SWEEPING;
    s->cursor = 0;
}

/* Undoes what a relist has staged and marked. */
static void kt_abort(kt_table *t, uint32_t number)
{
    kt_stream *s = &t->stream[number];
    uint32_t left = s->plain + s->staged;
    if (!s->staged && !s->marked && !s->shadowed)
        left = 0;
    for (uint32_t id = 0; left && (id = kr_id_next_used(&t->ids, id)) != KR_NONE; id++) {
        kr_byte *record = kt_record(t, id);
        uint32_t partition, word = kr_word(record);
        if (word & KR_LIMBO || (kr_name(record, &partition), t->namespaces.partition[partition].stream != number))
            continue;
        left--;
        if (word & KR_STAGED)
            kt_remove(t, id);
        else {
            kt_unmark(s, record);
            kt_set_shadowed(s, record, 0);
        }
    }
    s->phase = KT_IDLE;
}

/* Makes a staged record a plain one. The caller has removed the plain one of its key. */
static void kt_promote(kt_table *t, uint32_t id)
{
    kr_byte *record = kt_record(t, id);
    uint32_t partition;
    kr_name(record, &partition);
    kt_stream *s = kt_stream_of(t, partition);
    kr_set_word(record, (kr_word(record) & ~(KR_STAGED | KR_MARK)) | s->epoch);
    s->staged--;
    s->plain++;
    s->marked++;
}

/* Hides all records of a stream; the caller removes them one by one. */
static void kt_start_drop(kt_table *t, kt_stream *s)
{
    t->visible -= s->plain;
    t->stale -= s->stale;
    s->stale = 0;
    s->phase = KT_DROPPING;
    s->cursor = 0;
}

/* ---- compaction ---- */

/* Moves live records out of sparse slabs until at most `allowed` bytes are dead, `budget` bytes are copied, or no slab
 * is worth it. Returns 1 if there is more to do. */
static int kt_compact(kt_table *t, uint64_t allowed, size_t budget)
{
    kr_slabs *s = &t->slabs;
    while (s->dead > allowed) {
        if (s->victim == KR_NO_SLAB) {
            s->victim = kr_slab_sparsest(s);
            s->cursor = 0;
            if (s->victim == KR_NO_SLAB)
                return 0;
            if (s->victim == s->open)
                s->open = KR_NO_SLAB;
        }
        kr_slab *slab = &s->slab[s->victim];
        uint64_t location = (uint64_t)s->victim << KR_OFFSET_BITS | s->cursor;
        kr_view v;
        if (s->cursor >= slab->used) { /* unreachable: a slab is unmapped with its last live record */
            s->victim = KR_NO_SLAB;
            return 0;
        }
        const kr_byte *record = slab->base + s->cursor;
        kr_read(record, &v);
        s->cursor += (uint32_t)v.size;
        uint32_t id = v.word & KR_ID_MASK;
        if (!kr_id_is_used(&t->ids, id) || kr_id_location(&t->ids, id) != location)
            continue;
        if (budget < v.size)
            budget = 0;
        uint32_t to = kr_slab_reserve(s, v.size);
        if (to == KR_NO_SLAB)
            return 0; /* no memory: the slab stays sparse */
        uint64_t target = kr_slab_take(s, to, v.size);
        memcpy(kr_slab_address(s, target), kr_slab_address(s, location), v.size);
        kr_id_set_location(&t->ids, id, target);
        kr_slab_release(s, location, v.size);
        if (!budget)
            return 1;
        budget -= v.size;
    }
    return 0;
}

/* Returns how many dead bytes are not worth the copying after a write. */
static inline uint64_t kt_allowed_dead(const kt_table *t)
{
    return t->slabs.live / 20 + kr_slab_next_size(&t->slabs) / 2;
}

#endif
