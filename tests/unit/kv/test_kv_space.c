/* A full disk, a slow disk, and a clock that jumps: what clients are told, and when (P8). */
#include "base/log.h"

#include "kv_fixture.h"
#include "unit/test.h"

enum { KEYS_MAX = 20000, VALUE_BYTES = 150 };

static void
key_text(int n, char out[16])
{
    snprintf(out, 16, "key:%05d", n);
}

static enum status
put(struct kvfix *f, int n)
{
    char key[16], value[VALUE_BYTES + 1];

    key_text(n, key);
    snprintf(value, sizeof(value), "%0*d", VALUE_BYTES, n);
    return fix_put(f, key, value);
}

static void
check_value(struct kvfix *f, int n)
{
    char key[16], value[VALUE_BYTES + 1];

    key_text(n, key);
    snprintf(value, sizeof(value), "%0*d", VALUE_BYTES, n);
    EXPECT_STR(fix_get(f, key), value);
}

static struct kvfix
fixture(uint64_t seed)
{
    struct kvfix f;

    kvfix_create(&f, test_seed(seed));
    f.options.segment_bytes = 64 << 10;
    f.options.trees.table_bytes = 64 << 10;
    EXPECT_OK(kvfix_open(&f));
    sim_run_ms(f.w, 2500); /* the reserve is made */
    return f;
}

static void
finish(struct kvfix *f)
{
    kvfix_close(f);
    kvfix_destroy(f);
}

/* ------------------------------------------------------------------ space */

static void
add_size(void *ctx, const char *path, uint64_t size)
{
    (void)path;
    *(uint64_t *)ctx += (size + 4095) / 4096 * 4096;
}

static uint64_t
disk_used(struct kvfix *f)
{
    uint64_t used = 0;

    sim_disk_each(f->w, FIX_NODE, add_size, &used);
    return used;
}

/* The number of the first that was refused. */
static int
fill(struct kvfix *f, int from, enum status *st)
{
    int n = from;

    for (*st = ST_OK; n < KEYS_MAX; n++) {
        *st = put(f, n);
        if (*st != ST_OK)
            break;
    }
    return n;
}

TEST(a_full_disk_refuses_writes_admits_deletes_keeps_all_and_resumes_by_itself)
{
    struct kvfix f = fixture(1);
    enum status st;
    bool existed;
    char key[16];
    int first, last;

    first = 0;
    while (first < 300)
        EXPECT_OK(put(&f, first++));
    sim_set_capacity(f.w, FIX_NODE, disk_used(&f) + (1 << 20) + (512 << 10));
    last = fill(&f, first, &st);
    EXPECT_ST(st, ST_NO_SPACE);
    EXPECT_ST(kv_writable(f.kv), ST_NO_SPACE);
    for (int n = 0; n < 100; n++) {
        key_text(n, key);
        EXPECT_OK(fix_delete(&f, key, &existed));
        EXPECT(existed);
    }
    for (int n = 100; n < last; n += 7)
        check_value(&f, n);

    kvfix_crash(&f);
    EXPECT_OK(kvfix_open(&f)); /* it opens on the full disk, too */
    for (int n = 0; n < last; n += 7) {
        key_text(n, key);
        if (n < 100)
            EXPECT_STR(fix_get(&f, key), "nil");
        else
            check_value(&f, n);
    }
    sim_set_capacity(f.w, FIX_NODE, 64 << 20);
    sim_run_ms(f.w, 2500);
    EXPECT_OK(kv_writable(f.kv));
    EXPECT_OK(put(&f, last));
    check_value(&f, last);
    finish(&f);
}

/* The disk is full at once, with no byte to spare: nothing ends in a failure that is final. */
TEST(a_disk_without_a_free_byte_is_survived)
{
    struct kvfix f = fixture(2);
    enum status st = ST_OK;
    int last;

    EXPECT_OK(put(&f, 0));
    sim_set_capacity(f.w, FIX_NODE, disk_used(&f));
    last = fill(&f, 1, &st);
    EXPECT(st == ST_NO_SPACE || st == ST_TIMEOUT || st == ST_BUSY);
    EXPECT(kv_writable(f.kv) != ST_IO);
    for (int n = 0; n < last; n += 3)
        check_value(&f, n);
    sim_set_capacity(f.w, FIX_NODE, 64 << 20);
    sim_run_ms(f.w, 5000);
    EXPECT_OK(put(&f, last));
    kvfix_crash(&f);
    EXPECT_OK(kvfix_open(&f));
    for (int n = 0; n <= last; n += 3)
        check_value(&f, n);
    finish(&f);
}

/* ------------------------------------------------------------------ time */

TEST(on_a_slow_disk_every_request_ends_by_its_deadline)
{
    enum { COUNT = 20 };
    struct kvfix f = fixture(3);
    struct call *calls[COUNT];
    uint64_t begun_ns;
    int unknown = 0;
    char key[16];

    EXPECT_OK(put(&f, 0));
    sim_set_disk_latency_us(f.w, FIX_NODE, 20 * 1000 * 1000);
    begun_ns = sim_now_ns(f.w);
    for (int i = 0; i < COUNT; i++) {
        calls[i] = call_new(&f, (uint32_t)i % FIX_LOOPS);
        key_text(i, key);
        call_value(calls[i], call_op(calls[i], OP_PUT, key), "late");
        call_send(calls[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        enum status st = call_wait(calls[i]);

        EXPECT(st == ST_UNKNOWN || st == ST_TIMEOUT);
        unknown += st == ST_UNKNOWN;
        free(calls[i]);
    }
    EXPECT(sim_now_ns(f.w) - begun_ns < (FIX_DEADLINE_MS + 300) * UINT64_C(1000000));
    EXPECT(unknown > 0);
    sim_set_disk_latency_us(f.w, FIX_NODE, 50);
    sim_run_ms(f.w, 60000);
    EXPECT_OK(put(&f, 100));
    check_value(&f, 100);
    finish(&f);
}

TEST(jumps_of_the_clock_stop_nothing)
{
    static const int64_t jumps_ms[] = { 3600 * 1000, -7200 * 1000, 86400 * 1000LL * 365, -1,
                                        -60000 };
    struct kvfix f = fixture(4);
    int n = 0;

    for (size_t i = 0; i < sizeof(jumps_ms) / sizeof(jumps_ms[0]); i++) {
        sim_jump_clock(f.w, FIX_NODE, jumps_ms[i]);
        for (int j = 0; j < 20; j++, n++) {
            EXPECT_OK(put(&f, n));
            sim_run_ms(f.w, 150);
        }
        if (i % 2 == 0)
            kvfix_crash(&f);
        if (i % 2 == 0)
            EXPECT_OK(kvfix_open(&f));
        EXPECT_OK(put(&f, 0));
    }
    for (int j = 0; j < n; j++)
        check_value(&f, j);
    finish(&f);
}

QUIET_TEST_MAIN(RUN(a_full_disk_refuses_writes_admits_deletes_keeps_all_and_resumes_by_itself),
                RUN(a_disk_without_a_free_byte_is_survived),
                RUN(on_a_slow_disk_every_request_ends_by_its_deadline),
                RUN(jumps_of_the_clock_stop_nothing))
