/*
 * Reading a stream without changing it, for `distkv check`.
 */
#include "base/assert.h"

#include "wal/wal_internal.h"

/* Hands what lies beyond the damage to a callback. */
struct reader_beyond {
    wal_replay_fn *fn;
    void *ctx;
};

static enum status
hand_over(void *ctx, const struct found *found, struct err *err)
{
    struct reader_beyond *b = ctx;
    struct wal_record record;

    if (!wal__record_is_outer(&found->record))
        return ST_OK;
    record = wal__record_outer(&found->record);
    return b->fn(b->ctx, &record, 0, err);
}

/* Everything in a file that is intact and of this incarnation, from an offset on. */
static enum status
read_file(const struct place *p, uint64_t sequence, uint64_t incarnation, uint64_t from,
          struct reader_beyond *b, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    struct file *f = NULL;
    struct scan scan;
    uint64_t bytes = 0;
    enum status st;

    wal__segment_path(p, sequence, path);
    st = env_open(p->env, path, ENV_OPEN_READ, &f, err);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    if (st != ST_OK)
        return st;
    st = file_size(f, &bytes, err);
    if (st == ST_OK) {
        wal__scan_init(&scan, f, bytes, wal__record_seed(p->store_id, incarnation));
        st = wal__scan_ahead(&scan, from < SEGMENT_HEADER_BYTES ? SEGMENT_HEADER_BYTES : from,
                             hand_over, b, err);
        wal__scan_release(&scan);
    }
    file_close(f);
    return st;
}

/* First the rest of the damaged segment, then every file that the walk did not come to.  In a
 * spare nothing checks out. */
static enum status
read_beyond(struct walk *k, struct reader_beyond *b, struct err *err)
{
    uint64_t damaged = k->damaged.sequence;
    enum status st = ST_OK;

    if (damaged != 0)
        st = read_file(k->place, damaged, k->damaged.incarnation, k->damage.offset, b, err);
    for (size_t i = 0; i < k->sequences.count && st == ST_OK; i++) {
        uint64_t sequence = k->sequences.items[i];
        struct first_record first;

        if (sequence == damaged || wal__walk_has(k, sequence))
            continue;
        st = wal__first_record(k->place, sequence, &first, err);
        if (st == ST_OK && first.header_ok)
            st = read_file(k->place, sequence, first.header.incarnation, 0, b, err);
    }
    return st;
}

enum status
wal_verify(struct env *env, const struct wal_options *options, wal_replay_fn *beyond,
           struct wal_recovery *report, struct wal_damage *damage, struct err *err)
{
    struct place place = { env, options->dir, options->store_id };
    struct reader_beyond b = { beyond, options->replay_ctx };
    enum status st, further = ST_OK;
    struct walk k;

    ASSERT(options->replay != NULL);
    st = wal__check_options(options, err);
    if (st != ST_OK)
        return st;
    wal__walk_init(&k, &place, options, report);
    st = wal__walk(&k, err);
    if (st == ST_CORRUPT && k.damage.file[0] != '\0') {
        *damage = k.damage;
        if (beyond != NULL)
            further = read_beyond(&k, &b, err);
    }
    wal__walk_release(&k);
    return further != ST_OK ? further : st;
}
