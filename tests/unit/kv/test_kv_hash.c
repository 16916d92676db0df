/*
 * State hashes of members: equal at one index, whatever each of them went through, and of exactly the
 * index that they say.  H1.. are at the head of lsm/state_hash.c.
 */
#include "base/coding.h"
#include "base/hash.h"

#include "tablet/tablet.h"
#include "unit/kv/kv_fixture.h"
#include "unit/kv/nodes.h"
#include "unit/test.h"

enum {
    KEYS = 40,
    VALUE_BYTES = 1500,
    HISTORY_MAX = 4000,
    SEEN_MAX = 20000,
    PATIENCE_MS = 10000,
    SLOW_US = 10000
};

/* A write that was acknowledged. */
struct deed {
    uint32_t key;
    uint32_t fill; /* the byte that the value repeats; 0: it was a delete */
    uint32_t size;
    version_t version;
    uint64_t expiry_ms;
};

/* All that was written, and all that was seen. */
static struct deed history[HISTORY_MAX];
static uint32_t deed_count;
static struct kv_state seen[SEEN_MAX];
static uint32_t seen_count;
static uint32_t met; /* what was seen at an index that had been seen before */

static void
create(struct nodes *n, uint64_t seed)
{
    deed_count = seen_count = met = 0;
    nodes_create(n, seed, 3);
    (void)nodes_leader(n);
}

/* ------------------------------------------------------------------ looking */

/* Whoever saw this index saw the same. */
static void
note(const struct kv_state *state)
{
    EXPECT(seen_count < SEEN_MAX);
    for (uint32_t i = 0; i < seen_count; i++) {
        const struct kv_state *s = &seen[i];

        if (s->index != state->index)
            continue;
        EXPECT_U64(state->term, s->term);
        EXPECT_U64(state->records.version, s->records.version);
        EXPECT_U64(state->records.count, s->records.count);
        EXPECT_U64(state->records.hash, s->records.hash);
        met++;
    }
    seen[seen_count++] = *state;
}

static struct kv_state
look(struct nodes *n, uint32_t node)
{
    struct errand e;

    nodes_begin(n, node, KV_HASH, &e);
    EXPECT_OK(nodes_finish(n, &e));
    note(&e.admin.state);
    return e.admin.state;
}

/* Everybody has applied all that is committed: so many records. */
static uint64_t
look_at_all(struct nodes *n)
{
    for (uint32_t tries = 0; tries < 100; tries++) {
        raft_index commit = raft_commit(tablet_raft(kv_tablet(n->kv[nodes_leader(n)], 0)));
        uint32_t equal = 0;

        for (uint32_t node = 1; node <= n->count; node++)
            equal += look(n, node).index == commit;
        if (equal == n->count)
            return seen[seen_count - 1].records.count;
        sim_run_ms(n->w, 100);
    }
    fail_msg("they never have the same index");
    return 0;
}

/* ------------------------------------------------------------------ writing */

static uint64_t
now_ms(struct nodes *n)
{
    return env_wall_ms(loop_env(sim_loop(n->w, nodes_leader(n), 0)));
}

static void
write_key(struct nodes *n, uint32_t key, uint32_t size, uint64_t expiry_ms)
{
    static char value[VALUE_BYTES];
    char name[16];
    struct deed d = {
        .key = key, .fill = 1 + deed_count % 255, .size = size, .expiry_ms = expiry_ms
    };
    struct op op = { .kind = OP_PUT, .expiry_ms = expiry_ms };
    struct op_result result;

    EXPECT(deed_count < HISTORY_MAX && size <= VALUE_BYTES);
    snprintf(name, sizeof(name), "k%02u", key);
    memset(value, (int)d.fill, size);
    op.key = slice_str(name);
    op.value = slice_of((const uint8_t *)value, size);
    EXPECT_OK(nodes_do(n, nodes_leader(n), &op, &result));
    d.version = result.version;
    history[deed_count++] = d;
}

static void
delete_key(struct nodes *n, uint32_t key)
{
    struct op op = { .kind = OP_DELETE };
    struct op_result result;
    char name[16];

    snprintf(name, sizeof(name), "k%02u", key);
    op.key = slice_str(name);
    EXPECT_OK(nodes_do(n, nodes_leader(n), &op, &result));
    if (result.code == OP_DONE)
        history[deed_count++] = (struct deed){ .key = key, .version = result.version };
}

/* No part of the history. */
static void
increment(struct nodes *n)
{
    struct op op = { .kind = OP_INCR, .key = slice_str("n"), .number = 1 };
    struct op_result result;

    EXPECT_OK(nodes_do(n, nodes_leader(n), &op, &result));
}

/* Values, most of which expire within seconds, and deletes. */
static void
write_some(struct nodes *n, uint32_t count)
{
    struct prng *prng = sim_prng(n->w);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = (uint32_t)prng_below(prng, KEYS);
        uint64_t expiry_ms = prng_chance(prng, 2, 3) ? now_ms(n) + 1 + prng_below(prng, 3000) : 0;

        if (prng_chance(prng, 1, 5))
            delete_key(n, key);
        else
            write_key(n, key, 1 + (uint32_t)prng_below(prng, VALUE_BYTES), expiry_ms);
    }
}

/* ------------------------------------------------------------------ the naive way */

/* The last deed on the key up to the version. */
static const struct deed *
last_deed(uint32_t key, version_t version)
{
    const struct deed *last = NULL;

    for (uint32_t i = 0; i < deed_count; i++) {
        const struct deed *d = &history[i];

        if (d->key == key && d->version <= version && (last == NULL || d->version > last->version))
            last = d;
    }
    return last;
}

static uint8_t *
put_record(uint8_t *at, const struct deed *d)
{
    put_u32le(at, 4);
    put_u32le(at + 4, d->size);
    put_u64le(at + 8, d->version);
    put_u64le(at + 16, d->expiry_ms);
    at[24] = KEY_USER;
    at[25] = 'k';
    at[26] = (uint8_t)('0' + d->key / 10);
    at[27] = (uint8_t)('0' + d->key % 10);
    memset(at + 28, (int)d->fill, d->size);
    return at + 28 + d->size;
}

static void
check_against_history(const struct state_hash *got)
{
    static uint8_t bytes[KEYS * (28 + VALUE_BYTES)];
    uint8_t *at = bytes;
    uint64_t count = 0;

    for (uint32_t key = 0; key < KEYS; key++) {
        const struct deed *d = last_deed(key, got->version);

        if (d == NULL || d->fill == 0 ||
            (d->expiry_ms != 0 && d->expiry_ms <= version_unix_ms(got->version)))
            continue;
        at = put_record(at, d);
        count++;
    }
    EXPECT_U64(got->count, count);
    EXPECT_U64(got->hash, hash64_seeded(slice_of(bytes, (size_t)(at - bytes)), 1));
}

/* ------------------------------------------------------------------ tests */

TEST(members_that_have_applied_the_same_hold_the_same)
{
    struct nodes n;

    create(&n, test_seed(1));
    EXPECT_U64(look_at_all(&n), 0);
    for (int round = 0; round < 10; round++) {
        write_some(&n, 20);
        increment(&n);
        EXPECT(look_at_all(&n) > 0);
        sim_run_ms(n.w, 700);
    }
    nodes_destroy(&n);
}

/* Versions that the node has in memory and in tables, dead ones among them. */
static uint64_t
held(struct nodes *n, uint32_t node)
{
    struct lsm_stats stats;

    lsm_stats(tablet_lsm(kv_tablet(n->kv[node], 0)), &stats);
    return stats.entries;
}

/* H3, H4: they are not asked to do it together, and do not. */
TEST(it_does_not_matter_who_has_flushed_and_compacted)
{
    uint32_t unlike = 0;
    struct nodes n;

    create(&n, test_seed(2));
    for (uint32_t round = 0; round < 24; round++) {
        uint32_t node = 1 + round % 3;

        write_some(&n, 15);
        nodes_admin(&n, node, round % 2 == 0 ? KV_SAVE : KV_COMPACT);
        unlike += look_at_all(&n) < held(&n, 1) && held(&n, 1) != held(&n, 2);
        sim_run_ms(n.w, 500);
    }
    EXPECT(unlike > 12);
    nodes_destroy(&n);
}

/* H1.  It hears nobody at first: what it has applied is what its files and the log say by themselves,
 * and that is a state which the others have gone through. */
TEST(a_member_that_was_started_again_has_the_state_of_its_index)
{
    struct kv_state alone;
    struct nodes n;

    create(&n, test_seed(3));
    for (uint32_t round = 0; round < 12; round++) {
        uint32_t node = 1 + round % 3;

        write_some(&n, 20);
        if (round % 2 == 0)
            nodes_admin(&n, node, KV_COMPACT);
        write_some(&n, 5);
        nodes_crash(&n, node);
        nodes_cut(&n, node, true);
        nodes_boot_all(&n);
        alone = look(&n, node);
        check_against_history(&alone.records);
        write_some(&n, 5);
        nodes_cut(&n, node, false);
        sim_run_ms(n.w, 1000);
        EXPECT(look_at_all(&n) > 0);
        EXPECT(seen[seen_count - 1].index > alone.index);
    }
    nodes_destroy(&n);
}

static uint64_t
flushed_index(struct nodes *n, uint32_t node)
{
    return lsm_flushed(tablet_lsm(kv_tablet(n->kv[node], 0))).index;
}

/* A look at any time: what the member was before, or what it is afterwards.  True: it would not say. */
static bool
look_while_it_changes(struct nodes *n, uint32_t node)
{
    struct errand e;
    enum status st;

    nodes_begin(n, node, KV_HASH, &e);
    st = nodes_finish(n, &e);
    if (st == ST_BUSY)
        return true;
    EXPECT_OK(st);
    note(&e.admin.state);
    check_against_history(&e.admin.state.records);
    return false;
}

/* The log no longer has what it lacks.  While the snapshot takes the place of its tree, it does not
 * say what it has. */
TEST(a_member_that_got_a_snapshot_has_the_state_of_its_index)
{
    uint32_t refused = 0;
    struct nodes n;
    uint32_t away;
    uint64_t left;

    create(&n, test_seed(4));
    write_some(&n, 20);
    look_at_all(&n);
    away = nodes_leader(&n) == 3 ? 1 : 3;
    nodes_cut(&n, away, true);
    left = look(&n, away).index;
    write_some(&n, 600);
    sim_set_disk_latency_us(n.w, away, SLOW_US);
    nodes_cut(&n, away, false);
    for (uint32_t ms = 0, until = PATIENCE_MS; ms < until; ms++) {
        sim_run_ms(n.w, 1);
        refused += look_while_it_changes(&n, away);
        if (until == PATIENCE_MS && flushed_index(&n, away) > left)
            until = ms + 500;
    }
    EXPECT(flushed_index(&n, away) > left);
    EXPECT(refused > 0);
    look_at_all(&n);
    nodes_destroy(&n);
}

/* Looks that were begun and not waited for, while writes go on. */
TEST(a_hash_taken_during_writes_is_of_the_index_that_it_says)
{
    enum { LOOKS = 3 };
    struct errand e[LOOKS + 1];
    struct nodes n;

    create(&n, test_seed(5));
    for (uint32_t round = 0; round < 150; round++) {
        for (uint32_t node = 1; node <= LOOKS; node++)
            nodes_begin(&n, node, KV_HASH, &e[node]);
        write_some(&n, 4);
        if (round % 10 == 9)
            nodes_flush(&n, 1 + round / 10 % 3);
        for (uint32_t node = 1; node <= LOOKS; node++) {
            EXPECT_OK(nodes_finish(&n, &e[node]));
            note(&e[node].admin.state);
        }
    }
    for (uint32_t i = 0; i < seen_count; i++)
        check_against_history(&seen[i].records);
    EXPECT(met > 100 && seen[seen_count - 1].index > 500);
    nodes_destroy(&n);
}

/* H6.  A unit that changes nothing leaves a record, which the members share until it expires. */
TEST(what_is_kept_of_retries_counts)
{
    struct nodes n;
    uint64_t before;

    create(&n, test_seed(6));
    write_key(&n, 1, 10, 0);
    before = look_at_all(&n);
    n.client_id = 77;
    delete_key(&n, 2);
    EXPECT_U64(look_at_all(&n), before + 1);
    n.client_id = 0;
    sim_run_ms(n.w, LIMIT_DEDUP_MS + 1000);
    write_key(&n, 1, 10, 0);
    EXPECT_U64(look_at_all(&n), before);
    nodes_destroy(&n);
}

/* H1: a clear moves the version and leaves nothing. */
TEST(a_clear_leaves_nothing_on_any_member)
{
    struct op clear = { .kind = OP_CLEAR };
    struct op_result result;
    struct nodes n;

    create(&n, test_seed(7));
    write_some(&n, 30);
    nodes_flush(&n, 2);
    EXPECT(look_at_all(&n) > 0);
    EXPECT_OK(nodes_do(&n, nodes_leader(&n), &clear, &result));
    EXPECT_U64(look_at_all(&n), 0);
    nodes_flush(&n, 3);
    EXPECT_U64(look_at_all(&n), 0);
    nodes_destroy(&n);
}

/* In the value of the first record that lies in the memtable. */
static void
flip_bit(void *ctx)
{
    struct tablet *t = ctx;
    struct lsm_iter_options options = { .now_ms = 0 };
    struct lsm_iter *it;
    struct entry e;

    EXPECT_OK(lsm_iter_create(tablet_lsm(t), &options, &it, NULL));
    EXPECT_OK(lsm_iter_first(it, NULL));
    lsm_iter_entry(it, &e);
    ((uint8_t *)(uintptr_t)e.value.data)[0] ^= 1;
    lsm_iter_destroy(it);
}

TEST(a_bit_that_flips_in_the_memory_of_one_member_shows)
{
    struct kv_state sound, hurt;
    struct tablet *t;
    struct nodes n;

    create(&n, test_seed(8));
    write_key(&n, 1, 100, 0);
    write_key(&n, 2, 100, 0);
    EXPECT_U64(look_at_all(&n), 2);
    sound = look(&n, 2);
    t = kv_tablet(n.kv[2], 0);
    sim_on_loop(n.w, 2, loop_index(tablet_loop(t)), flip_bit, t);
    seen_count = 0;
    for (int flushed = 0; flushed < 2; flushed++) {
        hurt = look(&n, 2);
        EXPECT_U64(hurt.index, sound.index);
        EXPECT_U64(hurt.records.version, sound.records.version);
        EXPECT_U64(hurt.records.count, sound.records.count);
        EXPECT(hurt.records.hash != sound.records.hash);
        nodes_flush(&n, 2);
    }
    nodes_destroy(&n);
}

/* ------------------------------------------------------------------ the job's end */

struct farewell {
    struct kv_admin admin;
    struct kvfix *f;
    bool done;
};

static void
on_farewell(struct kv_admin *a)
{
    container_of(a, struct farewell, admin)->done = true;
}

static void
submit_farewell(void *ctx)
{
    struct farewell *w = ctx;

    kv_admin_submit(kv_door_of(w->f->kv, 0), &w->admin);
}

TEST(a_walk_ends_with_the_node)
{
    static char value[50001];
    struct farewell w = { .admin = { .kind = KV_HASH, .done = on_farewell } };
    struct kvfix f;
    char key[16];

    memset(value, 'v', sizeof(value) - 1);
    kvfix_create(&f, test_seed(9));
    EXPECT_OK(kvfix_open(&f));
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof(key), "k%02d", i);
        EXPECT_OK(fix_put(&f, key, value));
    }
    w.f = &f;
    sim_on_loop(f.w, FIX_NODE, 0, submit_farewell, &w);
    kvfix_close(&f);
    EXPECT(w.done);
    EXPECT_ST(w.admin.status, ST_CLOSED);
    kvfix_destroy(&f);
}

TEST_MAIN(RUN(members_that_have_applied_the_same_hold_the_same),
          RUN(it_does_not_matter_who_has_flushed_and_compacted),
          RUN(a_member_that_was_started_again_has_the_state_of_its_index),
          RUN(a_member_that_got_a_snapshot_has_the_state_of_its_index),
          RUN(a_hash_taken_during_writes_is_of_the_index_that_it_says),
          RUN(what_is_kept_of_retries_counts), RUN(a_clear_leaves_nothing_on_any_member),
          RUN(a_bit_that_flips_in_the_memory_of_one_member_shows), RUN(a_walk_ends_with_the_node))
