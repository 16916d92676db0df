/* Damage in the tables of one node: it is found, said, and its copy is replaced by one of the others'. */
#include "simenv/simenv.h"
#include "unit/kv/formed.h"
#include "unit/test.h"

enum { KEYS = 12, PATIENCE_S = 120 };

enum { TABLES_MAX = 16, PATH_ROOM = 160 };

/* One bit in the middle of each table on the node's disk. */
struct harm {
    struct formed *f;
    uint32_t node;
    uint32_t count;
    char paths[TABLES_MAX][PATH_ROOM];
    struct buf bytes[TABLES_MAX]; /* as they are now */
};

static void
flip_in(void *ctx, const char *path, uint64_t size)
{
    struct harm *h = ctx;

    if (strstr(path, ".sst") == NULL || size < 2)
        return;
    EXPECT(h->count < TABLES_MAX);
    EXPECT(sim_disk_flip(h->f->n.w, h->node, path, size / 2, 3));
    snprintf(h->paths[h->count], PATH_ROOM, "%s", path);
    h->bytes[h->count] = buf_empty(1 << 20);
    EXPECT(sim_disk_read(h->f->n.w, h->node, path, &h->bytes[h->count]));
    h->count++;
}

/* Is none of them there any more, as it was? */
static bool
is_healed(const struct harm *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        struct buf now = buf_empty(1 << 20);
        bool same = sim_disk_read(h->f->n.w, h->node, h->paths[i], &now) &&
                    slice_equal(buf_slice(&now), buf_slice(&h->bytes[i]));

        buf_release(&now);
        if (same)
            return false;
    }
    return true;
}

static void
await_healed(struct formed *f, struct harm *h)
{
    for (int s = 0; s < PATIENCE_S && !is_healed(h); s++)
        sim_run_ms(f->n.w, 1000);
    EXPECT(is_healed(h));
    for (uint32_t i = 0; i < h->count; i++)
        buf_release(&h->bytes[i]);
    formed_await_placed(f);
}

static uint32_t
damaged_in_answer(const struct formed *f)
{
    const char *at = strstr(f->answer, "\"damaged\":");

    EXPECT(at != NULL);
    return (uint32_t)strtoul(at + strlen("\"damaged\":"), NULL, 10);
}

/* Until the status says of so many (`any`: of more than none) that they are damaged. */
static void
await_damaged(struct formed *f, uint32_t node, bool any)
{
    for (int s = 0; s < PATIENCE_S; s++) {
        formed_order(f, node, "status");
        if ((damaged_in_answer(f) > 0) == any)
            return;
        sim_run_ms(f->n.w, 1000);
    }
    fail_msg("%s", f->answer);
}

/* With all that it has in tables. */
static void
stop_and_start(struct formed *f, uint32_t node, struct harm *h)
{
    nodes_flush(&f->n, node);
    formed_stop(f, node);
    *h = (struct harm){ .f = f, .node = node };
    sim_disk_each(f->n.w, node, flip_in, h);
    EXPECT(h->count > 0);
    formed_boot(f, node);
}

TEST(a_flipped_bit_that_nobody_reads_is_found_and_the_copy_replaced)
{
    struct formed f;
    struct harm h;

    formed_create(&f, 500, 3);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 2000);
    stop_and_start(&f, 2, &h);
    await_healed(&f, &h);
    nodes_crash(&f.n, 1); /* so that it has to be good for something */
    formed_expect_keys(&f, KEYS);
    formed_put_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(a_leader_that_cannot_read_hands_over_and_is_replaced)
{
    struct formed f;
    struct harm h;
    uint32_t leader;

    formed_create(&f, 501, 3);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 2000);
    leader = formed_leader_of(&f, formed_keyspace(&f, "0")->tablets[0]->id);
    stop_and_start(&f, leader, &h);
    formed_expect_keys(&f, KEYS);
    await_healed(&f, &h);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

/* With one of three away, the damaged copy is needed for its log and its vote, and stays. */
TEST(a_damaged_copy_stays_as_long_as_it_is_needed)
{
    struct formed f;
    struct harm h;

    formed_create(&f, 502, 3);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 2000);
    nodes_crash(&f.n, 1);
    stop_and_start(&f, 2, &h);
    await_damaged(&f, 3, true);
    sim_run_ms(f.n.w, 10000);
    await_damaged(&f, 3, true);
    formed_put(&f, 3, "a", "1"); /* the two are a majority still */
    EXPECT(!is_healed(&h));
    formed_boot(&f, 1);
    await_healed(&f, &h);
    await_damaged(&f, 3, false);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

QUIET_TEST_MAIN(RUN(a_flipped_bit_that_nobody_reads_is_found_and_the_copy_replaced),
                RUN(a_leader_that_cannot_read_hands_over_and_is_replaced),
                RUN(a_damaged_copy_stays_as_long_as_it_is_needed))
