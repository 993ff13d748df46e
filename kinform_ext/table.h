/* Records, ids, keys and streams as one whole, in C terms: every function here leaves it consistent.
 *
 * A stream is calm, or a new state of it comes in (BEGUN), or that state is what readers see and the old one is being
 * swept (SWEEPING), or it is being let go (DROPPING). What a record's state bits mean turns with each commit:
 *
 *                   plain record                                     staged record
 *     CALM          seen                                             -
 *     BEGUN         seen; mark != turn: in the new state too         not seen
 *     SWEEPING      seen if mark == turn (or if missing ones stay)   seen
 *     DROPPING      not seen                                         -
 *
 * Likewise one of the two stale bits says what is stale now, the other what will be after the commit.
 */
#ifndef KINFORM_TABLE_H
#define KINFORM_TABLE_H

#include "records/ids.h"
#include "records/keymap.h"
#include "records/namespaces.h"
#include "records/refcounts.h"
#include "index/values.h"

enum { KT_IDLE, KT_RELISTING, KT_SWEEPING, KT_DROPPING };

typedef struct {
    uint8_t phase, keep; /* keep: what is missing in the new state stays */
    uint32_t turn;       /* 0 or KR_MARK */
    uint32_t now, later; /* the stale bits */
    uint32_t plain, staged, marked, shadowed, stale, staler, unclean; /* counts (below) */
    uint32_t cursor;
} kt_stream;

/* marked: plain records that are in the new state too, or in a sweep whose part in it is over. staler: records with the
 * bit `later`, when BEGUN; unclean: those at the commit with the bit that was `now`, which the sweep must clear. */

/* The ids that an iterator has not passed yet. */
typedef struct kt_pin {
    uint64_t *bits;
    uint32_t words;
    struct kt_pin *next, **link;
} kt_pin;

typedef struct {
    uint64_t names, blobs, raws;
} kt_totals;

typedef struct {
    kr_slabs slabs;
    kr_ids ids;
    kr_keymap keys;
    kr_namespaces places;
    kt_stream *stream;
    uint32_t streams;
    kr_refcounts *users;
    kx_indexes *indexes; /* NULL: none */
    kt_pin *pins;
    kt_totals sums; /* of all records but those in limbo */
    uint64_t seen, stale, records, limbo, limbo_bytes;
    uint64_t changes; /* goes up with each change that could outdate what a caller found */
} kt_table;

static int kt_init(kt_table *t, kr_refcounts *users, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    kr_slabs_init(&t->slabs);
    t->users = users;
    return kr_namespaces_init(&t->places, seed) && kr_keymap_init(&t->keys);
}

static void kt_free(kt_table *t)
{
    kr_slabs_free(&t->slabs);
    kr_ids_free(&t->ids);
    kr_keymap_free(&t->keys);
    kr_namespaces_free(&t->places);
    free(t->stream);
    t->stream = NULL;
}

static inline kr_byte *kt_record(const kt_table *t, uint32_t id)
{
    return kr_slab_address(&t->slabs, kr_id_location(&t->ids, id));
}

static inline kt_stream *kt_stream_of(const kt_table *t, uint32_t place)
{
    return &t->stream[t->places.place[place].stream];
}

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
        grown[t->streams].now = KR_STALE0;
        grown[t->streams].later = KR_STALE1;
    }
    return 1;
}

/* ---- what is seen ---- */

static inline int kt_is_visible(const kt_stream *s, uint32_t word)
{
    if (word & KR_LIMBO || s->phase == KT_DROPPING)
        return 0;
    if (s->phase != KT_SWEEPING)
        return !(word & KR_STAGED);
    return (word & KR_STAGED) || (word & KR_MARK) == s->turn || (s->keep && !(word & KR_SHADOWED));
}

/* During a sweep: whether the record's part in it is still to come. */
static inline int kt_is_unswept(const kt_stream *s, uint32_t word)
{
    return (word & KR_STAGED) || (word & KR_MARK) != s->turn;
}

static inline int kt_is_stale(const kt_stream *s, uint32_t word)
{
    if (!kt_is_visible(s, word))
        return 0;
    return (word & s->now) || (s->phase == KT_SWEEPING && !(word & KR_STAGED) && (word & KR_MARK) != s->turn);
}

/* ---- finding ---- */

static inline uint64_t kt_key_hash(const kr_namespaces *p, uint32_t place, const kr_text *name)
{
    return kr_hash(name->at, name->len, p->place[place].hash);
}

static uint64_t kt_record_hash(const void *of, uint32_t id)
{
    const kt_table *t = (const kt_table *)of;
    uint32_t place;
    kr_text name = kr_name(kt_record(t, id), &place);
    return kt_key_hash(&t->places, place, &name);
}

typedef struct {
    uint32_t plain, staged; /* ids, or KR_NONE */
} kt_found;

static kt_found kt_find(const kt_table *t, uint32_t place, const kr_text *name, uint64_t hash)
{
    const kr_keymap_page *page = kr_keymap_page_of(&t->keys, hash);
    unsigned of = kr_keymap_bucket(hash), i = of ? page->ends[of - 1] : 0;
    uint32_t tag = kr_keymap_entry(hash, 0);
    kt_found found = {KR_NONE, KR_NONE};
    for (; i < page->ends[of]; i++) {
        if ((page->entry[i] ^ tag) & ~KR_ID_MASK)
            continue;
        uint32_t id = page->entry[i] & KR_ID_MASK, its;
        const kr_byte *record = kt_record(t, id);
        kr_text held = kr_name(record, &its);
        if (its != place || held.len != name->len || memcmp(held.at, name->at, name->len))
            continue;
        if (kr_word(record) & KR_STAGED)
            found.staged = id;
        else
            found.plain = id;
    }
    return found;
}

static kt_found kt_find_same_key(const kt_table *t, uint32_t id)
{
    uint32_t place;
    kr_text name = kr_name(kt_record(t, id), &place);
    return kt_find(t, place, &name, kt_key_hash(&t->places, place, &name));
}

/* The record that readers see under a key, whatever its stream; KR_NONE: there is none. */
static uint32_t kt_find_visible(const kt_table *t, const kr_text *space, const kr_text *name)
{
    uint32_t i = kr_namespace_find(&t->places, space, kr_namespace_hash(&t->places, space));
    if (i == KR_NONE)
        return i;
    for (i = t->places.space[i].first; i != KR_NONE; i = t->places.place[i].next) {
        kt_found found = kt_find(t, i, name, kt_key_hash(&t->places, i, name));
        const kt_stream *s = kt_stream_of(t, i);
        if (found.staged != KR_NONE && kt_is_visible(s, kr_word(kt_record(t, found.staged))))
            return found.staged;
        if (found.plain != KR_NONE && kt_is_visible(s, kr_word(kt_record(t, found.plain))))
            return found.plain;
    }
    return KR_NONE;
}

/* ---- adding and letting go ---- */

static inline void kt_count_bytes(kt_totals *sums, const kr_view *v, int sign)
{
    sums->names += (uint64_t)(sign * (int64_t)v->name.len);
    sums->blobs += (uint64_t)(sign * (int64_t)v->blob.len);
    sums->raws += (uint64_t)(sign * (int64_t)v->raw_len);
}

typedef struct {
    uint32_t id, slab;
} kt_reservation;

/* What kt_add needs; 0 if there is no memory. kt_add must follow at once. */
static int kt_reserve(kt_table *t, const kr_new *n, uint64_t hash, kt_reservation *room)
{
    if (!kr_refcounts_reserve(t->users, n->codec) || !kr_keymap_reserve(&t->keys, hash, kt_record_hash, t))
        return 0;
    room->id = kr_id_reserve(&t->ids);
    if (room->id == KR_NONE)
        return 0;
    room->slab = kr_slab_reserve(&t->slabs, kr_size(n));
    return room->slab != KR_NO_SLAB;
}

static void kt_add(kt_table *t, const kr_new *n, uint64_t hash, const kt_reservation *room, uint32_t state)
{
    size_t size = kr_size(n);
    uint64_t where = kr_slab_take(&t->slabs, room->slab, size);
    kt_stream *s = kt_stream_of(t, n->place);
    kr_write(kr_slab_address(&t->slabs, where), n, room->id | state);
    kr_id_take(&t->ids, room->id, where);
    kr_keymap_add(&t->keys, hash, room->id);
    t->users->count[n->codec]++;
    t->places.place[n->place].users++;
    t->sums.names += n->name.len;
    t->sums.blobs += n->blob.len;
    t->sums.raws += n->raw_len;
    t->records++;
    t->changes++;
    if (state & KR_STAGED)
        s->staged++;
    else {
        s->plain++;
        s->marked += s->phase == KT_SWEEPING;
        s->stale += (state & s->now) != 0;
        t->stale += (state & s->now) != 0;
        t->seen++;
    }
}

static int kt_is_pinned(const kt_table *t, uint32_t id)
{
    for (const kt_pin *pin = t->pins; pin; pin = pin->next)
        if (id / 64 < pin->words && pin->bits[id / 64] >> (id % 64) & 1)
            return 1;
    return 0;
}

static void kt_free_record(kt_table *t, uint32_t id)
{
    uint64_t where = kr_id_location(&t->ids, id);
    kr_view v;
    kr_read(kr_slab_address(&t->slabs, where), &v);
    if (v.word & KR_LIMBO) {
        t->limbo--;
        t->limbo_bytes -= v.size;
    }
    t->users->count[v.codec]--;
    kr_partition_release(&t->places, v.place);
    kr_slab_release(&t->slabs, where, v.size);
    kr_id_release(&t->ids, id);
}

static inline void kt_flip(kr_byte *record, uint32_t bits)
{
    kr_set_word(record, kr_word(record) ^ bits);
}

/* The record is no longer of the collection. */
static void kt_remove(kt_table *t, uint32_t id)
{
    kr_byte *record = kt_record(t, id);
    kr_view v;
    kr_read(record, &v);
    kt_stream *s = kt_stream_of(t, v.place);
    if (kt_is_visible(s, v.word))
        t->seen--;
    if (kt_is_stale(s, v.word)) {
        t->stale--;
        s->stale--;
    }
    if (s->phase == KT_RELISTING && (v.word & s->later))
        s->staler--;
    if (v.word & KR_STAGED)
        s->staged--;
    else {
        s->plain--;
        s->marked -= s->phase == KT_RELISTING ? (v.word & KR_MARK) != s->turn
                   : s->phase == KT_SWEEPING ? (v.word & KR_MARK) == s->turn
                                             : 0;
        s->shadowed -= (v.word & KR_SHADOWED) != 0;
    }
    kr_keymap_remove(&t->keys, kt_key_hash(&t->places, v.place, &v.name), id);
    kt_count_bytes(&t->sums, &v, -1);
    if (t->indexes)
        kx_release(t->indexes, id);
    t->records--;
    t->changes++;
    if (!kt_is_pinned(t, id)) {
        kt_free_record(t, id);
        return;
    }
    kt_flip(record, KR_LIMBO);
    t->limbo++;
    t->limbo_bytes += v.size;
}

/* ---- relists ---- */

static void kt_mark(kt_stream *s, kr_byte *record)
{
    if ((kr_word(record) & KR_MARK) == s->turn) {
        kt_flip(record, KR_MARK);
        s->marked++;
    }
}

static void kt_set_stale_next(kt_stream *s, kr_byte *record, int stale)
{
    if (((kr_word(record) & s->later) != 0) != stale) {
        kt_flip(record, s->later);
        s->staler += stale ? 1 : (uint32_t)-1;
    }
}

static void kt_unmark(kt_stream *s, kr_byte *record)
{
    kt_set_stale_next(s, record, 0);
    if ((kr_word(record) & KR_MARK) != s->turn) {
        kt_flip(record, KR_MARK);
        s->marked--;
    }
}

static void kt_set_shadowed(kt_stream *s, kr_byte *record, int shadowed)
{
    if (((kr_word(record) & KR_SHADOWED) != 0) != shadowed) {
        kt_flip(record, KR_SHADOWED);
        s->shadowed += shadowed ? 1 : (uint32_t)-1;
    }
}

static void kt_commit(kt_table *t, kt_stream *s, int keep)
{
    uint32_t old = s->plain, missing = s->plain - s->marked - s->shadowed, was = s->now;
    t->seen += s->staged + s->marked + (keep ? missing : 0);
    t->seen -= old;
    t->stale += s->staler + (keep ? missing : 0);
    t->stale -= s->stale;
    s->unclean = s->stale;
    s->stale = s->staler + (keep ? missing : 0);
    s->staler = 0;
    s->now = s->later;
    s->later = was;
    s->turn ^= KR_MARK;
    s->keep = (uint8_t)keep;
    s->phase = KT_SWEEPING;
    s->cursor = 0;
    t->changes++;
}

/* What came of the state that was begun goes; the rest is as it was. */
static void kt_abort(kt_table *t, uint32_t number)
{
    kt_stream *s = &t->stream[number];
    uint32_t left = s->plain + s->staged;
    if (!s->staged && !s->marked && !s->shadowed)
        left = 0;
    for (uint32_t id = 0; left && (id = kr_id_next_used(&t->ids, id)) != KR_NONE; id++) {
        kr_byte *record = kt_record(t, id);
        uint32_t place, word = kr_word(record);
        if (word & KR_LIMBO || (kr_name(record, &place), t->places.place[place].stream != number))
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
    t->changes++;
}

/* A staged record takes its place among the plain ones. */
static void kt_promote(kt_table *t, uint32_t id)
{
    kr_byte *record = kt_record(t, id);
    uint32_t place;
    kr_name(record, &place);
    kt_stream *s = kt_stream_of(t, place);
    kr_set_word(record, (kr_word(record) & ~(KR_STAGED | KR_MARK)) | s->turn);
    s->staged--;
    s->plain++;
    s->marked++;
    t->changes++;
}

/* A record that is missing in the new state stays, and is stale. */
static void kt_keep_missing(kt_stream *s, kr_byte *record)
{
    kr_set_word(record, (kr_word(record) & ~KR_MARK) | s->turn | s->now);
    s->marked++;
}

static void kt_start_drop(kt_table *t, kt_stream *s)
{
    t->seen -= s->plain;
    t->stale -= s->stale;
    s->stale = 0;
    s->phase = KT_DROPPING;
    s->cursor = 0;
    t->changes++;
}

/* ---- iterators ---- */

static void kt_pin_release(kt_table *t, kt_pin *pin)
{
    if (!pin->link)
        return;
    *pin->link = pin->next;
    if (pin->next)
        pin->next->link = pin->link;
    pin->link = NULL;
    for (uint32_t i = 0; i < pin->words && t->limbo; i++)
        for (uint64_t bits = pin->bits[i]; bits; bits &= bits - 1) {
            uint32_t id = i * 64 + (uint32_t)__builtin_ctzll(bits);
            if (kr_word(kt_record(t, id)) & KR_LIMBO && !kt_is_pinned(t, id))
                kt_free_record(t, id);
        }
    free(pin->bits);
    pin->bits = NULL;
    pin->words = 0;
}

static inline int kt_is_selected(const kt_table *t, uint32_t id, uint32_t space)
{
    const kr_byte *record = kt_record(t, id);
    uint32_t place;
    kr_name(record, &place);
    return kt_is_visible(kt_stream_of(t, place), kr_word(record))
        && (space == KR_NONE || t->places.place[place].space == space);
}

static void kt_pin_link(kt_table *t, kt_pin *pin)
{
    pin->next = t->pins;
    pin->link = &t->pins;
    if (pin->next)
        pin->next->link = &pin->next;
    t->pins = pin;
}

/* Pins what is seen now, of one namespace unless that is KR_NONE; how many, or -1 if there is no memory. */
static int64_t kt_pin_all(kt_table *t, kt_pin *pin, uint32_t space)
{
    int64_t count = 0;
    int all = space == KR_NONE && t->seen == t->records && !t->limbo;
    pin->words = (kr_ids_end(&t->ids) + 63) / 64;
    pin->bits = (uint64_t *)calloc(pin->words + 1, 8);
    if (!pin->bits)
        return -1;
    for (uint32_t i = 0; i < pin->words; i++) {
        uint64_t bits = kr_ids_used_bits(&t->ids, i * 64), left = all ? 0 : bits;
        for (; left; left &= left - 1)
            if (!kt_is_selected(t, i * 64 + (uint32_t)__builtin_ctzll(left), space))
                bits &= ~(left & -left);
        pin->bits[i] = bits;
        count += __builtin_popcountll(bits);
    }
    kt_pin_link(t, pin);
    return count;
}

/* The same, but only of these. */
static int64_t kt_pin_ids(kt_table *t, kt_pin *pin, uint32_t space, kx_idset *of)
{
    int64_t count = 0;
    pin->words = (kr_ids_end(&t->ids) + 63) / 64;
    pin->bits = (uint64_t *)calloc(pin->words + 1, 8);
    if (!pin->bits)
        return -1;
    for (uint32_t id = 0; (id = kx_idset_next(of, id)) != KX_NONE; id++)
        if (kt_is_selected(t, id, space)) {
            pin->bits[id / 64] |= (uint64_t)1 << (id % 64);
            count++;
        }
    kt_pin_link(t, pin);
    return count;
}

/* Lets the id go and finds the next one from it on; KR_NONE: that was the last. */
static uint32_t kt_pin_advance(kt_table *t, kt_pin *pin, uint32_t passed)
{
    uint32_t i = 0;
    if (passed != KR_NONE) {
        i = passed / 64;
        pin->bits[i] &= ~((uint64_t)1 << (passed % 64));
        if (t->limbo && kr_word(kt_record(t, passed)) & KR_LIMBO && !kt_is_pinned(t, passed))
            kt_free_record(t, passed);
    }
    for (; i < pin->words; i++)
        if (pin->bits[i])
            return i * 64 + (uint32_t)__builtin_ctzll(pin->bits[i]);
    return KR_NONE;
}

/* ---- keeping it dense ---- */

/* Empties sparse slabs until at most `slack` bytes are dead, `budget` bytes were copied, or none is worth it: 1 if
 * there is more to do. */
static int kt_compact(kt_table *t, uint64_t slack, size_t budget)
{
    kr_slabs *s = &t->slabs;
    while (s->dead > slack) {
        if (s->victim == KR_NO_SLAB) {
            s->victim = kr_slab_sparsest(s);
            s->cursor = 0;
            if (s->victim == KR_NO_SLAB)
                return 0;
            if (s->victim == s->open)
                s->open = KR_NO_SLAB;
        }
        kr_slab *slab = &s->slab[s->victim];
        uint64_t where = (uint64_t)s->victim << KR_OFFSET_BITS | s->cursor;
        kr_view v;
        if (s->cursor >= slab->used) { /* cannot be: it would have gone with its last live record */
            s->victim = KR_NO_SLAB;
            return 0;
        }
        const kr_byte *record = slab->base + s->cursor;
        kr_read(record, &v);
        s->cursor += (uint32_t)v.size;
        uint32_t id = v.word & KR_ID_MASK;
        if (!kr_id_is_used(&t->ids, id) || kr_id_location(&t->ids, id) != where)
            continue;
        if (budget < v.size)
            budget = 0;
        uint32_t to = kr_slab_reserve(s, v.size);
        if (to == KR_NO_SLAB)
            return 0; /* without memory it stays sparse */
        uint64_t there = kr_slab_take(s, to, v.size);
        memcpy(kr_slab_address(s, there), kr_slab_address(s, where), v.size);
        kr_id_set_location(&t->ids, id, there);
        kr_slab_release(s, where, v.size);
        if (!budget)
            return 1;
        budget -= v.size;
    }
    return 0;
}

/* Dead bytes that are not worth the copying after a write. */
static inline uint64_t kt_allowed_dead(const kt_table *t)
{
    return t->slabs.live / 20 + kr_slab_next_size(&t->slabs) / 2;
}

/* Another codec and blob for the same version: the id stays. 0 if there is no memory. */
static int kt_recode(kt_table *t, uint32_t id, uint32_t codec, const kr_text *blob)
{
    uint64_t where = kr_id_location(&t->ids, id);
    kr_view v;
    kr_new n;
    kr_identity who;
    if (!kr_refcounts_reserve(t->users, codec))
        return 0;
    kr_read(kr_slab_address(&t->slabs, where), &v);
    kr_new_from_view(&v, &n, &who);
    n.codec = codec;
    n.blob = *blob;
    size_t size = kr_size(&n);
    uint32_t slab = kr_slab_reserve(&t->slabs, size);
    if (slab == KR_NO_SLAB)
        return 0;
    uint64_t there = kr_slab_take(&t->slabs, slab, size);
    kr_write(kr_slab_address(&t->slabs, there), &n, v.word);
    kr_id_set_location(&t->ids, id, there);
    t->users->count[codec]++;
    t->users->count[v.codec]--;
    t->sums.blobs += blob->len;
    t->sums.blobs -= v.blob.len;
    kr_slab_release(&t->slabs, where, v.size);
    return 1;
}

#endif
