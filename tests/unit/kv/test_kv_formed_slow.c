/* A node with a slow disk, or slow ways to all others, leads nothing as long as that lasts. */
#include <stdio.h>

#include "unit/kv/formed.h"
#include "unit/test.h"

enum { SLOW = 2, DISK_US = 110000, WAY_US = 80000, WRITE_EVERY_MS = 100, NOTICED_MS = 8000 };

static uint32_t
leads(struct formed *f, uint32_t node)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < LIMIT_DATABASES; i++) {
        char name[8];

        snprintf(name, sizeof(name), "%u", i);
        count += formed_leader_of(f, formed_keyspace(f, name)->tablets[0]->id) == node;
    }
    return count;
}

/* A log that nothing is written to is not slow. */
static void
write_for(struct formed *f, uint32_t ms)
{
    for (uint32_t passed_ms = 0; passed_ms < ms; passed_ms += WRITE_EVERY_MS) {
        formed_put(f, 1, "a", "1");
        sim_run_ms(f->n.w, WRITE_EVERY_MS);
    }
}

static void
set_ways(struct formed *f, uint32_t delay_us)
{
    for (uint32_t i = 1; i <= 3; i++) {
        struct sim_link link = sim_link_default();

        if (i == SLOW)
            continue;
        if (delay_us > 0) {
            link.delay_us_min = delay_us;
            link.delay_us_max = delay_us + delay_us / 8;
        }
        sim_net_set(f->n.w, SLOW, i, &link);
        sim_net_set(f->n.w, i, SLOW, &link);
    }
}

static void
create(struct formed *f, uint64_t seed)
{
    formed_create(f, seed, 3);
    formed_await_placed(f);
    EXPECT(leads(f, SLOW) > 0);
}

static void
expect_it_to_lead_again(struct formed *f)
{
    for (uint32_t i = 0; i < 10 && leads(f, SLOW) == 0; i++)
        write_for(f, 5000);
    EXPECT(leads(f, SLOW) > 0);
    formed_await_placed(f);
}

TEST(who_has_a_slow_disk_leads_nothing_until_it_is_fast_again)
{
    struct formed f;

    create(&f, test_seed(700));
    sim_set_disk_latency_us(f.n.w, SLOW, DISK_US);
    write_for(&f, NOTICED_MS);
    EXPECT_U64(leads(&f, SLOW), 0);
    write_for(&f, NOTICED_MS);
    EXPECT_U64(leads(&f, SLOW), 0);
    sim_set_disk_latency_us(f.n.w, SLOW, 50);
    expect_it_to_lead_again(&f);
    formed_destroy(&f);
}

TEST(who_is_far_from_all_others_leads_nothing_until_it_is_near_again)
{
    struct formed f;

    create(&f, test_seed(701));
    set_ways(&f, WAY_US);
    write_for(&f, NOTICED_MS);
    EXPECT_U64(leads(&f, SLOW), 0);
    set_ways(&f, 0);
    expect_it_to_lead_again(&f);
    formed_destroy(&f);
}

/* All are as slow, and none is better. */
TEST(where_all_are_slow_all_go_on)
{
    struct formed f;

    create(&f, test_seed(702));
    for (uint32_t i = 1; i <= 3; i++)
        sim_set_disk_latency_us(f.n.w, i, DISK_US);
    write_for(&f, NOTICED_MS);
    for (uint32_t i = 0; i < 10 && leads(&f, SLOW) == 0; i++)
        write_for(&f, NOTICED_MS / 4);
    EXPECT(leads(&f, SLOW) > 0);
    formed_destroy(&f);
}

QUIET_TEST_MAIN(RUN(who_has_a_slow_disk_leads_nothing_until_it_is_fast_again),
                RUN(who_is_far_from_all_others_leads_nothing_until_it_is_near_again),
                RUN(where_all_are_slow_all_go_on))
