/*
 * From the bytes of a manifest to the version that it describes.
 *
 *      [header][SNAPSHOT][SYNCED][EDIT][SYNCED][EDIT][SYNCED] 0 0 0 0 0 0 0 0 0
 *      '-- intact, or --'                                    ^
 *          ST_CORRUPT (M1)                                  end
 *
 * Records are applied up to the first place where none is intact: the end.  If only zeros
 * follow, nothing is amiss.  Anything else is either what a crash has left of an edit that
 * nobody was told about, or damage.  If beyond the end there is an intact record whose watermark
 * lies beyond the end, then the end had been durable: damage (M3).  Otherwise it is torn.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/mem.h"

#include "lsm/manifest_internal.h"

struct replay {
    struct slice image;
    const char *path;
    uint64_t seed;
    struct file_sweep *sweep;
    struct manifest_state state;
};

void
manifest__state_release(struct manifest_state *s)
{
    if (s->version != NULL)
        version_unref(s->version);
    *s = (struct manifest_state){ 0 };
}

static void
note_numbers(struct manifest_state *s, const struct version_edit *e)
{
    for (uint32_t i = 0; i < e->added_count; i++) {
        uint64_t number = e->added[i].file->info.number;

        if (number > s->number_max)
            s->number_max = number;
    }
}

/* Take the state from before `e` to after it. */
static enum status
apply_edit(struct replay *r, const struct manifest_frame *frame, const struct version_edit *e,
           struct err *err)
{
    struct version *after;
    struct err why = { 0 };
    enum status st = version_apply(r->state.version, e, &after, &why);

    if (st != ST_OK)
        return err_raise(err, st, "%s: record at %" PRIu64 ": %s", r->path, frame->begin, why.text);
    version_unref(r->state.version);
    r->state.version = after;
    if (e->mark_set)
        r->state.mark = e->mark;
    note_numbers(&r->state, e);
    return ST_OK;
}

static enum status
replay_edit(struct replay *r, const struct manifest_frame *frame, struct slice payload,
            struct err *err)
{
    struct version_edit e;
    enum status st =
        version_edit_decode(payload, (enum manifest_format)frame->format, r->sweep, &e);

    if (st != ST_OK)
        return err_raise(err, st, "%s: record at %" PRIu64 " is no edit", r->path, frame->begin);
    st = apply_edit(r, frame, &e, err);
    version_edit_release(&e);
    return st;
}

static enum status
replay_snapshot(struct replay *r, const struct manifest_frame *frame, struct err *err)
{
    struct reader reader = reader_of(frame->payload);
    uint64_t number_max = read_varint(&reader);

    if (reader.bad)
        return err_raise(err, ST_CORRUPT, "%s: record at %" PRIu64 " is no snapshot", r->path,
                         frame->begin);
    r->state.number_max = number_max;
    return replay_edit(r, frame, slice_of(reader.at, reader_left(&reader)), err);
}

static enum status
replay_record(struct replay *r, const struct manifest_frame *frame, struct err *err)
{
    bool first = frame->begin == MANIFEST_HEADER_BYTES;

    if (frame->format < MANIFEST_FORMAT_OLDEST || frame->format > MANIFEST_FORMAT ||
        frame->type > MANIFEST_SYNCED) {
        return err_raise(err, ST_INVALID,
                         "%s: record at %" PRIu64 " has type %u, format %u, which this program "
                         "cannot read",
                         r->path, frame->begin, frame->type, frame->format);
    }
    if (first != (frame->type == MANIFEST_SNAPSHOT))
        return err_raise(err, ST_CORRUPT, "%s: record at %" PRIu64 " is out of place", r->path,
                         frame->begin);
    if (first)
        return replay_snapshot(r, frame, err);
    if (frame->type == MANIFEST_EDIT)
        return replay_edit(r, frame, frame->payload, err);
    if (frame->payload.size > 0)
        return err_raise(err, ST_CORRUPT, "%s: record at %" PRIu64 " should be empty", r->path,
                         frame->begin);
    return ST_OK;
}

/* Had the byte at `damage` been made durable?  It had, if a later record knew so. */
static bool
was_durable(const struct replay *r, uint64_t damage, uint64_t limit)
{
    struct manifest_frame frame;

    for (uint64_t at = damage + 1; at < limit; at++) {
        if (manifest__record_get(r->image, at, r->seed, &frame) && frame.watermark > damage)
            return true;
    }
    return false;
}

static enum status
judge_tail(struct replay *r, uint8_t last_type, struct err *err)
{
    struct manifest_state *s = &r->state;
    uint64_t limit = r->image.size;

    while (limit > s->end && r->image.data[limit - 1] == 0)
        limit--;
    s->torn_bytes = limit - s->end;
    s->proven = s->torn_bytes == 0 && last_type == MANIFEST_SYNCED;
    if (was_durable(r, s->end, limit)) {
        return err_raise(err, ST_CORRUPT,
                         "%s: the record at %" PRIu64 " was durable and is damaged", r->path,
                         s->end);
    }
    return ST_OK;
}

static enum status
replay_records(struct replay *r, struct err *err)
{
    struct manifest_frame frame = { 0 };
    uint64_t at = MANIFEST_HEADER_BYTES;

    while (manifest__record_get(r->image, at, r->seed, &frame)) {
        enum status st = replay_record(r, &frame, err);

        if (st != ST_OK)
            return st;
        ASSERT(frame.limit > at); /* progress, and so an end */
        at = frame.limit;
    }
    if (at == MANIFEST_HEADER_BYTES)
        return err_raise(err, ST_CORRUPT, "%s: the snapshot at %" PRIu64 " is damaged", r->path,
                         at); /* M1 */
    r->state.end = at;
    return judge_tail(r, frame.type, err);
}

static enum status
check_header(const struct replay *r, uint64_t number, struct err *err)
{
    const struct manifest_header *h = &r->state.header;

    if (h->number != number)
        return err_raise(err, ST_CORRUPT, "%s: its header at 0 says that it is number %" PRIu64,
                         r->path, h->number);
    if (h->file_bytes != r->image.size) {
        return err_raise(err, ST_CORRUPT,
                         "%s: truncated: it ends at %zu and was %" PRIu64 " bytes long", r->path,
                         r->image.size, h->file_bytes);
    }
    return ST_OK;
}

enum status
manifest__replay(struct slice image, const char *path, uint64_t number, struct file_sweep *sweep,
                 struct manifest_state *out, struct err *err)
{
    struct replay r = { .image = image, .path = path, .sweep = sweep };
    enum status st = manifest__header_get(image, path, &r.state.header, err);

    if (st == ST_OK)
        st = check_header(&r, number, err);
    if (st != ST_OK)
        return st;

    r.seed = manifest__seed(r.state.header.tree_id, number);
    r.state.version = version_create();
    if (r.state.version == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: no memory for a version", path);
    st = replay_records(&r, err);
    if (st != ST_OK) {
        manifest__state_release(&r.state);
        return st;
    }
    *out = r.state;
    return ST_OK;
}

/* The whole file; `*image` is released by the caller, always. */
static enum status
read_whole(struct file *f, struct buf *image, struct err *err)
{
    uint64_t size;
    enum status st = file_size(f, &size, err);

    if (st != ST_OK)
        return st;
    if (size > MANIFEST_FILE_BYTES_MAX)
        return err_raise(err, ST_CORRUPT, "%s: %" PRIu64 " bytes, more than any manifest has",
                         file_path(f), size);
    *image = buf_empty((size_t)size);
    st = buf_reserve(image, (size_t)size);
    if (st != ST_OK)
        return err_raise(err, st, "%s: no memory for %" PRIu64 " bytes", file_path(f), size);
    if (size == 0)
        return ST_OK;
    return file_read(f, 0, image->data, (size_t)size, &image->size, err);
}

enum status
manifest__recover(struct env *env, const char *path, uint64_t number, struct file_sweep *sweep,
                  struct manifest_state *out, struct err *err)
{
    struct buf image = { 0 };
    struct file *f;
    enum status st = env_open(env, path, ENV_OPEN_READ, &f, err);

    if (st != ST_OK)
        return st;
    st = read_whole(f, &image, err);
    file_close(f);
    if (st == ST_OK)
        st = manifest__replay(buf_slice(&image), path, number, sweep, out, err);
    buf_release(&image);
    return st;
}
