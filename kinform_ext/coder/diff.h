/* A diff: the operations that turn a template into an object.
 *
 * The two are compared in step, up to the next stop of the walk. Where they differ, either a word is replaced, and the
 * byte after it agrees; or the structure differs, and both go on at other places: the object after a literal, the
 * template at another word, where the next KC_LANDING bytes agree. Each such place lies further on in the object than
 * the last one, so a diff ends.
 * Bound: KC_MAX_OPS operations, and KC_EFFORT steps of the search for such places.
 */
#ifndef KINFORM_DIFF_H
#define KINFORM_DIFF_H

#include "literals.h"
#include "walk.h"

enum {
    KC_NATIVE,    /* a word is replaced by a value of its type */
    KC_GENERIC,   /* a word is replaced by a text that is not empty */
    KC_STRUCTURE, /* a literal, then the walk continues at another word */
    KC_SAME,      /* the template's word, although another one was expected */
};
enum {
    KC_MAX_OPS = 512,
    KC_MAX_SKIPPED = 128,   /* words of the object in which a structure must end */
    KC_MAX_LANDINGS = 8,    /* words of the template that are compared with each */
    KC_EFFORT = 4096,       /* words and landings looked at in one diff */
    KC_MAX_STRUCTURE = 8192, /* bytes of literals, if they are more than half of the object */
    KC_BASE_ESTIMATE = 224, /* bytes; a diff with a larger estimate, plus a quarter of what was compared, is given up */
};

typedef struct {
    kc_expected expected; /* points into the object, the template or the object's own */
    int64_t value;        /* KC_NATIVE; of a structure: words to the one where the walk continues */
    uint32_t from, to;    /* the bytes of the object that replace it; of a structure: the literal */
    uint16_t word;        /* of the template; of a structure: the first one that is not copied */
    uint8_t kind;         /* KC_NATIVE ... KC_SAME */
    uint8_t type;         /* of the word; not of a structure */
} kc_op;

typedef struct {
    kc_op op[KC_MAX_OPS]; /* in the order of the walk */
    uint32_t count;       /* operations */
    uint32_t estimate;    /* bytes of the blob, roughly */
    uint32_t structures;  /* operations of kind KC_STRUCTURE */
    uint32_t effort;      /* of KC_EFFORT, what is left */
} kc_diff;

/* Returns the end of the word at `at` if it has this type, else 0. `len`: characters of the template's word. */
static inline size_t kc_native_end(
    const kr_byte *x, size_t at, size_t size, unsigned type, size_t len, int64_t *value, kc_dates *dates)
{
    kr_byte packed[KC_MAX_HEX / 2];
    size_t end, limit = size < at + 20 ? size : at + 20;
    switch (type) {
    case KC_DECIMAL:
        end = kc_word_end(x, at, limit);
        return kc_parse_decimal(x + at, end - at, value) ? end : 0;
    case KC_IP:
        end = kc_word_end(x, at, limit);
        return kc_parse_ip(x + at, end - at, value) ? end : 0;
    case KC_TIME:
    case KC_MICRO:
        end = at + kc_parse_time(x + at, size - at, value, dates);
        if (end - at != (type == KC_TIME ? KC_TIME_LEN : KC_MICRO_LEN))
            return 0;
        break;
    case KC_UUID:
        end = at + KR_UUID_LEN;
        if (end > size || !kr_pack_uuid(x + at, packed))
            return 0;
        break;
    case KC_HEX:
        end = at + len;
        if (end > size || !kr_pack_hex(x + at, len, packed))
            return 0;
        break;
    default:
        return 0;
    }
    return end < size && kc_is_word(x[end]) ? 0 : end;
}

/* Where a structure ends. */
typedef struct {
    uint32_t at;   /* in the object */
    uint32_t word; /* of the template; the number of words: the rest of the object is a literal */
} kc_landing;

/* Finds where object and template agree again. `from`: where they stopped to; `word`: the template's word there;
 * `refused`: a place in the object where that word must not be taken. `least`: the place must not lie before it. */
static inline kc_landing kc_find_landing(
    kc_diff *d, kc_template *t, const kr_byte *x, uint32_t size, uint32_t from, uint32_t word, uint32_t refused,
    uint32_t least)
{
    kc_landing best = {size, t->count};
    if (!kc_template_index(t))
        return best;
    size_t at = from;
    uint32_t block = 0;
    for (int skipped = 0; skipped < KC_MAX_SKIPPED && d->effort; skipped++, at = kc_word_end(x, at, size)) {
        while (at < size && !kc_is_word(x[at]))
            at++;
        if (at + KC_LANDING > size)
            break;
        d->effort--;
        if (at < least)
            continue;
        int most = 0, looks = 0;
        uint32_t i = t->head[kc_landing_hash(x + at) & (t->heads - 1)];
        for (; i != KC_NO_WORD && looks < KC_MAX_LANDINGS; i = t->chain[i], looks++) {
            uint32_t start = kc_word_start(t, i, &block), limit = size - (uint32_t)at;
            if (t->len - start < limit)
                limit = t->len - start;
            int common = (int)kc_common(x + at, t->raw + start, limit < 256 ? limit : 256);
            if (common < KC_LANDING || (i == word && at == refused))
                continue;
            uint32_t distance = i >= word ? i - word : word - i + 8;
            int score = common - (distance > 16 ? 8 : distance > 2 ? 3 : 0) - (i < word ? 6 : 0);
            if (score > most) {
                most = score;
                best.word = i;
            }
        }
        d->effort -= d->effort < (uint32_t)looks ? d->effort : (uint32_t)looks;
        if (most) {
            best.at = (uint32_t)at;
            return best;
        }
    }
    return best;
}

/* Returns the length of what is expected at `at` if it is there, and the word ends there; else 0. */
static inline size_t kc_meets(
    const kr_byte *x, size_t at, size_t size, const kc_expected *e, int micro, kc_dates *dates)
{
    int64_t value;
    if (!e->text) {
        size_t len = kc_parse_time(x + at, size - at, &value, dates);
        return len == (size_t)(micro ? KC_MICRO_LEN : KC_TIME_LEN) && value == e->value ? len : 0;
    }
    if (size - at < e->len || memcmp(x + at, e->text, e->len))
        return 0;
    return at + e->len < size && kc_is_word(x[at + e->len]) ? 0 : e->len;
}

/* Returns whether the byte after a replaced word is the one after the template's word. */
static inline int kc_agrees_after(const kr_byte *x, size_t end, size_t size, const kc_template *t, uint32_t stop)
{
    return end == size ? stop == t->len : stop < t->len && x[end] == t->raw[stop];
}

static inline uint32_t kc_native_cost(unsigned type, uint32_t len)
{
    static const kr_byte cost[] = {[KC_DECIMAL] = 2, [KC_UUID] = 17, [KC_IP] = 3, [KC_TIME] = 2, [KC_MICRO] = 5};
    return type == KC_HEX ? 1 + len / 2u : cost[type];
}

/* Sets `d` to the operations that turn the walk's template into an object; 0 if it is not worth it: its estimate would
 * exceed `most` bytes, or a bound is reached. `l`: a value in it is replaced as a text, by its number. */
static int kc_diff_make(
    kc_diff *d, kc_walk *w, kc_template *t, const kr_byte *x, uint32_t size, uint32_t most, const kc_literals *l)
{
    uint32_t at = 0, from = 0, refused = UINT32_MAX, least = 0, literals = 0; /* from: offset in the template */
    d->count = d->structures = 0;
    d->estimate = 2;
    d->effort = KC_EFFORT;
    for (;;) {
        const uint32_t run_at = at, run_from = from, stop = kc_walk_next(w);
        const uint32_t goal = t->special[stop].start;
        const uint32_t limit = goal - from < size - at ? goal - from : size - at;
        const uint32_t same = (uint32_t)kc_common(x + at, t->raw + from, limit);
        uint32_t differs = from + same;
        kc_word word;
        int replaces = 1;
        if (d->estimate > most || d->estimate > KC_BASE_ESTIMATE + at / 4)
            return 0;
        if (differs < goal)
            replaces = kc_walk_around(w, differs, &word);
        else if (stop < t->specials) {
            word = kc_walk_word(w, t->special[stop].word);
            kc_expected e = kc_walk_expect(w, &word);
            size_t met = kc_meets(x, at + same, size, &e, word.type == KC_MICRO, w->dates);
            if (met) {
                at += same + (uint32_t)met;
                from = word.stop;
                if (!e.text)
                    kc_walk_note(w, &word, at - (uint32_t)met, (uint32_t)met, e.value);
                kc_walk_after(w, &word);
                continue;
            }
        } else if (at + same == size)
            return 1;
        else {
            replaces = 0;
            kc_walk_to(w, t->count);
        }
        if (d->count == KC_MAX_OPS)
            return 0;
        kc_op *op = &d->op[d->count];
        if (replaces) {
            const uint32_t word_len = word.stop - word.start;
            int64_t value = 0;
            differs = word.start;
            at += word.start - from;
            size_t end = kc_native_end(x, at, size, word.type, word_len, &value, w->dates);
            op->kind = KC_NATIVE;
            op->expected = kc_walk_expect(w, &word);
            if (!end) {
                op->kind = KC_GENERIC;
                end = kc_word_end(x, at, size);
                if (kc_is_time(word.type) || end - at <= 10) {
                    int64_t unused;
                    size_t time = kc_parse_time(x + at, size - at, &unused, w->dates);
                    end = time ? at + time : end;
                }
            }
            if (end > at && kc_agrees_after(x, end, size, t, word.stop)) {
                uint32_t len = (uint32_t)end - at;
                if (len == word_len && !memcmp(x + at, t->raw + word.start, len))
                    op->kind = KC_SAME;
                else if (op->kind == KC_NATIVE && (word.type == KC_UUID || word.type == KC_HEX || word.type == KC_IP)
                         && kc_literal_find(l, kc_hash(x + at, len), x + at, len) != KC_NO_LITERAL)
                    op->kind = KC_GENERIC;
                if (op->kind == KC_NATIVE)
                    d->estimate += kc_native_cost(word.type, word_len);
                else
                    d->estimate += 2 + (len < 12 ? len / 2 : 4 + len / 4);
                op->word = word.number;
                op->type = word.type;
                op->from = at;
                op->to = (uint32_t)end;
                op->value = op->kind == KC_NATIVE ? value : kc_word_value(t, &word, w->dates);
                kc_walk_replace(w, &word, at, len, op->value);
                kc_walk_after(w, &word);
                d->count++;
                at = (uint32_t)end;
                from = word.stop;
                continue;
            }
            refused = at;
        }
        /* The structure differs after the word before this one. */
        const uint32_t last = kc_end_before(t, differs), stopped = last > run_from ? last : run_from, n = w->n;
        at = run_at + (stopped - run_from);
        kc_landing landing = kc_find_landing(d, t, x, size, at, n, refused, least);
        *op = (kc_op){{NULL, 0, 0}, (int64_t)landing.word - n, at, landing.at, (uint16_t)n, KC_STRUCTURE, KC_TEXT};
        d->count++;
        d->structures++;
        d->estimate += 4 + (landing.at - at);
        literals += landing.at - at;
        if (literals > KC_MAX_STRUCTURE && literals > size / 2)
            return 0;
        if (landing.word == t->count)
            return 1;
        refused = UINT32_MAX;
        least = landing.at + 1;
        at = landing.at;
        kc_walk_to(w, landing.word);
        from = kc_walk_start_of(w, landing.word);
    }
}

#endif
