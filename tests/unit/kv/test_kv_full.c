/* Starts on a disk without a free block: whatever has filled it, and whenever the process died, the
 * next one comes up by itself, again and again, and has all that was acknowledged (P1, P6). */
#include "base/limits.h"

#include "kv_fixture.h"
#include "unit/test.h"

enum {
    SEEDS = 24,
    KEYS_MAX = 4000,
    VALUE_BYTES = 150,
    STARTS = 12,
    CUTS_MAX = 2, /* power cuts within a start, before one that is let be */
    CUT_CALLS_MAX = 160,
    THEFTS_MAX = 2,
};

enum found { NEVER_SENT, PRESENT, GONE, UNSURE };

struct story {
    struct kvfix f;
    enum found keys[KEYS_MAX];
    int next;        /* the first key that was never sent */
    uint64_t thefts; /* so often will others take what a start was about to use */
};

static uint64_t
draw(struct story *s, uint64_t limit)
{
    return prng_below(sim_prng(s->f.w), limit);
}

static void
key_and_value(int n, char key[16], char value[VALUE_BYTES + 1])
{
    snprintf(key, 16, "key:%05d", n);
    snprintf(value, VALUE_BYTES + 1, "%0*d", VALUE_BYTES, n);
}

/* ------------------------------------------------------------------ the disk */

static void
add_size(void *ctx, const char *path, uint64_t size)
{
    (void)path;
    *(uint64_t *)ctx += (size + 4095) / 4096 * 4096;
}

/* Somebody else takes all but so many bytes. */
static void
fill_disk(struct story *s, uint64_t free_bytes)
{
    uint64_t used = 0;

    sim_disk_each(s->f.w, FIX_NODE, add_size, &used);
    sim_set_capacity(s->f.w, FIX_NODE, used + free_bytes);
}

/* ------------------------------------------------------------------ requests */

static bool
is_refusal(enum status st)
{
    return st == ST_NO_SPACE || st == ST_BUSY;
}

/* Until one is not accepted. */
static void
put_keys(struct story *s, uint64_t count)
{
    enum status st = ST_OK;

    while (st == ST_OK && count-- > 0 && s->next < KEYS_MAX) {
        char key[16], value[VALUE_BYTES + 1];

        key_and_value(s->next, key, value);
        st = fix_put(&s->f, key, value);
        EXPECT(st != ST_IO);
        s->keys[s->next++] = st == ST_OK ? PRESENT : is_refusal(st) ? GONE : UNSURE;
    }
}

static void
delete_keys(struct story *s, uint64_t count)
{
    enum status st = ST_OK;

    for (int n = 0; n < s->next && st == ST_OK && count > 0; n++) {
        char key[16], value[VALUE_BYTES + 1];
        bool existed;

        if (s->keys[n] != PRESENT || draw(s, 3) == 0)
            continue;
        key_and_value(n, key, value);
        st = fix_delete(&s->f, key, &existed);
        EXPECT(st != ST_IO);
        EXPECT(st != ST_OK || existed);
        if (!is_refusal(st))
            s->keys[n] = st == ST_OK ? GONE : UNSURE;
        count--;
    }
}

static void
check_keys(struct story *s)
{
    int stride = 1 + (int)draw(s, 7);

    for (int n = (int)draw(s, (uint64_t)stride); n < s->next; n += stride) {
        char key[16], value[VALUE_BYTES + 1];
        const char *got;

        key_and_value(n, key, value);
        got = fix_get(&s->f, key);
        if (s->keys[n] == PRESENT || (s->keys[n] == UNSURE && strcmp(got, "nil") != 0))
            EXPECT_STR(got, value);
        else
            EXPECT_STR(got, "nil");
    }
}

/* ------------------------------------------------------------------ dying and starting */

static void
die(struct story *s)
{
    if (draw(s, 2) == 0)
        sim_kill(s->f.w, FIX_NODE);
    else
        kvfix_crash(&s->f);
}

static void
start(struct story *s)
{
    enum status st = ST_CLOSED;

    fill_disk(s, 0);
    for (uint64_t cuts = draw(s, CUTS_MAX + 1); cuts > 0 && st != ST_OK; cuts--) {
        st = kvfix_open_cut(&s->f, 1 + draw(s, CUT_CALLS_MAX));
        EXPECT(st == ST_OK || !sim_running(s->f.w, FIX_NODE)); /* it may only have been cut */
        if (st != ST_OK && s->thefts > 0 && draw(s, 2) == 0) {
            s->thefts--;
            fill_disk(s, 0);
        }
    }
    if (st != ST_OK)
        st = kvfix_open(&s->f);
    if (st != ST_OK)
        print_error("the start was refused: %s\n", s->f.open_err.text);
    EXPECT_OK(st);
}

/* A little later the disk is as full as ever. */
static void
live(struct story *s)
{
    uint64_t deletes = draw(s, 3) == 0 ? KEYS_MAX : draw(s, 40);

    if (draw(s, 3) > 0)
        fill_disk(s, 0);
    check_keys(s);
    sim_run_ms(s->f.w, draw(s, 3) * draw(s, 1500));
    fill_disk(s, 0);
    delete_keys(s, deletes);
    put_keys(s, 3);
    if (draw(s, 2) == 0)
        fill_disk(s, 0);
    sim_run_ms(s->f.w, draw(s, 2) * draw(s, 1500));
}

static void
tell(uint64_t seed)
{
    struct story *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    print_message("seed %llu\n", (unsigned long long)seed);
    kvfix_create(&s->f, seed);
    s->f.options.segment_bytes = (uint64_t)(64 << 10) << draw(s, 3);
    s->thefts = THEFTS_MAX;
    EXPECT_OK(kvfix_open(&s->f));
    sim_run_ms(s->f.w, 2500); /* all that is kept for a full disk is made */
    put_keys(s, draw(s, 1200));
    fill_disk(s, draw(s, 4) * draw(s, 1 << 20));
    put_keys(s, KEYS_MAX);
    delete_keys(s, draw(s, 2) * draw(s, KEYS_MAX));
    for (int i = 0; i < STARTS; i++) {
        die(s);
        start(s);
        live(s);
    }
    sim_set_capacity(s->f.w, FIX_NODE, 64 << 20);
    sim_run_ms(s->f.w, 5000);
    EXPECT_OK(kv_writable(s->f.kv));
    check_keys(s);
    EXPECT_OK(fix_put(&s->f, "key", "value"));
    kvfix_close(&s->f);
    kvfix_destroy(&s->f);
    free(s);
}

TEST(a_node_that_dies_on_a_full_disk_comes_up_again_every_time_and_loses_nothing)
{
    uint64_t seed = test_seed(387682233);

    for (uint64_t i = 0; i < SEEDS; i++)
        tell(seed + i);
}

/* ------------------------------------------------------------------ what a start must not do */

static void
keep_manifest(void *ctx, const char *path, uint64_t size)
{
    (void)size;
    if (strstr(path, "/MANIFEST-") != NULL)
        snprintf(ctx, LIMIT_PATH_BYTES, "%s", path);
}

/* Damage to its last record, which says that all before is durable: it is to be made so anew. */
static void
tear_a_manifest(struct kvfix *f)
{
    struct buf bytes = buf_empty(1 << 20);
    char path[LIMIT_PATH_BYTES] = "";
    uint64_t last;

    sim_disk_each(f->w, FIX_NODE, keep_manifest, path);
    EXPECT(sim_disk_read(f->w, FIX_NODE, path, &bytes));
    for (last = bytes.size - 1; bytes.data[last] == 0; last--)
        ;
    EXPECT(sim_disk_flip(f->w, FIX_NODE, path, last, 0));
    buf_release(&bytes);
}

TEST(a_tree_for_which_there_is_no_room_at_all_ends_the_start_and_is_not_passed_over)
{
    struct story s = { .next = 0 };

    kvfix_create(&s.f, 5);
    EXPECT_OK(kvfix_open(&s.f));
    sim_run_ms(s.f.w, 2500);
    put_keys(&s, 10);
    sim_kill(s.f.w, FIX_NODE);
    tear_a_manifest(&s.f);
    EXPECT(sim_disk_remove(s.f.w, FIX_NODE, "data/START")); /* as if others had had it */
    EXPECT(sim_disk_remove(s.f.w, FIX_NODE, "data/RESERVE"));
    fill_disk(&s, 0);
    EXPECT_ST(kvfix_open(&s.f), ST_NO_SPACE);
    EXPECT(strstr(s.f.open_err.text, "MANIFEST") != NULL);
    sim_kill(s.f.w, FIX_NODE);
    sim_set_capacity(s.f.w, FIX_NODE, 64 << 20);
    EXPECT_OK(kvfix_open(&s.f));
    check_keys(&s);
    kvfix_close(&s.f);
    kvfix_destroy(&s.f);
}

/* A store of the time before there was a START, and with no more than one spare. */
TEST(a_store_without_a_start_file_starts_on_a_full_disk_from_its_reserve)
{
    struct story s = { .next = 0 };

    kvfix_create(&s.f, 6);
    EXPECT_OK(kvfix_open(&s.f));
    sim_run_ms(s.f.w, 2500);
    put_keys(&s, 10);
    sim_kill(s.f.w, FIX_NODE);
    tear_a_manifest(&s.f);
    EXPECT(sim_disk_remove(s.f.w, FIX_NODE, "data/START"));
    fill_disk(&s, 0);
    EXPECT_OK(kvfix_open(&s.f));
    check_keys(&s);
    sim_kill(s.f.w, FIX_NODE);
    fill_disk(&s, 0);
    EXPECT_OK(kvfix_open(&s.f)); /* there is one now */
    check_keys(&s);
    kvfix_crash(&s.f);
    kvfix_destroy(&s.f);
}

QUIET_TEST_MAIN(RUN(a_node_that_dies_on_a_full_disk_comes_up_again_every_time_and_loses_nothing),
                RUN(a_tree_for_which_there_is_no_room_at_all_ends_the_start_and_is_not_passed_over),
                RUN(a_store_without_a_start_file_starts_on_a_full_disk_from_its_reserve))
