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

enum { KT_CALM, KT_BEGUN, KT_SWEEPING, KT_DROPPING };

typedef struct {
    uint8_t phase, keep; /* keep: what is missing in the new state stays */
    uint32_t turn;       /* 0 or KT_MARK */
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
} kt_sums;

typedef struct {
    kt_slabs slabs;
    kt_ids ids;
    kt_keymap keys;
    kt_places places;
    kt_stream *stream;
    uint32_t streams;
    kt_users *users;
    kx_indexes *indexes; /* NULL: none */
    kt_pin *pins;
    kt_sums sums; /* of all records but those in limbo */
    uint64_t seen, stale, records, limbo, limbo_bytes;
    uint64_t changes; /* goes up with each change that could outdate what a caller found */
} kt_table;

static int kt_init(kt_table *t, kt_users *users, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    kt_slabs_init(&t->slabs);
    t->users = users;
    return kt_places_init(&t->places, seed) && km_init(&t->keys);
}

static void kt_close(kt_table *t)
{
    kt_slabs_close(&t->slabs);
    kt_ids_close(&t->ids);
    km_close(&t->keys);
    kt_places_close(&t->places);
    free(t->stream);
    t->stream = NULL;
}

static inline kt_byte *kt_at(const kt_table *t, uint32_t id)
{
    return kt_slab_at(&t->slabs, kt_id_where(&t->ids, id));
}

static inline kt_stream *kt_stream_of(const kt_table *t, uint32_t place)
{
    return &t->stream[t->places.place[place].stream];
}

static int kt_stream_room(kt_table *t, uint32_t number)
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
        grown[t->streams].now = KT_STALE0;
        grown[t->streams].later = KT_STALE1;
    }
    return 1;
}

/* ---- what is seen ---- */

static inline int kt_seen(const kt_stream *s, uint32_t word)
{
    if (word & KT_LIMBO || s->phase == KT_DROPPING)
        return 0;
    if (s->phase != KT_SWEEPING)
        return !(word & KT_STAGED);
    return (word & KT_STAGED) || (word & KT_MARK) == s->turn || (s->keep && !(word & KT_SHADOWED));
}

/* During a sweep: whether the record's part in it is still to come. */
static inline int kt_unswept(const kt_stream *s, uint32_t word)
{
    return (word & KT_STAGED) || (word & KT_MARK) != s->turn;
}

static inline int kt_is_stale(const kt_stream *s, uint32_t word)
{
    if (!kt_seen(s, word))
        return 0;
    return (word & s->now) || (s->phase == KT_SWEEPING && !(word & KT_STAGED) && (word & KT_MARK) != s->turn);
}

/* ---- finding ---- */

static inline uint64_t kt_key_hash(const kt_places *p, uint32_t place, const kt_text *name)
{
    return kt_hash(name->at, name->len, p->place[place].hash);
}

static uint64_t kt_hash_of(const void *of, uint32_t id)
{
    const kt_table *t = (const kt_table *)of;
    uint32_t place;
    kt_text name = kt_name(kt_at(t, id), &place);
    return kt_key_hash(&t->places, place, &name);
}

typedef struct {
    uint32_t plain, staged; /* ids, or KT_NONE */
} kt_found;

static kt_found kt_find(const kt_table *t, uint32_t place, const kt_text *name, uint64_t hash)
{
    const km_page *page = km_page_of(&t->keys, hash);
    unsigned of = km_sixteenth(hash), i = of ? page->ends[of - 1] : 0;
    uint32_t tag = km_entry(hash, 0);
    kt_found found = {KT_NONE, KT_NONE};
    for (; i < page->ends[of]; i++) {
        if ((page->entry[i] ^ tag) & ~KT_ID_MASK)
            continue;
        uint32_t id = page->entry[i] & KT_ID_MASK, its;
        const kt_byte *record = kt_at(t, id);
        kt_text held = kt_name(record, &its);
        if (its != place || held.len != name->len || memcmp(held.at, name->at, name->len))
            continue;
        if (kt_word(record) & KT_STAGED)
            found.staged = id;
        else
            found.plain = id;
    }
    return found;
}

static kt_found kt_find_like(const kt_table *t, uint32_t id)
{
    uint32_t place;
    kt_text name = kt_name(kt_at(t, id), &place);
    return kt_find(t, place, &name, kt_key_hash(&t->places, place, &name));
}

/* The record that readers see under a key, whatever its stream; KT_NONE: there is none. */
static uint32_t kt_find_seen(const kt_table *t, const kt_text *space, const kt_text *name)
{
    uint32_t i = kt_space_find(&t->places, space, kt_space_hash(&t->places, space));
    if (i == KT_NONE)
        return i;
    for (i = t->places.space[i].first; i != KT_NONE; i = t->places.place[i].next) {
        kt_found found = kt_find(t, i, name, kt_key_hash(&t->places, i, name));
        const kt_stream *s = kt_stream_of(t, i);
        if (found.staged != KT_NONE && kt_seen(s, kt_word(kt_at(t, found.staged))))
            return found.staged;
        if (found.plain != KT_NONE && kt_seen(s, kt_word(kt_at(t, found.plain))))
            return found.plain;
    }
    return KT_NONE;
}

/* ---- adding and letting go ---- */

static inline void kt_sum(kt_sums *sums, const kt_view *v, int sign)
{
    sums->names += (uint64_t)(sign * (int64_t)v->name.len);
    sums->blobs += (uint64_t)(sign * (int64_t)v->blob.len);
    sums->raws += (uint64_t)(sign * (int64_t)v->raw_len);
}

typedef struct {
    uint32_t id, slab;
} kt_room;

/* What kt_add needs; 0 if there is no memory. kt_add must follow at once. */
static int kt_reserve(kt_table *t, const kt_new *n, uint64_t hash, kt_room *room)
{
    if (!kt_users_room(t->users, n->codec) || !km_reserve(&t->keys, hash, kt_hash_of, t))
        return 0;
    room->id = kt_id_next(&t->ids);
    if (room->id == KT_NONE)
        return 0;
    room->slab = kt_slab_for(&t->slabs, kt_size(n));
    return room->slab != KT_NO_SLAB;
}

static void kt_add(kt_table *t, const kt_new *n, uint64_t hash, const kt_room *room, uint32_t state)
{
    size_t size = kt_size(n);
    uint64_t where = kt_slab_take(&t->slabs, room->slab, size);
    kt_stream *s = kt_stream_of(t, n->place);
    kt_write(kt_slab_at(&t->slabs, where), n, room->id | state);
    kt_id_take(&t->ids, room->id, where);
    km_add(&t->keys, hash, room->id);
    t->users->count[n->codec]++;
    t->places.place[n->place].users++;
    t->sums.names += n->name.len;
    t->sums.blobs += n->blob.len;
    t->sums.raws += n->raw_len;
    t->records++;
    t->changes++;
    if (state & KT_STAGED)
        s->staged++;
    else {
        s->plain++;
        s->marked += s->phase == KT_SWEEPING;
        s->stale += (state & s->now) != 0;
        t->stale += (state & s->now) != 0;
        t->seen++;
    }
}

static int kt_pinned(const kt_table *t, uint32_t id)
{
    for (const kt_pin *pin = t->pins; pin; pin = pin->next)
        if (id / 64 < pin->words && pin->bits[id / 64] >> (id % 64) & 1)
            return 1;
    return 0;
}

static void kt_destroy(kt_table *t, uint32_t id)
{
    uint64_t where = kt_id_where(&t->ids, id);
    kt_view v;
    kt_read(kt_slab_at(&t->slabs, where), &v);
    if (v.word & KT_LIMBO) {
        t->limbo--;
        t->limbo_bytes -= v.size;
    }
    t->users->count[v.codec]--;
    kt_place_let(&t->places, v.place);
    kt_slab_let(&t->slabs, where, v.size);
    kt_id_let(&t->ids, id);
}

static inline void kt_flip(kt_byte *record, uint32_t bits)
{
    kt_set_word(record, kt_word(record) ^ bits);
}

/* The record is no longer of the collection. */
static void kt_release(kt_table *t, uint32_t id)
{
    kt_byte *record = kt_at(t, id);
    kt_view v;
    kt_read(record, &v);
    kt_stream *s = kt_stream_of(t, v.place);
    if (kt_seen(s, v.word))
        t->seen--;
    if (kt_is_stale(s, v.word)) {
        t->stale--;
        s->stale--;
    }
    if (s->phase == KT_BEGUN && (v.word & s->later))
        s->staler--;
    if (v.word & KT_STAGED)
        s->staged--;
    else {
        s->plain--;
        s->marked -= s->phase == KT_BEGUN ? (v.word & KT_MARK) != s->turn
                   : s->phase == KT_SWEEPING ? (v.word & KT_MARK) == s->turn
                                             : 0;
        s->shadowed -= (v.word & KT_SHADOWED) != 0;
    }
    km_remove(&t->keys, kt_key_hash(&t->places, v.place, &v.name), id);
    kt_sum(&t->sums, &v, -1);
    if (t->indexes)
        kx_let(t->indexes, id);
    t->records--;
    t->changes++;
    if (!kt_pinned(t, id)) {
        kt_destroy(t, id);
        return;
    }
    kt_flip(record, KT_LIMBO);
    t->limbo++;
    t->limbo_bytes += v.size;
}

/* ---- relists ---- */

static void kt_mark(kt_stream *s, kt_byte *record)
{
    if ((kt_word(record) & KT_MARK) == s->turn) {
        kt_flip(record, KT_MARK);
        s->marked++;
    }
}

static void kt_staler(kt_stream *s, kt_byte *record, int stale)
{
    if (((kt_word(record) & s->later) != 0) != stale) {
        kt_flip(record, s->later);
        s->staler += stale ? 1 : (uint32_t)-1;
    }
}

static void kt_unmark(kt_stream *s, kt_byte *record)
{
    kt_staler(s, record, 0);
    if ((kt_word(record) & KT_MARK) != s->turn) {
        kt_flip(record, KT_MARK);
        s->marked--;
    }
}

static void kt_shadow(kt_stream *s, kt_byte *record, int shadowed)
{
    if (((kt_word(record) & KT_SHADOWED) != 0) != shadowed) {
        kt_flip(record, KT_SHADOWED);
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
    s->turn ^= KT_MARK;
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
    for (uint32_t id = 0; left && (id = kt_id_from(&t->ids, id)) != KT_NONE; id++) {
        kt_byte *record = kt_at(t, id);
        uint32_t place, word = kt_word(record);
        if (word & KT_LIMBO || (kt_name(record, &place), t->places.place[place].stream != number))
            continue;
        left--;
        if (word & KT_STAGED)
            kt_release(t, id);
        else {
            kt_unmark(s, record);
            kt_shadow(s, record, 0);
        }
    }
    s->phase = KT_CALM;
    t->changes++;
}

/* A staged record takes its place among the plain ones. */
static void kt_settle(kt_table *t, uint32_t id)
{
    kt_byte *record = kt_at(t, id);
    uint32_t place;
    kt_name(record, &place);
    kt_stream *s = kt_stream_of(t, place);
    kt_set_word(record, (kt_word(record) & ~(KT_STAGED | KT_MARK)) | s->turn);
    s->staged--;
    s->plain++;
    s->marked++;
    t->changes++;
}

/* A record that is missing in the new state stays, and is stale. */
static void kt_stay(kt_stream *s, kt_byte *record)
{
    kt_set_word(record, (kt_word(record) & ~KT_MARK) | s->turn | s->now);
    s->marked++;
}

static void kt_drop(kt_table *t, kt_stream *s)
{
    t->seen -= s->plain;
    t->stale -= s->stale;
    s->stale = 0;
    s->phase = KT_DROPPING;
    s->cursor = 0;
    t->changes++;
}

/* ---- iterators ---- */

static void kt_unpin(kt_table *t, kt_pin *pin)
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
            if (kt_word(kt_at(t, id)) & KT_LIMBO && !kt_pinned(t, id))
                kt_destroy(t, id);
        }
    free(pin->bits);
    pin->bits = NULL;
    pin->words = 0;
}

static inline int kt_wanted(const kt_table *t, uint32_t id, uint32_t space)
{
    const kt_byte *record = kt_at(t, id);
    uint32_t place;
    kt_name(record, &place);
    return kt_seen(kt_stream_of(t, place), kt_word(record))
        && (space == KT_NONE || t->places.place[place].space == space);
}

static void kt_pin_down(kt_table *t, kt_pin *pin)
{
    pin->next = t->pins;
    pin->link = &t->pins;
    if (pin->next)
        pin->next->link = &pin->next;
    t->pins = pin;
}

/* Pins what is seen now, of one namespace unless that is KT_NONE; how many, or -1 if there is no memory. */
static int64_t kt_pin_all(kt_table *t, kt_pin *pin, uint32_t space)
{
    int64_t count = 0;
    int all = space == KT_NONE && t->seen == t->records && !t->limbo;
    pin->words = (kt_ids_end(&t->ids) + 63) / 64;
    pin->bits = (uint64_t *)calloc(pin->words + 1, 8);
    if (!pin->bits)
        return -1;
    for (uint32_t i = 0; i < pin->words; i++) {
        uint64_t bits = kt_ids_used(&t->ids, i * 64), left = all ? 0 : bits;
        for (; left; left &= left - 1)
            if (!kt_wanted(t, i * 64 + (uint32_t)__builtin_ctzll(left), space))
                bits &= ~(left & -left);
        pin->bits[i] = bits;
        count += __builtin_popcountll(bits);
    }
    kt_pin_down(t, pin);
    return count;
}

/* The same, but only of these. */
static int64_t kt_pin_some(kt_table *t, kt_pin *pin, uint32_t space, kx_posting *of)
{
    int64_t count = 0;
    pin->words = (kt_ids_end(&t->ids) + 63) / 64;
    pin->bits = (uint64_t *)calloc(pin->words + 1, 8);
    if (!pin->bits)
        return -1;
    for (uint32_t id = 0; (id = kx_from(of, id)) != KX_NONE; id++)
        if (kt_wanted(t, id, space)) {
            pin->bits[id / 64] |= (uint64_t)1 << (id % 64);
            count++;
        }
    kt_pin_down(t, pin);
    return count;
}

/* Lets the id go and finds the next one from it on; KT_NONE: that was the last. */
static uint32_t kt_pin_next(kt_table *t, kt_pin *pin, uint32_t passed)
{
    uint32_t i = 0;
    if (passed != KT_NONE) {
        i = passed / 64;
        pin->bits[i] &= ~((uint64_t)1 << (passed % 64));
        if (t->limbo && kt_word(kt_at(t, passed)) & KT_LIMBO && !kt_pinned(t, passed))
            kt_destroy(t, passed);
    }
    for (; i < pin->words; i++)
        if (pin->bits[i])
            return i * 64 + (uint32_t)__builtin_ctzll(pin->bits[i]);
    return KT_NONE;
}

/* ---- keeping it dense ---- */

/* Empties sparse slabs until at most `slack` bytes are dead, `budget` bytes were copied, or none is worth it: 1 if
 * there is more to do. */
static int kt_tidy(kt_table *t, uint64_t slack, size_t budget)
{
    kt_slabs *s = &t->slabs;
    while (s->dead > slack) {
        if (s->victim == KT_NO_SLAB) {
            s->victim = kt_slab_sparsest(s);
            s->cursor = 0;
            if (s->victim == KT_NO_SLAB)
                return 0;
            if (s->victim == s->open)
                s->open = KT_NO_SLAB;
        }
        kt_slab *slab = &s->slab[s->victim];
        uint64_t where = (uint64_t)s->victim << KT_OFFSET_BITS | s->cursor;
        kt_view v;
        if (s->cursor >= slab->used) { /* cannot be: it would have gone with its last live record */
            s->victim = KT_NO_SLAB;
            return 0;
        }
        const kt_byte *record = slab->base + s->cursor;
        kt_read(record, &v);
        s->cursor += (uint32_t)v.size;
        uint32_t id = v.word & KT_ID_MASK;
        if (!kt_id_used(&t->ids, id) || kt_id_where(&t->ids, id) != where)
            continue;
        if (budget < v.size)
            budget = 0;
        uint32_t to = kt_slab_for(s, v.size);
        if (to == KT_NO_SLAB)
            return 0; /* without memory it stays sparse */
        uint64_t there = kt_slab_take(s, to, v.size);
        memcpy(kt_slab_at(s, there), kt_slab_at(s, where), v.size);
        kt_id_move(&t->ids, id, there);
        kt_slab_let(s, where, v.size);
        if (!budget)
            return 1;
        budget -= v.size;
    }
    return 0;
}

/* Dead bytes that are not worth the copying after a write. */
static inline uint64_t kt_slack(const kt_table *t)
{
    return t->slabs.live / 20 + kt_slab_size(&t->slabs) / 2;
}

/* Another codec and blob for the same version: the id stays. 0 if there is no memory. */
static int kt_recode(kt_table *t, uint32_t id, uint32_t codec, const kt_text *blob)
{
    uint64_t where = kt_id_where(&t->ids, id);
    kt_view v;
    kt_new n;
    kt_who who;
    if (!kt_users_room(t->users, codec))
        return 0;
    kt_read(kt_slab_at(&t->slabs, where), &v);
    kt_again(&v, &n, &who);
    n.codec = codec;
    n.blob = *blob;
    size_t size = kt_size(&n);
    uint32_t slab = kt_slab_for(&t->slabs, size);
    if (slab == KT_NO_SLAB)
        return 0;
    uint64_t there = kt_slab_take(&t->slabs, slab, size);
    kt_write(kt_slab_at(&t->slabs, there), &n, v.word);
    kt_id_move(&t->ids, id, there);
    t->users->count[codec]++;
    t->users->count[v.codec]--;
    t->sums.blobs += blob->len;
    t->sums.blobs -= v.blob.len;
    kt_slab_let(&t->slabs, where, v.size);
    return 1;
}

#endif
