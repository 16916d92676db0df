/* Walking blocks; the format is in block.h. */
#include "base/assert.h"
#include "base/limits.h"

#include "sst/block.h"

void
sst__block_iter_init(struct sst_block_iter *it)
{
    *it = (struct sst_block_iter){ 0 };
    it->room = buf_empty(LIMIT_STORED_KEY_BYTES);
}

void
sst__block_iter_release(struct sst_block_iter *it)
{
    buf_release(&it->room);
}

void
sst__block_iter_set(struct sst_block_iter *it, const struct sst_block *b)
{
    it->block = *b;
    it->at = NULL;
}

/* Stand on nothing; `st` says why. */
static enum status
leave(struct sst_block_iter *it, enum status st)
{
    it->at = NULL;
    return st;
}

/* The key of the item just decoded, given that of the entry before it. */
static enum status
assemble(struct sst_block_iter *it)
{
    const struct sst_item *item = &it->item;
    size_t size = item->shared + item->suffix.size;
    bool in_room = it->key.data == it->room.data;
    enum status st;

    if (item->shared == 0) {
        it->key = item->suffix;
        return ST_OK;
    }
    if (item->shared > it->key.size)
        return ST_CORRUPT;
    it->room.size = in_room ? it->key.size : 0;
    st = buf_reserve(&it->room, size > it->room.size ? size - it->room.size : 0);
    if (st != ST_OK)
        return st;
    if (!in_room)
        memcpy(it->room.data, it->key.data, item->shared);
    if (item->suffix.size > 0)
        memcpy(it->room.data + item->shared, item->suffix.data, item->suffix.size);
    it->key = slice_of(it->room.data, size);
    return ST_OK;
}

/* Stand on the entry that `next` points to, which follows the one stood on or starts a run. */
static enum status
step(struct sst_block_iter *it)
{
    const uint8_t *at = it->next.entry;
    enum status st;

    if (!sst__block_decode(&it->block, &it->next, &it->item))
        return leave(it, ST_CORRUPT);
    st = assemble(it);
    if (st != ST_OK)
        return leave(it, st);
    it->at = at;
    return ST_OK;
}

static enum status
start_run(struct sst_block_iter *it, uint32_t run)
{
    if (!sst__block_restart(&it->block, run, &it->next))
        return leave(it, ST_CORRUPT);
    it->run = run;
    it->key.size = 0; /* nothing to share with */
    return step(it);
}

/* Does the run after this one begin at `at`? */
static bool
starts_next_run(const struct sst_block_iter *it, const uint8_t *at)
{
    struct sst_cursor restart;

    return it->run + 1 < it->block.restart_count &&
           sst__block_restart(&it->block, it->run + 1, &restart) && restart.entry == at;
}

enum status
sst__block_iter_first(struct sst_block_iter *it)
{
    return start_run(it, 0);
}

enum status
sst__block_iter_next(struct sst_block_iter *it)
{
    ASSERT(it->at != NULL);
    if (it->next.entry == it->block.restarts)
        return leave(it, ST_NOT_FOUND);
    if (starts_next_run(it, it->next.entry))
        it->run++;
    return step(it);
}

enum status
sst__block_iter_last(struct sst_block_iter *it)
{
    enum status st = start_run(it, it->block.restart_count - 1);

    while (st == ST_OK && it->next.entry != it->block.restarts)
        st = sst__block_iter_next(it);
    return st;
}

enum status
sst__block_iter_prev(struct sst_block_iter *it)
{
    const uint8_t *from = it->at;
    struct sst_cursor run;
    enum status st;

    ASSERT(from != NULL);
    if (from == it->block.entries)
        return leave(it, ST_NOT_FOUND);
    if (!sst__block_restart(&it->block, it->run, &run))
        return leave(it, ST_CORRUPT);
    if (run.entry == from) {
        if (it->run == 0)
            return leave(it, ST_CORRUPT);
        it->run--;
    }
    st = start_run(it, it->run);
    while (st == ST_OK && it->next.entry < from)
        st = step(it);
    if (st == ST_OK && it->next.entry != from)
        return leave(it, ST_CORRUPT);
    return st;
}

/* Put together the key of a hit: what it shares, it shares with the key that was looked for. */
static enum status
take_hit(struct sst_block_iter *it, const struct sst_hit *hit, struct slice key)
{
    ASSERT(hit->item.shared <= key.size);
    it->item = hit->item;
    it->next = hit->next;
    it->run = hit->run;
    it->key = slice_of(key.data, hit->item.shared);
    return assemble(it);
}

enum status
sst__block_iter_seek_run(struct sst_block_iter *it, uint32_t run, struct slice key,
                         version_t version)
{
    struct sst_hit hit;
    enum status st = sst__block_find_in_run(&it->block, run, key, version, &hit);

    ASSERT(key.data == NULL || key.data != it->room.data);
    if (st == ST_OK)
        st = take_hit(it, &hit, key);
    if (st != ST_OK)
        return leave(it, st);
    it->at = hit.at.entry;
    return ST_OK;
}

enum status
sst__block_iter_seek(struct sst_block_iter *it, struct slice key, version_t version)
{
    uint32_t first;
    enum status st =
        sst__block_search(&it->block, 0, it->block.restart_count, key, version, &first);

    if (st != ST_OK)
        return leave(it, st);
    return sst__block_iter_seek_run(it, first == 0 ? 0 : first - 1, key, version);
}

enum status
sst__block_iter_seek_before(struct sst_block_iter *it, struct slice key, version_t version)
{
    enum status st = sst__block_iter_seek(it, key, version);

    if (st == ST_NOT_FOUND)
        return sst__block_iter_last(it);
    return st == ST_OK ? sst__block_iter_prev(it) : st;
}

void
sst__block_iter_entry(const struct sst_block_iter *it, struct entry *out)
{
    ASSERT(it->at != NULL);
    *out = (struct entry){
        .key = it->key,
        .value = it->item.value,
        .version = it->item.version,
        .expiry_ms = it->item.expiry_ms,
        .type = it->item.type,
    };
}
