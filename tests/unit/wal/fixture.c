#include "unit/wal/fixture.h"

#include "base/coding.h"
#include "base/hash.h"

/* ------------------------------------------------------------------ text */

static void
add_text(struct fix *f, const char *text)
{
    size_t used = strlen(f->contents);

    snprintf(f->contents + used, sizeof(f->contents) - used, "%s%s", used == 0 ? "" : ",", text);
}

static enum status
show_record(void *ctx, const struct wal_record *record, wal_position at, struct err *err)
{
    enum { SHOWN_MAX = 40 };
    struct fix *f = ctx;
    char body[SHOWN_MAX + 1], text[SHOWN_MAX + 40];

    (void)err;
    if (record->body.size > SHOWN_MAX)
        snprintf(body, sizeof(body), "#%zu", record->body.size);
    else
        snprintf(body, sizeof(body), "%.*s", (int)record->body.size,
                 record->body.size == 0 ? "" : (const char *)record->body.data);
    if (record->type == WAL_HEAD)
        snprintf(text, sizeof(text), "[%llu:%s]", (unsigned long long)record->tablet, body);
    else if (record->type == WAL_CUT)
        snprintf(text, sizeof(text), "<%llu:%llu>", (unsigned long long)record->tablet,
                 (unsigned long long)record->index);
    else
        snprintf(text, sizeof(text), "%s", body);
    if (f->contents[0] == '\0')
        f->first_at = at;
    f->last_at = at;
    add_text(f, text);
    if (record->type == WAL_ENTRY && record->index >= f->next_index)
        f->next_index = record->index + 1;
    return ST_OK;
}

const char *
contents(const struct fix *f)
{
    return f->contents;
}

/* ------------------------------------------------------------------ the process */

void
boot(struct fix *f)
{
    shim_init(&f->shim, sim_boot(f->sim, NODE, 0));
    f->shim.plain = f->plain;
    f->env = &f->shim.base;
    mem_heap_enter(sim_heap(f->sim, NODE));
}

void
end(struct fix *f)
{
    EXPECT(f->wal == NULL);
    mem_heap_enter(NULL);
    sim_end(f->sim, NODE);
}

void
kill9(struct fix *f)
{
    mem_heap_enter(NULL);
    sim_kill(f->sim, NODE);
    f->wal = NULL;
}

void
crash(struct fix *f)
{
    mem_heap_enter(NULL);
    sim_crash(f->sim, NODE);
    f->wal = NULL;
}

/* ------------------------------------------------------------------ the stream */

enum status
try_open(struct fix *f)
{
    f->contents[0] = '\0';
    f->next_index = 1;
    return wal_open(&f->wal, f->env, &f->options, &f->report, &f->err);
}

void
open_stream(struct fix *f)
{
    enum status st = try_open(f);

    if (st != ST_OK)
        print_error("%s\n", f->err.text);
    EXPECT_OK(st);
    f->options.create = false; /* from now on it must be there */
}

void
close_stream(struct fix *f)
{
    struct wal *w = f->wal;

    f->wal = NULL;
    EXPECT_OK(wal_close(w, &f->err));
}

void
reopen(struct fix *f)
{
    close_stream(f);
    end(f);
    boot(f);
    open_stream(f);
}

struct fix *
setup(uint64_t seed)
{
    return setup_plain(seed, STORE_ID, false);
}

struct fix *
setup_plain(uint64_t seed, uint64_t store_id, bool plain)
{
    struct fix *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->sim = sim_create(seed);
    assert_non_null(f->sim);
    f->options = (struct wal_options){
        .dir = LOG,
        .store_id = store_id,
        .segment_bytes = SEGMENT,
        .gather_bytes_max = 1 << 20,
        .spare_count = 1,
        .create = true,
        .replay = show_record,
        .replay_ctx = f,
    };
    f->plain = plain;
    boot(f);
    open_stream(f);
    return f;
}

void
teardown(struct fix *f)
{
    if (sim_running(f->sim, NODE)) {
        wal_abandon(f->wal);
        f->wal = NULL;
        end(f);
    }
    sim_destroy(f->sim);
    free(f);
}

/* ------------------------------------------------------------------ writing */

static enum status
try_append_entry(struct fix *f, struct slice body)
{
    struct wal_record r = { .type = WAL_ENTRY, .tablet = 1, .term = 1, .body = body };
    enum status st;

    r.index = f->next_index;
    st = wal_append(f->wal, &r, &f->end, &f->err);
    if (st == ST_OK)
        f->next_index++;
    return st;
}

enum status
try_append(struct fix *f, const char *body)
{
    return try_append_entry(f, slice_str(body));
}

void
append(struct fix *f, const char *body)
{
    EXPECT_OK(try_append(f, body));
}

void
append_head(struct fix *f, uint64_t tablet, const char *body)
{
    struct wal_record r = { .type = WAL_HEAD, .tablet = tablet, .term = 1 };

    r.body = slice_str(body);
    EXPECT_OK(wal_append(f->wal, &r, &f->end, &f->err));
}

void
append_cut(struct fix *f, uint64_t tablet, uint64_t index)
{
    struct wal_record r = { .type = WAL_CUT, .tablet = tablet, .term = 1, .index = index };

    EXPECT_OK(wal_append(f->wal, &r, &f->end, &f->err));
}

enum status
try_append_big(struct fix *f, size_t size, char fill)
{
    uint8_t *body = malloc(size);
    enum status st;

    assert_non_null(body);
    memset(body, fill, size);
    st = try_append_entry(f, slice_of(body, size));
    free(body);
    return st;
}

void
append_big(struct fix *f, size_t size, char fill)
{
    EXPECT_OK(try_append_big(f, size, fill));
}

void
flush(struct fix *f, bool sync)
{
    EXPECT_OK(wal_flush(f->wal, sync, &f->err));
}

void
tend(struct fix *f)
{
    EXPECT_OK(wal_tend(f->wal, &f->err));
}

/* ------------------------------------------------------------------ the disk */

static void
add_name(void *ctx, const char *path, uint64_t size)
{
    char *text = ctx;
    size_t used = strlen(text);

    (void)size;
    path += path[0] == '/';
    if (strncmp(path, LOG_NAME "/", strlen(LOG_NAME) + 1) == 0)
        snprintf(text + used, CONTENTS_MAX - used, "%s%s", used == 0 ? "" : ",",
                 path + strlen(LOG_NAME) + 1);
}

const char *
names(struct fix *f)
{
    static char text[CONTENTS_MAX];

    text[0] = '\0';
    sim_disk_each(f->sim, NODE, add_name, text);
    return text;
}

const char *
path_of(const char *name)
{
    static char path[300];

    snprintf(path, sizeof(path), "%s/%s", LOG, name);
    return path;
}

void
read_file(struct fix *f, const char *name, struct buf *out)
{
    struct mem_heap *heap = mem_heap_enter(NULL);

    EXPECT(sim_disk_read(f->sim, NODE, path_of(name), out));
    mem_heap_enter(heap);
}

uint64_t
file_bytes(struct fix *f, const char *name)
{
    struct buf bytes = buf_empty(SIZE_MAX / 2);
    uint64_t size;

    read_file(f, name, &bytes);
    size = bytes.size;
    buf_release(&bytes);
    return size;
}

const char *
current_name(const struct fix *f)
{
    static char name[SEGMENT_NAME_BYTES];

    wal__segment_name(f->wal->current->sequence, name);
    return name;
}

void
flip(struct fix *f, const char *name, uint64_t offset, unsigned bit)
{
    EXPECT(sim_disk_flip(f->sim, NODE, path_of(name), offset, bit));
}

void
put_checksum(uint8_t *bytes, size_t size)
{
    put_u64le(bytes + size - 8, hash64(slice_of(bytes, size - 8)));
}
