/*
 * Scans: pieces of a keyspace in key order, each read by a job from the scan's
 * snapshot.  Between two pieces nothing is held but the snapshot and the last
 * key looked at.
 *
 *      first piece ──> request without operations ──here──> snapshot ──> job ──> fn
 *                              ├─ refused ───────────────────────────────^
 *                              └─ answered by another node ──> that node reads (scan_far.c) ──> fn
 *      later pieces ─────────────────────────────────────────────────────┘
 *
 * A refusal, too, is told by a job, which then has nothing to do: so `fn` is never called too early.
 */
#include "kv/scan.h"

#include "base/assert.h"
#include "base/mem.h"

#include "kv/kv_internal.h"

enum { SCAN_ARENA_BYTES = 64 << 10, SCAN_ENTRIES_MAX = 1 << 20 };

/* With a kind byte before it, unless that is 0.  There is room, so nothing moves. */
static enum status
copy_bound(struct kv_scan *s, uint8_t kind, struct slice *bound)
{
    size_t begin = s->bounds.size;
    enum status st = buf_append(&s->bounds, slice_of(&kind, kind != 0));

    if (st == ST_OK)
        st = buf_append(&s->bounds, *bound);
    *bound = slice_of(s->bounds.data + begin, s->bounds.size - begin);
    return st;
}

static enum status
copy_bounds(struct kv_scan *s)
{
    struct kv_scan_options *o = &s->options;
    enum status st;

    if (!o->has_limit)
        o->limit = (struct slice){ 0 };
    s->bounds = buf_empty(2 * (size_t)LIMIT_STORED_KEY_BYTES + LIMIT_KEY_BYTES);
    s->resume = buf_empty(LIMIT_STORED_KEY_BYTES);
    st = buf_reserve(&s->bounds, 2 + o->from.size + o->limit.size + o->pattern.size);
    if (st == ST_OK)
        st = copy_bound(s, KEY_USER, &o->from);
    if (st == ST_OK)
        st = copy_bound(s, o->has_limit ? KEY_USER : KEY_USER + 1, &o->limit);
    return st == ST_OK ? copy_bound(s, 0, &o->pattern) : st;
}

void
scan__free(struct kv_scan *s)
{
    merge__close(s->merge);
    kv_snapshot_release(&s->snapshot);
    arena_release(&s->arena);
    buf_release(&s->bounds);
    buf_release(&s->resume);
    buf_release(&s->far.order);
    mem_free(s->entries);
    mem_free(s);
}

enum status
scan__open(struct kv_door *door, const struct kv_scan_options *options, uint64_t tablet,
           struct kv_scan **out, struct err *err)
{
    struct kv_scan *s;

    if (options->from.size > LIMIT_KEY_BYTES || options->limit.size > LIMIT_KEY_BYTES ||
        options->pattern.size > LIMIT_KEY_BYTES)
        return err_raise(err, ST_TOO_BIG, "a key or pattern is longer than %d bytes",
                         LIMIT_KEY_BYTES);
    s = mem_new(struct kv_scan);
    if (s == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for a scan");
    s->door = door;
    s->tablet = tablet;
    s->options = *options;
    arena_init(&s->arena, SCAN_ARENA_BYTES);
    if (copy_bounds(s) != ST_OK) {
        scan__free(s);
        return err_raise(err, ST_NO_MEMORY, "out of memory for a scan");
    }
    kv_scan_rewind(s);
    *out = s;
    return ST_OK;
}

/* May the tablet have keys of the range?  Those of a hash keyspace may have any. */
static bool
concerns(const struct space *space, const struct site *site, const struct kv_scan_options *o)
{
    const struct tablet_record *t = site->record;

    if (space->keyspace->record.partition != PARTITION_RANGE)
        return true;
    return (t->limit.size == 0 || slice_compare(o->from, t->limit) < 0) &&
           (!o->has_limit || slice_compare(t->from, o->limit) < 0);
}

/* Those concerned, at the front of `out`, at least one. */
static uint32_t
choose(const struct space *space, const struct kv_scan_options *o, struct site **out)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < space->keyspace->tablet_count; i++) {
        if (concerns(space, space->sites[i], o))
            out[count++] = space->sites[i];
    }
    if (count == 0)
        out[count++] = space->sites[0]; /* an empty range: somebody has to say so */
    return count;
}

static enum status
open_several(struct kv_door *door, const struct space *space, const struct kv_scan_options *options,
             struct kv_scan **out, struct err *err)
{
    struct site **sites = mem_new_array(struct site *, space->keyspace->tablet_count);
    struct kv_scan *whole = NULL;
    uint32_t count;
    enum status st;

    if (sites == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for a scan");
    count = choose(space, options, sites);
    st = scan__open(door, options, sites[0]->tablet, &whole, err);
    if (st == ST_OK && count > 1)
        st = merge__open(whole, options, sites, count, err);
    mem_free(sites);
    if (st == ST_OK)
        *out = whole;
    else if (whole != NULL)
        scan__free(whole);
    return st;
}

enum status
kv_scan_open(struct kv_door *door, const struct kv_scan_options *options, struct kv_scan **out,
             struct err *err)
{
    const struct space *space = map_space(&door->map, options->keyspace);

    if (space == NULL || space->keyspace->tablet_count == 0)
        return err_raise(err, ST_NOT_FOUND, "no such keyspace");
    if (options->tablet != 0)
        return scan__open(door, options, options->tablet, out, err);
    if (space->keyspace->tablet_count == 1)
        return scan__open(door, options, space->sites[0]->tablet, out, err);
    return open_several(door, space, options, out, err);
}

void
kv_scan_rewind(struct kv_scan *s)
{
    ASSERT(!s->busy);
    if (s->merge != NULL)
        merge__rewind(s->merge);
    s->resume.size = 0; /* from the beginning */
    s->resume_after = false;
    s->ended = false;
}

/* ------------------------------------------------------------------ one piece (job) */

static enum status
copy_slice(struct kv_scan *s, struct slice from, struct slice *to)
{
    uint8_t *room = arena_alloc_bytes(&s->arena, from.size);

    if (room == NULL)
        return ST_NO_MEMORY;
    if (from.size > 0)
        memcpy(room, from.data, from.size);
    *to = slice_of(room, from.size);
    return ST_OK;
}

static enum status
grow_entries(struct kv_scan *s)
{
    uint32_t capacity = s->capacity == 0 ? 64 : s->capacity * 2;
    struct entry *grown;

    if (s->piece.count < s->capacity)
        return ST_OK;
    grown = mem_resize(s->entries, capacity * sizeof(*grown));
    if (grown == NULL)
        return ST_NO_MEMORY;
    s->entries = grown;
    s->capacity = capacity;
    return ST_OK;
}

enum status
scan__keep(struct kv_scan *s, const struct entry *e)
{
    struct entry kept = *e;
    enum status st = grow_entries(s);

    if (st == ST_OK)
        st = copy_slice(s, e->key, &kept.key);
    kept.value = (struct slice){ 0 };
    if (st == ST_OK && s->options.want_values)
        st = copy_slice(s, e->value, &kept.value);
    if (st != ST_OK)
        return st;
    s->entries[s->piece.count++] = kept;
    s->bytes += kept.key.size + kept.value.size;
    return ST_OK;
}

static bool
beyond(const struct kv_scan *s, struct slice stored)
{
    if (s->options.reverse)
        return slice_compare(stored, s->options.from) < (s->options.after_from ? 1 : 0);
    return slice_compare(stored, s->options.limit) >= 0;
}

static enum status
first_of_piece(struct kv_scan *s, struct lsm_iter *it)
{
    bool fresh = s->resume.size == 0;
    struct slice resume = buf_slice(&s->resume);
    struct slice from = fresh ? s->options.from : resume;
    enum status st;

    if (s->options.reverse)
        return lsm_iter_seek_before(it, fresh ? s->options.limit : resume, &s->ask.err);
    st = lsm_iter_seek(it, from, &s->ask.err);
    if (st == ST_OK && (fresh ? s->options.after_from : s->resume_after)) {
        struct entry e;

        lsm_iter_entry(it, &e);
        if (slice_equal(e.key, from))
            st = lsm_iter_next(it, &s->ask.err);
    }
    return st;
}

enum status
scan__go_on_after(struct kv_scan *s, struct slice key)
{
    static const uint8_t kind = KEY_USER;
    enum status st;

    s->resume.size = 0;
    st = buf_reserve(&s->resume, 1 + key.size);
    if (st == ST_OK)
        st = buf_append(&s->resume, slice_of(&kind, 1));
    if (st == ST_OK)
        st = buf_append(&s->resume, key);
    s->resume_after = true;
    return st;
}

struct slice
scan__last_key(const struct kv_scan *s)
{
    return s->resume.size == 0 ? (struct slice){ 0 }
                               : slice_of(s->resume.data + 1, s->resume.size - 1);
}

static enum status
look_at(struct kv_scan *s, const struct entry *e)
{
    struct entry user = *e;
    enum status st;

    user.key = slice_of(e->key.data + 1, e->key.size - 1);
    s->piece.examined++;
    st = scan__go_on_after(s, user.key);
    if (st == ST_OK && (s->options.pattern.size == 0 || kv_glob(s->options.pattern, user.key)))
        st = scan__keep(s, &user);
    return st;
}

static bool
piece_is_full(const struct kv_scan *s)
{
    return s->piece.count >= s->keys_max || s->piece.examined >= s->examined_max ||
           s->bytes >= s->bytes_max || s->piece.count >= SCAN_ENTRIES_MAX;
}

static enum status
read_piece(struct kv_scan *s, struct lsm_iter *it)
{
    enum status st = first_of_piece(s, it);

    while (st == ST_OK) {
        struct entry e;

        lsm_iter_entry(it, &e);
        if (beyond(s, e.key))
            return ST_NOT_FOUND;
        st = look_at(s, &e);
        if (st != ST_OK || piece_is_full(s))
            break;
        st = s->options.reverse ? lsm_iter_prev(it, &s->ask.err) : lsm_iter_next(it, &s->ask.err);
    }
    return st;
}

static void
scan_run(struct job *job)
{
    struct kv_scan *s = container_of(job, struct kv_scan, job);
    struct lsm_iter_options options = { .now_ms = s->now_ms, .fill_cache = s->keys_max <= 1024 };
    struct lsm_iter *it = NULL;
    enum status st;

    if (s->piece.status != ST_OK)
        return; /* it was refused */
    options.snapshot = s->snapshot.pin;
    st = lsm_iter_create(tablet_lsm(s->snapshot.tablet), &options, &it, &s->ask.err);
    if (st == ST_OK)
        st = read_piece(s, it);
    lsm_iter_destroy(it);
    if (st == ST_CORRUPT)
        tablet_tell_damage(s->snapshot.tablet, &s->ask.err);
    s->ended = st == ST_NOT_FOUND;
    s->resume_after = true;
    s->piece.status = st == ST_NOT_FOUND ? ST_OK : st;
    s->piece.end = s->ended;
    s->piece.entries = s->entries;
    s->piece.last_key = scan__last_key(s);
}

void
scan__tell(struct kv_scan *s)
{
    s->busy = false;
    s->door->under_way--;
    if (!s->closed)
        s->fn(s->ctx, &s->piece);
    else if (s->far.begun)
        scan__end_far(s);
    else
        scan__free(s);
}

static void
scan_done(struct job *job)
{
    scan__tell(container_of(job, struct kv_scan, job));
}

/* ------------------------------------------------------------------ pieces */

static void
submit_job(struct kv_scan *s)
{
    if (s->snapshot.pin != NULL)
        s->now_ms = tablet_now_ms(s->snapshot.tablet, loop_now_ns(s->door->loop));
    s->job = (struct job){ .run = scan_run, .done = scan_done, .loop = s->door->loop };
    env_submit(loop_env(s->door->loop), ENV_LANE_READ, &s->job);
}

static void
asked(struct request *r)
{
    struct kv_scan *s = container_of(r, struct kv_scan, ask);

    s->piece.status = r->status;
    s->piece.leader = r->leader;
    if (r->status == ST_OK && r->elsewhere != 0) {
        scan__begin_far(s, r->elsewhere);
        return;
    }
    if (r->status == ST_OK)
        s->piece.status = kv_snapshot_take(&s->snapshot, r);
    submit_job(s);
}

void
scan__refuse(struct kv_scan *s, enum status st)
{
    s->piece.status = st;
    submit_job(s);
}

enum status
scan__pin(struct kv_scan *s)
{
    struct request asked = { .status = ST_OK };

    asked.tablet = tablet_reactor_find(&s->door->reactor, s->tablet);
    if (asked.tablet == NULL)
        return ST_NOT_LEADER;
    return s->snapshot.pin == NULL ? kv_snapshot_take(&s->snapshot, &asked) : ST_OK;
}

void
scan__ask(struct kv_scan *s)
{
    s->ask.keyspace = s->options.keyspace;
    s->ask.only = s->tablet;
    s->ask.deadline_ns = s->options.deadline_ns;
    s->ask.done = asked;
    kv_submit(s->door, &s->ask);
}

void
kv_scan_next(struct kv_scan *s, uint32_t keys_max, uint64_t examined_max, size_t bytes_max,
             kv_scan_fn *fn, void *ctx)
{
    ASSERT(!s->busy && !s->closed);
    ASSERT(keys_max > 0 && examined_max > 0);
    s->busy = true;
    s->door->under_way++;
    s->fn = fn;
    s->ctx = ctx;
    s->keys_max = keys_max;
    s->examined_max = examined_max;
    s->bytes_max = bytes_max;
    s->bytes = 0;
    s->piece = (struct kv_scan_piece){ .err = &s->ask.err };
    s->ask.err.code = ST_OK;
    arena_reset(&s->arena);
    if (s->merge != NULL)
        merge__next(s->merge);
    else if (s->far.begun)
        scan__next_far(s);
    else if (s->snapshot.pin == NULL)
        scan__ask(s);
    else
        submit_job(s);
}

void
kv_scan_close(struct kv_scan *s)
{
    if (s == NULL)
        return;
    s->closed = true;
    if (s->busy && s->merge != NULL && merge__give_up(s->merge)) {
        scan__tell(s);
        return;
    }
    if (s->busy)
        return;
    if (s->far.begun)
        scan__end_far(s);
    else
        scan__free(s);
}
