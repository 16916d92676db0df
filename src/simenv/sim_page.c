/*
 * One page of a simulated file: what the page cache shows, and what is on the
 * medium.
 *
 *      now      [s0][s1][s2][s3][s4][s5][s6][s7]     what reads give
 *      durable  [s0][s1][s2][s3][s4][s5][s6][s7]     what a power cut leaves
 *      dirty     .   1   .   .   1   .   .   .       a sync writes these
 *      lost      .   .   .   1   .   .   .   .       a failed sync forgot these
 *
 * A page that has neither a dirty nor a lost sector is clean, and `durable` is
 * then not kept: it equals `now`.  While it is not clean, `durable` NULL means
 * zeros.
 *
 * A sector that is written again while it is dirty may have reached the medium
 * before (the kernel writes back when it likes), so of several unsynced
 * versions any may be the one that survives.
 *
 * The invariants D1..D6 are at the head of sim_disk.c.
 */
#include "base/assert.h"

#include "simenv/sim_disk.h"

enum { WRITE_BACK_ONE_IN = 4 }; /* how often a dirty sector was written back before it changes */

_Static_assert(SIM_PAGE_SECTORS == 8, "a byte has a bit for each sector");

struct sim_page *
sim__page_create(size_t index)
{
    struct sim_page *page = sim__alloc(sizeof(*page));

    page->index = index;
    list_init(&page->link);
    return page;
}

static void
forget_durable(struct sim_page *page)
{
    mem_free(page->durable);
    page->durable = NULL;
}

void
sim__page_free(struct sim_page *page)
{
    list_remove(&page->link);
    forget_durable(page);
    mem_free(page);
}

bool
sim__page_is_clean(const struct sim_page *page)
{
    return (page->dirty | page->lost) == 0;
}

static uint8_t *
make_durable(struct sim_page *page)
{
    if (page->durable == NULL)
        page->durable = sim__alloc(SIM_BLOCK);
    return page->durable;
}

static void
write_back(struct sim_page *page, unsigned sector)
{
    size_t at = (size_t)sector * SIM_SECTOR;

    memcpy(make_durable(page) + at, page->now + at, SIM_SECTOR);
}

static void
touch_sector(struct sim_page *page, unsigned sector, struct prng *prng)
{
    uint8_t bit = (uint8_t)(1u << sector);

    if ((page->dirty & bit) != 0 && prng_chance(prng, 1, WRITE_BACK_ONE_IN))
        write_back(page, sector);
    page->dirty |= bit;
    page->lost &= (uint8_t)~bit; /* D2: a rewrite makes it as any other */
}

void
sim__page_touch(struct sim_page *page, struct list *unsynced, size_t begin, size_t limit,
                struct prng *prng)
{
    ASSERT(begin < limit && limit <= SIM_BLOCK);
    if (sim__page_is_clean(page)) {
        if (page->has_block)
            memcpy(make_durable(page), page->now, SIM_BLOCK);
        list_push_back(unsynced, &page->link);
    }
    for (size_t s = begin / SIM_SECTOR; s * SIM_SECTOR < limit; s++)
        touch_sector(page, (unsigned)s, prng);
}

void
sim__page_sync(struct sim_page *page)
{
    for (unsigned s = 0; page->lost != 0 && s < SIM_PAGE_SECTORS; s++) {
        if ((page->dirty & (1u << s)) != 0)
            write_back(page, s);
    }
    page->dirty = 0;
    if (page->lost != 0)
        return;
    forget_durable(page);
    list_remove(&page->link);
}

void
sim__page_fail_sync(struct sim_page *page)
{
    page->lost |= page->dirty;
    page->dirty = 0;
}

void
sim__page_settle(struct sim_page *page, uint64_t reverts_at, uint32_t percent, struct prng *prng)
{
    for (unsigned s = 0; s < SIM_PAGE_SECTORS; s++) {
        uint64_t at = page->index * SIM_BLOCK + (uint64_t)s * SIM_SECTOR;
        bool survives = sim__survives(prng, percent);

        if ((page->dirty & (1u << s)) != 0 && survives && at < reverts_at)
            write_back(page, s);
    }
    if (page->durable != NULL)
        memcpy(page->now, page->durable, SIM_BLOCK);
    else
        memset(page->now, 0, SIM_BLOCK);
    forget_durable(page);
    page->dirty = 0;
    page->lost = 0;
    list_remove(&page->link);
}

void
sim__page_cut(struct sim_page *page, size_t inside)
{
    memset(page->now + inside, 0, SIM_BLOCK - inside);
    if (page->durable != NULL)
        memset(page->durable + inside, 0, SIM_BLOCK - inside);
}

void
sim__page_flip(struct sim_page *page, size_t inside, unsigned bit)
{
    uint8_t mask = (uint8_t)(1u << bit);

    page->now[inside] ^= mask;
    if (!sim__page_is_clean(page))
        make_durable(page)[inside] ^= mask;
}
