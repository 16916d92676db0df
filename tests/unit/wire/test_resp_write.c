/* Tests of struct resp_writer: exact bytes in both versions of the protocol. */
#include <math.h>

#include "base/mem.h"

#include "unit/test.h"
#include "wire/resp.h"

typedef void put_fn(struct resp_writer *w);

static void
expect_both(put_fn *put, const char *version2, const char *version3)
{
    struct buf out = buf_empty(1 << 20);
    struct resp_writer w = resp_writer_to(&out, 2);

    put(&w);
    EXPECT_OK(w.st);
    EXPECT_SLICE(buf_slice(&out), version2);
    out.size = 0;
    w = resp_writer_to(&out, 3);
    put(&w);
    EXPECT_OK(w.st);
    EXPECT_SLICE(buf_slice(&out), version3);
    buf_release(&out);
}

static void
put_scalars(struct resp_writer *w)
{
    resp_put_simple(w, "OK");
    resp_put_i64(w, INT64_MIN);
    resp_put_bulk(w, slice_str("ab"));
    resp_put_bulk(w, slice_of(NULL, 0));
    resp_put_error_text(w, "ERR two\r\nlines");
}

TEST(writer_writes_scalars_alike_in_both_versions)
{
    const char *want = "+OK\r\n:-9223372036854775808\r\n$2\r\nab\r\n$0\r\n\r\n-ERR two  lines\r\n";

    expect_both(put_scalars, want, want);
}

static void
put_nils(struct resp_writer *w)
{
    resp_put_nil(w);
    resp_put_nil_array(w);
}

TEST(writer_has_one_nil_in_version_3)
{
    expect_both(put_nils, "$-1\r\n*-1\r\n", "_\r\n_\r\n");
}

static void
put_aggregates(struct resp_writer *w)
{
    resp_put_array(w, 3);
    resp_put_map(w, 2);
    resp_put_set(w, 1);
}

TEST(writer_flattens_maps_and_sets_in_version_2)
{
    expect_both(put_aggregates, "*3\r\n*4\r\n*1\r\n", "*3\r\n%2\r\n~1\r\n");
}

static void
put_others(struct resp_writer *w)
{
    resp_put_bool(w, true);
    resp_put_bool(w, false);
    resp_put_double(w, 1.5);
    resp_put_text(w, slice_str("hi"));
    resp_put_raw(w, slice_str("+raw\r\n"));
}

TEST(writer_uses_the_types_of_version_3)
{
    expect_both(put_others, ":1\r\n:0\r\n$3\r\n1.5\r\n$2\r\nhi\r\n+raw\r\n",
                "#t\r\n#f\r\n,1.5\r\n=6\r\ntxt:hi\r\n+raw\r\n");
}

static void
put_odd_doubles(struct resp_writer *w)
{
    resp_put_double(w, INFINITY);
    resp_put_double(w, -INFINITY);
    resp_put_double(w, NAN);
}

TEST(writer_names_what_is_no_finite_number)
{
    expect_both(put_odd_doubles, "$3\r\ninf\r\n$4\r\n-inf\r\n$3\r\nnan\r\n",
                ",inf\r\n,-inf\r\n,nan\r\n");
}

TEST(writer_keeps_its_first_failure_and_writes_nothing_after_it)
{
    struct buf out = buf_empty(64);
    struct resp_writer w = resp_writer_to(&out, 2);
    uint8_t bytes[100] = { 0 };

    resp_put_simple(&w, "OK");
    EXPECT_OK(w.st);
    resp_put_bulk(&w, slice_of(bytes, sizeof(bytes)));
    EXPECT_ST(w.st, ST_TOO_BIG);
    resp_put_simple(&w, "OK");
    EXPECT_ST(w.st, ST_TOO_BIG);
    EXPECT_SLICE(buf_slice(&out), "+OK\r\n");
    buf_release(&out);
}

TEST(writer_says_so_when_memory_runs_out)
{
    struct mem_heap heap = { .fail_at = 1 };
    struct mem_heap *before = mem_heap_enter(&heap);
    struct buf out = buf_empty(1 << 20);
    struct resp_writer w = resp_writer_to(&out, 2);

    resp_put_simple(&w, "OK");
    EXPECT_ST(w.st, ST_NO_MEMORY);
    EXPECT_U64(out.size, 0);
    mem_heap_enter(before);
}

TEST_MAIN(RUN(writer_writes_scalars_alike_in_both_versions), RUN(writer_has_one_nil_in_version_3),
          RUN(writer_flattens_maps_and_sets_in_version_2), RUN(writer_uses_the_types_of_version_3),
          RUN(writer_names_what_is_no_finite_number),
          RUN(writer_keeps_its_first_failure_and_writes_nothing_after_it),
          RUN(writer_says_so_when_memory_runs_out))
