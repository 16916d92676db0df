/* Tests of cluster/atlas.h: what is found is what a search from end to end finds, slots are Redis's, and
 * threads may read while the last reference goes. */
#include <pthread.h>

#include "base/mem.h"

#include "cluster/atlas.h"
#include "unit/cluster/samples.h"

enum { TABLETS_MAX = 40, THREADS = 4, READS = 2000, HASH_KEYSPACE = 5, RANGE_KEYSPACE = 6 };

static void
put(struct book *b, const struct record *r, version_t version)
{
    struct record_key key = record_key_of(r);
    struct buf value;

    encode(r, &value);
    EXPECT_OK(book_put(b, &key, version, buf_slice(&value), NULL));
    buf_release(&value);
}

static const struct atlas *
draw(const struct book *b)
{
    const struct atlas *a = atlas_create(b);

    EXPECT(a != NULL);
    return a;
}

/* ------------------------------------------------------------------ slots */

/* Bit by bit, as the polynomial is defined. */
static uint32_t
naive_slot(struct slice key)
{
    uint32_t crc = 0;

    for (size_t i = 0; i < key.size; i++) {
        crc ^= (uint32_t)key.data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ ((crc & 0x8000) != 0 ? 0x1021 : 0)) & 0xffff;
    }
    return crc & (SLOT_COUNT - 1);
}

/* From the specification of Redis Cluster, and from its CLUSTER KEYSLOT. */
TEST(slots_are_those_of_redis)
{
    static const struct {
        const char *key;
        uint32_t slot;
    } known[] = {
        { "", 0 },
        { "123456789", 0x31c3 },
        { "foo", 12182 },
        { "bar", 5061 },
        { "hello", 866 },
        { "a", 15495 },
        { "b", 3300 },
        { "c", 7365 },
        { "user1000", 3443 },
        { "somekey", 11058 },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        EXPECT_U64(slot_of(slice_str(known[i].key)), known[i].slot);
    EXPECT_U64(slot_of(slice_of(NULL, 0)), 0);
}

TEST(only_the_first_tag_that_is_not_empty_counts)
{
    static const char *const same[][2] = {
        { "{user1000}.following", "user1000" },
        { "{user1000}.followers", "user1000" },
        { "foo{{bar}}zap", "{bar" },
        { "foo{bar}{zap}", "bar" },
        { "{a}", "a" },
        { "x{a}}", "a" },
    };
    static const char *const whole[] = {
        "foo{}{bar}", "foo{bar", "foo}bar{", "{", "}{", "{}", "a}b"
    };

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        EXPECT_U64(slot_of(slice_str(same[i][0])), slot_of(slice_str(same[i][1])));
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        EXPECT_U64(slot_of(slice_str(whole[i])), naive_slot(slice_str(whole[i])));
    EXPECT_U64(slot_of(slice_str("foo{}{bar}")), 8363);
}

TEST(the_slot_of_any_bytes_is_their_checksum)
{
    struct prng p;

    prng_init(&p, test_seed(1));
    for (int round = 0; round < 5000; round++) {
        uint8_t bytes[64];
        struct slice key = slice_of(bytes, prng_below(&p, sizeof(bytes)));

        for (size_t i = 0; i < key.size; i++) {
            bytes[i] = (uint8_t)prng_below(&p, '{'); /* and so no tag */
        }
        EXPECT_U64(slot_of(key), naive_slot(key));
    }
}

/* ------------------------------------------------------------------ tablets of keys */

static void
put_keyspace(struct book *b, uint32_t id, enum keyspace_partition partition, const char *name)
{
    struct record r = sample_keyspace(id);

    r.as.keyspace.partition = partition;
    snprintf(r.as.keyspace.name, sizeof(r.as.keyspace.name), "%s", name);
    put(b, &r, 1);
}

/* Their ids are in no order of theirs. */
static void
put_tablet(struct book *b, struct prng *p, uint32_t keyspace, struct slice from, struct slice limit)
{
    struct record r = sample_tablet(2 + (prng_next(p) >> 1));

    r.as.tablet.keyspace = keyspace;
    r.as.tablet.from = from;
    r.as.tablet.limit = limit;
    put(b, &r, 2);
}

static bool
owns(const struct tablet_record *t, struct slice partition)
{
    return slice_compare(t->from, partition) <= 0 &&
           (t->limit.size == 0 || slice_compare(partition, t->limit) < 0);
}

static void
expect_owner(const struct atlas_keyspace *k, struct slice key, struct slice partition)
{
    const struct tablet_record *found = atlas_tablet_of(k, key);

    EXPECT(found != NULL && owns(found, partition));
    for (uint32_t i = 0; i < k->tablet_count; i++)
        EXPECT(owns(k->tablets[i], partition) == (k->tablets[i] == found));
}

static void
expect_in_order(const struct atlas_keyspace *k)
{
    for (uint32_t i = 1; i < k->tablet_count; i++)
        EXPECT(slice_compare(k->tablets[i - 1]->from, k->tablets[i]->from) < 0);
}

/* Ascending bounds of two bytes, the first of which is empty. */
static uint32_t
random_cuts(struct prng *p, uint32_t count, uint32_t limit, uint32_t cuts[TABLETS_MAX])
{
    uint32_t at = 0, made = 1;

    cuts[0] = 0;
    while (made < count) {
        at += 1 + (uint32_t)prng_below(p, limit / count);
        cuts[made++] = at;
    }
    return made;
}

static void
put_cut_keyspace(struct book *b, struct prng *p, uint32_t id, uint32_t count, uint32_t range)
{
    static uint8_t rooms[TABLETS_MAX][2];
    uint32_t cuts[TABLETS_MAX];
    struct slice bounds[TABLETS_MAX + 1] = { 0 };

    count = random_cuts(p, count, range, cuts);
    for (uint32_t i = 1; i < count; i++) {
        rooms[i][0] = (uint8_t)(cuts[i] >> 8);
        rooms[i][1] = (uint8_t)cuts[i];
        bounds[i] = slice_of(rooms[i], 2);
    }
    for (uint32_t i = 0; i < count; i++)
        put_tablet(b, p, id, bounds[i], bounds[i + 1]);
}

TEST(a_key_is_found_in_the_tablet_that_owns_it)
{
    struct prng p;

    prng_init(&p, test_seed(2));
    for (uint32_t count = 1; count <= TABLETS_MAX; count++) {
        const struct atlas_keyspace *hash, *range;
        const struct atlas *a;
        struct book b = { 0 };

        put_keyspace(&b, HASH_KEYSPACE, PARTITION_HASH, "hash");
        put_keyspace(&b, RANGE_KEYSPACE, PARTITION_RANGE, "range");
        put_cut_keyspace(&b, &p, HASH_KEYSPACE, count, SLOT_COUNT);
        put_cut_keyspace(&b, &p, RANGE_KEYSPACE, TABLETS_MAX + 1 - count, 0x10000);
        a = draw(&b);
        book_release(&b); /* bounds are the atlas's own */
        hash = atlas_keyspace(a, HASH_KEYSPACE);
        range = atlas_keyspace_named(a, slice_str("range"));
        EXPECT_U64(hash->tablet_count, count);
        EXPECT_U64(range->tablet_count, TABLETS_MAX + 1 - count);
        expect_in_order(hash);
        expect_in_order(range);
        for (int i = 0; i < 200; i++) {
            uint8_t bytes[3], room[2];
            struct slice key = slice_of(bytes, prng_below(&p, 4));

            for (size_t k = 0; k < sizeof(bytes); k++)
                bytes[k] = (uint8_t)prng_next(&p);
            expect_owner(range, key, key);
            expect_owner(hash, key, slot_bound(slot_of(key), room));
        }
        atlas_unref(a);
    }
}

TEST(every_slot_is_of_one_tablet)
{
    struct book b = { 0 };
    const struct atlas *a;
    uint32_t next = 0;
    struct prng p;

    prng_init(&p, test_seed(3));
    put_keyspace(&b, HASH_KEYSPACE, PARTITION_HASH, "hash");
    put_cut_keyspace(&b, &p, HASH_KEYSPACE, TABLETS_MAX, SLOT_COUNT);
    a = draw(&b);
    for (uint32_t i = 0; i < TABLETS_MAX; i++) {
        uint32_t begin, limit;

        atlas_slots_of(atlas_keyspace(a, HASH_KEYSPACE)->tablets[i], &begin, &limit);
        EXPECT_U64(begin, next);
        EXPECT(limit > begin);
        next = limit;
    }
    EXPECT_U64(next, SLOT_COUNT);
    atlas_unref(a);
    book_release(&b);
}

/* Another node's record: it is counted with, and must not lead out of an array of slots. */
TEST(bounds_that_are_no_slots_stay_within_the_slots)
{
    static const uint8_t bounds[] = { 0xf0, 0, 0xff, 0xff };
    struct record r = sample_tablet(3);
    uint32_t begin, limit;

    r.as.tablet.from = slice_of(bounds, 2);
    r.as.tablet.limit = slice_of(bounds + 2, 2);
    atlas_slots_of(&r.as.tablet, &begin, &limit);
    EXPECT(begin <= limit && limit <= SLOT_COUNT);
    r.as.tablet.from = slice_of(bounds, 1);
    r.as.tablet.limit = slice_of(bounds, 3);
    atlas_slots_of(&r.as.tablet, &begin, &limit);
    EXPECT(begin <= limit && limit <= SLOT_COUNT);
}

TEST(a_hole_gives_the_tablet_before_it_or_the_first)
{
    static const uint8_t bounds[] = { 0x10, 0, 0x20, 0, 0x30, 0 };
    struct book b = { 0 };
    const struct atlas_keyspace *k;
    const struct atlas *a;
    struct prng p;

    prng_init(&p, 1);
    put_keyspace(&b, RANGE_KEYSPACE, PARTITION_RANGE, "range");
    put_tablet(&b, &p, RANGE_KEYSPACE, slice_of(bounds, 2), slice_of(bounds + 2, 2));
    put_tablet(&b, &p, RANGE_KEYSPACE, slice_of(bounds + 4, 2), slice_of(NULL, 0));
    put_keyspace(&b, HASH_KEYSPACE, PARTITION_HASH, "empty");
    a = draw(&b);
    k = atlas_keyspace(a, RANGE_KEYSPACE);
    EXPECT(atlas_tablet_of(k, slice_str("\x01")) == k->tablets[0]);
    EXPECT(atlas_tablet_of(k, slice_str("\x25")) == k->tablets[0]);
    EXPECT(atlas_tablet_of(k, slice_str("\x35")) == k->tablets[1]);
    EXPECT(atlas_tablet_of(atlas_keyspace(a, HASH_KEYSPACE), slice_str("x")) == NULL);
    atlas_unref(a);
    book_release(&b);
}

/* ------------------------------------------------------------------ lookups */

/* What the atlas has to know of one record. */
static void
expect_known(const struct atlas *a, const struct record *r)
{
    const struct atlas_keyspace *k;
    const struct tablet_record *t;
    const struct node_record *n;
    struct record found = { .kind = r->kind };

    switch (r->kind) {
    case RECORD_CLUSTER:
        found.as.cluster = a->cluster;
        break;
    case RECORD_NODE:
        n = atlas_node(a, r->as.node.id);
        EXPECT(n != NULL);
        found.as.node = *n;
        break;
    case RECORD_KEYSPACE:
        k = atlas_keyspace(a, r->as.keyspace.id);
        EXPECT((k != NULL) == (r->as.keyspace.state == KEYSPACE_LIVE));
        found.as.keyspace = k == NULL ? r->as.keyspace : k->record;
        break;
    case RECORD_TABLET:
        t = atlas_tablet(a, r->as.tablet.id);
        EXPECT((t != NULL) == (r->as.tablet.state == TABLET_LIVE));
        found.as.tablet = t == NULL ? r->as.tablet : *t;
        break;
    }
    EXPECT(records_equal(r, &found));
}

TEST(an_atlas_knows_what_its_book_has)
{
    struct prng p;

    prng_init(&p, test_seed(4));
    for (int round = 0; round < 40; round++) {
        struct book b = { 0 };
        const struct atlas *a;

        for (version_t v = 1; v <= 100; v++) {
            struct record r =
                random_record(&p, kinds[prng_below(&p, KINDS)], 1 + prng_below(&p, 1000));

            put(&b, &r, v);
        }
        a = draw(&b);
        EXPECT_U64(a->version, b.version);
        for (uint32_t i = 0; i < b.count; i++) {
            struct record r;

            EXPECT_OK(record_decode(&b.pages[i].key, b.pages[i].value, &r, NULL));
            expect_known(a, &r);
        }
        EXPECT(atlas_node(a, 0) == NULL && atlas_node(a, 1001) == NULL);
        EXPECT(atlas_tablet(a, 0) == NULL && atlas_tablet(a, 1001) == NULL);
        EXPECT(atlas_keyspace(a, 1001) == NULL);
        atlas_unref(a);
        book_release(&b);
    }
}

TEST(an_empty_book_has_the_metadata_and_nothing_else)
{
    struct book b = { 0 };
    const struct atlas *a = draw(&b);

    EXPECT(a->node_count == 0 && a->tablet_count == 0 && a->keyspace_count == 1);
    EXPECT(atlas_keyspace(a, ATLAS_META_KEYSPACE) == &a->keyspaces[0]);
    EXPECT(atlas_keyspace_named(a, slice_str("metadata")) == &a->keyspaces[0]);
    EXPECT(atlas_tablet_of(&a->keyspaces[0], slice_str("x")) == NULL);
    EXPECT(atlas_node(a, 1) == NULL && atlas_tablet(a, 1) == NULL);
    atlas_unref(a);
    atlas_unref(NULL);
}

TEST(a_name_is_its_latest_owners)
{
    struct record old = sample_node(1), new = sample_node(2);
    struct book b = { 0 };
    const struct atlas *a;

    old.as.node.state = NODE_REMOVED;
    put(&b, &old, 1);
    put(&b, &new, 2);
    a = draw(&b);
    EXPECT(atlas_node_named(a, slice_str("n1")) == atlas_node(a, 2));
    EXPECT(atlas_node_named(a, slice_str("n")) == NULL);
    EXPECT(atlas_keyspace_named(a, slice_str("nobody's")) == NULL);
    atlas_unref(a);
    book_release(&b);
}

TEST(tablets_of_a_dropped_keyspace_are_in_none)
{
    struct record k = sample_keyspace(HASH_KEYSPACE), t = sample_tablet(9);
    struct book b = { 0 };
    const struct atlas *a;

    k.as.keyspace.state = KEYSPACE_DROPPED;
    put(&b, &k, 1);
    put(&b, &t, 1);
    a = draw(&b);
    EXPECT(atlas_keyspace(a, HASH_KEYSPACE) == NULL);
    EXPECT(atlas_tablet(a, 9) != NULL);
    EXPECT_U64(a->keyspaces[0].tablet_count, 0);
    atlas_unref(a);
    book_release(&b);
}

/* ------------------------------------------------------------------ memory, threads */

TEST(an_atlas_is_whole_or_there_is_none)
{
    struct record records[] = { sample_cluster(1), sample_keyspace(HASH_KEYSPACE), sample_node(1),
                                sample_largest(RECORD_TABLET) };
    const struct atlas *a = NULL;
    struct book b = { 0 };
    uint64_t nth = 1;

    records[3].as.tablet.state = TABLET_LIVE;
    for (int i = 0; i < KINDS; i++)
        put(&b, &records[i], 1);
    for (; a == NULL; nth++) {
        struct mem_heap heap = { .fail_at = nth };
        struct mem_heap *before = mem_heap_enter(&heap);

        a = atlas_create(&b);
        EXPECT(a == NULL || atlas_tablet(a, UINT64_MAX) != NULL);
        atlas_unref(a);
        EXPECT_U64(heap.block_count, 0);
        mem_heap_enter(before);
    }
    EXPECT(nth > 2);
    book_release(&b);
}

/* Each holds a reference of its own, and the last of them ends it, whoever that is. */
static void *
read_and_leave(void *ctx)
{
    const struct atlas *a = ctx;
    uint64_t found = 0;

    for (int i = 0; i < READS; i++) {
        const struct atlas *again = atlas_ref(a);

        found += atlas_node(again, 1) != NULL;
        atlas_unref(again);
    }
    atlas_unref(a);
    return found == READS ? ctx : NULL;
}

TEST(threads_share_an_atlas_until_the_last_lets_go)
{
    struct record node = sample_node(1);
    pthread_t threads[THREADS];
    struct book b = { 0 };
    const struct atlas *a;

    put(&b, &node, 1);
    a = draw(&b);
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, read_and_leave, (void *)(uintptr_t)atlas_ref(a)) ==
               0);
    atlas_unref(a);
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;

        EXPECT(pthread_join(threads[i], &result) == 0);
        EXPECT(result != NULL);
    }
    book_release(&b);
}

TEST_MAIN(RUN(slots_are_those_of_redis), RUN(only_the_first_tag_that_is_not_empty_counts),
          RUN(the_slot_of_any_bytes_is_their_checksum),
          RUN(a_key_is_found_in_the_tablet_that_owns_it), RUN(every_slot_is_of_one_tablet),
          RUN(bounds_that_are_no_slots_stay_within_the_slots),
          RUN(a_hole_gives_the_tablet_before_it_or_the_first),
          RUN(an_atlas_knows_what_its_book_has),
          RUN(an_empty_book_has_the_metadata_and_nothing_else), RUN(a_name_is_its_latest_owners),
          RUN(tablets_of_a_dropped_keyspace_are_in_none), RUN(an_atlas_is_whole_or_there_is_none),
          RUN(threads_share_an_atlas_until_the_last_lets_go))
