/* Tests of peer_options.stranger: who does not speak our protocol is somebody else's matter, and only they. */
#include "unit/peer/stranger.h"

enum { SAID_MAX = 200 };

/* What options.stranger was given, and what it does with it. */
struct door {
    struct stream *stream;
    char said[SAID_MAX];
    unsigned count;
    bool closes;
};

static struct door door;

static void
open_door(void *ctx, struct stream *stream, struct slice begin)
{
    (void)ctx;
    EXPECT(begin.size < SAID_MAX && begin.size > 0);
    memcpy(door.said, begin.data, begin.size);
    door.said[begin.size] = '\0';
    door.count++;
    door.stream = door.closes ? NULL : stream;
    if (door.closes)
        stream_close(stream);
}

/* Its node lets strangers in. */
static struct cluster *
alone_with_door(uint64_t seed)
{
    struct cluster *c = cluster_create(seed, 2, 1);

    door = (struct door){ 0 };
    c->options.stranger = open_door;
    member_start(c, 1);
    return c;
}

static void
close_stream(void *ctx)
{
    (void)ctx;
    stream_close(door.stream);
    door.stream = NULL;
}

static void
read_all_said(void *ctx)
{
    size_t size = strlen(door.said), got = 0;

    (void)ctx;
    while (stream_read(door.stream, door.said + size, SAID_MAX - 1 - size, &got) == ST_OK)
        size += got;
    door.said[size] = '\0';
}

TEST(who_speaks_otherwise_is_handed_over_with_what_was_said)
{
    static const char *const words[] = { "DKVENTER and more", "GET / HTTP/1.1\r\n\r\n", "x" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct cluster *c = alone_with_door(i);
        struct stranger s = stranger_to(c);
        size_t idle = budget_used(&c->members[1].budget);

        say(&s, words[i], strlen(words[i]));
        EXPECT_U64(door.count, 1);
        on(c, 1, read_all_said, NULL);
        EXPECT_STR(door.said, words[i]);
        EXPECT(!is_cut_off(&s));
        EXPECT_U64(peer_of(c, 1)->incoming_count, 0);
        EXPECT(budget_used(&c->members[1].budget) <= idle);
        sim_run_ms(c->w, 2 * GREETING_MS); /* it is the callee's now, and so is its time */
        EXPECT(!is_cut_off(&s));
        on(c, 1, close_stream, NULL);
        sim_run_ms(c->w, 50);
        EXPECT(is_cut_off(&s));
        part(&s);
        cluster_destroy(c);
    }
}

/* The two protocols begin alike. */
TEST(nobody_is_handed_over_before_it_is_clear_who_speaks_otherwise)
{
    static const char words[] = "DKVENTER";
    struct cluster *c = alone_with_door(1);
    struct stranger s = stranger_to(c);

    for (size_t i = 0; i < strlen(words); i++) {
        say(&s, &words[i], 1);
        EXPECT_U64(door.count, i >= 3);
    }
    EXPECT(strncmp(door.said, "DKVE", 4) == 0);
    on(c, 1, close_stream, NULL);
    part(&s);
    cluster_destroy(c);
}

/* Whoever gets the stream may leave it alone for a while. */
TEST(a_stranger_is_not_watched_on_behalf_of_who_was_before)
{
    struct cluster *c = alone_with_door(2);
    struct stranger s = stranger_to(c);

    say(&s, "GET ", 4);
    EXPECT_U64(door.count, 1);
    for (int i = 0; i < 5; i++)
        say(&s, "more ", 5);
    sim_client_close(s.client);
    sim_run_ms(c->w, 1000);
    EXPECT_U64(door.count, 1);
    on(c, 1, close_stream, NULL);
    cluster_destroy(c);
}

TEST(a_stranger_may_be_closed_at_once)
{
    struct cluster *c = alone_with_door(3);
    struct stranger s = stranger_to(c);

    door.closes = true;
    say(&s, "GET / HTTP/1.1\r\n\r\n", 18);
    EXPECT_U64(door.count, 1);
    EXPECT(is_cut_off(&s));
    part(&s);
    cluster_destroy(c);
}

/* A node that may not talk to us, or whose hello is damaged, is no stranger, nor is who says nothing. */
TEST(a_hello_that_is_wrong_is_nobody_elses_matter)
{
    for (int i = 0; i < 3; i++) {
        struct cluster *c = alone_with_door(i);
        struct stranger s = stranger_to(c);
        uint8_t bytes[HELLO_BYTES];

        s.hello.self.cluster[0] ^= i == 0;
        hello__put(bytes, &s.hello);
        bytes[HELLO_BYTES - 1] ^= i == 1;
        if (i < 2)
            say(&s, bytes, sizeof(bytes));
        sim_run_ms(c->w, GREETING_MS + 100);
        EXPECT(is_cut_off(&s));
        EXPECT_U64(door.count, 0);
        part(&s);
        cluster_destroy(c);
    }
}

TEST(who_greets_well_is_heard_beside_a_door_for_strangers)
{
    struct cluster *c = alone_with_door(4);
    struct stranger s = stranger_to(c);

    greet(&s);
    say_frame(&s, &whole);
    EXPECT_U64(count_heard(c, 1, 2, BULK), 1);
    EXPECT_U64(door.count, 0);
    part(&s);
    cluster_destroy(c);
}

QUIET_TEST_MAIN(RUN(who_speaks_otherwise_is_handed_over_with_what_was_said),
                RUN(nobody_is_handed_over_before_it_is_clear_who_speaks_otherwise),
                RUN(a_stranger_is_not_watched_on_behalf_of_who_was_before),
                RUN(a_stranger_may_be_closed_at_once),
                RUN(a_hello_that_is_wrong_is_nobody_elses_matter),
                RUN(who_greets_well_is_heard_beside_a_door_for_strangers))
