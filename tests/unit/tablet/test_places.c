/*
 * tablet/places.h: where entries are, against a model that remembers every one of them.
 */
#include "base/mem.h"
#include "base/prng.h"

#include "tablet/places.h"
#include "unit/test.h"

enum { MODEL_MAX = 1 << 16 };

/* ------------------------------------------------------------------ one by one */

TEST(nothing_is_known_at_first)
{
    struct places p = { 0 };

    EXPECT(places_find(&p, 1) == NULL);
    places_cut(&p, 1);
    places_forget(&p, 100);
    EXPECT_U64(p.count, 0);
    places_release(&p);
}

TEST(a_place_stands_for_the_entries_of_its_term_that_follow)
{
    struct places p = { 0 };

    places_note(&p, 5, 2, 1000);
    places_note(&p, 6, 2, 1100);
    places_note(&p, 7, 2, 1000 + PLACE_BYTES_MIN);
    places_note(&p, 8, 3, 1001 + PLACE_BYTES_MIN);
    EXPECT_U64(p.count, 3);
    EXPECT(places_find(&p, 4) == NULL);
    EXPECT_U64(places_find(&p, 5)->position, 1000);
    EXPECT_U64(places_find(&p, 6)->position, 1000);
    EXPECT_U64(places_find(&p, 7)->position, 1000 + PLACE_BYTES_MIN);
    EXPECT_U64(places_find(&p, 8)->term, 3);
    EXPECT(places_find(&p, 9) == NULL);
    EXPECT_U64(places_term_limit(&p, places_find(&p, 5)), 8);
    EXPECT_U64(places_term_limit(&p, places_find(&p, 8)), 9);
    places_release(&p);
}

TEST(what_is_noted_again_supersedes_what_followed_it)
{
    struct places p = { 0 };

    for (raft_index i = 1; i <= 9; i++)
        places_note(&p, i, 1, 10 * i);
    places_note(&p, 4, 2, 100);
    EXPECT_U64(p.limit, 5);
    EXPECT_U64(places_find(&p, 3)->term, 1);
    EXPECT_U64(places_find(&p, 4)->term, 2);
    EXPECT(places_find(&p, 5) == NULL);
    places_cut(&p, 1);
    EXPECT_U64(p.count, 0);
    places_release(&p);
}

TEST(what_lies_before_a_position_is_forgotten_and_no_more)
{
    struct places p = { 0 };

    for (raft_term term = 1; term <= 5; term++)
        places_note(&p, term, term, 10 * term);
    places_forget(&p, 20);
    EXPECT(places_find(&p, 1) == NULL);
    EXPECT_U64(places_find(&p, 2)->position, 20);
    places_forget(&p, 51);
    EXPECT_U64(p.count, 0);
    EXPECT(places_find(&p, 5) == NULL);
    places_release(&p);
}

/* As a damaged log may have it. */
TEST(after_what_cannot_be_only_the_rest_is_known)
{
    struct places p = { 0 };

    places_note(&p, 5, 2, 1000);
    places_note(&p, 7, 2, 1100); /* a hole */
    EXPECT(places_find(&p, 5) == NULL);
    EXPECT_U64(places_find(&p, 7)->index, 7);
    places_note(&p, 8, 1, 1200); /* an earlier term */
    EXPECT(places_find(&p, 7) == NULL);
    EXPECT_U64(places_find(&p, 8)->term, 1);
    places_note(&p, 9, 1, 1100); /* an earlier position */
    EXPECT(places_find(&p, 8) == NULL);
    EXPECT_U64(places_find(&p, 9)->position, 1100);
    places_release(&p);
}

TEST(without_memory_the_rest_is_known_later)
{
    struct mem_heap heap = { 0 };
    struct mem_heap *before = mem_heap_enter(&heap);
    struct places p = { 0 };

    for (raft_term term = 1; term <= 8; term++)
        places_note(&p, term, term, term);
    heap.fail_at = heap.allocation + 1;
    places_note(&p, 9, 9, 9);
    EXPECT_U64(p.count, 0);
    EXPECT_U64(heap.block_count, 0);
    places_note(&p, 10, 9, 10);
    EXPECT_U64(places_find(&p, 10)->index, 10);
    places_release(&p);
    (void)mem_heap_enter(before);
}

/* ------------------------------------------------------------------ bounds */

TEST(the_places_of_a_large_log_are_few)
{
    const wal_position log_bytes = UINT64_C(4) << 30;
    struct places p = { 0 };
    wal_position at = 0;

    for (raft_index i = 1; at < log_bytes; i++, at += 10000)
        places_note(&p, i, 1, at);
    EXPECT_U64(p.at[0].index, 1);
    EXPECT(p.count < PLACES_MAX);
    places_release(&p);
}

TEST(of_too_many_terms_the_last_are_known)
{
    struct places p = { 0 };

    for (raft_term term = 1; term <= 10 * PLACES_MAX; term++) {
        places_note(&p, term, term, term);
        EXPECT(p.count <= PLACES_MAX);
    }
    EXPECT_U64(p.limit, 10 * PLACES_MAX + 1);
    EXPECT(p.count >= PLACES_MAX / 2);
    places_release(&p);
}

/* ------------------------------------------------------------------ the model */

/* Every entry that is in the log. */
struct model {
    raft_index limit;
    wal_position end;
    wal_position begin; /* of what was not released */
    raft_term terms[MODEL_MAX];
    wal_position positions[MODEL_MAX];
};

static void
check(const struct places *p, const struct model *m)
{
    for (raft_index i = 1; i < m->limit; i++) {
        const struct place *found = places_find(p, i);

        if (found == NULL) {
            EXPECT(p->count == 0 || i < p->at[0].index); /* not in the middle */
            continue;
        }
        EXPECT(found->index <= i && found->position <= m->positions[i]);
        EXPECT(found->position >= m->begin);
        EXPECT_U64(found->term, m->terms[i]);
        for (raft_index j = i; j < places_term_limit(p, found); j++)
            EXPECT_U64(m->terms[j], found->term);
    }
    EXPECT(places_find(p, m->limit) == NULL);
}

static void
grow(struct places *p, struct model *m, struct prng *prng, raft_term term)
{
    uint64_t count = prng_below(prng, 60);

    for (; count > 0 && m->limit < MODEL_MAX; count--) {
        raft_index i = m->limit++;

        m->terms[i] = term;
        m->positions[i] = m->end;
        m->end += 1 + prng_below(prng, 10000);
        places_note(p, i, term, m->positions[i]);
    }
}

TEST(places_are_never_wrong_whatever_becomes_of_the_log)
{
    uint64_t seed = test_seed(1);
    struct model *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    for (uint32_t life = 0; life < 50; life++) {
        struct places p = { 0 };
        raft_term term = 1;
        struct prng prng;

        prng_init(&prng, seed + life);
        m->limit = 1;
        m->begin = m->end = 0;
        for (uint32_t round = 0; round < 40; round++) {
            term += prng_below(&prng, 3);
            if (prng_below(&prng, 4) == 0) {
                m->limit -= prng_below(&prng, m->limit < 100 ? m->limit : 100);
                places_cut(&p, m->limit);
            }
            if (prng_below(&prng, 6) == 0) {
                m->begin += prng_below(&prng, m->end - m->begin + 1);
                places_forget(&p, m->begin);
            }
            grow(&p, m, &prng, term);
            check(&p, m);
        }
        places_release(&p);
    }
    free(m);
}

TEST_MAIN(RUN(nothing_is_known_at_first),
          RUN(a_place_stands_for_the_entries_of_its_term_that_follow),
          RUN(what_is_noted_again_supersedes_what_followed_it),
          RUN(what_lies_before_a_position_is_forgotten_and_no_more),
          RUN(after_what_cannot_be_only_the_rest_is_known),
          RUN(without_memory_the_rest_is_known_later), RUN(the_places_of_a_large_log_are_few),
          RUN(of_too_many_terms_the_last_are_known),
          RUN(places_are_never_wrong_whatever_becomes_of_the_log))
