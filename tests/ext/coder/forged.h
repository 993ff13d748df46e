/* Damaged input: whatever the bytes are, reading ends, stays within its buffers, and succeeds or returns 0.
 *
 * Forged are blobs, the fields of records, slot lists, literal tables, bases, and the records of templates and of
 * members of bases; never other structures of the coder, which are not read from files. Objects are written to blocks
 * of exactly the stated size.
 */
#ifndef FORGED_H
#define FORGED_H

#include "forged_blobs.h"

/* The sums of a run. */
typedef struct {
    uint64_t reads;     /* objects */
    uint64_t bytes;     /* of forged blobs, lists, tables and templates */
    uint64_t accepted;  /* objects that were read, although something was forged */
    uint64_t encoded;   /* objects that were encoded then */
    double slowest;     /* seconds of one read */
} forgery;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Reads an object. If that succeeds, each byte of it must have been written. */
static void read_timed(collection *c, const kr_view *v, const kr_text *namespace, forgery *sum)
{
    kr_byte *to = heap_guarded(v->raw_len);
    memset(to, 0xaa, v->raw_len);
    double start = seconds();
    int done = kc_decode(&c->coder, v, namespace, to);
    double took = seconds() - start;
    sum->slowest = took > sum->slowest ? took : sum->slowest;
    sum->reads++;
    if (done) {
        kr_byte *again = (kr_byte *)malloc(v->raw_len);
        memset(again, 0x55, v->raw_len);
        CHECK(kc_decode(&c->coder, v, namespace, again) && !memcmp(to, again, v->raw_len));
        free(again);
        sum->accepted++;
    }
    CHECK(heap_unguard(to, v->raw_len));
}

/* Forges fields of a record's view. `b` keeps the blob. */
static kr_view forge_view(const collection *c, const record *r, bytes *b, forgery *sum)
{
    kr_view v = r->view;
    size_t id = below(c->count);
    if (!once_in(4)) {
        if (v.form & KR_FRAME && once_in(4))
            make_frame(b, &(once_in(2) && c->record[id] ? c->record[id] : r)->x);
        else
            forge_any_blob(b, &v.blob, c->record[id] ? &c->record[id]->view.blob : &v.blob);
        v.blob = (kr_text){copied(b->at, b->len), b->len}; /* a block of exactly its size */
    } else
        v.blob.at = copied(v.blob.at, v.blob.len);
    sum->bytes += v.blob.len;
    if (once_in(6))
        v.form ^= (kr_byte)(KR_FRAME * below(2) | KR_PLACEHOLDERS * below(2));
    if (once_in(3))
        v.raw_len = forge_length(v.raw_len);
    if (once_in(8))
        v.codec = once_in(4) ? (uint32_t)draw_bits(32)
            : (uint32_t)below((v.form & KR_FRAME ? c->coder.bases.count : c->coder.templates.count) + 2u);
    if (once_in(8))
        v.number = once_in(4) ? (uint32_t)draw_bits(32) : (uint32_t)below(c->coder.templates.count + 2u);
    return v;
}

/* Returns a template that a record needs: the one it is coded against, or a member of its base; 0: it needs none. */
static uint32_t needed_template(const collection *c, const kr_view *v)
{
    if (!(v->form & KR_FRAME))
        return v->codec;
    if (!kc_base_is_used(&c->coder.bases, v->codec))
        return 0;
    const kc_base *b = kc_base_of(&c->coder.bases, v->codec);
    return b->count ? b->member[below(b->count)] : 0;
}

/* Forgets what was read from templates and bases, as these change. */
static void forget_read(collection *c)
{
    kc_cache_shrink(&process.cache, 0);
    for (uint32_t number = 1; number <= c->coder.bases.count; number++)
        kc_forget_base(&c->coder, number);
}

/* Encodes an object while templates or bases are damaged. An encoded object can be read. */
static void encode_forged(collection *c, const record *before, forgery *sum)
{
    object x = mutated(&before->x, &c->source[below(c->sources)]);
    kc_object hints = once_in(2) ? record_hints(c, before) : (kc_object){.may_be_template = once_in(2)};
    kc_encoded made;
    record *r = record_new(c, &x, hints, &made);
    if (r) {
        record_check_new(c, r, &made);
        record_free(r);
        sum->encoded++;
    }
    object_free(&x);
}

/* Reads records of which the blob, the template, its slot lists, its literals or the base are forged. */
static void forged_step(collection *c, forgery *sum)
{
    size_t id = below(c->count), templates = 0, changed[4];
    record *r = c->record[id];
    bytes b = {0};
    kr_view kept[4];
    if (!r)
        return;
    if (once_in(64))
        kc_buffer_shrink(&process.room, 0);
    /* The records of templates: those that this record needs, and others below it or anywhere. */
    if (once_in(3)) {
        uint32_t number = needed_template(c, &r->view);
        while (templates < 4 && kc_number_is_used(&c->coder.templates, number)) {
            size_t at = kc_entry_of(&c->coder.templates, number)->record;
            record *below_it = c->record[at];
            number = once_in(2) ? needed_template(c, &below_it->view) : (uint32_t)below(c->coder.templates.count + 1u);
            if (below_it == r || once_in(3))
                continue;
            changed[templates] = at;
            kept[templates++] = below_it->view;
            below_it->view = forge_view(c, below_it, &b, sum);
        }
    }
    uint32_t base = r->view.form & KR_FRAME ? r->view.codec : 0, bases = c->coder.bases.count;
    kc_base kept_base = {0};
    int has_base = base && once_in(3);
    if (has_base) {
        kept_base = *kc_base_of(&c->coder.bases, base);
        forge_base(&c->coder.templates, kc_base_of(&c->coder.bases, base));
        sum->bytes += kept_base.count * (sizeof *kept_base.member + sizeof *kept_base.end);
    }
    kc_entry *e = !base && kc_number_is_used(&c->coder.templates, r->view.codec)
        ? kc_entry_of(&c->coder.templates, r->view.codec) : NULL;
    int has_lists = e && once_in(4);
    lists forged_lists;
    kc_literals *literals = NULL, *kept_literals = NULL;
    if (has_lists) {
        forged_lists = forge_lists(e->len / 8);
        sum->bytes += lists_bytes(&forged_lists);
        lists_swap(e, &forged_lists);
    }
    if (e && once_in(4)) {
        literals = forge_literals();
        sum->bytes += literals_used(literals);
        kept_literals = e->literals;
        e->literals = literals;
    }
    if (templates || has_base)
        forget_read(c);
    for (size_t reads = 1 + below(6); reads; reads--) {
        kr_view v = forge_view(c, r, &b, sum);
        read_timed(c, &v, &r->x.identity[0], sum);
        free((void *)v.blob.at);
        for (uint32_t i = 0; i < process.cache.count; i++)
            CHECK(!process.cache.at[i]->pins);
    }
    if ((templates || has_base) && !has_lists && !literals && once_in(4))
        encode_forged(c, r, sum);
    if (has_lists) {
        lists_swap(e, &forged_lists);
        lists_free(&forged_lists);
    }
    if (literals) {
        e->literals = kept_literals;
        kc_literals_release(literals);
    }
    for (size_t i = templates; i-- > 0;) {
        free((void *)c->record[changed[i]]->view.blob.at);
        c->record[changed[i]]->view = kept[i];
    }
    if (templates || has_base)
        forget_read(c);
    if (has_base)
        *kc_base_of(&c->coder.bases, base) = kept_base;
    CHECK(c->coder.bases.count <= bases + 1);
    if (once_in(16))
        record_check(c, r); /* nothing that was forged has an effect on others */
    bytes_free(&b);
}

/* Reads forged payloads alone. The expected text, input and output lie in blocks of exactly their size. */
static void forged_payload_step(forgery *sum)
{
    bytes b = {0};
    kc_literals *l = forge_literals();
    for (int reads = 0; reads < 64; reads++) {
        size_t size = once_in(8) ? below(300) : below(40), len = 1 + below(24), skipped = below(4);
        kr_byte text[KC_MAX_HEX];
        fill(text, len);
        kc_expected e = {copied(text, len), (uint32_t)len, (int64_t)draw_bits(once_in(4) ? 63 : 40)};
        set(&b, "", 0);
        if (once_in(2))
            put_literal(&b, len);
        else {
            put_number(&b, draw_bits(once_in(4) ? 64 : 12));
            fill(text, sizeof text);
            replace(&b, b.len, 0, text, once_in(8) ? KC_MAX_HEX / 2 : below(40));
        }
        if (once_in(8))
            b.len = below(b.len + 1);
        kr_byte *from = copied(b.at, b.len), *to = (kr_byte *)malloc(size + skipped);
        kc_input in = {from, from + b.len};
        kc_output out = {to, to + skipped, to + skipped + size};
        int type = (int)below(KC_OWN + 1);
        size_t word = type == KC_HEX ? 8 + 2 * (once_in(8) ? below(509) : below(20)) : len;
        int done = once_in(2) ? kc_read_literal(&in, &out, l, &e)
                              : read_native(&in, &out, type, word, &e, &process.dates);
        CHECK(!done || (in.at <= in.end && out.at <= out.end));
        sum->reads++;
        sum->bytes += b.len;
        free((void *)e.text);
        free(from);
        free(to);
    }
    kc_literals_release(l);
    bytes_free(&b);
}

/* Reads forged blobs against a template of any bytes. */
static void forged_template_step(collection *c, forgery *sum)
{
    const object *donor = &c->source[below(c->sources)];
    object x = mutated(donor, &c->source[below(c->sources)]);
    bytes b = {0};
    if (once_in(2)) {
        make_strange(&b, donor);
        free(x.raw);
        x.raw = copied(b.at, b.len);
        x.size = b.len;
    }
    if (x.size <= KC_MAX_TEMPLATE) {
        kc_template *t = template_of(&x);
        lists list = forge_lists(t->count);
        kc_literals *l = forge_literals();
        kc_own own;
        kc_own_init(&own, donor->identity);
        sum->bytes += x.size;
        for (size_t reads = 16; reads; reads--) {
            once_in(4) ? forge_any_blob(&b, &(kr_text){x.raw, x.size < 40 ? x.size : 40}, &(kr_text){NULL, 0})
                       : forge_blob(&b);
            kr_text blob = {copied(b.at, b.len), b.len};
            size_t size = forge_length(x.size);
            kr_byte *to = (kr_byte *)malloc(size);
            double start = seconds();
            kc_walk w = kc_walk_start(&process.walk, t, &own, to, &process.dates);
            sum->accepted += (uint64_t)read_blob(&w, &list, l, &blob, to, size);
            double took = seconds() - start;
            sum->slowest = took > sum->slowest ? took : sum->slowest;
            sum->reads++;
            sum->bytes += blob.len;
            free(to);
            free((void *)blob.at);
        }
        lists_free(&list);
        kc_literals_release(l);
        kc_template_free(t);
    }
    object_free(&x);
    bytes_free(&b);
}

/* Runs steps until `most` bytes of forged input have been read. */
static void forged(collection *c, size_t count, uint64_t most)
{
    forgery sum = {0};
    chance.label = "forged: encode the dumps";
    for (size_t i = 0; i < count; i++)
        collection_fill(&c[i]);
    while (sum.bytes < most) {
        collection *one = &c[below(count)];
        chance.step++;
        if (chance.step % 64 == 0)
            alarm(30);
        if (once_in(16)) {
            chance.label = "forged payload";
            forged_payload_step(&sum);
        } else if (once_in(8)) {
            chance.label = "forged template";
            forged_template_step(one, &sum);
        } else {
            chance.label = "forged record";
            forged_step(one, &sum);
        }
    }
    chance.label = "forged: the objects afterwards";
    for (size_t i = 0; i < count; i++) {
        for (size_t id = 0; id < c[i].count; id++)
            if (c[i].record[id])
                record_check(&c[i], c[i].record[id]);
        collection_clear(&c[i]);
    }
    printf("%llu reads, %llu forged bytes: %llu accepted, %llu encoded; the slowest took %.3f s\n",
           (unsigned long long)sum.reads, (unsigned long long)sum.bytes, (unsigned long long)sum.accepted,
           (unsigned long long)sum.encoded, sum.slowest);
    CHECK(sum.accepted && sum.encoded);
}

#endif
