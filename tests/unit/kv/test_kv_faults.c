/*
 * Every call to the world and every allocation fails, in turn: once, and from
 * there on.  A fixed script goes through the life of a store.  No request may
 * hang or end without a typed status, nothing leaks, and what was acknowledged is there when the world
 * is whole again, after a power cut too.
 *
 * Every k-th call fails, so that a run stays short; TEST_FULL=1 takes every one.
 */
#include "base/log.h"

#include "kv_fixture.h"
#include "unit/test.h"

enum { KEYS = 12, ALLOWED_MAX = 64, CASES_WANTED = 250, SLACK_MS = 300 };

/* What may be found under a key; 0: nothing. */
struct expectation {
    uint32_t allowed[ALLOWED_MAX];
    uint32_t count;
};

struct script {
    struct kvfix f;
    struct expectation keys[KEYS];
    uint32_t next;
    uint64_t fail_at; /* allocation; 0: none */
    bool for_good;
    uint32_t fail_boot; /* in which process */
    uint32_t boots;
    uint64_t allocations[4]; /* of each process, in the end */
    uint64_t failures;       /* requests and steps that did not end with ST_OK */
};

static void
expect_only(struct expectation *x, uint32_t value)
{
    x->allowed[0] = value;
    x->count = 1;
}

static void
allow_also(struct expectation *x, uint32_t value)
{
    assert_true(x->count < ALLOWED_MAX);
    x->allowed[x->count++] = value;
}

static bool
allows(const struct expectation *x, uint32_t value)
{
    for (uint32_t i = 0; i < x->count; i++) {
        if (x->allowed[i] == value)
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------ requests */

/* A status that says whether it happened. */
static void
expect_typed(enum status st, bool write)
{
    bool known = st == ST_OK || st == ST_BUSY || st == ST_NO_SPACE || st == ST_IO ||
                 st == ST_NO_MEMORY || st == ST_TIMEOUT || (write && st == ST_UNKNOWN);

    if (!known)
        print_error("a request ended with %s\n", status_name(st));
    EXPECT(known);
}

static enum status
finish_call(struct script *s, struct call *c, bool write)
{
    uint64_t begun_ns = sim_now_ns(s->f.w);
    enum status st;

    call_send(c);
    st = call_wait(c);
    EXPECT(sim_now_ns(s->f.w) - begun_ns <=
           (FIX_DEADLINE_MS + SLACK_MS) * UINT64_C(1000000)); /* P8 */
    expect_typed(st, write);
    s->failures += st != ST_OK;
    return st;
}

/* The write gave the key this value, or may have done so. */
static void
settle(struct expectation *x, enum status st, uint32_t value)
{
    if (st == ST_OK)
        expect_only(x, value);
    else if (st == ST_UNKNOWN)
        allow_also(x, value);
}

static void
put(struct script *s, int k)
{
    struct call *c = call_new(&s->f, (uint32_t)k % FIX_LOOPS);
    char key[16], value[220];

    snprintf(key, sizeof(key), "key:%02d", k);
    snprintf(value, sizeof(value), "%u %0200d", ++s->next, 0);
    call_value(c, call_op(c, OP_PUT, key), value);
    settle(&s->keys[k], finish_call(s, c, true), s->next);
    free(c);
}

static void
delete_key(struct script *s, int k)
{
    struct call *c = call_new(&s->f, 0);
    char key[16];

    snprintf(key, sizeof(key), "key:%02d", k);
    call_op(c, OP_DELETE, key);
    settle(&s->keys[k], finish_call(s, c, true), 0);
    free(c);
}

/* The counter is key 0, and holds nothing else. */
static void
increment(struct script *s)
{
    struct call *c = call_new(&s->f, 1);
    struct expectation *x = &s->keys[0];
    enum status st;
    uint32_t n = x->count;

    call_op(c, OP_INCR, "key:00")->number = 1;
    st = finish_call(s, c, true);
    if (st == ST_OK)
        EXPECT(allows(x, (uint32_t)c->results[0].integer - 1));
    if (st == ST_OK)
        expect_only(x, (uint32_t)c->results[0].integer);
    for (uint32_t i = 0; i < n && st == ST_UNKNOWN; i++)
        allow_also(x, x->allowed[i] + 1);
    free(c);
}

static void
clear(struct script *s)
{
    struct call *c = call_new(&s->f, 0);
    enum status st;

    call_op(c, OP_CLEAR, "");
    st = finish_call(s, c, true);
    for (int k = 0; k < KEYS; k++)
        settle(&s->keys[k], st, 0);
    free(c);
}

static void
get(struct script *s, int k)
{
    struct call *c = call_new(&s->f, (uint32_t)k % FIX_LOOPS);
    char key[16];
    enum status st;

    snprintf(key, sizeof(key), "key:%02d", k);
    call_op(c, OP_GET, key);
    st = finish_call(s, c, false);
    if (st == ST_OK && !allows(&s->keys[k], (uint32_t)atoi(c->values[0])))
        print_error("key %d: found %.20s\n", k, c->values[0]);
    if (st == ST_OK)
        EXPECT(allows(&s->keys[k], (uint32_t)atoi(c->values[0])));
    free(c);
}

struct scanning {
    struct script *s;
    struct kv_scan *scan;
    enum status status;
    bool done;
};

static void
scan_piece(void *ctx, const struct kv_scan_piece *piece)
{
    struct scanning *x = ctx;

    x->status = piece->status;
    kv_scan_close(x->scan);
    x->done = true;
}

static void
scan_body(void *ctx)
{
    struct scanning *x = ctx;
    struct kv_scan_options options = { .want_values = true,
                                       .deadline_ns = fix_deadline_ns(&x->s->f, 1) };
    struct err err;

    x->status = kv_scan_open(kv_door_of(x->s->f.kv, 1), &options, &x->scan, &err);
    x->done = x->status != ST_OK;
    if (!x->done)
        kv_scan_next(x->scan, 1000, 100000, 1 << 20, scan_piece, x);
}

static void
scan(struct script *s)
{
    struct scanning x = { .s = s };

    sim_on_loop(s->f.w, FIX_NODE, 1, scan_body, &x);
    EXPECT(sim_run_until(s->f.w, &x.done, FIX_PATIENCE_MS));
    expect_typed(x.status, false);
    s->failures += x.status != ST_OK;
}

static void
administer(struct script *s, enum kv_admin_kind kind)
{
    enum status st = fix_admin(&s->f, kind, NULL);

    expect_typed(st, false);
    s->failures += st != ST_OK;
}

/* ------------------------------------------------------------------ the script */

static void
load(struct script *s)
{
    for (int k = 1; k < KEYS; k++)
        put(s, k);
    increment(s);
    administer(s, KV_SAVE);
    for (int k = 2; k < KEYS; k += 3)
        put(s, k);
    delete_key(s, 3);
    increment(s);
    administer(s, KV_COMPACT);
    clear(s);
    put(s, 4);
    increment(s);
    administer(s, KV_SAVE);
    put(s, 5);
    delete_key(s, 4);
    administer(s, KV_COMPACT);
    administer(s, KV_COUNT);
    administer(s, KV_HASH);
    scan(s);
    for (int k = 0; k < KEYS; k += 2)
        get(s, k);
    put(s, 6);
}

static void
read_all(struct script *s)
{
    for (int k = 0; k < KEYS; k++)
        get(s, k);
}

static void
booted(struct kvfix *f)
{
    struct script *s = f->ctx;
    struct mem_heap *heap = sim_heap(f->w, FIX_NODE);

    if (s->fail_at != 0 && s->boots == s->fail_boot) {
        heap->fail_at = s->fail_at;
        heap->fail_for_good = s->for_good;
    }
    s->boots++;
}

/* One process.  With a fault it may end at any step, but cleanly. */
static void
live(struct script *s, void (*steps)(struct script *s))
{
    uint32_t boot = s->boots;
    enum status st = kvfix_open(&s->f);

    if (st == ST_OK) {
        steps(s);
        s->allocations[boot] = sim_heap(s->f.w, FIX_NODE)->allocation;
        s->failures += kvfix_try_close(&s->f) != ST_OK;
        return;
    }
    expect_typed(st, false);
    s->failures++;
    sim_end(s->f.w, FIX_NODE);
}

static uint64_t seed;

static struct script *
script_new(void)
{
    struct script *s = calloc(1, sizeof(*s));

    kvfix_create(&s->f, seed);
    s->f.options.segment_bytes = 64 << 10;
    s->f.booted = booted;
    s->f.ctx = s;
    for (int k = 0; k < KEYS; k++)
        expect_only(&s->keys[k], 0);
    return s;
}

/* Two processes with the fault, a power cut, and a third in a world that is whole. */
static void
run(struct script *s)
{
    live(s, load);
    live(s, read_all);
    sim_fail(s->f.w, FIX_NODE, SIM_OP_ALL, 0, false, ST_IO);
    sim_crash(s->f.w, FIX_NODE);
    if (kvfix_open(&s->f) != ST_OK)
        print_error("afterwards: %s\n", s->f.open_err.text);
    EXPECT_OK(s->f.open_status);
    for (int k = 0; k < KEYS; k++) {
        uint64_t failures = s->failures;

        get(s, k);
        EXPECT_U64(s->failures, failures);
    }
    kvfix_close(&s->f);
    kvfix_destroy(&s->f);
}

static uint64_t
stride_of(uint64_t count)
{
    uint64_t stride = getenv("TEST_FULL") != NULL ? 1 : count / CASES_WANTED + 1;

    print_message("%llu, every %llu-th\n", (unsigned long long)count, (unsigned long long)stride);
    return stride;
}

static void
fail_calls(bool for_good, enum status st)
{
    struct script *s = script_new();
    uint64_t count, stride, failed = 0;

    live(s, load);
    count = sim_op_count(s->f.w, FIX_NODE, SIM_OP_ALL);
    EXPECT_U64(s->failures, 0);
    run(s);
    free(s);
    stride = stride_of(count);
    for (uint64_t nth = 1; nth <= count; nth += stride) {
        s = script_new();
        sim_fail(s->f.w, FIX_NODE, SIM_OP_ALL, nth, for_good, st);
        run(s);
        failed += s->failures > 0;
        free(s);
    }
    EXPECT(failed * stride > count / 3);
}

TEST(a_call_that_fails_once_loses_nothing_and_hangs_nobody)
{
    fail_calls(false, ST_IO);
}

TEST(calls_that_fail_for_good_lose_nothing_and_hang_nobody)
{
    fail_calls(true, ST_IO);
}

TEST(a_disk_that_says_it_is_full_loses_nothing_and_hangs_nobody)
{
    fail_calls(true, ST_NO_SPACE);
}

static void
fail_allocations(bool for_good, uint32_t boot)
{
    struct script *s = script_new();
    uint64_t count, stride, failed = 0;

    live(s, load);
    live(s, read_all);
    count = s->allocations[boot];
    kvfix_destroy(&s->f);
    free(s);
    stride = stride_of(count);
    for (uint64_t nth = 1; nth <= count; nth += stride) {
        s = script_new();
        s->fail_at = nth;
        s->for_good = for_good;
        s->fail_boot = boot;
        run(s);
        failed += s->failures > 0;
        free(s);
    }
    EXPECT(failed * stride > count / 10);
}

TEST(an_allocation_that_fails_once_loses_nothing_and_hangs_nobody)
{
    fail_allocations(false, 0);
    fail_allocations(false, 1);
}

TEST(allocations_that_fail_for_good_lose_nothing_and_hang_nobody)
{
    fail_allocations(true, 0);
    fail_allocations(true, 1);
}

static int
begin_campaign(void **state)
{
    seed = test_seed(1);
    return test_quiet(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(a_call_that_fails_once_loses_nothing_and_hangs_nobody),
        RUN(calls_that_fail_for_good_lose_nothing_and_hang_nobody),
        RUN(a_disk_that_says_it_is_full_loses_nothing_and_hangs_nobody),
        RUN(an_allocation_that_fails_once_loses_nothing_and_hangs_nobody),
        RUN(allocations_that_fail_for_good_lose_nothing_and_hang_nobody),
    };

    return cmocka_run_group_tests(tests, begin_campaign, NULL);
}
