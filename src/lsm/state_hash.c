/*
 * The newest unexpired version of every key, in key order, through one running hash.
 *
 *      record      key_size:u32  value_size:u32  version:u64  expiry_ms:u64  key  value
 *
 * INVARIANTS.  The same at one applied index, whoever looks, because:
 *
 *   H1  The snapshot's version follows from the index: it is the highest version of the log's entries
 *       up to there, those without records and the clears among them.  It is the same whether
 *       they were applied one by one, are behind the mark from which the tree was opened, or came with
 *       a checkpoint (reach() in apply.c, and T4).
 *   H2  Expiry is judged at the time of that version: not by a clock, not by the ceiling of the moment.
 *   H3  Whatever is alive by H2 is there: compaction forgets what had expired at the mark or
 *       for the snapshot, and nothing else (T11).  What it turned into a tombstone counts as
 *       little as what it dropped or has yet to drop.
 *   H4  Of a key counts the newest version that the snapshot sees, once: neither older ones, which
 *       flushes and compactions drop as they come to them, nor tombstones, nor a second copy of the
 *       version in another table, nor what a unit under way or torn has left above the snapshot.
 *   H5  The order is that of the keys, not of the places where they lie.
 *   H6  Every kind of stored key counts: the records by which retries are recognised (tablet/dedup.h) are
 *       state like any other, with an expiry of their own.
 *   H7  The encoding is injective, for the sizes come first; numbers are little-endian, and XXH3 gives the
 *       same number on every machine.  Another encoding gets another seed.
 *
 * Not here, on purpose: the index.  Whoever owns the tree takes the snapshot and notes the index in the same
 * moment.
 */
#include "lsm/state_hash.h"

#include "base/coding.h"
#include "base/hash.h"

enum { FORMAT = 1, RECORD_HEADER_BYTES = 24, PIECE_BYTES = 1 << 20 };

struct hashing {
    struct hash_stream *stream;
    uint64_t count;
    uint64_t piece_bytes; /* since the last pause */
};

static void
add_record(struct hashing *h, const struct entry *e)
{
    uint8_t header[RECORD_HEADER_BYTES];

    put_u32le(header, (uint32_t)e->key.size);
    put_u32le(header + 4, (uint32_t)e->value.size);
    put_u64le(header + 8, e->version);
    put_u64le(header + 16, e->expiry_ms);
    hash_stream_add(h->stream, slice_of(header, sizeof(header)));
    hash_stream_add(h->stream, e->key);
    hash_stream_add(h->stream, e->value);
    h->count++;
    h->piece_bytes += sizeof(header) + e->key.size + e->value.size;
}

static enum status
walk(struct hashing *h, struct lsm_iter *it, state_hash_pause_fn *pause, void *ctx, struct err *err)
{
    enum status st = lsm_iter_first(it, err);

    while (st == ST_OK) {
        struct entry e;

        lsm_iter_entry(it, &e);
        add_record(h, &e);
        if (h->piece_bytes >= PIECE_BYTES) {
            h->piece_bytes = 0;
            st = pause(ctx);
        }
        if (st == ST_OK)
            st = lsm_iter_next(it, err);
    }
    return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status
lsm_state_hash(struct lsm *t, const struct lsm_snapshot *snapshot, state_hash_pause_fn *pause,
               void *ctx, struct state_hash *out, struct err *err)
{
    version_t version = lsm_snapshot_version(snapshot);
    struct lsm_iter_options options = { .snapshot = snapshot,
                                        .now_ms = version_unix_ms(version) }; /* H2 */
    struct hashing h = { .stream = hash_stream_create(FORMAT) };
    struct lsm_iter *it = NULL;
    enum status st;

    if (h.stream == NULL)
        return err_raise(err, ST_NO_MEMORY, "tree %016llx: no memory for a state hash",
                         (unsigned long long)lsm_id(t));
    st = lsm_iter_create(t, &options, &it, err);
    if (st == ST_OK)
        st = walk(&h, it, pause, ctx, err);
    if (st == ST_OK)
        *out = (struct state_hash){ version, h.count, hash_stream_value(h.stream) };
    lsm_iter_destroy(it);
    hash_stream_destroy(h.stream);
    return st;
}
