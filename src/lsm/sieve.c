/*
 * Which versions of a key survive a flush or a compaction: T6 at the head of lsm.c.
 *
 *      versions of one key, newest first       12   9   7   4
 *      snapshots at                                   8
 *
 *      12 stays: it is the newest.  9 goes: nobody reads at 9..11.  7 stays: the snapshot at 8
 *      reads it.  4 goes: nobody reads at 4..6.
 *
 * Each version is judged against the one before it, whether that one was kept or not:
 * a tombstone that goes still hides what is older.  So when a tombstone goes, all that it
 * hides must go with it: none of that is needed by a snapshot, for none is older than the
 * tombstone, and none of it lies below.
 */
#include "base/assert.h"

#include "lsm/lsm_internal.h"

void
lsm__sieve_init(struct sieve *s, const struct horizon *horizon)
{
    *s = (struct sieve){
        .horizon = horizon,
        .ceiling = VERSION_MAX,
        .key = buf_empty(LIMIT_STORED_KEY_BYTES),
    };
}

void
lsm__sieve_release(struct sieve *s)
{
    buf_release(&s->key);
}

/* Might an older version of the key lie below the output? */
static bool
lies_below(const struct sieve *s, struct slice key)
{
    if (s->below == NULL)
        return false;
    for (uint32_t level = s->below_level; level < LIMIT_LEVELS; level++) {
        if (version_overlaps(&s->below->levels[level], level, key, key))
            return true;
    }
    return false;
}

/* T11: at the mark of the files and later, and at every snapshot that sees the value. */
static bool
is_expired(const struct sieve *s, const struct entry *e)
{
    return e->type == ENTRY_VALUE && e->expiry_ms != 0 && e->expiry_ms <= s->expired_ms &&
           !lsm__horizon_between(s->horizon, e->version, version_at(e->expiry_ms));
}

static bool
may_vanish(const struct sieve *s, const struct entry *e)
{
    return e->type == ENTRY_TOMBSTONE && s->drop_tombstones &&
           e->version <= lsm__horizon_oldest(s->horizon) && !lies_below(s, e->key);
}

enum status
lsm__sieve_judge(struct sieve *s, struct entry *e, bool *keep)
{
    bool shadowed;

    s->new_key = false;
    *keep = false;
    if (e->version > s->ceiling)
        return ST_OK; /* T3 */
    if (s->newer == 0 || !slice_equal(e->key, buf_slice(&s->key))) {
        enum status st;

        s->key.size = 0;
        st = buf_append(&s->key, e->key);
        if (st != ST_OK)
            return st;
        s->newer = 0;
        s->new_key = true;
        s->foreign = lsm__is_foreign(s->narrowing, e->key);
    }
    ASSERT(s->newer == 0 || e->version <= s->newer); /* entry order */
    shadowed = s->newer != 0 && !lsm__horizon_between(s->horizon, e->version, s->newer);
    s->newer = e->version;
    if (shadowed || s->foreign)
        return ST_OK;
    if (is_expired(s, e)) {
        e->type = ENTRY_TOMBSTONE;
        e->value = slice_of(NULL, 0);
        e->expiry_ms = 0;
    }
    *keep = !may_vanish(s, e);
    return ST_OK;
}
