#include "cluster/fitness.h"

#include <string.h>

enum {
    BURDEN_OF_SLOWNESS = 1,                 /* as to miss one */
    BURDEN_OF_AILING = RAFT_VOTERS_MAX + 2, /* more than to miss everybody, slowly */
    IS_AILING = 1 << 0,
    IS_SLOW = 1 << 1,
};

void
fitness_miss(struct fitness *f, uint64_t node)
{
    if (f->missed_count == FITNESS_MISSED_MAX)
        f->ails = true;
    else
        f->missed[f->missed_count++] = node;
}

uint32_t
fitness_burden(const struct fitness *f, const struct raft_config *group)
{
    uint32_t burden = (f->ails ? BURDEN_OF_AILING : 0) + (f->slow ? BURDEN_OF_SLOWNESS : 0);

    for (uint32_t i = 0; i < f->missed_count; i++)
        burden += raft_config_votes(group, f->missed[i]);
    return burden;
}

enum status
fitness_encode(const struct fitness *f, struct buf *out)
{
    enum status st = append_u8(out, (uint8_t)((f->ails ? IS_AILING : 0) | (f->slow ? IS_SLOW : 0)));

    if (st == ST_OK)
        st = append_varint(out, f->missed_count);
    for (uint32_t i = 0; i < f->missed_count && st == ST_OK; i++)
        st = append_varint(out, f->missed[i]);
    return st;
}

enum status
fitness_decode(struct slice from, struct fitness *out)
{
    struct reader r = reader_of(from);
    uint8_t state = read_u8(&r);
    uint64_t count = read_varint(&r);
    struct fitness f = { .ails = (state & IS_AILING) != 0, .slow = (state & IS_SLOW) != 0 };

    if (r.bad || state > (IS_AILING | IS_SLOW) || count > FITNESS_MISSED_MAX)
        return ST_CORRUPT;
    while (f.missed_count < count)
        f.missed[f.missed_count++] = read_varint(&r);
    if (r.bad || reader_left(&r) > 0)
        return ST_CORRUPT;
    *out = f;
    return ST_OK;
}
