/*
 * P3 and P5 from the outside: whatever happens to one file of a data directory,
 * opening it and reading everything gives the exact data, or an error that names the file.
 * And `distkv check` finds what the reads find.
 *
 * The store was closed clean, so a watermark stands behind its last record, and nothing
 * may pass for a torn tail.  LOCK, RESERVE and START carry no data: damage to them does no harm.
 *
 * Every k-th byte is damaged, so that a run stays short.  `make damage` damages every one
 * (TEST_STRIDE=1), shared out to several processes (TEST_SHARD=0/2, TEST_SHARD=1/2).
 */
#include "base/log.h"

#include "engine/check.h"
#include "kv_fixture.h"
#include "unit/test.h"

enum {
    KEYS = 40,
    WRITES_MAX = 600,
    FILES_MAX = 128,
    PATH_ROOM = 96,
    CASES_WANTED = 800,
    COMPLAINTS_MAX = 20
};

struct file_list {
    char paths[FILES_MAX][PATH_ROOM];
    uint64_t sizes[FILES_MAX]; /* without the zeros at the end */
    uint32_t count;
};

struct sample {
    struct kvfix f;
    struct sim_disk_image *image;
    struct file_list files;
    int writes[WRITES_MAX]; /* the n-th write put its number under this key */
    int write_count;
    int flushed; /* writes that tables have */

    char path[PATH_ROOM]; /* damaged now */
    bool missing;
    char findings[4096]; /* of the check */
    enum status check_status;
    bool truncate;
    uint64_t offset; /* of the flipped bit, for messages */
    uint64_t exact, refused, read_errors, cuts;
    uint64_t wrong; /* wrong data, or an error that does not name the file */
};

/* ------------------------------------------------------------------ building */

static void
write_keys(struct sample *s, int count, int step)
{
    char key[16], value[200];

    for (int i = 0; i < count; i++) {
        int k = i * step % KEYS;

        s->writes[s->write_count++] = k;
        snprintf(key, sizeof(key), "key:%02d", k);
        snprintf(value, sizeof(value), "%d %0180d", s->write_count, 0);
        EXPECT_OK(fix_put(&s->f, key, value));
    }
}

static void
add_file(void *ctx, const char *path, uint64_t size)
{
    struct sample *s = ctx;
    struct buf bytes = buf_empty(SIZE_MAX / 2);

    EXPECT(s->files.count < FILES_MAX);
    EXPECT(sim_disk_read(s->f.w, FIX_NODE, path, &bytes));
    while (size > 0 && bytes.data[size - 1] == 0)
        size--;
    buf_release(&bytes);
    snprintf(s->files.paths[s->files.count], PATH_ROOM, "%s", path);
    s->files.sizes[s->files.count++] = size;
}

static uint32_t
count_files(const struct sample *s, const char *part)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->files.count; i++)
        count += strstr(s->files.paths[i], part) != NULL && s->files.sizes[i] > 0;
    return count;
}

static struct sample *
build(void)
{
    struct sample *s = calloc(1, sizeof(*s));

    kvfix_create(&s->f, 1);
    s->f.options.segment_bytes = 64 << 10;
    s->f.options.trees.memtable_bytes = 1 << 20;
    s->f.options.trees.table_bytes = 4 << 10;
    s->f.options.trees.tables.block_bytes = 512;
    EXPECT_OK(kvfix_open(&s->f));
    write_keys(s, 40, 1);
    EXPECT_OK(fix_admin(&s->f, KV_COMPACT, NULL)); /* the last level */
    write_keys(s, 20, 2);
    EXPECT_OK(fix_admin(&s->f, KV_SAVE, NULL)); /* L0 */
    s->flushed = s->write_count;
    write_keys(s, 400, 7); /* more than a segment of the log */
    kvfix_close(&s->f);
    sim_disk_each(s->f.w, FIX_NODE, add_file, s);
    EXPECT(count_files(s, "/log-0/0") >= 2);
    EXPECT(count_files(s, ".sst") >= 2);
    EXPECT(count_files(s, "MANIFEST") >= 17);
    EXPECT_U64(count_files(s, "CHAIN"), 1);
    EXPECT_U64(count_files(s, "CATALOGUE"), 1);
    EXPECT_U64(count_files(s, "IDENTITY"), 1);
    s->image = sim_disk_save(s->f.w, FIX_NODE);
    return s;
}

static void
tell_figures(const struct sample *s, const char *when)
{
    print_message("%s: refused at opening %llu, refused by reads %llu, harmless %llu, wrong %llu; "
                  "cut %llu\n",
                  when, (unsigned long long)s->refused, (unsigned long long)s->read_errors,
                  (unsigned long long)s->exact, (unsigned long long)s->wrong,
                  (unsigned long long)s->cuts);
}

static void
finish(struct sample *s)
{
    tell_figures(s, "in all");
    EXPECT_U64(s->wrong, 0);
    sim_disk_image_free(s->image);
    kvfix_destroy(&s->f);
    free(s);
}

/* ------------------------------------------------------------------ judging */

/* Of a file that is missing, the name may not be known: then its folder's. */
static bool
is_named(const struct sample *s, const char *text)
{
    char folder[PATH_ROOM];

    snprintf(folder, sizeof(folder), "%s", s->path);
    *strrchr(folder, '/') = '\0';
    return strstr(text, strrchr(s->path, '/') + 1) != NULL ||
           (s->missing && strstr(text, folder) != NULL);
}

/* The campaign goes on: there may be more, and each is worth knowing. */
static void
complain(struct sample *s, const char *what, const char *text)
{
    if (s->wrong++ < COMPLAINTS_MAX)
        print_error("WRONG: %s, byte %llu: %s: %s\n", s->path, (unsigned long long)s->offset, what,
                    text);
}

static void
require_named(struct sample *s, enum status st, const char *text)
{
    if (!is_named(s, text) || (st != ST_CORRUPT && st != ST_INVALID && st != ST_NOT_FOUND))
        complain(s, status_name(st), text);
}

/* The state after `count` writes. */
static void
state_after(const struct sample *s, int count, int state[KEYS])
{
    memset(state, 0, KEYS * sizeof(*state));
    for (int n = 0; n < count; n++)
        state[s->writes[n]] = n + 1;
}

static struct call *
read_all(struct sample *s)
{
    struct call *c = call_new(&s->f, 1);
    char key[16];

    for (int k = 0; k < KEYS; k++) {
        snprintf(key, sizeof(key), "key:%02d", k);
        call_op(c, OP_GET, key);
    }
    call_send(c);
    (void)call_wait(c);
    return c;
}

static bool
holds(const struct call *c, const int state[KEYS])
{
    for (int k = 0; k < KEYS; k++) {
        if (atoi(c->values[k]) != state[k] ||
            strlen(c->values[k]) !=
                (state[k] == 0 ? 0 : 181 + (size_t)snprintf(NULL, 0, "%d", state[k])))
            return false;
    }
    return true;
}

struct scanning {
    struct sample *s;
    struct kv_scan *scan;
    int found[KEYS];
    enum status status;
    struct err err;
    bool done;
};

static void
scan_piece(void *ctx, const struct kv_scan_piece *piece)
{
    struct scanning *x = ctx;

    x->status = piece->status;
    x->err = *piece->err;
    for (uint32_t i = 0; i < piece->count && piece->status == ST_OK; i++) {
        char number[8] = "";

        memcpy(number, piece->entries[i].value.data, 6);
        x->found[10 * (piece->entries[i].key.data[4] - '0') + piece->entries[i].key.data[5] - '0'] =
            atoi(number);
    }
    kv_scan_close(x->scan);
    x->done = true;
}

static void
scan_body(void *ctx)
{
    struct scanning *x = ctx;
    struct kv_scan_options options = { .want_values = true,
                                       .deadline_ns = fix_deadline_ns(&x->s->f, 0) };
    struct kv_door *door = kv_door_of(x->s->f.kv, 0);

    x->status = kv_scan_open(door, &options, &x->scan, &x->err);
    x->done = x->status != ST_OK;
    if (!x->done)
        kv_scan_next(x->scan, 1000, 100000, 1 << 20, scan_piece, x);
}

/* True: nothing was found to be wrong. */
static bool
check_reads(struct sample *s)
{
    struct scanning x = { .s = s };
    struct call *c = read_all(s);
    int state[KEYS];
    bool fine = c->request.status == ST_OK;

    state_after(s, s->write_count, state);
    if (!fine)
        require_named(s, c->request.status, c->request.err.text);
    else if (!holds(c, state))
        complain(s, "wrong data", "by GET");
    free(c);
    sim_on_loop(s->f.w, FIX_NODE, 0, scan_body, &x);
    EXPECT(sim_run_until(s->f.w, &x.done, FIX_PATIENCE_MS));
    if (x.status != ST_OK)
        require_named(s, x.status, x.err.text);
    else if (memcmp(x.found, state, sizeof(state)) != 0)
        complain(s, "wrong data", "by a scan");
    return fine && x.status == ST_OK;
}

/* ------------------------------------------------------------------ the check */

static void
note_finding(void *ctx, enum check_finding kind, const char *text)
{
    struct sample *s = ctx;
    size_t used = strlen(s->findings);

    if (kind != CHECK_NOTE)
        snprintf(s->findings + used, sizeof(s->findings) - used, "%s\n", text);
}

static void
check_body(void *ctx)
{
    struct sample *s = ctx;
    struct err err = { 0 };

    s->check_status = engine_check(s->f.env, "data", s->truncate, note_finding, s, &err);
    if (s->check_status != ST_OK && s->findings[0] == '\0')
        note_finding(s, CHECK_DAMAGE, err.text);
}

static void
run_check(struct sample *s, bool truncate)
{
    s->truncate = truncate;
    s->findings[0] = '\0';
    s->f.env = sim_boot(s->f.w, FIX_NODE, 0);
    EXPECT(sim_call(s->f.w, FIX_NODE, check_body, s));
    sim_end(s->f.w, FIX_NODE);
    if (s->check_status != ST_OK && !is_named(s, s->findings))
        complain(s, "check", s->findings);
}

/* ------------------------------------------------------------------ one case */

static void
open_and_read(struct sample *s)
{
    bool fine = kvfix_open(&s->f) == ST_OK;
    uint64_t wrong = s->wrong;

    if (!fine) {
        require_named(s, s->f.open_status, s->f.open_err.text);
        sim_end(s->f.w, FIX_NODE); /* nothing leaks */
        s->refused++;
    } else {
        fine = check_reads(s);
        kvfix_crash(&s->f);
        s->exact += fine && s->wrong == wrong;
        s->read_errors += !fine;
    }
    if (!fine && s->check_status != ST_CORRUPT)
        complain(s, "check found nothing", status_name(s->check_status));
}

/* The operator decides to go on with what is before the damage. */
static void
cut_and_read(struct sample *s)
{
    int state[KEYS];
    struct call *c;
    bool found = false;

    for (int i = 0; i < 3 && s->check_status != ST_OK; i++)
        run_check(s, true);
    if (s->check_status != ST_OK)
        return; /* CHAIN: both copies of something are gone */
    if (kvfix_open(&s->f) != ST_OK) {
        complain(s, "after the cut", s->f.open_err.text);
        sim_end(s->f.w, FIX_NODE);
        return;
    }
    c = read_all(s);
    for (int n = s->flushed; n <= s->write_count && !found; n++) {
        state_after(s, n, state);
        found = holds(c, state);
    }
    if (!found || c->request.status != ST_OK)
        complain(s, "after the cut: no prefix of the writes", s->findings);
    free(c);
    kvfix_crash(&s->f);
    s->cuts++;
}

static void
judge(struct sample *s)
{
    run_check(s, false);
    open_and_read(s);
}

static bool
carries_data(const char *path)
{
    return strstr(path, "LOCK") == NULL && strstr(path, "RESERVE") == NULL &&
           strstr(path, "START") == NULL;
}

/* Which cases are this process's: every `stride`-th byte, and of these every `shard_count`-th. */
struct portion {
    uint64_t total; /* bytes of all files */
    uint64_t stride;
    unsigned shard, shard_count;
    uint64_t done; /* cases */
    uint64_t told; /* percent */
};

static struct portion
portion_of(const struct sample *s)
{
    const char *stride = getenv("TEST_STRIDE"), *shard = getenv("TEST_SHARD");
    struct portion p = { .shard_count = 1 };

    for (uint32_t i = 0; i < s->files.count; i++)
        p.total += s->files.sizes[i];
    p.stride = stride != NULL ? strtoull(stride, NULL, 10) : p.total / CASES_WANTED + 1;
    if (shard != NULL)
        EXPECT(sscanf(shard, "%u/%u", &p.shard, &p.shard_count) == 2);
    EXPECT(p.stride > 0 && p.shard < p.shard_count);
    print_message("%llu bytes in %u files, every %llu-th, part %u of %u\n",
                  (unsigned long long)p.total, s->files.count, (unsigned long long)p.stride,
                  p.shard + 1, p.shard_count);
    return p;
}

/* A line for every twentieth of a long run. */
static void
tell_progress(const struct sample *s, struct portion *p)
{
    uint64_t percent = ++p->done * p->stride * p->shard_count * 100 / p->total;
    char when[64];

    if (p->total / p->stride < 100 * CASES_WANTED || percent < p->told + 5)
        return;
    p->told = percent;
    snprintf(when, sizeof(when), "part %u of %u, %llu %%", p->shard + 1, p->shard_count,
             (unsigned long long)percent);
    tell_figures(s, when);
    fflush(stdout);
}

static void
flip(struct sample *s, unsigned bit)
{
    sim_disk_load(s->f.w, FIX_NODE, s->image);
    EXPECT(sim_disk_flip(s->f.w, FIX_NODE, s->path, s->offset, bit));
}

static void
flip_and_judge(struct sample *s, uint64_t number)
{
    unsigned bit = number % 8;

    flip(s, bit);
    judge(s);
    if (s->check_status == ST_OK || strstr(s->path, "log-0/0") == NULL || number / 8 % 8 != 0)
        return;
    flip(s, bit);
    cut_and_read(s);
}

TEST(any_flipped_bit_is_harmless_or_named)
{
    struct sample *s = build();
    struct portion p = portion_of(s);
    uint64_t at = 0;

    for (uint32_t i = 0; i < s->files.count; i++) {
        snprintf(s->path, sizeof(s->path), "%s", s->files.paths[i]);
        for (; at < s->files.sizes[i]; at += p.stride) {
            uint64_t number = at / p.stride;

            s->offset = at;
            if (number % p.shard_count != p.shard)
                continue;
            flip_and_judge(s, number);
            tell_progress(s, &p);
        }
        at -= s->files.sizes[i];
    }
    EXPECT(s->refused > p.done / 2); /* it did take place */
    EXPECT(s->read_errors > p.done / 80);
    EXPECT(s->cuts > 10);
    finish(s);
}

TEST(any_file_that_is_missing_is_named)
{
    struct sample *s = build();

    s->missing = true;
    for (uint32_t i = 0; i < s->files.count; i++) {
        snprintf(s->path, sizeof(s->path), "%s", s->files.paths[i]);
        sim_disk_load(s->f.w, FIX_NODE, s->image);
        EXPECT(sim_disk_remove(s->f.w, FIX_NODE, s->path));
        judge(s);
    }
    EXPECT(s->refused >= 3 + 17 + 1);
    finish(s);
}

TEST(any_file_cut_short_is_harmless_or_named)
{
    struct sample *s = build();

    for (uint32_t i = 0; i < s->files.count; i++) {
        uint64_t size = s->files.sizes[i];
        const uint64_t lengths[] = { 0, 1, size / 2, size > 0 ? size - 1 : 0 };

        snprintf(s->path, sizeof(s->path), "%s", s->files.paths[i]);
        for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
            uint64_t exact = s->exact;

            if (lengths[j] >= size)
                continue;
            sim_disk_load(s->f.w, FIX_NODE, s->image);
            EXPECT(sim_disk_truncate(s->f.w, FIX_NODE, s->path, lengths[j]));
            judge(s);
            if (carries_data(s->path) && s->exact > exact)
                print_message("%s at %llu: no harm\n", s->path, (unsigned long long)lengths[j]);
        }
    }
    EXPECT(s->refused >= 4 * (3 + 17));
    finish(s);
}

/* ------------------------------------------------------------------ what a cut loses */

struct finding_bytes {
    struct sample *s;
    char text[16];
    uint64_t offset;
};

static void
look_into_segment(void *ctx, const char *path, uint64_t size)
{
    struct buf bytes = buf_empty(SIZE_MAX / 2);
    struct finding_bytes *x = ctx;
    const uint8_t *at;

    (void)size;
    if (strstr(path, "log-0/0") == NULL)
        return;
    EXPECT(sim_disk_read(x->s->f.w, FIX_NODE, path, &bytes));
    at = memmem(bytes.data, bytes.size, x->text, strlen(x->text));
    if (at != NULL) {
        snprintf(x->s->path, PATH_ROOM, "%s", path);
        x->offset = (uint64_t)(at - bytes.data);
    }
    buf_release(&bytes);
}

/* The value of the n-th write, in the log. */
static uint64_t
find_write(struct sample *s, int n)
{
    struct finding_bytes x = { .s = s };

    s->path[0] = '\0';
    snprintf(x.text, sizeof(x.text), "%d 000", n);
    sim_disk_each(s->f.w, FIX_NODE, look_into_segment, &x);
    EXPECT(s->path[0] != '\0');
    return x.offset;
}

static void
expect_losses(struct sample *s, int damaged)
{
    int first = KEYS, last = 0;
    char text[128];

    for (int n = damaged; n < s->write_count; n++) {
        first = s->writes[n] < first ? s->writes[n] : first;
        last = s->writes[n] > last ? s->writes[n] : last;
    }
    snprintf(text, sizeof(text), ": %d writes to tree ", s->write_count - damaged);
    if (strstr(s->findings, text) == NULL)
        print_error("missing: %s in\n%s", text, s->findings);
    EXPECT(strstr(s->findings, text) != NULL);
    snprintf(text, sizeof(text), "key:%02d to ", first);
    if (strstr(s->findings, text) == NULL)
        print_error("missing: %s in\n%s", text, s->findings);
    EXPECT(strstr(s->findings, text) != NULL);
    snprintf(text, sizeof(text), "key:%02d\n", last);
    if (strstr(s->findings, text) == NULL)
        print_error("missing: %s in\n%s", text, s->findings);
    EXPECT(strstr(s->findings, text) != NULL);
}

TEST(what_lies_beyond_damage_in_the_log_is_told)
{
    struct sample *s = build();
    const int damaged[] = { s->flushed + 60, s->write_count - 5 }; /* sealed; open */
    char paths[2][PATH_ROOM];

    for (int i = 0; i < 2; i++) {
        uint64_t at;

        sim_disk_load(s->f.w, FIX_NODE, s->image);
        at = find_write(s, damaged[i]);
        snprintf(paths[i], PATH_ROOM, "%s", s->path);
        EXPECT(sim_disk_flip(s->f.w, FIX_NODE, s->path, at, 3));
        run_check(s, false);
        EXPECT_ST(s->check_status, ST_CORRUPT);
        expect_losses(s, damaged[i]);
        run_check(s, true);
        EXPECT_OK(s->check_status);
        expect_losses(s, damaged[i]);
    }
    EXPECT(strcmp(paths[0], paths[1]) != 0);
    finish(s);
}

int
main(void)
{
    const struct CMUnitTest campaign[] = { RUN(any_flipped_bit_is_harmless_or_named) };
    const struct CMUnitTest tests[] = {
        RUN(any_file_that_is_missing_is_named),
        RUN(any_file_cut_short_is_harmless_or_named),
        RUN(any_flipped_bit_is_harmless_or_named),
        RUN(what_lies_beyond_damage_in_the_log_is_told),
    };

    if (getenv("TEST_STRIDE") != NULL)
        return cmocka_run_group_tests(campaign, test_quiet, NULL);
    return cmocka_run_group_tests(tests, test_quiet, NULL);
}
