/* Requests with an identity (P8): a retry is told what the first was told, and applied once. */
#include "base/mem.h"

#include "kv_fixture.h"
#include "tablet/dedup.h"
#include "unit/test.h"

enum { CLIENT = 77, HOUR_MS = 60 * 60 * 1000 };

/* What lies between a write and its retry. */
enum between { AT_ONCE, POWER_CUT, CLEAN_STOP, COMPACTION, COLD_DISK, BETWEEN_COUNT };

static void
fixture(struct kvfix *f)
{
    kvfix_create(f, test_seed(1));
    EXPECT_OK(kvfix_open(f));
}

static void
finish(struct kvfix *f)
{
    kvfix_close(f);
    kvfix_destroy(f);
}

static struct call *
identified(struct kvfix *f, uint32_t loop, uint64_t sequence)
{
    struct call *c = call_new(f, loop);

    c->request.client_id = CLIENT;
    c->request.sequence = sequence;
    return c;
}

static enum status
finish_call(struct call *c)
{
    call_send(c);
    return call_wait(c);
}

/* A unit of one operation, with an identity, whose status is all that matters. */
static enum status
increment(struct kvfix *f, uint64_t sequence)
{
    struct call *c = identified(f, 0, sequence);
    enum status st;

    call_op(c, OP_INCR, "n")->number = 1;
    st = finish_call(c);
    free(c);
    return st;
}

static void
pass(struct kvfix *f, enum between between)
{
    switch (between) {
    case POWER_CUT:
        kvfix_crash(f);
        EXPECT_OK(kvfix_open(f));
        break;
    case COLD_DISK:
        EXPECT_OK(fix_admin(f, KV_SAVE, NULL));
        kvfix_close(f);
        EXPECT_OK(kvfix_open(f));
        sim_set_cold_percent(f->w, FIX_NODE, 100);
        break;
    case CLEAN_STOP:
        kvfix_close(f);
        EXPECT_OK(kvfix_open(f));
        break;
    case COMPACTION:
        EXPECT_OK(fix_admin(f, KV_SAVE, NULL));
        EXPECT_OK(fix_admin(f, KV_COMPACT, NULL));
        break;
    case AT_ONCE:
    case BETWEEN_COUNT:
        break;
    }
}

static void
expect_same_answer(const struct call *first, const struct call *retry)
{
    EXPECT_ST(retry->request.status, first->request.status);
    for (uint32_t i = 0; i < first->request.op_count && first->request.status == ST_OK; i++) {
        const struct op_result *a = &first->results[i];
        const struct op_result *b = &retry->results[i];

        EXPECT_U64(b->code, a->code);
        EXPECT_U64(b->old_missing, a->old_missing);
        EXPECT_U64(b->was_tombstone, a->was_tombstone);
        EXPECT(b->integer == a->integer);
        EXPECT_U64(b->version, a->version);
        EXPECT_U64(b->expiry_ms, a->expiry_ms);
        EXPECT_U64(b->value.size, a->value.size);
        EXPECT_STR(retry->values[i], first->values[i]);
    }
}

/* ------------------------------------------------------------------ every kind of write */

static void
add_incr(struct call *c)
{
    call_op(c, OP_INCR, "n")->number = -5;
}

static void
add_incr_float(struct call *c)
{
    call_value(c, call_op(c, OP_INCR_FLOAT, "n"), "0.5");
}

static void
add_append(struct call *c)
{
    call_value(c, call_op(c, OP_APPEND, "word"), "-and-more");
}

static void
add_setnx(struct call *c)
{
    struct op *op = call_op(c, OP_PUT, "fresh");

    call_value(c, op, "mine");
    op->flags = OPF_NX;
}

static void
add_set_get(struct call *c)
{
    struct op *op = call_op(c, OP_PUT, "word");

    call_value(c, op, "other");
    op->flags = OPF_RETURN_OLD;
    op->expiry_ms = kv_now_ms(kv_door_of(c->fix->kv, 0), 0) + 24 * HOUR_MS;
}

static void
add_set_get_of_nothing(struct call *c)
{
    struct op *op = call_op(c, OP_PUT, "fresh");

    call_value(c, op, "");
    op->flags = OPF_RETURN_OLD;
}

static void
add_move(struct call *c)
{
    struct op *op = call_op(c, OP_COPY, "word");

    op->key2 = slice_str("moved");
    op->flags = OPF_MOVE;
}

static void
add_delete(struct call *c)
{
    call_op(c, OP_DELETE, "word");
}

static void
add_delete_of_nothing(struct call *c)
{
    call_op(c, OP_DELETE, "gone");
}

static void
add_getex(struct call *c)
{
    struct op *op = call_op(c, OP_GETEX, "word");

    op->flags = OPF_HAS_EXPIRY;
    op->expiry_ms = kv_now_ms(kv_door_of(c->fix->kv, 0), 0) + 24 * HOUR_MS;
}

static void
add_setrange(struct call *c)
{
    struct op *op = call_op(c, OP_SETRANGE, "word");

    call_value(c, op, "XY");
    op->number = 10;
}

static void
add_unit(struct call *c)
{
    add_incr(c);
    call_op(c, OP_GET, "n");
    call_op(c, OP_META, "word");
    add_append(c);
    call_op(c, OP_GET, "word");
    add_move(c);
    call_op(c, OP_INCR, "moved")->number = 1; /* not an integer */
    call_op(c, OP_GET, "gone");
    add_delete_of_nothing(c);
}

typedef void add_fn(struct call *c);

static add_fn *const kinds[] = { add_incr,  add_incr_float, add_append,
                                 add_setnx, add_set_get,    add_set_get_of_nothing,
                                 add_move,  add_delete,     add_delete_of_nothing,
                                 add_getex, add_setrange,   add_unit };
static const char *const names[] = { "n", "word", "fresh", "moved", "gone" };
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), NAMES = sizeof(names) / sizeof(names[0]) };

static struct call *
read_names(struct kvfix *f)
{
    struct call *c = call_new(f, 0);

    for (int i = 0; i < NAMES; i++)
        call_op(c, OP_GET, names[i]);
    EXPECT_OK(finish_call(c));
    for (int i = 0; i < NAMES; i++)
        c->results[i].was_tombstone = false; /* a compaction may have forgotten the deletion */
    return c;
}

static void
retry_kind(add_fn *add, enum between between)
{
    struct kvfix f;
    struct call *first, *retry, *before, *after;
    bool existed;

    fixture(&f);
    EXPECT_OK(fix_put(&f, "n", "42"));
    EXPECT_OK(fix_put(&f, "word", "something"));
    EXPECT_OK(fix_put(&f, "gone", "x"));
    EXPECT_OK(fix_delete(&f, "gone", &existed));
    first = identified(&f, 0, 9);
    retry = identified(&f, 1, 9);
    add(first);
    add(retry);
    EXPECT_OK(finish_call(first));
    before = read_names(&f);
    pass(&f, between);
    EXPECT_OK(finish_call(retry));
    expect_same_answer(first, retry);
    after = read_names(&f);
    expect_same_answer(before, after); /* versions, too */
    free(first);
    free(retry);
    free(before);
    free(after);
    finish(&f);
}

TEST(a_retry_is_told_the_same_and_changes_nothing)
{
    for (int between = 0; between < BETWEEN_COUNT; between++) {
        for (int i = 0; i < KINDS; i++)
            retry_kind(kinds[i], (enum between)between);
    }
}

/* ------------------------------------------------------------------ before it is committed */

/* B3.  The second rests on the record of the first, which no fsync covers yet. */
TEST(a_retry_of_a_write_that_is_under_way_waits_for_it)
{
    enum { TRIES = 5 };
    struct kvfix f;
    struct call *tries[TRIES];

    fixture(&f);
    EXPECT_OK(fix_put(&f, "n", "0"));
    sim_set_disk_latency_us(f.w, FIX_NODE, 10000);
    for (int i = 0; i < TRIES; i++) {
        tries[i] = identified(&f, 0, 1);
        call_op(tries[i], OP_INCR, "n")->number = 1;
        call_send(tries[i]);
    }
    sim_run_ms(f.w, 2);
    for (int i = 0; i < TRIES; i++)
        EXPECT(!tries[i]->done);
    for (int i = 0; i < TRIES; i++) {
        EXPECT_OK(call_wait(tries[i]));
        EXPECT_U64(tries[i]->results[0].integer, 1);
        EXPECT(i == 0 || tries[i - 1]->done_at < tries[i]->done_at);
    }
    for (int i = 0; i < TRIES; i++)
        free(tries[i]);
    EXPECT_STR(fix_get(&f, "n"), "1");
    finish(&f);
}

/* B3, without an identity: the write that it has met may yet be lost. */
TEST(a_refused_precondition_is_told_when_what_it_rests_on_is_committed)
{
    struct kvfix f;
    struct call *write, *refused;

    fixture(&f);
    EXPECT_OK(fix_put(&f, "k", "old"));
    write = call_new(&f, 0);
    call_value(write, call_op(write, OP_PUT, "k"), "new");
    refused = call_new(&f, 0);
    call_value(refused, call_op(refused, OP_PUT, "k"), "newer");
    refused->preconditions[0] = (struct precondition){ .key = slice_str("k"), .version = 1 };
    refused->request.precondition_count = 1;
    sim_set_disk_latency_us(f.w, FIX_NODE, 10000);
    call_send(write);
    call_send(refused);
    sim_run_ms(f.w, 2);
    EXPECT(!refused->done);
    EXPECT_ST(call_wait(refused), ST_CONFLICT);
    EXPECT(write->done && write->done_at < refused->done_at);
    free(write);
    free(refused);
    finish(&f);
}

/* ------------------------------------------------------------------ what is refused */

TEST(a_write_that_a_later_one_took_the_place_of_is_refused)
{
    struct kvfix f;

    fixture(&f);
    EXPECT_OK(increment(&f, 5));
    EXPECT_ST(increment(&f, 4), ST_INVALID);
    EXPECT_OK(increment(&f, 1000)); /* the numbers between went to other tablets, or nowhere */
    EXPECT_ST(increment(&f, 5), ST_INVALID);
    EXPECT_STR(fix_get(&f, "n"), "2");
    finish(&f);
}

TEST(a_write_without_a_number_a_clear_and_another_request_are_refused)
{
    struct kvfix f;
    struct call *clear, *other;

    fixture(&f);
    EXPECT_ST(increment(&f, 0), ST_INVALID);
    EXPECT_STR(fix_get(&f, "n"), "nil");
    EXPECT_OK(increment(&f, 1));
    clear = identified(&f, 0, 2);
    call_op(clear, OP_CLEAR, "");
    EXPECT_ST(finish_call(clear), ST_INVALID);
    other = identified(&f, 0, 1);
    add_incr(other);
    add_append(other);
    EXPECT_ST(finish_call(other), ST_INVALID);
    EXPECT_STR(fix_get(&f, "n"), "1");
    free(clear);
    free(other);
    finish(&f);
}

TEST(a_pure_read_has_no_use_for_an_identity)
{
    struct kvfix f;

    fixture(&f);
    EXPECT_OK(increment(&f, 7));
    for (int ordered = 0; ordered < 2; ordered++) {
        struct call *read = identified(&f, 0, 0);

        call_op(read, OP_GET, "n");
        read->request.ordered = ordered == 1;
        EXPECT_OK(finish_call(read));
        EXPECT_STR(read->values[0], "1");
        free(read);
    }
    EXPECT_OK(increment(&f, 8));
    finish(&f);
}

/* Its client has gone on; a late copy must not take the lock for it. */
TEST(what_was_refused_once_stays_refused)
{
    struct kvfix f;
    struct call *nx[2], *cas[2];
    bool existed;

    fixture(&f);
    EXPECT_OK(fix_put(&f, "fresh", "theirs"));
    for (int i = 0; i < 2; i++) {
        nx[i] = identified(&f, 0, 1);
        add_setnx(nx[i]);
        cas[i] = identified(&f, 0, 2);
        call_value(cas[i], call_op(cas[i], OP_PUT, "fresh"), "mine");
        cas[i]->preconditions[0] = (struct precondition){ .key = slice_str("fresh") };
        cas[i]->request.precondition_count = 1;
    }
    EXPECT_OK(finish_call(nx[0]));
    EXPECT_U64(nx[0]->results[0].code, OP_NIL);
    EXPECT_OK(fix_delete(&f, "fresh", &existed));
    EXPECT_OK(finish_call(nx[1]));
    EXPECT_U64(nx[1]->results[0].code, OP_NIL);

    EXPECT_OK(fix_put(&f, "fresh", "theirs"));
    EXPECT_ST(finish_call(cas[0]), ST_CONFLICT);
    EXPECT_OK(fix_delete(&f, "fresh", &existed));
    pass(&f, POWER_CUT);
    EXPECT_ST(finish_call(cas[1]), ST_CONFLICT);
    EXPECT_STR(fix_get(&f, "fresh"), "nil");
    for (int i = 0; i < 2; i++) {
        free(nx[i]);
        free(cas[i]);
    }
    finish(&f);
}

/* ------------------------------------------------------------------ bounds */

/* The longest value that is kept, and one byte more. */
static void
retry_long_value(size_t size, enum status want)
{
    static char value[LIMIT_DEDUP_BYTES + 1];
    struct kvfix f;
    struct call *put;
    struct call *tries[2];

    fixture(&f);
    memset(value, 'v', sizeof(value));
    put = call_new(&f, 0);
    call_op(put, OP_PUT, "k")->value = slice_of(value, size);
    EXPECT_OK(finish_call(put));
    free(put);
    for (int i = 0; i < 2; i++) {
        struct op *op;

        tries[i] = identified(&f, 0, 1);
        op = call_op(tries[i], OP_DELETE, "k");
        op->flags = OPF_RETURN_OLD;
        EXPECT_ST(finish_call(tries[i]), i == 0 ? ST_OK : want);
        EXPECT_OK(fix_put(&f, "k", "again"));
    }
    if (want == ST_OK)
        expect_same_answer(tries[0], tries[1]);
    EXPECT_STR(fix_get(&f, "k"), "again");
    for (int i = 0; i < 2; i++)
        free(tries[i]);
    finish(&f);
}

TEST(results_that_are_too_large_are_not_kept_and_the_retry_is_told_so)
{
    enum { HEAD = 2 + 1 + 2 }; /* code and parts, integer, size of the value */

    retry_long_value(LIMIT_DEDUP_BYTES - HEAD, ST_OK);
    retry_long_value(LIMIT_DEDUP_BYTES - HEAD + 1, ST_EXISTS);
}

static uint64_t
entries_now(struct kvfix *f)
{
    struct kv_stats stats;

    kv_stats(f->kv, &stats);
    return stats.engine.trees.entries;
}

TEST(a_record_is_gone_after_an_hour_and_a_compaction_drops_it)
{
    struct kvfix f;
    uint64_t with_record;

    fixture(&f);
    EXPECT_OK(increment(&f, 5));
    pass(&f, COMPACTION);
    with_record = entries_now(&f);
    sim_run_ms(f.w, HOUR_MS - 60 * 1000);
    EXPECT_OK(increment(&f, 5));
    EXPECT_STR(fix_get(&f, "n"), "1");
    sim_run_ms(f.w, 2 * 60 * 1000);
    EXPECT_OK(fix_put(&f, "n", "1")); /* its version says what time it is */
    pass(&f, COMPACTION);
    EXPECT_U64(entries_now(&f), with_record - 1);
    EXPECT_OK(increment(&f, 5)); /* too late: a new write */
    EXPECT_STR(fix_get(&f, "n"), "2");
    finish(&f);
}

/* ------------------------------------------------------------------ nobody sees them */

struct scanned {
    struct kvfix *f;
    struct kv_scan *scan;
    bool reverse;
    bool done;
    uint64_t examined;
    char keys[256];
};

static void
scan_piece(void *ctx, const struct kv_scan_piece *piece)
{
    struct scanned *s = ctx;

    EXPECT_OK(piece->status);
    EXPECT(piece->end);
    s->examined = piece->examined;
    for (uint32_t i = 0; i < piece->count; i++) {
        size_t used = strlen(s->keys);

        snprintf(s->keys + used, sizeof(s->keys) - used, "%.*s,", (int)piece->entries[i].key.size,
                 (const char *)piece->entries[i].key.data);
    }
    kv_scan_close(s->scan);
    s->done = true;
}

static void
scan_body(void *ctx)
{
    struct scanned *s = ctx;
    struct kv_scan_options options = { .reverse = s->reverse,
                                       .deadline_ns = fix_deadline_ns(s->f, 0) };

    EXPECT_OK(kv_scan_open(kv_door_of(s->f->kv, 0), &options, &s->scan, NULL));
    kv_scan_next(s->scan, 1000, 100000, 1 << 20, scan_piece, s);
}

static void
expect_keys(struct kvfix *f, bool reverse, const char *keys, uint64_t count)
{
    struct scanned s = { .f = f, .reverse = reverse };

    sim_on_loop(f->w, FIX_NODE, 0, scan_body, &s);
    EXPECT(sim_run_until(f->w, &s.done, FIX_PATIENCE_MS));
    EXPECT_STR(s.keys, keys);
    EXPECT_U64(s.examined, count);
}

TEST(records_are_in_no_scan_no_count_and_are_no_random_key)
{
    struct kvfix f;
    struct call *c;
    uint64_t count;
    bool existed;

    fixture(&f);
    EXPECT_OK(increment(&f, 1));
    EXPECT_OK(fix_delete(&f, "n", &existed));
    for (int saved = 0; saved < 2; saved++) {
        EXPECT_OK(fix_admin(&f, KV_COUNT, &count));
        EXPECT_U64(count, 0);
        EXPECT_ST(fix_admin(&f, KV_RANDOM, NULL), ST_NOT_FOUND);
        expect_keys(&f, false, "", 0);
        expect_keys(&f, true, "", 0);
        pass(&f, COMPACTION);
    }
    c = identified(&f, 0, 2);
    call_value(c, call_op(c, OP_PUT, "a"), "1");
    call_value(c, call_op(c, OP_PUT, "z"), "2");
    EXPECT_OK(finish_call(c));
    free(c);
    EXPECT_OK(fix_admin(&f, KV_COUNT, &count));
    EXPECT_U64(count, 2);
    EXPECT_OK(fix_admin(&f, KV_RANDOM, NULL));
    expect_keys(&f, false, "a,z,", 2);
    expect_keys(&f, true, "z,a,", 2);
    finish(&f);
}

/* ------------------------------------------------------------------ no memory */

/* Each allocation fails in turn: the write is told so or not, and its retry applies it if it was not. */
TEST(a_retry_after_any_failed_allocation_is_applied_once)
{
    uint64_t failed = 0;
    bool reached = true;

    for (uint64_t nth = 1; reached; nth++) {
        struct kvfix f;
        struct mem_heap *heap;
        enum status st;

        fixture(&f);
        EXPECT_OK(fix_put(&f, "n", "0"));
        heap = sim_heap(f.w, FIX_NODE);
        heap->fail_at = heap->allocation + nth;
        st = increment(&f, 1);
        EXPECT(st == ST_OK || st == ST_NO_MEMORY || st == ST_UNKNOWN);
        failed += st != ST_OK;
        reached = heap->allocation >= heap->fail_at;
        heap->fail_at = 0;
        EXPECT_OK(increment(&f, 1));
        EXPECT_STR(fix_get(&f, "n"), "1");
        finish(&f);
    }
    print_message("%llu failed\n", (unsigned long long)failed);
    EXPECT(failed > 0);
}

QUIET_TEST_MAIN(RUN(a_retry_is_told_the_same_and_changes_nothing),
                RUN(a_retry_of_a_write_that_is_under_way_waits_for_it),
                RUN(a_refused_precondition_is_told_when_what_it_rests_on_is_committed),
                RUN(a_write_that_a_later_one_took_the_place_of_is_refused),
                RUN(a_write_without_a_number_a_clear_and_another_request_are_refused),
                RUN(a_pure_read_has_no_use_for_an_identity),
                RUN(what_was_refused_once_stays_refused),
                RUN(results_that_are_too_large_are_not_kept_and_the_retry_is_told_so),
                RUN(a_record_is_gone_after_an_hour_and_a_compaction_drops_it),
                RUN(records_are_in_no_scan_no_count_and_are_no_random_key),
                RUN(a_retry_after_any_failed_allocation_is_applied_once))
