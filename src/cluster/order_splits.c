/*
 * Orders to split tablets: "keyspace-split NAME COUNT", of a hash keyspace, halves those with most slots until there
 * are so many, each once in an order; "keyspace-split NAME at KEY", of one of ranges, splits the one that has the key.
 */
#include <stdlib.h>

#include "base/mem.h"

#include "cluster/orders_internal.h"
#include "cluster/split.h"

static enum status
put_split(struct order *o, struct change *change, const struct tablet_record *t, struct slice at)
{
    struct record r = { .kind = RECORD_TABLET };

    r.as.tablet = split_begun(t, orders__new_tablet_id(o->cluster), at);
    return change_put(change, &r);
}

/* ------------------------------------------------------------------ by number */

static uint32_t
width(const struct tablet_record *t)
{
    uint32_t begin, limit;

    atlas_slots_of(t, &begin, &limit);
    return limit - begin;
}

static int
compare_widths(const void *a, const void *b)
{
    const struct tablet_record *x = *(const struct tablet_record *const *)a;
    const struct tablet_record *y = *(const struct tablet_record *const *)b;

    if (width(x) != width(y))
        return width(x) > width(y) ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* How many there will be when the splits that are under way are done. */
static uint32_t
count_to_be(const struct atlas_keyspace *k)
{
    uint32_t count = k->tablet_count;

    for (uint32_t i = 0; i < k->tablet_count; i++)
        count += k->tablets[i]->heir != 0;
    return count;
}

static void
halve(struct order *o, const struct atlas_keyspace *k, uint32_t more)
{
    const struct tablet_record **widest =
        mem_new_array(const struct tablet_record *, k->tablet_count + (size_t)1);
    struct change *change = change_begin(o->cluster, o->cluster->atlas);
    enum status st = widest == NULL || change == NULL ? ST_NO_MEMORY : ST_OK;
    uint32_t begun = 0;

    if (st == ST_OK) {
        memcpy(widest, k->tablets, k->tablet_count * sizeof(struct tablet_record *));
        qsort(widest, k->tablet_count, sizeof(struct tablet_record *), compare_widths);
    }
    for (uint32_t i = 0; i < k->tablet_count && begun < more && st == ST_OK; i++) {
        uint8_t room[2];
        struct slice at;

        if (!split_middle(widest[i], room, &at) || !split_may_begin(widest[i], at))
            continue;
        st = begun == CHANGE_RECORDS_MAX ? ST_OK : put_split(o, change, widest[i], at);
        begun += begun < CHANGE_RECORDS_MAX;
    }
    mem_free(widest);
    if (st == ST_OK && begun == 0) {
        change_drop(change);
        orders__refuse(o, ST_BUSY,
                       "no tablet of keyspace %s can be split just now: they are split or move, or "
                       "have one slot; try again in a moment",
                       k->record.name);
        return;
    }
    orders__write_down(o, change, st);
}

static void
split_by_number(struct order *o, const struct atlas_keyspace *k)
{
    uint32_t wanted;

    if (!orders__parse_count(o->words[2], 2, CLUSTER_TABLETS_MAX, &wanted))
        orders__refuse(o, ST_INVALID, "tablets: 2 to %d", CLUSTER_TABLETS_MAX);
    else if (k->record.partition != PARTITION_HASH) {
        orders__refuse(o, ST_INVALID, "keyspace %s is one of ranges: say where to split it",
                       k->record.name);
    } else if (wanted <= count_to_be(k)) {
        orders__refuse(o, ST_EXISTS, "keyspace %s has %u tablets, or will have them in a moment",
                       k->record.name, count_to_be(k));
    } else {
        halve(o, k, wanted - count_to_be(k));
    }
}

/* ------------------------------------------------------------------ by key */

static void
split_at(struct order *o, const struct atlas_keyspace *k, struct slice at)
{
    const struct tablet_record *t = atlas_tablet_of(k, at);
    struct change *change;

    if (k->record.partition != PARTITION_RANGE) {
        orders__refuse(o, ST_INVALID,
                       "keyspace %s is split by the slots of its keys: say into how "
                       "many tablets",
                       k->record.name);
    } else if (at.size == 0 || at.size > SCOPE_BOUND_BYTES) {
        orders__refuse(o, ST_INVALID,
                       "a keyspace is split at a key of 1 to %d bytes; a beginning "
                       "of a longer one will do",
                       SCOPE_BOUND_BYTES);
    } else if (slice_equal(at, t->from)) {
        orders__refuse(o, ST_EXISTS, "a tablet of keyspace %s begins there", k->record.name);
    } else if (!split_may_begin(t, at)) {
        orders__refuse(o, ST_BUSY,
                       "the tablet that has the key is split, or moves; try again in a moment");
    } else {
        change = change_begin(o->cluster, o->cluster->atlas);
        orders__write_down(o, change, change == NULL ? ST_NO_MEMORY : put_split(o, change, t, at));
    }
}

void
orders__keyspace_split(struct order *o)
{
    const struct atlas_keyspace *k = orders__keyspace_of(o, 1);

    if (k == NULL)
        return;
    if (k->record.id == ATLAS_META_KEYSPACE)
        orders__refuse(o, ST_INVALID, "the metadata is one tablet, and stays so");
    else if (o->word_count == 3)
        split_by_number(o, k);
    else if (orders__is_word(o->words[2], "at"))
        split_at(o, k, o->words[3]);
    else
        orders__refuse(o, ST_INVALID, "into how many tablets, or at which key?");
}
