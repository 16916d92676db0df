/*
 * `distkv check` on an embedded store whose log is damaged: what is said to be lost is what is
 * lost, family by family; after --truncate the store opens with everything before it.
 *
 * The n-th write puts "v<n>" under "k<n>", into one of three families in turn.
 */
#include "base/log.h"

#include "engine/check.h"
#include "unit/engine/store_fixture.h"
#include "unit/test.h"

enum { WRITES = 500, VALUE_BYTES = 300, FAMILIES = 3, FINDINGS_MAX = 4096 };
enum { MANY = 300, LATE = 290 }; /* families; from LATE on with a write that no table has */

static const char *const family_names[FAMILIES] = { NULL, "red", "a\nb" };
static const char *const tree_names[FAMILIES] = { "tree 0000000000000002 (default family)",
                                                  "tree 0000000000000003 (red)",
                                                  "tree 0000000000000004 (a\\x0ab)" };

struct sample {
    struct store_fix f;
    struct dkv_family *families[FAMILIES];
    int more;        /* writes that write_more() makes */
    int writes;      /* so far */
    int flushed;     /* of them, tables have these */
    int damaged;     /* the write whose record is damaged */
    char needle[64]; /* looked for in the log */
    char file[96];   /* where it was found */
    uint64_t offset; /* in that file */
    bool truncate;
    enum status status;
    char findings[FINDINGS_MAX];
};

/* ------------------------------------------------------------------ building */

static void
open_families(struct store_fix *f)
{
    struct sample *s = f->ctx;

    for (int i = 1; i < FAMILIES; i++)
        EXPECT(dkv_family_open(f->db, family_names[i], true, &s->families[i], &f->error) == DKV_OK);
}

static void
write_next(struct store_fix *f, struct dkv_family *family)
{
    struct sample *s = f->ctx;
    char key[16], value[VALUE_BYTES + 1];
    int n = ++s->writes;

    snprintf(key, sizeof(key), "k%05d", n);
    memset(value, '.', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    snprintf(value, 16, "v%05d", n);
    value[strlen(value)] = '.';
    EXPECT(store_put(f, family, key, value) == DKV_OK);
}

static void
write_more(struct store_fix *f)
{
    struct sample *s = f->ctx;

    for (int i = 0; i < s->more; i++)
        write_next(f, s->families[(s->writes + 1) % FAMILIES]);
}

static void
flush(struct store_fix *f)
{
    struct sample *s = f->ctx;

    EXPECT(dkv_flush(f->db, &f->error) == DKV_OK);
    s->flushed = s->writes;
}

/* One write to each of many, which tables have; then one more to each of the last of them. */
static void
write_many_families(struct store_fix *f)
{
    struct dkv_family *families[MANY] = { NULL };
    char name[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "f%03d", i);
        EXPECT(dkv_family_open(f->db, name, true, &families[i], &f->error) == DKV_OK);
    }
    for (int i = 0; i < MANY; i++)
        write_next(f, families[i]);
    flush(f);
    for (int i = LATE; i < MANY; i++)
        write_next(f, families[i]);
}

/* `flushes`: how often everything is flushed, and more is written. */
static struct sample *
build(int flushes, int more)
{
    struct sample *s = calloc(1, sizeof(*s));

    store_create(&s->f, test_seed(1));
    s->f.options.memtable_bytes = 1 << 20;
    s->f.ctx = s;
    s->more = WRITES;
    EXPECT_OK(store_open(&s->f));
    EXPECT(store_run(&s->f, open_families));
    EXPECT(store_run(&s->f, write_more));
    s->more = more;
    for (int i = 0; i < flushes; i++) {
        EXPECT(store_run(&s->f, flush));
        EXPECT(store_run(&s->f, write_more));
    }
    store_close(&s->f);
    return s;
}

static void
finish(struct sample *s)
{
    store_destroy(&s->f);
    free(s);
}

/* ------------------------------------------------------------------ damaging */

static void
look_into(void *ctx, const char *path, uint64_t size)
{
    struct buf bytes = buf_empty(SIZE_MAX / 2);
    struct sample *s = ctx;
    const uint8_t *at;

    (void)size;
    if (strstr(path, "log-0/0") == NULL)
        return;
    EXPECT(sim_disk_read(s->f.w, STORE_NODE, path, &bytes));
    at = memmem(bytes.data, bytes.size, s->needle, strlen(s->needle));
    if (at != NULL) {
        snprintf(s->file, sizeof(s->file), "%s", path);
        s->offset = (uint64_t)(at - bytes.data);
    }
    buf_release(&bytes);
}

static bool
find_in_log(struct sample *s, const char *text)
{
    snprintf(s->needle, sizeof(s->needle), "%s", text);
    s->file[0] = '\0';
    sim_disk_each(s->f.w, STORE_NODE, look_into, s);
    return s->file[0] != '\0';
}

static void
find_write(struct sample *s, int n)
{
    char text[16];

    snprintf(text, sizeof(text), "v%05d", n);
    EXPECT(find_in_log(s, text));
}

/* True: in a segment that is sealed. */
static bool
damage_write(struct sample *s, int n)
{
    char last[96];

    s->damaged = n;
    find_write(s, s->writes);
    snprintf(last, sizeof(last), "%s", s->file);
    find_write(s, n);
    EXPECT(sim_disk_flip(s->f.w, STORE_NODE, s->file, s->offset, 3));
    return strcmp(s->file, last) != 0;
}

/* ------------------------------------------------------------------ checking */

static void
note_finding(void *ctx, enum check_finding kind, const char *text)
{
    static const char *const words[] = { "note", "damage", "cut" };
    struct sample *s = ctx;
    size_t used = strlen(s->findings);

    snprintf(s->findings + used, sizeof(s->findings) - used, "%s: %s\n", words[kind], text);
}

static void
check_body(void *ctx)
{
    struct sample *s = ctx;
    struct err err = { 0 };

    s->status = engine_check(s->f.env, "data", s->truncate, note_finding, s, &err);
}

static void
check(struct sample *s, bool truncate, enum status wanted)
{
    s->truncate = truncate;
    s->findings[0] = '\0';
    s->f.env = sim_boot(s->f.w, STORE_NODE, 0);
    EXPECT(sim_call(s->f.w, STORE_NODE, check_body, s));
    sim_end(s->f.w, STORE_NODE);
    EXPECT_ST(s->status, wanted);
}

static void
expect_line(const struct sample *s, const char *line)
{
    if (strstr(s->findings, line) == NULL)
        print_error("missing: %sin:\n%s", line, s->findings);
    EXPECT(strstr(s->findings, line) != NULL);
}

/* The first write that is gone. */
static int
first_lost(const struct sample *s)
{
    return s->damaged > s->flushed ? s->damaged : s->flushed + 1;
}

/* Every write after the damaged one that no table has. */
static void
expect_losses(const struct sample *s, const char *word)
{
    char line[256];
    int first, count;

    snprintf(line, sizeof(line), "%s: %d readable records lie beyond the damage\n", word,
             s->writes - s->damaged);
    expect_line(s, line);
    for (int i = 0; i < FAMILIES; i++) {
        first = s->damaged > s->flushed ? s->damaged + 1 : s->flushed + 1;
        while (first % FAMILIES != i)
            first++;
        count = (s->writes - first) / FAMILIES + 1;
        snprintf(line, sizeof(line),
                 "%s: beyond the damage: %d writes to %s, of keys from k%05d to k%05d\n", word,
                 count, tree_names[i], first, first + (count - 1) * FAMILIES);
        expect_line(s, line);
    }
}

static void
expect_everything_before(struct store_fix *f)
{
    struct sample *s = f->ctx;
    char key[16];

    open_families(f);
    for (int n = 1; n <= s->writes; n++) {
        struct dkv_family *family = s->families[n % FAMILIES];

        snprintf(key, sizeof(key), "k%05d", n);
        if (n < first_lost(s))
            EXPECT_U64(strlen(store_get(f, family, NULL, key)), VALUE_BYTES);
        else
            EXPECT_STR(store_get(f, family, NULL, key), "nil");
    }
}

static void
expect_told_and_cut(struct sample *s)
{
    check(s, false, ST_CORRUPT);
    expect_line(s, "an embedded store\n");
    expect_losses(s, "damage");
    check(s, true, ST_OK);
    expect_losses(s, "cut");
    check(s, false, ST_OK);
    EXPECT_OK(store_open(&s->f));
    EXPECT(store_run(&s->f, expect_everything_before));
    store_close(&s->f);
}

TEST(what_lies_beyond_damage_in_a_sealed_segment_is_told_by_family)
{
    struct sample *s = build(0, 0);

    EXPECT(damage_write(s, 20));
    expect_told_and_cut(s);
    finish(s);
}

TEST(what_lies_beyond_damage_in_the_open_segment_is_told_by_family)
{
    struct sample *s = build(0, 0);

    EXPECT(!damage_write(s, s->writes - 10));
    expect_told_and_cut(s);
    finish(s);
}

TEST(families_that_only_tables_know_are_named)
{
    struct sample *s = build(2, WRITES);

    EXPECT(!find_in_log(s, "red"));
    EXPECT(damage_write(s, s->flushed + 20));
    expect_told_and_cut(s);
    finish(s);
}

TEST(what_tables_have_is_not_told_to_be_lost)
{
    struct sample *s = build(1, 10);

    (void)damage_write(s, s->flushed - 5);
    expect_told_and_cut(s);
    finish(s);
}

TEST(of_many_families_only_those_with_losses_are_told_and_each_by_its_name)
{
    struct sample *s = calloc(1, sizeof(*s));
    char line[256];

    store_create(&s->f, test_seed(1));
    s->f.options.memtable_bytes = 1 << 20;
    s->f.options.log_segment_bytes = 1 << 20; /* so that it keeps what tables have */
    s->f.ctx = s;
    EXPECT_OK(store_open(&s->f));
    EXPECT(store_run(&s->f, write_many_families));
    store_close(&s->f);

    (void)damage_write(s, LATE - 40);
    check(s, false, ST_CORRUPT);
    for (int i = LATE; i < MANY; i++) {
        int n = MANY + 1 + i - LATE;

        snprintf(line, sizeof(line),
                 "damage: beyond the damage: 1 writes to tree %016x (f%03d), of keys from k%05d to "
                 "k%05d\n",
                 3 + i, i, n, n);
        expect_line(s, line);
    }
    EXPECT(strstr(s->findings, "further trees") == NULL);
    EXPECT(strstr(s->findings, "(f289)") == NULL);
    finish(s);
}

QUIET_TEST_MAIN(RUN(what_lies_beyond_damage_in_a_sealed_segment_is_told_by_family),
                RUN(what_lies_beyond_damage_in_the_open_segment_is_told_by_family),
                RUN(families_that_only_tables_know_are_named),
                RUN(what_tables_have_is_not_told_to_be_lost),
                RUN(of_many_families_only_those_with_losses_are_told_and_each_by_its_name))
