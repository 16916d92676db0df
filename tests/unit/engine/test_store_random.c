/*
 * The embedded store against a naive map, under random operations, restarts,
 * kills and power cuts.  After a crash the store equals the map after some
 * prefix of the writes: not before the last one that was acknowledged (after a power cut: as durable).
 */
#include "unit/engine/store_fixture.h"
#include "unit/test.h"

enum { FAMILIES = 3, KEYS = 30, WRITES_MAX = 70, UNITS_MAX = 400, ROUNDS = 12, SEEDS = 12 };

/* Per family and key the number of the value; 0: none. */
struct state {
    uint32_t values[FAMILIES][KEYS];
};

struct unit {
    struct {
        uint8_t family;
        uint8_t key;
        uint32_t value;
    } writes[WRITES_MAX];
    int count;
};

struct campaign {
    struct store_fix f;
    struct state base; /* before the units */
    struct state now;  /* after them */
    struct unit units[UNITS_MAX];
    int unit_count;
    int acknowledged; /* units */
    int durable;      /* units acknowledged as such */
    uint32_t next_value;
    struct dkv_family *families[FAMILIES];
    struct dkv_snapshot *snapshot;
    struct state then; /* at the snapshot */
};

static uint64_t
draw(struct campaign *c, uint64_t limit)
{
    return prng_below(sim_prng(c->f.w), limit);
}

static void
key_text(int key, char *out)
{
    snprintf(out, 16, "key:%02d", key);
}

/* A value tells its number, and is long enough for memtables to fill. */
static size_t
value_text(uint32_t value, char *out)
{
    size_t size = value % 7 == 0 ? 3000 : 20 + value % 200;

    memset(out, 'a' + (int)(value % 26), size);
    snprintf(out, 16, "%010u", value);
    return size;
}

static void
apply_unit(struct state *s, const struct unit *u)
{
    for (int i = 0; i < u->count; i++)
        s->values[u->writes[i].family][u->writes[i].key] = u->writes[i].value;
}

/* ------------------------------------------------------------------ reading the store */

static void
open_families(struct campaign *c)
{
    static const char *const names[FAMILIES] = { NULL, "blue", "red" };

    for (int i = 1; i < FAMILIES; i++)
        EXPECT(dkv_family_open(c->f.db, names[i], true, &c->families[i], &c->f.error) == DKV_OK);
}

static void
check_value(uint32_t want, const void *got, size_t size)
{
    char text[4096];
    size_t want_size = value_text(want, text);

    EXPECT_U64(size, want_size);
    EXPECT(memcmp(got, text, size) == 0);
}

static uint32_t
number_of(const void *value, size_t size)
{
    char text[11] = "";

    EXPECT(size >= 10);
    memcpy(text, value, 10);
    return (uint32_t)strtoul(text, NULL, 10);
}

static void
read_all(struct campaign *c, const struct dkv_snapshot *snapshot, bool backwards, struct state *out)
{
    memset(out, 0, sizeof(*out));
    for (int family = 0; family < FAMILIES; family++) {
        struct dkv_iter *it = NULL;
        int before = backwards ? KEYS : -1;

        EXPECT(dkv_iter_create(c->f.db, c->families[family], snapshot, &it, &c->f.error) == DKV_OK);
        for (backwards ? dkv_iter_last(it) : dkv_iter_first(it); dkv_iter_valid(it);
             backwards ? dkv_iter_prev(it) : dkv_iter_next(it)) {
            size_t key_size, size;
            const char *key = dkv_iter_key(it, &key_size);
            const void *value = dkv_iter_value(it, &size);
            int k = 10 * (key[4] - '0') + key[5] - '0';

            EXPECT(key_size == 6 && (backwards ? k < before : k > before));
            before = k;
            out->values[family][k] = number_of(value, size);
            check_value(out->values[family][k], value, size);
        }
        EXPECT(dkv_iter_status(it, &c->f.error) == DKV_OK);
        dkv_iter_destroy(it);
    }
}

static void
get_one(struct campaign *c, const struct dkv_snapshot *snapshot, const struct state *want)
{
    int family = (int)draw(c, FAMILIES);
    int key = (int)draw(c, KEYS);
    uint32_t number = want->values[family][key];
    char text[16];
    void *value = NULL;
    size_t size = 0;
    enum dkv_status status;

    key_text(key, text);
    status = dkv_get(c->f.db, c->families[family], snapshot, text, 6, &value, &size, &c->f.error);
    EXPECT(status == (number == 0 ? DKV_NOT_FOUND : DKV_OK));
    if (number != 0)
        check_value(number, value, size);
    dkv_free(value);
}

static void
check_all(struct campaign *c, const struct dkv_snapshot *snapshot, const struct state *want)
{
    struct state got;

    read_all(c, snapshot, draw(c, 2) == 0, &got);
    EXPECT(memcmp(&got, want, sizeof(got)) == 0);
}

/* ------------------------------------------------------------------ writing it */

static void
invent_unit(struct campaign *c, struct unit *u)
{
    u->count = draw(c, 8) == 0 ? (int)(1 + draw(c, WRITES_MAX)) : (int)(1 + draw(c, 4));
    for (int i = 0; i < u->count; i++) {
        u->writes[i].family = (uint8_t)draw(c, FAMILIES);
        u->writes[i].key = (uint8_t)draw(c, KEYS);
        u->writes[i].value = draw(c, 4) == 0 ? 0 : ++c->next_value;
    }
}

static struct dkv_batch *
batch_of(struct campaign *c, const struct unit *u)
{
    struct dkv_batch *b = dkv_batch_create();
    char key[16], value[4096];
    enum dkv_status status;

    for (int i = 0; i < u->count; i++) {
        struct dkv_family *family = c->families[u->writes[i].family];

        key_text(u->writes[i].key, key);
        if (u->writes[i].value == 0)
            status = dkv_batch_delete(b, family, key, 6, NULL);
        else
            status = dkv_batch_put(b, family, key, 6, value, value_text(u->writes[i].value, value),
                                   NULL);
        EXPECT(status == DKV_OK);
    }
    return b;
}

static void
write_one(struct campaign *c)
{
    struct unit *u = &c->units[c->unit_count];
    struct dkv_write_options options = { draw(c, 2) == 0 ? DKV_SYNC_ALWAYS : DKV_SYNC_NONE };
    struct dkv_batch *b;

    invent_unit(c, u);
    c->unit_count++;
    b = batch_of(c, u);
    EXPECT(dkv_write(c->f.db, b, &options, &c->f.error) == DKV_OK);
    dkv_batch_destroy(b);
    c->acknowledged = c->unit_count;
    if (options.sync == DKV_SYNC_ALWAYS)
        c->durable = c->unit_count;
    apply_unit(&c->now, u);
}

static void
change_snapshot(struct campaign *c)
{
    dkv_snapshot_release(c->f.db, c->snapshot);
    c->snapshot = NULL;
    if (draw(c, 3) == 0)
        return;
    c->snapshot = dkv_snapshot_take(c->f.db);
    assert_non_null(c->snapshot);
    c->then = c->now;
}

static void
one_operation(struct campaign *c)
{
    uint64_t dice = draw(c, 200);

    if (dice < 90)
        write_one(c);
    else if (dice < 170)
        get_one(c, NULL, &c->now);
    else if (dice < 180 && c->snapshot != NULL)
        get_one(c, c->snapshot, &c->then);
    else if (dice < 184)
        check_all(c, NULL, &c->now);
    else if (dice < 188 && c->snapshot != NULL)
        check_all(c, c->snapshot, &c->then);
    else if (dice < 192)
        change_snapshot(c);
    else if (dice < 195)
        EXPECT(dkv_flush(c->f.db, &c->f.error) == DKV_OK);
    else if (dice < 197)
        EXPECT(dkv_compact(c->f.db, c->families[draw(c, FAMILIES)], &c->f.error) == DKV_OK);
    else if (dice < 198)
        env_sleep_ms(c->f.env, 300);
}

static void
live(struct store_fix *f)
{
    struct campaign *c = f->ctx;

    open_families(c);
    for (int i = 0; i < 250 && c->unit_count < UNITS_MAX; i++)
        one_operation(c);
    dkv_snapshot_release(f->db, c->snapshot);
    c->snapshot = NULL;
}

/* ------------------------------------------------------------------ the end of a round */

static int least_found; /* units that must be there */

/* The map now begins with what the store holds: some prefix, from `least` units on. */
static void
find_prefix(struct campaign *c, int least)
{
    struct state got, s = c->base;
    int n = 0;

    read_all(c, NULL, false, &got);
    for (; n < least; n++)
        apply_unit(&s, &c->units[n]);
    for (; n < c->unit_count && memcmp(&s, &got, sizeof(s)) != 0; n++)
        apply_unit(&s, &c->units[n]);
    if (memcmp(&s, &got, sizeof(s)) != 0)
        print_error("no prefix of %d units, at least %d, is what was found\n", c->unit_count,
                    least);
    EXPECT(memcmp(&s, &got, sizeof(s)) == 0);
    c->base = c->now = got;
    c->unit_count = c->acknowledged = c->durable = 0;
    least_found = 0;
}

static void
check_prefix(struct store_fix *f)
{
    open_families(f->ctx);
    find_prefix(f->ctx, least_found);
}

/* With power cuts in the middle of recovery. */
static void
reopen(struct campaign *c)
{
    enum status st = ST_CLOSED;

    for (int attempt = 0; attempt < 2 && st == ST_CLOSED; attempt++) {
        st = store_open_cut(&c->f, draw(c, 2) == 0 ? 0 : 1 + draw(c, 150));
        if (st == ST_CLOSED)
            least_found = c->durable;
    }
    if (st == ST_CLOSED)
        st = store_open(&c->f);
    if (st != ST_OK)
        print_error("%s\n", c->f.err.text);
    EXPECT_OK(st);
}

static void
one_round(struct campaign *c)
{
    uint64_t dice = draw(c, 4);
    bool done;

    if (dice <= 1)
        sim_crash_at(c->f.w, STORE_NODE, SIM_OP_ALL, 1 + draw(c, 2000), draw(c, 2) == 0);
    done = store_run(&c->f, live);
    sim_crash_at(c->f.w, STORE_NODE, SIM_OP_ALL, 0, false);
    c->snapshot = NULL;
    least_found = c->durable;
    if (done && dice == 2) {
        least_found = c->acknowledged;
        store_close(&c->f);
    } else if (done && dice == 3) {
        least_found = c->acknowledged;
        sim_kill(c->f.w, STORE_NODE);
    } else if (done) {
        sim_crash(c->f.w, STORE_NODE);
    }
    reopen(c);
    while (!store_run(&c->f, check_prefix)) { /* a cut that was under way when it was called off */
        least_found = c->durable;
        reopen(c);
    }
}

static void
run_seed(uint64_t seed)
{
    struct campaign *c = calloc(1, sizeof(*c));

    print_message("seed %llu\n", (unsigned long long)seed);
    store_create(&c->f, seed);
    c->f.ctx = c;
    EXPECT_OK(store_open(&c->f));
    for (int round = 0; round < ROUNDS; round++)
        one_round(c);
    store_close(&c->f);
    store_destroy(&c->f);
    free(c);
}

TEST(the_store_equals_a_naive_map_after_any_crash)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < SEEDS; i++)
        run_seed(seed + i);
}

TEST_MAIN(RUN(the_store_equals_a_naive_map_after_any_crash))
