/*
 * A scan over several tablets: a strand for each, which is a scan of one tablet, merged in key order.
 *
 *      strand 1    b d │ f ...        each has some keys ready, and knows how far it has looked
 *      strand 2    c   │ ...
 *      strand 3        │              nothing that matches, and it has looked up to e
 *      merged      b c d              up to there, for behind e strand 3 may have a key before f
 *
 * Strands that have nothing ready, and are not at their end, are filled at the same time; what is merged
 * is copied, for a strand's keys die when it is filled again.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "kv/kv_internal.h"
#include "kv/scan.h"

enum { STRAND_BYTES_MIN = 4 << 10 };

struct strand {
    struct merge *merge;
    struct kv_scan *scan;
    const struct entry *ready; /* the scan's, until it is asked again */
    uint32_t count;
    uint32_t at;
    struct buf looked; /* up to this key, when `has_looked` */
    bool has_looked;
    bool ended;
    bool asked; /* a piece of it is under way */
};

struct merge {
    struct kv_scan *whole;
    struct strand *strands; /* owned */
    uint32_t strand_count;
    uint32_t asked_count;
    struct buf last; /* all keys up to this were looked at, and told if they matched */
    struct task task;
    bool posted;
};

/* ------------------------------------------------------------------ life */

void
merge__close(struct merge *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; i < m->strand_count; i++) {
        kv_scan_close(m->strands[i].scan);
        buf_release(&m->strands[i].looked);
    }
    buf_release(&m->last);
    mem_free(m->strands);
    mem_free(m);
}

enum status
merge__open(struct kv_scan *whole, const struct kv_scan_options *options, struct site *const *sites,
            uint32_t count, struct err *err)
{
    struct merge *m = mem_new(struct merge);
    enum status st = ST_OK;

    if (m == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for a scan");
    m->whole = whole;
    m->last = buf_empty(LIMIT_KEY_BYTES);
    m->strands = mem_new_array(struct strand, count);
    if (m->strands == NULL)
        st = err_raise(err, ST_NO_MEMORY, "out of memory for a scan");
    for (uint32_t i = 0; i < count && st == ST_OK; i++) {
        struct strand *s = &m->strands[m->strand_count++];

        s->merge = m;
        s->looked = buf_empty(LIMIT_KEY_BYTES);
        st = scan__open(whole->door, options, sites[i]->tablet, &s->scan, err);
    }
    if (st != ST_OK)
        merge__close(m);
    else
        whole->merge = m;
    return st;
}

void
merge__rewind(struct merge *m)
{
    m->last.size = 0;
    for (uint32_t i = 0; i < m->strand_count; i++) {
        struct strand *s = &m->strands[i];

        kv_scan_rewind(s->scan);
        s->count = s->at = 0;
        s->has_looked = false;
        s->ended = false;
    }
}

/* ------------------------------------------------------------------ merging */

/* <0: `a` comes first. */
static int
order(const struct merge *m, struct slice a, struct slice b)
{
    int forward = slice_compare(a, b);

    return m->whole->options.reverse ? -forward : forward;
}

static bool
is_dry(const struct strand *s)
{
    return s->at == s->count && !s->ended;
}

/* NULL: none has anything ready. */
static struct strand *
first_ready(const struct merge *m)
{
    struct strand *first = NULL;

    for (uint32_t i = 0; i < m->strand_count; i++) {
        struct strand *s = &m->strands[i];

        if (s->at < s->count &&
            (first == NULL || order(m, s->ready[s->at].key, first->ready[first->at].key) < 0))
            first = s;
    }
    return first;
}

/* Of those that have nothing ready, the one that has looked least far; NULL: all have, or are at their ends. */
static const struct strand *
hindmost(const struct merge *m)
{
    const struct strand *last = NULL;

    for (uint32_t i = 0; i < m->strand_count; i++) {
        const struct strand *s = &m->strands[i];

        if (!is_dry(s))
            continue;
        if (!s->has_looked)
            return s;
        if (last == NULL || order(m, buf_slice(&s->looked), buf_slice(&last->looked)) < 0)
            last = s;
    }
    return last;
}

static enum status
remember(struct merge *m, struct slice key)
{
    m->last.size = 0;
    return buf_append(&m->last, key);
}

static bool
is_full(const struct kv_scan *w)
{
    return w->piece.count >= w->keys_max || w->bytes >= w->bytes_max;
}

/* One by one, as long as no strand may yet have one before. */
static enum status
merge_ready(struct merge *m)
{
    struct kv_scan *w = m->whole;
    enum status st = ST_OK;

    while (st == ST_OK && !is_full(w)) {
        struct strand *s = first_ready(m);
        const struct strand *h = hindmost(m);

        if (h != NULL && !h->has_looked)
            return ST_OK;
        if (h != NULL && (s == NULL || order(m, s->ready[s->at].key, buf_slice(&h->looked)) > 0))
            return remember(m, buf_slice(&h->looked));
        if (s == NULL)
            return ST_OK; /* all are at their ends */
        st = scan__keep(w, &s->ready[s->at]);
        if (st == ST_OK)
            st = remember(m, s->ready[s->at].key);
        s->at++;
    }
    return st;
}

/* ------------------------------------------------------------------ filling */

static bool
is_at_end(const struct merge *m)
{
    for (uint32_t i = 0; i < m->strand_count; i++) {
        if (!m->strands[i].ended || m->strands[i].at < m->strands[i].count)
            return false;
    }
    return true;
}

static void
tell(struct merge *m, enum status st)
{
    struct kv_scan *w = m->whole;

    if (w->piece.status == ST_OK)
        w->piece.status = st;
    w->ended = w->piece.status == ST_OK && is_at_end(m);
    w->piece.end = w->ended;
    w->piece.entries = w->entries;
    w->piece.last_key = buf_slice(&m->last);
    scan__tell(w);
}

static void filled(void *ctx, const struct kv_scan_piece *piece);

static uint32_t
share_of(uint64_t whole, uint32_t parts, uint32_t min)
{
    uint64_t share = whole / parts + 1;

    return share < min ? min : (uint32_t)(share < UINT32_MAX ? share : UINT32_MAX);
}

/* How many are asked. */
static uint32_t
fill(struct merge *m)
{
    const struct kv_scan *w = m->whole;
    uint32_t n = m->strand_count;

    for (uint32_t i = 0; i < n; i++) {
        struct strand *s = &m->strands[i];

        if (!is_dry(s))
            continue;
        s->asked = true;
        m->asked_count++;
        kv_scan_next(s->scan, share_of(w->keys_max, n, 1), share_of(w->examined_max, n, 1),
                     share_of(w->bytes_max, n, STRAND_BYTES_MIN), filled, s);
    }
    return m->asked_count;
}

/* What is ready is merged; then more is asked for, or the piece is told. */
static void
go_on(struct merge *m)
{
    struct kv_scan *w = m->whole;
    enum status st = w->piece.status == ST_OK ? merge_ready(m) : w->piece.status;

    if (st == ST_OK && !is_full(w) && !is_at_end(m) && w->piece.examined < w->examined_max &&
        fill(m) > 0)
        return;
    tell(m, st);
}

static void
filled(void *ctx, const struct kv_scan_piece *piece)
{
    struct strand *s = ctx;
    struct merge *m = s->merge;
    struct kv_scan *w = m->whole;
    enum status st = piece->status;

    s->asked = false;
    s->ready = piece->entries;
    s->count = st == ST_OK ? piece->count : 0;
    s->at = 0;
    s->ended = piece->end;
    if (st == ST_OK && piece->last_key.data != NULL) {
        s->looked.size = 0;
        st = buf_append(&s->looked, piece->last_key);
        s->has_looked = true;
    }
    w->piece.examined += piece->examined;
    if (st != ST_OK && w->piece.status == ST_OK) {
        w->piece.status = st;
        w->piece.leader = piece->leader;
        if (piece->err != NULL)
            w->ask.err = *piece->err;
    }
    if (--m->asked_count == 0)
        go_on(m);
}

static void
begin(struct task *task)
{
    struct merge *m = container_of(task, struct merge, task);

    m->posted = false;
    if (!m->whole->closed)
        go_on(m);
    else
        scan__tell(m->whole);
}

void
merge__next(struct merge *m)
{
    ASSERT(m->asked_count == 0 && !m->posted);
    m->posted = true;
    m->task.run = begin; /* not before kv_scan_next() returns */
    loop_post(m->whole->door->loop, &m->task);
}

/* Pieces under way are given up: nobody is told of them. */
bool
merge__give_up(struct merge *m)
{
    return !m->posted;
}
