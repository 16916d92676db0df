/* wal_read(): what was appended is read back, beside everything else that a stream does. */
#include "base/coding.h"
#include "base/prng.h"

#include "unit/wal/fixture.h"

/* ------------------------------------------------------------------ by hand */

struct reader_seen {
    char text[CONTENTS_MAX];
    wal_position end; /* of the last one */
    unsigned enough;  /* so many, then ST_CLOSED; 0 = all */
    struct fix *f;    /* whose stream it is, for those who tend in the middle */
};

static enum status
see(void *ctx, const struct wal_record *record, wal_position end, struct err *err)
{
    struct reader_seen *s = ctx;
    size_t used = strlen(s->text);

    (void)err;
    EXPECT(record->type == WAL_ENTRY && end > s->end);
    s->end = end;
    if (record->body.size > 40)
        snprintf(s->text + used, sizeof(s->text) - used, "%s#%zu", used == 0 ? "" : ",",
                 record->body.size);
    else
        snprintf(s->text + used, sizeof(s->text) - used, "%s%.*s", used == 0 ? "" : ",",
                 (int)record->body.size, (const char *)record->body.data);
    return --s->enough == 0 ? ST_CLOSED : ST_OK;
}

static const char *
read_all(struct fix *f, wal_position from, wal_position limit)
{
    static struct reader_seen s;

    s = (struct reader_seen){ .enough = 0 };
    EXPECT_OK(wal_read(f->wal, from, limit, see, &s, &f->err));
    return s.text;
}

TEST(entries_between_two_positions_are_read_and_nothing_else)
{
    struct fix *f = setup(1);
    wal_position a, b, c;

    tend(f);
    append_head(f, 7, "vote");
    append(f, "alpha");
    a = f->end;
    append_cut(f, 1, 0);
    append(f, "beta");
    b = f->end;
    append_big(f, 60000, 'x'); /* from here on in the next segment */
    append_big(f, 5000, 'y');
    c = f->end;
    flush(f, false);
    EXPECT_STR(read_all(f, 0, wal_written(f->wal)), "alpha,beta,#60000,#5000");
    EXPECT_STR(read_all(f, 0, a), "alpha");
    EXPECT_STR(read_all(f, a, b), "beta");
    EXPECT_STR(read_all(f, b, c), "#60000,#5000");
    EXPECT_STR(read_all(f, c, c), "");
    EXPECT_STR(read_all(f, a, a), "");
    teardown(f);
}

TEST(what_is_not_written_is_not_there_to_be_read)
{
    struct fix *f = setup(2);

    append(f, "alpha");
    EXPECT_STR(read_all(f, 0, wal_written(f->wal)), "");
    EXPECT_ABORT(EXPECT_OK(wal_read(f->wal, 0, f->end, see, f, &f->err)));
    flush(f, false);
    EXPECT_STR(read_all(f, 0, f->end), "alpha");
    teardown(f);
}

TEST(who_has_seen_enough_ends_the_reading_and_goes_on_later)
{
    struct fix *f = setup(3);
    struct reader_seen s = { .enough = 2 };

    append(f, "alpha");
    append(f, "beta");
    append(f, "gamma");
    flush(f, false);
    EXPECT_ST(wal_read(f->wal, 0, f->end, see, &s, &f->err), ST_CLOSED);
    EXPECT_STR(s.text, "alpha,beta");
    EXPECT_STR(read_all(f, s.end, f->end), "gamma");
    teardown(f);
}

TEST(what_was_released_is_not_found)
{
    struct fix *f = setup(4);
    wal_position a;

    tend(f);
    append_big(f, 60000, 'a');
    a = f->end;
    append_big(f, 60000, 'b');
    flush(f, true);
    EXPECT_STR(read_all(f, a, f->end), "#60000");
    wal_release(f->wal, f->end);
    EXPECT_STR(read_all(f, 0, f->end), "#60000,#60000"); /* until it is recycled */
    tend(f);
    EXPECT_ST(wal_read(f->wal, a, f->end, see, f, &f->err), ST_NOT_FOUND);
    EXPECT_STR(read_all(f, wal_begin(f->wal), f->end), "#60000");
    teardown(f);
}

/* W12 */
static enum status
release_meanwhile(void *ctx, const struct wal_record *record, wal_position end, struct err *err)
{
    struct reader_seen *s = ctx;

    wal_release(s->f->wal, wal_durable(s->f->wal));
    tend(s->f);
    return see(ctx, record, end, err);
}

TEST(a_segment_that_is_read_stays_until_it_was_read)
{
    struct fix *f = setup(5);
    struct reader_seen s = { .f = f };

    for (int i = 0; i < 5; i++) {
        tend(f);
        append_big(f, 60000, 'a');
    }
    flush(f, true);
    EXPECT_OK(wal_read(f->wal, 0, f->end, release_meanwhile, &s, &f->err));
    EXPECT_STR(s.text, "#60000,#60000,#60000,#60000,#60000");
    EXPECT_U64(wal_retained_bytes(f->wal), SEGMENT); /* each went when the next was begun */
    EXPECT(!wal_wants_tending(f->wal));
    teardown(f);
}

/* CHAIN is replaced, and then the segment goes: whoever comes in between is too late. */
static void
late_reader(void *ctx)
{
    struct fix *f = ctx;
    struct reader_seen s = { .enough = 0 };
    wal_position begin = wal_begin(f->wal);
    enum status st;

    f->shim.point = NULL; /* not for its own calls */
    st = wal_read(f->wal, begin, wal_durable(f->wal), see, &s, &f->err);
    f->shim.point = late_reader;
    EXPECT(st == ST_OK || (st == ST_NOT_FOUND && wal_begin(f->wal) > begin));
}

TEST(a_segment_on_its_way_out_is_not_read_any_more)
{
    struct fix *f = setup(6);

    tend(f);
    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    flush(f, true);
    wal_release(f->wal, f->end);
    f->shim.point = late_reader;
    f->shim.ctx = f;
    tend(f);
    f->shim.point = NULL;
    EXPECT_U64(wal_retained_bytes(f->wal), SEGMENT);
    teardown(f);
}

/* ------------------------------------------------------------------ damage and failures */

TEST(damage_to_what_is_read_is_named_with_file_and_offset)
{
    struct fix *f = setup(7);
    uint64_t begin = SEGMENT_HEADER_BYTES, limit;
    struct reader_seen s;
    char want[80];

    append(f, "alpha");
    append(f, "beta");
    limit = f->wal->at;
    flush(f, true);
    for (uint64_t offset = begin; offset < limit; offset++) {
        uint64_t record =
            offset < begin + RECORD_HEADER_BYTES + 7 ? begin : begin + RECORD_HEADER_BYTES + 7;

        flip(f, current_name(f), offset, offset % 8);
        s = (struct reader_seen){ .enough = 0 };
        EXPECT_ST(wal_read(f->wal, 0, f->end, see, &s, &f->err), ST_CORRUPT);
        snprintf(want, sizeof(want), "%s at %llu: ", current_name(f), (unsigned long long)record);
        EXPECT(strstr(f->err.text, want) == f->err.text);
        EXPECT_STR(s.text, record == begin ? "" : "alpha");
        flip(f, current_name(f), offset, offset % 8);
    }
    EXPECT_STR(read_all(f, 0, f->end), "alpha,beta");
    EXPECT(sim_disk_truncate(f->sim, NODE, path_of(current_name(f)), limit - 1));
    EXPECT_ST(wal_read(f->wal, 0, f->end, see, &s, &f->err), ST_CORRUPT);
    EXPECT(strstr(f->err.text, current_name(f)) == f->err.text);
    EXPECT(sim_disk_remove(f->sim, NODE, path_of(current_name(f))));
    EXPECT_ST(wal_read(f->wal, 0, f->end, see, &s, &f->err), ST_CORRUPT);
    EXPECT(strstr(f->err.text, "missing") != NULL);
    teardown(f);
}

/* Whatever fails, the reading says so, and holds nothing afterwards. */
TEST(a_reading_that_fails_lets_go_of_what_it_held)
{
    struct fix *f = setup(8);
    unsigned failed = 0;
    enum status st;

    tend(f);
    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    flush(f, true);
    for (uint64_t nth = 1;; nth++) {
        struct reader_seen s = { .enough = 0 };

        sim_fail(f->sim, NODE, SIM_OP_ALL, nth, false, ST_IO);
        st = wal_read(f->wal, 0, f->end, see, &s, &f->err);
        sim_fail(f->sim, NODE, 0, 0, false, ST_OK);
        if (st == ST_OK)
            break;
        EXPECT_ST(st, ST_IO);
        failed++;
    }
    for (uint64_t nth = 1;; nth++) {
        struct reader_seen s = { .enough = 0 };

        sim_heap(f->sim, NODE)->fail_at = nth;
        st = wal_read(f->wal, 0, f->end, see, &s, &f->err);
        sim_heap(f->sim, NODE)->fail_at = 0;
        if (st == ST_OK)
            break;
        EXPECT_ST(st, ST_NO_MEMORY);
        failed++;
    }
    EXPECT(failed >= 4);
    wal_release(f->wal, f->end);
    tend(f);
    EXPECT_U64(wal_retained_bytes(f->wal), SEGMENT);
    teardown(f);
}

/* ------------------------------------------------------------------ positions after a restart */

/* All records of the stream move to another segment, where marks and links are not copied: the
 * positions that the replay gave must neither read nor release too much. */
TEST(positions_of_a_replay_hold_when_its_records_have_moved)
{
    struct fix *f = setup(9);
    wal_position first;

    for (int i = 0; i < 40; i++) {
        append(f, "e");
        flush(f, true);
        EXPECT_OK(wal_mark(f->wal, &f->err));
        flush(f, true);
    }
    append(f, "last");
    flush(f, true);
    kill9(f);
    f->options.spare_count = 3;
    f->options.kept_count = 2; /* none is left: so all is copied */
    boot(f);
    open_stream(f);
    first = f->first_at;
    tend(f);
    EXPECT_U64(strlen(read_all(f, first, wal_written(f->wal))), strlen("e,") * 40 + strlen("last"));
    append_big(f, 61000, 'x'); /* the segment is left nearly empty */
    flush(f, true);
    wal_release(f->wal, f->last_at);
    tend(f);
    EXPECT_STR(read_all(f, f->last_at, wal_written(f->wal)) + strlen("e,") * 40, "last,#61000");
    teardown(f);
}

/* ------------------------------------------------------------------ against a model */

enum { ENTRIES_MAX = 4000, TABLETS = 3, STEPS = 160, BODY_MAX = 90000 };

/* What is in the stream, from serial 1 on; an entry's index is its serial.  Outside of the node. */
struct model {
    struct sim *sim;
    struct env *env;
    struct wal *wal;
    struct wal_options options;
    struct prng *p;

    struct model_entry {
        wal_position from; /* a reading from here on has it */
        bool exact;        /* ... and none before it */
        wal_position end;  /* 0: of an earlier process */
        uint32_t size;
    } entries[ENTRIES_MAX + 1];
    uint32_t first; /* of those that the replay gave, or 1 */
    uint32_t count;
    wal_position end; /* of the last record of any kind */

    struct job flush_job, tend_job, read_jobs[2];
    bool flush_busy, tend_busy, read_busy[2];
    unsigned reads, refused;
};

static uint8_t
byte_of(uint64_t serial, size_t i)
{
    return (uint8_t)(serial * 37 + i);
}

static bool
is_entry(const struct model *m, const struct wal_record *r)
{
    uint64_t serial = r->index;

    if (r->type != WAL_ENTRY || serial < m->first || serial > m->count ||
        r->tablet != serial % TABLETS || r->term != serial / 9 ||
        r->body.size != m->entries[serial].size)
        return false;
    for (size_t i = 0; i < r->body.size; i += 1 + i / 8) {
        if (r->body.data[i] != byte_of(serial, i))
            return false;
    }
    return true;
}

struct model_reading {
    struct model *m;
    uint64_t next;  /* serial that must come; 0: any */
    uint64_t count; /* so many, then enough */
    bool slow;
};

static enum status
check_entry(void *ctx, const struct wal_record *record, wal_position end, struct err *err)
{
    struct model_reading *r = ctx;

    (void)err;
    EXPECT(is_entry(r->m, record));
    EXPECT(r->next == 0 || record->index == r->next);
    EXPECT(r->m->entries[record->index].end == 0 || r->m->entries[record->index].end == end);
    r->next = record->index + 1;
    if (r->slow)
        env_sleep_ms(r->m->env, 1);
    return --r->count == 0 ? ST_CLOSED : ST_OK;
}

/* The last entry that ends at or before a position of this process. */
static uint64_t
last_before(const struct model *m, wal_position limit)
{
    uint64_t last = m->count;

    while (last >= m->first && m->entries[last].end > limit)
        last--;
    return last;
}

static void
read_something(struct model *m)
{
    wal_position limit = wal_written(m->wal);
    uint64_t last = last_before(m, limit), first;
    struct model_reading r = { .m = m, .slow = prng_chance(m->p, 1, 3) };
    struct err err;
    enum status st;

    if (last < m->first)
        return;
    first = m->first + prng_below(m->p, last - m->first + 1);
    if (m->entries[last].end != 0 && prng_chance(m->p, 1, 2)) {
        last = first + prng_below(m->p, last - first + 1);
        if (m->entries[last].end != 0)
            limit = m->entries[last].end;
        else
            last = last_before(m, limit);
    }
    r.next = m->entries[first].exact ? first : 0;
    if (prng_chance(m->p, 1, 4))
        r.count = 1 + prng_below(m->p, 5);
    st = wal_read(m->wal, m->entries[first].from, limit, check_entry, &r, &err);
    m->reads++;
    if (st == ST_NOT_FOUND) {
        EXPECT(m->entries[first].from < wal_begin(m->wal));
        m->refused++;
    } else if (st == ST_CLOSED) {
        EXPECT(r.count == 0);
    } else {
        EXPECT_OK(st);
        EXPECT_U64(r.next, last + 1);
    }
}

static void
read_run_0(struct job *job)
{
    struct model *m = container_of(job, struct model, read_jobs[0]);

    read_something(m);
    m->read_busy[0] = false;
}

static void
read_run_1(struct job *job)
{
    struct model *m = container_of(job, struct model, read_jobs[1]);

    read_something(m);
    m->read_busy[1] = false;
}

static void
model_flush_run(struct job *job)
{
    struct model *m = container_of(job, struct model, flush_job);

    EXPECT_OK(wal_flush(m->wal, m->count % 3 != 0, NULL));
    m->flush_busy = false;
}

static void
model_tend_run(struct job *job)
{
    struct model *m = container_of(job, struct model, tend_job);

    EXPECT_OK(wal_tend(m->wal, NULL));
    m->tend_busy = false;
}

static void
submit(struct model *m, struct job *job, bool *busy, enum env_lane lane, void (*run)(struct job *))
{
    if (*busy)
        return;
    *busy = true;
    *job = (struct job){ .run = run };
    env_submit(m->env, lane, job);
}

static void
start_flush(struct model *m)
{
    submit(m, &m->flush_job, &m->flush_busy, ENV_LANE_LOG, model_flush_run);
}

static void
start_tend(struct model *m)
{
    submit(m, &m->tend_job, &m->tend_busy, ENV_LANE_FLUSH, model_tend_run);
}

static void
wait_for_all(struct model *m)
{
    while (m->flush_busy || m->tend_busy || m->read_busy[0] || m->read_busy[1])
        env_sleep_ms(m->env, 1);
}

static void
append_record(struct model *m, const struct wal_record *r)
{
    enum status st = wal_append(m->wal, r, &m->end, NULL);

    while (st == ST_BUSY) {
        start_flush(m);
        start_tend(m);
        env_sleep_ms(m->env, 1);
        st = wal_append(m->wal, r, &m->end, NULL);
    }
    EXPECT_OK(st);
}

static void
append_entry(struct model *m, uint32_t size)
{
    static uint8_t body[BODY_MAX];
    uint64_t serial = m->count + 1;
    struct wal_record r = { WAL_ENTRY, serial % TABLETS, serial / 9, serial, slice_of(body, size) };

    if (serial > ENTRIES_MAX)
        return;
    for (size_t i = 0; i < size; i++)
        body[i] = byte_of(serial, i);
    m->entries[serial] = (struct model_entry){ .from = m->end, .exact = true, .size = size };
    append_record(m, &r);
    m->entries[serial].end = m->end;
    m->count++;
}

static void
append_other(struct model *m)
{
    struct wal_record r = { .type = WAL_HEAD, .tablet = prng_below(m->p, TABLETS) };

    if (prng_chance(m->p, 1, 2)) {
        r.type = WAL_CUT;
        r.index = prng_below(m->p, 100);
    } else {
        r.body = slice_str("a hard state");
    }
    append_record(m, &r);
}

static void
model_step(struct model *m)
{
    struct prng *p = m->p;

    switch (prng_below(p, 9)) {
    case 0:
    case 1:
        append_entry(m, (uint32_t)prng_below(p, 3000));
        return;
    case 2:
        append_entry(m, (uint32_t)prng_below(p, prng_chance(p, 1, 6) ? BODY_MAX : 30000));
        return;
    case 3:
        append_other(m);
        return;
    case 4:
        start_flush(m);
        return;
    case 5:
        if (prng_chance(p, 1, 4))
            wal_release(m->wal, wal_durable(m->wal) / 4 * (1 + prng_below(p, 4)));
        start_tend(m);
        return;
    case 6:
        submit(m, &m->read_jobs[0], &m->read_busy[0], ENV_LANE_READ, read_run_0);
        return;
    case 7:
        submit(m, &m->read_jobs[1], &m->read_busy[1], ENV_LANE_COMPACT, read_run_1);
        return;
    default:
        env_sleep_ms(m->env, (uint32_t)prng_below(p, 3));
        if (!m->flush_busy && wal_wants_mark(m->wal))
            EXPECT_OK(wal_mark(m->wal, NULL));
        return;
    }
}

static enum status
model_replay(void *ctx, const struct wal_record *record, wal_position at, struct err *err)
{
    struct model *m = ctx;
    struct model_entry *e;

    (void)err;
    if (record->type != WAL_ENTRY)
        return ST_OK;
    EXPECT(is_entry(m, record));
    e = &m->entries[record->index];
    if (m->end == 0)
        m->first = (uint32_t)record->index;
    e->from = at;
    e->exact = false;
    e->end = 0;
    m->end = record->index; /* for the moment: the last that was seen */
    return ST_OK;
}

static void
model_live(void *ctx)
{
    struct model *m = ctx;
    struct wal_recovery report;

    m->end = 0;
    m->flush_busy = m->tend_busy = m->read_busy[0] = m->read_busy[1] = false;
    EXPECT_OK(wal_open(&m->wal, m->env, &m->options, &report, NULL));
    m->options.create = false;
    if (m->end == 0)
        m->first = m->count + 1;
    else
        m->count = (uint32_t)m->end;
    m->end = wal_end(m->wal);
    for (int i = 0; i < 4; i++)
        read_something(m); /* with the positions of the replay */
    for (int i = 0; i < STEPS; i++)
        model_step(m);
    wait_for_all(m);
    if (prng_chance(m->p, 1, 3))
        EXPECT_OK(wal_close(m->wal, NULL));
    else
        wal_abandon(m->wal);
}

/* What a process has left in the page cache comes back, or does not after a power cut. */
static void
run_model(struct model *m, uint64_t seed)
{
    for (int life = 0; life < 5; life++) {
        m->env = sim_boot(m->sim, NODE, 0);
        m->options.kept_count = seed % 2 == 0 ? 0 : 2;
        m->options.spare_count = m->options.kept_count + 1;
        EXPECT(sim_call(m->sim, NODE, model_live, m));
        sim_end(m->sim, NODE);
        if (prng_chance(m->p, 1, 2))
            sim_crash(m->sim, NODE);
    }
}

TEST(reading_equals_a_model_beside_appends_flushes_releases_and_restarts)
{
    uint64_t seed = test_seed(1);
    unsigned reads = 0, refused = 0;

    for (uint64_t i = 0; i < 60; i++) {
        struct model *m = calloc(1, sizeof(*m));

        assert_non_null(m);
        m->sim = sim_create(seed + i);
        m->p = sim_prng(m->sim);
        m->first = 1;
        m->options = (struct wal_options){
            .dir = LOG,
            .store_id = STORE_ID,
            .segment_bytes = SEGMENT,
            .gather_bytes_max = 128 << 10,
            .create = true,
            .replay = model_replay,
            .replay_ctx = m,
        };
        run_model(m, seed + i);
        reads += m->reads;
        refused += m->refused;
        sim_destroy(m->sim);
        free(m);
    }
    EXPECT(reads > 2000 && refused > 20);
}

TEST_MAIN(RUN(entries_between_two_positions_are_read_and_nothing_else),
          RUN(what_is_not_written_is_not_there_to_be_read),
          RUN(who_has_seen_enough_ends_the_reading_and_goes_on_later),
          RUN(what_was_released_is_not_found), RUN(a_segment_that_is_read_stays_until_it_was_read),
          RUN(a_segment_on_its_way_out_is_not_read_any_more),
          RUN(damage_to_what_is_read_is_named_with_file_and_offset),
          RUN(a_reading_that_fails_lets_go_of_what_it_held),
          RUN(positions_of_a_replay_hold_when_its_records_have_moved),
          RUN(reading_equals_a_model_beside_appends_flushes_releases_and_restarts))
