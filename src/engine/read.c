/*
 * Entries of one tablet, read back from the log that all tablets share.
 *
 * An index and a term name one entry for ever (paper, 5.3, "log matching"): whatever was cut off and
 * written again, a record with both is the one that is wanted, and no other is.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "engine/engine_internal.h"

enum {
    READ_COUNT_MAX = 4096,
    READ_CHUNK_BYTES = 64 << 10,
    READ_SKIPPED_BYTES_MAX =
        4 << 20, /* of other tablets' records, once there is something to give */
};

struct taking {
    uint64_t tablet;
    const struct engine_span *span;
    struct engine_entries *out;
    uint32_t count_max;
    wal_position end; /* of the last one taken */
};

static bool
is_next(const struct taking *t, const struct wal_record *record)
{
    return record->tablet == t->tablet && record->index == t->span->first + t->out->count &&
           record->term == t->span->term;
}

static enum status
keep(struct engine_entries *out, const struct wal_record *record)
{
    uint8_t *copy = arena_alloc_bytes(&out->arena, record->body.size);

    if (copy == NULL)
        return ST_NO_MEMORY;
    memcpy(copy, record->body.data, record->body.size);
    out->bodies[out->count++] = slice_of(copy, record->body.size);
    out->bytes += record->body.size;
    return ST_OK;
}

/* ST_CLOSED: enough. */
static enum status
take(void *ctx, const struct wal_record *record, wal_position end, struct err *err)
{
    struct taking *t = ctx;
    struct engine_entries *out = t->out;
    bool any = out->count > 0;

    if (!is_next(t, record))
        return any && end - t->end > READ_SKIPPED_BYTES_MAX ? ST_CLOSED : ST_OK;
    if (any && out->bytes + record->body.size > t->span->bytes_max)
        return ST_CLOSED;
    if (keep(out, record) != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "out of memory for entries of the log");
    t->end = end;
    return out->count == t->count_max ? ST_CLOSED : ST_OK;
}

static enum status
read_into(struct engine_tree *tree, const struct engine_span *span, struct engine_entries *out,
          struct err *err)
{
    struct wal *log = tree->engine->log;
    uint64_t wanted = span->limit - span->first;
    struct taking t = { .tablet = tree->log,
                        .span = span,
                        .out = out,
                        .count_max = wanted < READ_COUNT_MAX ? (uint32_t)wanted : READ_COUNT_MAX };
    enum status st;

    out->bodies = arena_alloc(&out->arena, t.count_max * sizeof(*out->bodies));
    if (out->bodies == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for entries of the log");
    st = wal_read(log, span->position, wal_written(log), take, &t, err);
    if (st != ST_OK && st != ST_CLOSED)
        return st;
    if (out->count == 0) {
        return err_raise(err, ST_CORRUPT,
                         "tablet %016llx: entry %llu of term %llu is not in the log where it was",
                         (unsigned long long)tree->id, (unsigned long long)span->first,
                         (unsigned long long)span->term);
    }
    return ST_OK;
}

enum status
engine_read_log(struct engine_tree *tree, const struct engine_span *span,
                struct engine_entries *out, struct err *err)
{
    struct engine_entries read = { 0 };
    enum status st;

    ASSERT(span->first < span->limit);
    arena_init(&read.arena, READ_CHUNK_BYTES);
    st = read_into(tree, span, &read, err);
    if (st == ST_OK)
        *out = read;
    else
        arena_release(&read.arena);
    return st;
}

void
engine_entries_release(struct engine_entries *entries)
{
    if (entries->count == 0)
        return;
    arena_release(&entries->arena);
    *entries = (struct engine_entries){ 0 };
}
