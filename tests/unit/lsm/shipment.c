#include "unit/lsm/shipment.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

static void
keep(struct buf *out, struct slice bytes)
{
    struct mem_heap *outer = mem_heap_enter(NULL);

    EXPECT_OK(buf_append(out, bytes));
    mem_heap_enter(outer);
}

static void
read_file(struct shipment *s, struct lsm_checkpoint *c, uint32_t table,
          void (*meanwhile)(struct fix *f), struct fix *f)
{
    static uint8_t room[PIECE_BYTES];
    struct lsm_piece piece = { .table = table };
    uint32_t level;
    const struct table_info *info = lsm_checkpoint_table(c, table, &level);

    s->files[table] = buf_empty(1 << 20);
    while (piece.offset < info->file_bytes) {
        uint64_t left = info->file_bytes - piece.offset;

        piece.size = left < PIECE_BYTES ? (uint32_t)left : PIECE_BYTES;
        EXPECT_OK(lsm_checkpoint_read(c, &piece, room, &f->err));
        keep(&s->files[table], slice_of(room, piece.size));
        piece.offset += piece.size;
        if (meanwhile != NULL)
            meanwhile(f);
    }
    EXPECT_U64(hash64_seeded(buf_slice(&s->files[table]), info->seed), info->checksum);
}

void
shipment_read(struct shipment *s, struct lsm_checkpoint *c, void (*meanwhile)(struct fix *f),
              struct fix *f)
{
    struct buf encoded = buf_empty(1 << 20);

    memset(s, 0, sizeof(*s));
    s->mark = lsm_checkpoint_mark(c);
    s->count = lsm_checkpoint_table_count(c);
    s->encoded = buf_empty(1 << 20);
    EXPECT(s->count <= SHIPMENT_FILES);
    EXPECT_OK(lsm_checkpoint_encode(c, &encoded, &f->err));
    keep(&s->encoded, buf_slice(&encoded));
    buf_release(&encoded);
    for (uint32_t table = 0; table < s->count; table++)
        read_file(s, c, table, meanwhile, f);
}

void
shipment_take(struct shipment *s, struct fix *f)
{
    struct lsm_checkpoint *c;

    EXPECT_OK(lsm_checkpoint_take(f->tree, &c));
    shipment_read(s, c, NULL, f);
    lsm_checkpoint_release(c);
}

void
shipment_release(struct shipment *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        buf_release(&s->files[i]);
    buf_release(&s->encoded);
}

void
shipment_make(struct shipment *s, uint64_t seed, struct model *model)
{
    struct prng prng;
    struct fix f;

    prng_init(&prng, seed);
    fix_init(&f, seed);
    f.store_id = 11;
    f.options.table_bytes = 1000;
    f.options.level_base_bytes = 2500;
    f.options.tables.block_bytes = 256;
    fix_open(&f);
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 25; i++) {
            model_add_random(&f.model, &prng);
            fix_apply_last(&f);
        }
        fix_pass_time(&f, 400);
        fix_flush(&f);
        if (round % 5 == 4)
            fix_compact(&f);
    }
    shipment_take(s, &f);
    model_copy(model, &f.model, f.model.count);
    fix_close(&f);
}

enum status
shipment_begin(const struct shipment *s, struct fix *f, struct lsm_import **out)
{
    return lsm_import_begin(f->tree, buf_slice(&s->encoded), out, &f->err);
}

enum status
shipment_deliver(const struct shipment *s, struct lsm_import *i, struct prng *prng, struct err *err)
{
    struct lsm_piece piece;
    uint32_t size_max = PIECE_BYTES;

    while (lsm_import_wanted(i, size_max, &piece)) {
        const uint8_t *bytes = s->files[piece.table].data + piece.offset;
        enum status st =
            lsm_import_write(i, piece.table, piece.offset, slice_of(bytes, piece.size), err);

        if (st != ST_OK)
            return st;
        if (prng != NULL)
            size_max = 1 + (uint32_t)prng_below(prng, PIECE_BYTES);
    }
    return ST_OK;
}

enum status
shipment_import(const struct shipment *s, struct fix *f)
{
    struct lsm_import *i;
    enum status st = shipment_begin(s, f, &i);

    if (st != ST_OK)
        return st;
    st = shipment_deliver(s, i, NULL, &f->err);
    if (st == ST_OK)
        st = lsm_import_finish(i, &f->err);
    if (st == ST_OK)
        return lsm_import_install(i, &f->err);
    lsm_import_abort(i);
    return st;
}

void
model_copy(struct model *to, const struct model *from, uint32_t count)
{
    uint64_t now_ms = from->now_ms;

    model_release(to);
    model_init(to);
    for (uint32_t i = 0; i < count; i++)
        *model_add(to, false) = from->units[i];
    to->now_ms = now_ms;
}

void
shipment_catch_up(struct fix *to, const struct model *from)
{
    uint64_t at = lsm_flushed(to->tree).index;

    model_copy(&to->model, from, from->count);
    while (at < to->model.count)
        fix_apply(to, &to->model.units[at++]);
}
