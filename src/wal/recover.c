/*
 * Opening a stream: walk it, make durable what was replayed, go on.
 *
 * First CHAIN is replaced by one that says the same.  The one that was read may
 * be a dead process's, renamed into place and never synced; should it vanish in
 * a power cut, then the one before it counts again, and no file that it names
 * may have been touched (W6).
 *
 *      clean       The stream ends in a mark (or is empty), and nothing of the
 *                  last incarnation lies beyond.  All but the mark itself is
 *                  durable.  The mark is written again, byte for byte, and
 *                  synced; new records go behind it.
 *
 *      otherwise   The log goes on in a fresh segment, with a copy of what is
 *                  not proven to be durable (fresh.c).
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

enum { NAME_ROOM = 100 }; /* for what stands behind the folder's name in a path */

enum status
wal__check_options(const struct wal_options *options, struct err *err)
{
    size_t name_bytes = strlen(options->dir);
    uint64_t bytes = options->segment_bytes;

    if (name_bytes == 0 || name_bytes > LIMIT_PATH_BYTES - NAME_ROOM)
        return err_raise(err, ST_INVALID, "log: the folder's name has %zu bytes", name_bytes);
    if (bytes < SEGMENT_BYTES_MIN || bytes > SEGMENT_BYTES_MAX)
        return err_raise(err, ST_INVALID, "log %s: segments of %llu bytes", options->dir,
                         (unsigned long long)bytes);
    if (options->spare_count <= options->kept_count || options->gather_bytes_max == 0)
        return err_raise(err, ST_INVALID, "log %s: no spare segment, or nothing to gather in",
                         options->dir);
    return ST_OK;
}

/* ------------------------------------------------------------------ in place */

static enum status
continue_in_place(struct wal *w, struct walk *k, struct err *err)
{
    struct segment *last = wal__walk_last(k);
    struct segment_header h;
    struct raw_record mark = { .type = RECORD_MARK, .watermark = k->mark_at };
    enum status st;

    st = wal__segment_open(&w->place, last->sequence, ENV_OPEN_WRITE, &last->file, &h, err);
    if (st != ST_OK)
        return st;
    if (k->mark_at != 0) {
        struct gather *g = &w->gathers[0];
        struct slice bytes;

        if (!wal__gather_reserve(g, MARK_BYTES))
            return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", w->dir);
        wal__record_put(g->bytes, last->seed, k->mark_at, &mark);
        bytes = slice_of(g->bytes, MARK_BYTES);
        st = file_write(last->file, k->mark_at, &bytes, 1, err);
        if (st == ST_OK)
            st = file_sync(last->file, err);
        if (st != ST_OK)
            return st;
        w->marked = true;
    }
    w->at = k->end;
    last->limit = 0;
    last->settled = false;
    list_splice_back(&w->chain, &k->segments);
    return ST_OK;
}

/* ------------------------------------------------------------------ opening */

/* All segment files that are not part of the log; a crash may have left any number of them. */
static enum status
gather_spares(struct wal *w, const struct walk *k, struct err *err)
{
    for (size_t i = 0; i < k->sequences.count; i++) {
        char path[LIMIT_PATH_BYTES];
        struct segment *s;
        enum status st;

        w->next_sequence = k->sequences.items[i] + 1; /* ascending */
        if (wal__walk_has(k, k->sequences.items[i]))
            continue;
        s = mem_new(struct segment);
        if (s == NULL)
            return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", w->dir);
        s->sequence = k->sequences.items[i];
        list_push_back(&w->freed, &s->link);
        wal__segment_path(&w->place, s->sequence, path);
        st = env_stat(w->place.env, path, &s->bytes, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

/* The folder above `dir`; "." when there is no slash in it. */
static void
parent_of(const char *dir, char out[LIMIT_PATH_BYTES])
{
    char *slash;

    snprintf(out, LIMIT_PATH_BYTES, "%s", dir);
    slash = strrchr(out, '/');
    if (slash == NULL)
        snprintf(out, LIMIT_PATH_BYTES, ".");
    else
        slash[slash == out ? 1 : 0] = '\0';
}

static enum status
make_folder(struct wal *w, struct err *err)
{
    char parent[LIMIT_PATH_BYTES];
    enum status made = env_make_dir(w->place.env, w->dir, err);
    enum status st;

    if (made != ST_OK && made != ST_EXISTS)
        return made;
    parent_of(w->dir, parent);
    st = env_sync_dir(w->place.env, parent, err);
    if (st != ST_OK && made == ST_OK) {
        /* A second sync would prove nothing (W5): the next attempt is to make it anew. */
        enum status ignored = env_remove_dir(w->place.env, w->dir, NULL);

        (void)ignored;
    }
    return st;
}

static enum status
create_stream(struct wal *w, struct walk *k, struct err *err)
{
    enum status st = make_folder(w, err);

    if (st == ST_OK)
        st = gather_spares(w, k, err);
    if (st == ST_OK)
        st = wal__continue_fresh(w, k, err);
    k->report->clean = true;
    return st;
}

static enum status
resume_stream(struct wal *w, struct walk *k, struct err *err)
{
    struct heads none = w->heads;
    enum status st = gather_spares(w, k, err);

    if (st == ST_OK && k->options->before_writing != NULL)
        k->options->before_writing(k->options->replay_ctx);
    if (st == ST_OK && !k->was_cut) /* wal_cut() has seen to that */
        st = wal__chain_write(&w->place, &k->segments, err);
    if (st != ST_OK)
        return st;
    w->heads = k->heads;
    k->heads = none;
    return k->report->clean ? continue_in_place(w, k, err) : wal__continue_fresh(w, k, err);
}

/* Files that the walk had found part of the log, and that are so no more. */
static void
keep_leftovers(struct wal *w, struct walk *k)
{
    list_splice_back(&w->freed, &k->segments);
}

/* The chain is complete, and durable to its end. */
static void
begin(struct wal *w)
{
    wal_position end;

    w->current = container_of(w->chain.prev, struct segment, link);
    w->writing = w->current;
    ASSERT(w->current->file != NULL && w->at >= SEGMENT_HEADER_BYTES);
    list_each (at, &w->chain) {
        w->chain_count++;
        w->retained_bytes += container_of(at, struct segment, link)->bytes;
    }
    end = w->current->base + (w->at - SEGMENT_HEADER_BYTES);
    w->current->heads_end = end;
    w->begin = container_of(w->chain.next, struct segment, link)->begin;
    atomic_init(&w->end, end);
    atomic_init(&w->written, end);
    atomic_init(&w->durable, end);
}

static struct wal *
create(struct env *env, const struct wal_options *options)
{
    struct wal *w = mem_new(struct wal);

    if (w == NULL)
        return NULL;
    lock_init(&w->own_lock);
    w->lock = &w->own_lock;
    list_init(&w->chain);
    list_init(&w->ready);
    list_init(&w->freed);
    w->segment_bytes = options->segment_bytes;
    w->gather_bytes_max = options->gather_bytes_max;
    w->spare_count = options->spare_count;
    w->kept_count = options->kept_count;
    w->next_sequence = 1;
    w->dir = mem_strdup(options->dir);
    w->place = (struct place){ env, w->dir, options->store_id };
    if (w->dir == NULL || !wal__gather_reserve(&w->gathers[0], 1) ||
        !wal__gather_reserve(&w->gathers[1], 1)) {
        wal_abandon(w);
        return NULL;
    }
    return w;
}

static enum status
walk_and_go_on(struct wal *w, struct walk *k, struct err *err)
{
    struct err reason = { 0 };
    enum status st = wal__walk(k, &reason);

    if (st == ST_OK)
        st = resume_stream(w, k, err);
    else if (k->absent && k->options->create)
        st = create_stream(w, k, err);
    else if (err != NULL)
        *err = reason;
    if (st == ST_OK) {
        keep_leftovers(w, k);
        begin(w);
    }
    return st;
}

enum status
wal__open(struct wal **out, struct env *env, const struct wal_options *options,
          const struct wal_damage *cut, struct wal_recovery *report, struct err *err)
{
    struct wal *w;
    struct walk k;
    enum status st;

    ASSERT(options->replay != NULL);
    st = wal__check_options(options, err);
    if (st != ST_OK)
        return st;
    w = create(env, options);
    if (w == NULL)
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", options->dir);
    wal__walk_init(&k, &w->place, options, report);
    k.cut = cut;
    st = walk_and_go_on(w, &k, err);
    wal__walk_release(&k);
    if (st != ST_OK) {
        wal_abandon(w);
        return st;
    }
    *out = w;
    return ST_OK;
}

enum status
wal_open(struct wal **out, struct env *env, const struct wal_options *options,
         struct wal_recovery *report, struct err *err)
{
    return wal__open(out, env, options, NULL, report, err);
}
