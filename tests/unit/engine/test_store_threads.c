/*
 * The embedded store on the real world, many threads at once.  To be run under
 * the thread sanitizer, too.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/prng.h"

#include "distkv/distkv.h"
#include "unit/test.h"

enum { WRITERS = 16, READERS = 6, WRITES = 150, KEYS = 8 };

static char folder[64];

static void
remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    EXPECT(system(command) == 0); /* NOLINT(cert-env33-c): a folder of our own making */
}

static struct dkv *
open_store(void)
{
    struct dkv_options options = {
        .memory_budget_bytes = 8 << 20,
        .memtable_bytes = 64 << 10,
        .log_segment_bytes = 256 << 10,
        .min_free_bytes = 1 << 20,
    };
    struct dkv_error error;
    struct dkv *db = NULL;

    if (dkv_open(&db, folder, &options, &error) != DKV_OK)
        fail_msg("%s", error.text);
    return db;
}

static void
make_folder(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(folder, sizeof(folder), "%s/dkv-threads-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
}

struct shared {
    struct dkv *db;
    struct dkv_family *mirror;
    _Atomic uint64_t acknowledged[WRITERS][KEYS];
    _Atomic uint32_t next_writer;
    _Atomic uint32_t next_reader;
    _Atomic bool stop;
    _Atomic uint64_t wrong;
};

static size_t
key_of(uint32_t writer, uint32_t key, char *out)
{
    return (size_t)snprintf(out, 32, "w%02u:k%u", writer, key);
}

/* Numbers that grow, under keys of its own, in two families by one batch. */
static void *
write_thread(void *arg)
{
    struct shared *s = arg;
    uint32_t me = atomic_fetch_add(&s->next_writer, 1);
    struct dkv_batch *b = dkv_batch_create();
    struct dkv_write_options options = { me % 4 == 0 ? DKV_SYNC_ALWAYS : DKV_SYNC_NONE };
    char key[32], value[300];

    for (uint64_t i = 1; i <= WRITES; i++) {
        size_t size = key_of(me, (uint32_t)(i % KEYS), key);

        memset(value, 'x', sizeof(value));
        snprintf(value, 24, "%020llu", (unsigned long long)i);
        dkv_batch_clear(b);
        if (dkv_batch_put(b, NULL, key, size, value, sizeof(value), NULL) != DKV_OK ||
            dkv_batch_put(b, s->mirror, key, size, value, sizeof(value), NULL) != DKV_OK ||
            dkv_write(s->db, b, &options, NULL) != DKV_OK)
            atomic_fetch_add(&s->wrong, 1);
        else
            atomic_store(&s->acknowledged[me][i % KEYS], i);
    }
    dkv_batch_destroy(b);
    return NULL;
}

static uint64_t
get_number(struct shared *s, struct dkv_family *family, const struct dkv_snapshot *snapshot,
           const char *key, size_t size)
{
    char value[300];
    size_t value_size = 0;
    enum dkv_status status =
        dkv_get_into(s->db, family, snapshot, key, size, value, sizeof(value), &value_size, NULL);

    if (status == DKV_NOT_FOUND)
        return 0;
    if (status != DKV_OK || value_size != sizeof(value))
        atomic_fetch_add(&s->wrong, 1);
    value[23] = '\0';
    return strtoull(value, NULL, 10);
}

/* What was acknowledged is seen; what one family shows, the other shows, too. */
static void
look_at_one(struct shared *s, struct prng *p)
{
    uint32_t writer = (uint32_t)prng_below(p, WRITERS);
    uint32_t k = (uint32_t)prng_below(p, KEYS);
    uint64_t least = atomic_load(&s->acknowledged[writer][k]);
    uint64_t first, second;
    char key[32];
    size_t size = key_of(writer, k, key);

    if (prng_chance(p, 1, 2)) {
        first = get_number(s, NULL, NULL, key, size);
        second = get_number(s, s->mirror, NULL, key, size);
    } else {
        first = get_number(s, s->mirror, NULL, key, size);
        second = get_number(s, NULL, NULL, key, size);
    }
    if (first < least || second < first)
        atomic_fetch_add(&s->wrong, 1);
}

static void
look_at_all(struct shared *s)
{
    struct dkv_snapshot *snapshot = dkv_snapshot_take(s->db);
    struct dkv_iter *it = NULL;

    if (snapshot == NULL || dkv_iter_create(s->db, NULL, snapshot, &it, NULL) != DKV_OK) {
        atomic_fetch_add(&s->wrong, 1);
        dkv_snapshot_release(s->db, snapshot);
        return;
    }
    for (dkv_iter_first(it); dkv_iter_valid(it); dkv_iter_next(it)) {
        size_t key_size, size;
        const char *key = dkv_iter_key(it, &key_size);
        char number[24];

        memcpy(number, dkv_iter_value(it, &size), sizeof(number));
        number[23] = '\0';
        if (get_number(s, s->mirror, snapshot, key, key_size) != strtoull(number, NULL, 10))
            atomic_fetch_add(&s->wrong, 1);
    }
    if (dkv_iter_status(it, NULL) != DKV_OK)
        atomic_fetch_add(&s->wrong, 1);
    dkv_iter_destroy(it);
    dkv_snapshot_release(s->db, snapshot);
}

static void *
read_thread(void *arg)
{
    struct shared *s = arg;
    struct prng p;

    prng_init(&p, 77 + atomic_fetch_add(&s->next_reader, 1));
    while (!atomic_load(&s->stop)) {
        for (int i = 0; i < 50; i++)
            look_at_one(s, &p);
        look_at_all(s);
    }
    return NULL;
}

static void *
care_thread(void *arg)
{
    struct shared *s = arg;
    struct dkv_family *family = NULL;
    char name[32];

    for (int i = 0; !atomic_load(&s->stop); i++) {
        snprintf(name, sizeof(name), "f%d", i % 20);
        if (dkv_family_open(s->db, name, true, &family, NULL) != DKV_OK ||
            dkv_put(s->db, family, "k", 1, "v", 1, NULL, NULL) != DKV_OK ||
            dkv_flush(s->db, NULL) != DKV_OK || dkv_sync(s->db, NULL) != DKV_OK ||
            dkv_compact(s->db, i % 2 == 0 ? NULL : s->mirror, NULL) != DKV_OK)
            atomic_fetch_add(&s->wrong, 1);
    }
    return NULL;
}

static void
expect_acknowledged(struct shared *s)
{
    char key[32];

    for (uint32_t writer = 0; writer < WRITERS; writer++) {
        for (uint32_t k = 0; k < KEYS; k++) {
            size_t size = key_of(writer, k, key);

            EXPECT_U64(get_number(s, NULL, NULL, key, size), s->acknowledged[writer][k]);
            EXPECT_U64(get_number(s, s->mirror, NULL, key, size), s->acknowledged[writer][k]);
        }
    }
}

TEST(writers_readers_snapshots_and_compactions_run_beside_one_another)
{
    struct shared *s = calloc(1, sizeof(*s));
    pthread_t writers[WRITERS], readers[READERS], care;

    make_folder();
    s->db = open_store();
    EXPECT(dkv_family_open(s->db, "mirror", true, &s->mirror, NULL) == DKV_OK);
    for (int i = 0; i < WRITERS; i++)
        EXPECT(pthread_create(&writers[i], NULL, write_thread, s) == 0);
    for (int i = 0; i < READERS; i++)
        EXPECT(pthread_create(&readers[i], NULL, read_thread, s) == 0);
    EXPECT(pthread_create(&care, NULL, care_thread, s) == 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    atomic_store(&s->stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    pthread_join(care, NULL);
    EXPECT_U64(s->wrong, 0);
    expect_acknowledged(s);
    EXPECT(dkv_close(s->db, NULL) == DKV_OK);
    s->db = open_store();
    EXPECT(dkv_family_open(s->db, "mirror", false, &s->mirror, NULL) == DKV_OK);
    expect_acknowledged(s);
    EXPECT(dkv_close(s->db, NULL) == DKV_OK);
    remove_folder();
    free(s);
}

TEST_MAIN(RUN(writers_readers_snapshots_and_compactions_run_beside_one_another))
