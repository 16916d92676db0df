/*
 * The bytes of one simulated file: its pages (sim_page.c), its size, and the
 * blocks that it takes on the disk.
 *
 * A page that was never written is NULL: zeros, on the medium too.
 *
 * The invariants D1..D6 are at the head of sim_disk.c.
 */
#include "base/assert.h"

#include "simenv/sim_disk.h"

enum { PAGE_BYTES = SIM_BLOCK, PAGES_CAPACITY_MIN = 4 };

static uint64_t
pages_for(uint64_t size)
{
    return size / PAGE_BYTES + (size % PAGE_BYTES != 0);
}

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void
sim__inode_init(struct sim_inode *inode, struct sim_disk *disk, bool is_dir)
{
    inode->disk = disk;
    inode->is_dir = is_dir;
    list_init(&inode->work);
    list_init(&inode->unsynced);
    list_push_back(&disk->inodes, &inode->link);
}

/* ------------------------------------------------------------------ pages */

static struct sim_page *
page_at(const struct sim_inode *inode, uint64_t index)
{
    return index < inode->page_count ? inode->pages[index] : NULL;
}

static void
grow_pages(struct sim_inode *inode, size_t count)
{
    size_t capacity = inode->page_capacity == 0 ? PAGES_CAPACITY_MIN : inode->page_capacity;

    if (count <= inode->page_count)
        return;
    while (capacity < count)
        capacity *= 2;
    if (capacity > inode->page_capacity) {
        inode->pages = sim__resize(inode->pages, capacity * sizeof(struct sim_page *));
        inode->page_capacity = capacity;
    }
    for (size_t i = inode->page_count; i < count; i++)
        inode->pages[i] = NULL;
    inode->page_count = count;
}

static struct sim_page *
make_page(struct sim_inode *inode, uint64_t index)
{
    struct sim_page *page = page_at(inode, index);

    if (page != NULL)
        return page;
    grow_pages(inode, (size_t)index + 1);
    page = sim__page_create((size_t)index);
    inode->pages[index] = page;
    return page;
}

static void
free_page(struct sim_inode *inode, struct sim_page *page)
{
    inode->pages[page->index] = NULL;
    sim__page_free(page);
}

static void
free_all_pages(struct sim_inode *inode)
{
    for (size_t i = 0; i < inode->page_count; i++) {
        if (inode->pages[i] != NULL)
            free_page(inode, inode->pages[i]);
    }
}

void
sim__inode_release(struct sim_inode *inode)
{
    free_all_pages(inode);
    mem_free(inode->pages);
}

static bool
has_block(const struct sim_inode *inode, uint64_t index)
{
    const struct sim_page *page = page_at(inode, index);

    return index < pages_for(inode->filled) || (page != NULL && page->has_block);
}

static void
set_block_count(struct sim_inode *inode, uint64_t count)
{
    if (inode->live > 0)
        inode->disk->block_count += count - inode->block_count; /* D6; modulo 2^64 */
    inode->block_count = count;
}

static void
recount_blocks(struct sim_inode *inode)
{
    uint64_t count = pages_for(inode->filled);

    for (uint64_t i = count; i < inode->page_count; i++)
        count += has_block(inode, i);
    set_block_count(inode, count);
}

static void
set_size(struct sim_inode *inode, uint64_t size)
{
    inode->size = size;
    inode->size_min = least(inode->size_min, size);
    inode->size_max = most(inode->size_max, size);
    inode->size_dirty =
        inode->size_min < inode->size_durable || inode->size_max > inode->size_durable;
}

/* ------------------------------------------------------------------ reading and writing */

size_t
sim__inode_read(const struct sim_inode *inode, uint64_t offset, void *out, size_t size)
{
    uint8_t *to = out;
    size_t done = 0;

    if (offset >= inode->size)
        return 0;
    size = (size_t)least(size, inode->size - offset);
    while (done < size) {
        uint64_t at = offset + done;
        size_t inside = (size_t)(at % PAGE_BYTES);
        size_t piece = (size_t)least(PAGE_BYTES - inside, size - done);
        const struct sim_page *page = page_at(inode, at / PAGE_BYTES);

        if (page != NULL)
            memcpy(to + done, page->now + inside, piece);
        else
            memset(to + done, 0, piece);
        done += piece;
    }
    return size;
}

size_t
sim__inode_fit(const struct sim_inode *inode, uint64_t offset, size_t size, uint64_t blocks)
{
    uint64_t limit = offset + size;

    for (uint64_t at = offset; at < limit; at = (at / PAGE_BYTES + 1) * PAGE_BYTES) {
        if (has_block(inode, at / PAGE_BYTES))
            continue;
        if (blocks == 0)
            return (size_t)(at - offset);
        blocks--;
    }
    return size;
}

/* Make the pages of [offset, limit) and mark their sectors; for the whole of a write at once, so
 * that what is written back between two of its parts cannot tear a sector. */
static void
open_range(struct sim_inode *inode, uint64_t offset, uint64_t limit, struct prng *prng)
{
    uint64_t new_blocks = 0;

    for (uint64_t at = offset; at < limit;) {
        uint64_t page_start = at - at % PAGE_BYTES;
        uint64_t piece_limit = least(limit, page_start + PAGE_BYTES);
        struct sim_page *page = make_page(inode, at / PAGE_BYTES);

        new_blocks += !has_block(inode, page->index);
        sim__page_touch(page, &inode->unsynced, (size_t)(at - page_start),
                        (size_t)(piece_limit - page_start), prng);
        page->has_block = true;
        at = piece_limit;
    }
    set_block_count(inode, inode->block_count + new_blocks);
}

static void
put_bytes(struct sim_inode *inode, uint64_t offset, struct slice bytes)
{
    size_t done = 0;

    while (done < bytes.size) {
        size_t inside = (size_t)((offset + done) % PAGE_BYTES);
        size_t piece = (size_t)least(PAGE_BYTES - inside, bytes.size - done);

        memcpy(inode->pages[(offset + done) / PAGE_BYTES]->now + inside, bytes.data + done, piece);
        done += piece;
    }
}

void
sim__inode_write(struct sim_inode *inode, const struct sim_write *w, struct prng *prng)
{
    size_t at = 0; /* of the part, within all of them */

    ASSERT(w->begin <= w->limit);
    if (w->begin == w->limit)
        return;
    open_range(inode, w->offset + w->begin, w->offset + w->limit, prng);
    for (size_t i = 0; i < w->part_count && at < w->limit; at += w->parts[i].size, i++) {
        struct slice part = w->parts[i];
        size_t from = at < w->begin ? (size_t)least(w->begin - at, part.size) : 0;
        size_t to = (size_t)least(part.size, w->limit - at);

        if (from < to)
            put_bytes(inode, w->offset + at + from, slice_of(part.data + from, to - from));
    }
    set_size(inode, most(inode->size, w->offset + w->limit));
}

/* Zeros from `offset` on to the end of its page. */
static void
clear_tail(struct sim_inode *inode, uint64_t offset, struct prng *prng)
{
    struct sim_page *page = page_at(inode, offset / PAGE_BYTES);
    size_t inside = (size_t)(offset % PAGE_BYTES);

    if (page == NULL)
        return;
    sim__page_touch(page, &inode->unsynced, inside, PAGE_BYTES, prng);
    memset(page->now + inside, 0, PAGE_BYTES - inside);
}

void
sim__inode_truncate(struct sim_inode *inode, uint64_t size, struct prng *prng)
{
    if (size < inode->size) {
        uint64_t kept = pages_for(size);

        if (size % PAGE_BYTES != 0)
            clear_tail(inode, size, prng);
        for (uint64_t i = kept; i < inode->page_count; i++) {
            clear_tail(inode, i * PAGE_BYTES, prng);
            if (inode->pages[i] != NULL)
                inode->pages[i]->has_block = false;
        }
        inode->filled = least(inode->filled, kept * PAGE_BYTES);
        recount_blocks(inode);
    }
    set_size(inode, size);
}

uint64_t
sim__inode_fill_blocks(const struct sim_inode *inode, uint64_t size)
{
    uint64_t blocks = pages_for(size);
    uint64_t present = least(pages_for(inode->filled), blocks);

    for (uint64_t i = present; i < inode->page_count && i < blocks; i++)
        present += has_block(inode, i);
    return blocks - present;
}

void
sim__inode_fill(struct sim_inode *inode, uint64_t size, struct prng *prng)
{
    if (size < inode->size)
        sim__inode_truncate(inode, size, prng);
    for (uint64_t i = 0; i < inode->page_count; i++)
        clear_tail(inode, i * PAGE_BYTES, prng);
    inode->filled = most(inode->filled, size);
    recount_blocks(inode);
    set_size(inode, size);
}

/* ------------------------------------------------------------------ durability */

void
sim__inode_sync(struct sim_inode *inode)
{
    struct list todo;

    list_init(&todo);
    list_splice_back(&todo, &inode->unsynced);
    while (!list_empty(&todo)) {
        struct sim_page *page = container_of(list_pop_front(&todo), struct sim_page, link);

        list_push_back(&inode->unsynced, &page->link); /* the sync takes it out if it can */
        sim__page_sync(page);
        if (sim__page_is_clean(page) && !page->has_block)
            free_page(inode, page); /* beyond the end, and zeros */
    }
    if (inode->size_dirty)
        inode->size_durable = inode->size;
    inode->size_dirty = false;
    inode->size_min = least(inode->size, inode->size_durable);
    inode->size_max = most(inode->size, inode->size_durable);
}

void
sim__inode_fail_sync(struct sim_inode *inode)
{
    list_each (link, &inode->unsynced)
        sim__page_fail_sync(container_of(link, struct sim_page, link));
    inode->size_dirty = false;
}

/* ------------------------------------------------------------------ power cuts */

/* A size between what was durable and what was seen since: any that some prefix of the changes
 * had, and, where the file grew, any sector's end on the way. */
static uint64_t
surviving_size(const struct sim_inode *inode, uint32_t percent, struct prng *prng)
{
    bool was_cut = inode->size_min < inode->size_durable;
    uint64_t low = was_cut ? inode->size_min : inode->size_durable;
    uint64_t high = was_cut ? inode->size : inode->size_max;
    uint64_t size;

    if (!inode->size_dirty)
        return inode->size_durable; /* D2, or never changed */
    if (sim__survives(prng, percent))
        return inode->size;
    if (percent == 0 || prng_chance(prng, 1, 3))
        return inode->size_durable;
    if (high <= low || (was_cut && prng_chance(prng, 1, 2)))
        return low;
    size = low + 1 + prng_below(prng, high - low);
    return least(high, (size + SIM_SECTOR - 1) / SIM_SECTOR * SIM_SECTOR);
}

/* Let [size, ...) be nothing, in the page cache (D1) and on the medium. */
static void
cut(struct sim_inode *inode, uint64_t size)
{
    uint64_t kept = pages_for(size);
    struct sim_page *last = page_at(inode, size / PAGE_BYTES);

    for (uint64_t i = kept; i < inode->page_count; i++) {
        if (inode->pages[i] != NULL)
            free_page(inode, inode->pages[i]);
    }
    if (size % PAGE_BYTES != 0 && last != NULL)
        sim__page_cut(last, (size_t)(size % PAGE_BYTES));
    for (uint64_t i = 0; i < inode->page_count; i++) {
        if (inode->pages[i] != NULL)
            inode->pages[i]->has_block = true;
    }
    inode->filled = least(inode->filled, kept * PAGE_BYTES);
    recount_blocks(inode);
}

static void
set_size_durably(struct sim_inode *inode, uint64_t size)
{
    inode->size = size;
    inode->size_durable = size;
    inode->size_min = size;
    inode->size_max = size;
    inode->size_dirty = false;
}

void
sim__inode_crash(struct sim_inode *inode, uint32_t percent, struct prng *prng)
{
    uint64_t size = surviving_size(inode, percent, prng);
    uint64_t reverts_at = size > inode->size ? inode->size : UINT64_MAX;

    while (!list_empty(&inode->unsynced))
        sim__page_settle(container_of(inode->unsynced.next, struct sim_page, link), reverts_at,
                         percent, prng);
    cut(inode, size);
    set_size_durably(inode, size);
}

/* ------------------------------------------------------------------ from outside */

void
sim__inode_truncate_outright(struct sim_inode *inode, uint64_t size)
{
    cut(inode, size);
    set_size_durably(inode, size);
}

bool
sim__inode_flip(struct sim_inode *inode, uint64_t offset, unsigned bit)
{
    struct sim_page *page;

    if (offset >= inode->size)
        return false;
    page = make_page(inode, offset / PAGE_BYTES);
    page->has_block = true;
    sim__page_flip(page, (size_t)(offset % PAGE_BYTES), bit);
    recount_blocks(inode);
    return true;
}

void
sim__inode_copy(struct sim_inode *to, const struct sim_inode *from)
{
    ASSERT(to->page_count == 0);
    for (uint64_t i = 0; i < from->page_count && i < pages_for(from->size); i++) {
        struct sim_page *page;

        if (from->pages[i] == NULL)
            continue;
        page = make_page(to, i);
        memcpy(page->now, from->pages[i]->now, PAGE_BYTES);
        page->has_block = true;
    }
    to->filled = from->filled;
    set_size_durably(to, from->size);
    recount_blocks(to);
}
