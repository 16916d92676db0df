/*
 * The operator's decision (P5): keep everything before the damage.
 *
 *      1. CHAIN, and the segment in whose middle the damage is, are copied
 *         to aside-<n>/; later segments are moved there.
 *      2. The stream is recovered as if it ended at the damage, which replaces
 *         CHAIN.
 *
 * A crash between the two leaves a stream that is still damaged at the same
 * place, and may be cut again; what is aside stays there.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#include "wal/wal_internal.h"

enum { COPY_BYTES = 256 << 10, ASIDE_MAX = 9999, ASIDE_NAME_BYTES = 16 };

static enum status
ignore(void *ctx, const struct wal_record *record, wal_position at, struct err *err)
{
    (void)ctx;
    (void)record;
    (void)at;
    (void)err;
    return ST_OK;
}

/* ------------------------------------------------------------------ aside */

static enum status
make_aside(const struct place *p, char name[ASIDE_NAME_BYTES], struct err *err)
{
    for (unsigned n = 1; n <= ASIDE_MAX; n++) {
        char path[LIMIT_PATH_BYTES];
        enum status st;

        snprintf(name, ASIDE_NAME_BYTES, "aside-%u", n);
        wal__path(p, name, path);
        st = env_make_dir(p->env, path, err);
        if (st == ST_OK)
            return env_sync_dir(p->env, p->dir, err);
        if (st != ST_EXISTS)
            return st;
    }
    return err_raise(err, ST_EXISTS, "log %s: %d folders aside", p->dir, ASIDE_MAX);
}

static enum status
copy_bytes(struct file *from, struct file *to, struct err *err)
{
    uint8_t *bytes = mem_alloc(COPY_BYTES);
    uint64_t offset = 0;
    size_t got = COPY_BYTES;
    enum status st = ST_OK;

    if (bytes == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", file_path(from));
    while (st == ST_OK && got == COPY_BYTES) {
        struct slice part;

        st = file_read(from, offset, bytes, COPY_BYTES, &got, err);
        part = slice_of(bytes, got);
        if (st == ST_OK && got > 0)
            st = file_write(to, offset, &part, 1, err);
        offset += got;
    }
    mem_free(bytes);
    return st == ST_OK ? file_sync(to, err) : st;
}

/* "<dir>/<aside>/<name>" */
static void
aside_path(const struct place *p, const char *aside, const char *name, char out[LIMIT_PATH_BYTES])
{
    char both[ASIDE_NAME_BYTES + SEGMENT_NAME_BYTES];

    snprintf(both, sizeof(both), "%s/%s", aside, name);
    wal__path(p, both, out);
}

static enum status
copy_aside(const struct place *p, const char *aside, const char *name, struct err *err)
{
    char path[LIMIT_PATH_BYTES], copy[LIMIT_PATH_BYTES];
    struct file *from = NULL, *to = NULL;
    enum status st;

    wal__path(p, name, path);
    aside_path(p, aside, name, copy);
    st = env_open(p->env, path, ENV_OPEN_READ, &from, err);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    if (st == ST_OK)
        st = env_open(p->env, copy, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &to, err);
    if (st == ST_OK)
        st = copy_bytes(from, to, err);
    file_close(from);
    file_close(to);
    return st;
}

static enum status
move_aside(const struct place *p, const char *aside, const char *name, struct err *err)
{
    char from[LIMIT_PATH_BYTES], to[LIMIT_PATH_BYTES];

    wal__path(p, name, from);
    aside_path(p, aside, name, to);
    return env_rename(p->env, from, to, err);
}

/* Prepared, and never written to. */
static enum status
is_unused(const struct place *p, uint64_t sequence, bool *unused, struct err *err)
{
    struct first_record first;
    enum status st = wal__first_record(p, sequence, &first, err);

    *unused = st == ST_OK && first.header_ok && !first.intact;
    return st;
}

/* ------------------------------------------------------------------ cutting */

/* Every segment file that does not stay in the log, except those that are plainly spares. */
static enum status
move_rest(struct walk *k, const char *aside, const struct wal_damage *damage, struct err *err)
{
    for (size_t i = 0; i < k->sequences.count; i++) {
        uint64_t sequence = k->sequences.items[i];
        char name[SEGMENT_NAME_BYTES];
        bool unused = false;
        enum status st = ST_OK;

        wal__segment_name(sequence, name);
        if (wal__walk_has(k, sequence)) {
            if (strcmp(name, damage->file) == 0)
                st = copy_aside(k->place, aside, name, err);
        } else {
            st = is_unused(k->place, sequence, &unused, err);
            if (st == ST_OK && (!unused || strcmp(name, damage->file) == 0))
                st = move_aside(k->place, aside, name, err);
        }
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

/* Start a folder for the evidence, with CHAIN in it.  This also makes the name of CHAIN durable,
 * before anything is moved (W6). */
static enum status
begin_aside(const struct place *p, char aside[ASIDE_NAME_BYTES], struct err *err)
{
    enum status st = make_aside(p, aside, err);

    return st == ST_OK ? copy_aside(p, aside, "CHAIN", err) : st;
}

static enum status
end_aside(const struct place *p, const char *aside, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    enum status st;

    wal__path(p, aside, path);
    st = env_sync_dir(p->env, path, err);
    return st == ST_OK ? env_sync_dir(p->env, p->dir, err) : st;
}

/* Damage in a segment: see what stays, and put the rest aside. */
static enum status
put_rest_aside(struct walk *k, const struct wal_damage *damage, struct err *err)
{
    char aside[ASIDE_NAME_BYTES];
    enum status st;

    k->cut = damage;
    st = wal__walk(k, err);
    if (st == ST_OK)
        st = begin_aside(k->place, aside, err);
    if (st == ST_OK)
        st = move_rest(k, aside, damage, err);
    return st == ST_OK ? end_aside(k->place, aside, err) : st;
}

/* CHAIN has one intact copy: nothing is lost. */
static enum status
mend_chain(const struct place *p, const struct chain *chain, struct err *err)
{
    char aside[ASIDE_NAME_BYTES];
    enum status st = begin_aside(p, aside, err);

    if (st == ST_OK)
        st = end_aside(p, aside, err);
    return st == ST_OK ? wal__chain_replace(p, chain, err) : st;
}

/* CHAIN is missing or illegible: nothing is before that. */
static enum status
put_all_aside(struct walk *k, const struct wal_damage *damage, struct err *err)
{
    char aside[ASIDE_NAME_BYTES], path[LIMIT_PATH_BYTES];
    enum status st = wal__sequences_read(k->place, &k->sequences, err);

    if (st == ST_OK)
        st = begin_aside(k->place, aside, err);
    if (st == ST_OK)
        st = move_rest(k, aside, damage, err);
    if (st == ST_OK)
        st = end_aside(k->place, aside, err);
    if (st != ST_OK)
        return st;
    wal__path(k->place, "CHAIN", path);
    st = env_remove(k->place->env, path, err);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status
cut_chain(struct walk *k, const struct wal_damage *damage, struct err *err)
{
    struct chain chain = { 0 };
    struct chain_found found = { .parse = PARSE_NONE };
    enum status st = wal__chain_read(k->place, &chain, &found, err);

    if (st != ST_OK && st != ST_NOT_FOUND)
        return st;
    if (found.parse == PARSE_NEWER || (found.parse == PARSE_OK && !found.damaged))
        st = err_raise(err, ST_INVALID, "log %s: CHAIN is not damaged", k->place->dir);
    else if (found.parse == PARSE_OK)
        st = mend_chain(k->place, &chain, err);
    else
        st = put_all_aside(k, damage, err);
    wal__chain_release(&chain);
    return st;
}

enum status
wal_cut(struct env *env, const struct wal_options *options, const struct wal_damage *damage,
        struct err *err)
{
    struct place place = { env, options->dir, options->store_id };
    bool chain = strcmp(damage->file, "CHAIN") == 0;
    struct wal_options quiet = *options;
    struct wal_recovery report;
    struct wal *w = NULL;
    enum status st;
    struct walk k;

    st = wal__check_options(options, err);
    if (st != ST_OK)
        return st;
    quiet.replay = ignore;
    quiet.create = true; /* it may be that nothing stays */
    wal__walk_init(&k, &place, &quiet, &report);
    st = chain ? cut_chain(&k, damage, err) : put_rest_aside(&k, damage, err);
    wal__walk_release(&k);
    if (st == ST_OK)
        st = wal__open(&w, env, &quiet, chain ? NULL : damage, &report, err);
    return st == ST_OK ? wal_close(w, err) : st;
}
