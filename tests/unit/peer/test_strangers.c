/* Whoever is at the other end is not trusted: each wrong word ends the connection, and nothing else. */
#include "unit/peer/stranger.h"

/* ------------------------------------------------------------------ greetings */

TEST(who_greets_well_is_heard)
{
    struct cluster *c = alone(1);
    struct stranger s = stranger_to(c);

    greet(&s);
    say_frame(&s, &whole);
    EXPECT(!is_cut_off(&s));
    EXPECT_U64(count_heard(c, 1, 2, BULK), 1);
    EXPECT_U64(c->members[1].heard[2][0].incarnation, 5);
    EXPECT_U64(c->members[1].heard[2][0].damaged, 0);
    part(&s);
    cluster_destroy(c);
}

typedef void spoil_fn(struct hello *h);

static void
of_another_cluster(struct hello *h)
{
    h->self.cluster[3] ^= 1;
}

static void
for_another_node(struct hello *h)
{
    h->to = 3;
}

static void
as_our_own_node(struct hello *h)
{
    h->self.node = 1;
}

static void
as_nobody(struct hello *h)
{
    h->self.node = 0;
}

static void
without_incarnation(struct hello *h)
{
    h->self.incarnation = 0;
}

static void
of_an_incarnation_too_high(struct hello *h)
{
    h->self.incarnation = UINT64_C(1) << 32;
}

static void
of_a_later_format(struct hello *h)
{
    h->format_min = 2;
    h->format_max = 7;
}

/* It is told why: our hello comes before the end. */
TEST(who_may_not_talk_to_us_is_told_who_we_are_and_refused)
{
    static spoil_fn *const spoils[] = { of_another_cluster,  for_another_node,
                                        as_our_own_node,     as_nobody,
                                        without_incarnation, of_an_incarnation_too_high,
                                        of_a_later_format };

    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        struct cluster *c = alone(i);
        struct stranger s = stranger_to(c);

        spoils[i](&s.hello);
        greet(&s);
        EXPECT(is_cut_off(&s));
        EXPECT_U64(sim_client_received(s.client).size, HELLO_BYTES);
        part(&s);
        cluster_destroy(c);
    }
}

TEST(a_later_format_that_still_speaks_ours_is_welcome)
{
    struct cluster *c = alone(2);
    struct stranger s = stranger_to(c);

    s.hello.format_max = 9;
    greet(&s);
    say_frame(&s, &whole);
    EXPECT_U64(count_heard(c, 1, 2, BULK), 1);
    part(&s);
    cluster_destroy(c);
}

TEST(what_is_no_hello_is_refused_at_once)
{
    static const char *const words[] = { "GET / HTTP/1.1\r\n\r\n", "D", "DKVPEER\n\x07\x00",
                                         "DKVPEER\n\xff\xff", "DKX" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct cluster *c = alone(i);
        struct stranger s = stranger_to(c);

        say(&s, words[i], i == 2 ? 10 : strlen(words[i]));
        EXPECT(is_cut_off(&s) == (i != 1)); /* "D" might still become one */
        sim_run_ms(c->w, GREETING_MS + 100);
        EXPECT(is_cut_off(&s));
        EXPECT_U64(sim_client_received(s.client).size, 0);
        part(&s);
        cluster_destroy(c);
    }
}

TEST(a_hello_with_a_flipped_bit_is_refused)
{
    for (size_t bit = 0; bit < HELLO_BYTES * 8; bit += 5) {
        struct cluster *c = alone(bit);
        struct stranger s = stranger_to(c);
        uint8_t bytes[HELLO_BYTES];

        hello__put(bytes, &s.hello);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        say(&s, bytes, sizeof(bytes));
        sim_run_ms(c->w, GREETING_MS + 100); /* a longer one would be waited for */
        EXPECT(is_cut_off(&s));
        part(&s);
        cluster_destroy(c);
    }
}

TEST(who_does_not_greet_in_time_is_shut_out)
{
    struct cluster *c = alone(3);
    struct stranger s = stranger_to(c);

    sim_run_ms(c->w, GREETING_MS - 500);
    EXPECT(!is_cut_off(&s));
    sim_run_ms(c->w, 1000);
    EXPECT(is_cut_off(&s));
    part(&s);
    cluster_destroy(c);
}

/* ------------------------------------------------------------------ frames */

TEST(a_frame_with_a_flipped_bit_ends_the_connection_unheard)
{
    for (size_t bit = 0; bit < (FRAME_HEADER_BYTES + 20) * 8; bit += 3) {
        struct cluster *c = alone(bit);
        struct stranger s = stranger_to(c);
        uint8_t bytes[100];
        size_t size;

        greet(&s);
        size = make_frame(&s, bytes, &whole);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        say(&s, bytes, size);
        if (!is_cut_off(&s)) /* it seems to be longer now */
            sim_run_ms(c->w, STALL_MS + 100);
        EXPECT(is_cut_off(&s));
        EXPECT_U64(count_heard(c, 1, 2, BULK), 0);
        part(&s);
        cluster_destroy(c);
    }
}

TEST(a_frame_that_comes_twice_or_too_late_ends_the_connection)
{
    for (int late = 0; late < 2; late++) {
        struct cluster *c = alone(4);
        struct stranger s = stranger_to(c);

        greet(&s);
        say_frame(&s, &whole);
        s.number = late == 1 ? 2 : 0;
        say_frame(&s, &whole);
        EXPECT(is_cut_off(&s));
        EXPECT_U64(count_heard(c, 1, 2, BULK), 1);
        part(&s);
        cluster_destroy(c);
    }
}

TEST(frames_that_make_no_message_end_the_connection)
{
    static const struct frame first = { .size = 20, .rest = 20, .type = BULK };
    static const struct frame wrong[] = {
        { .size = 20, .type = URGENT },                           /* of another type */
        { .size = 20, .type = BULK, .id = 3 },                    /* of another id */
        { .size = 10, .type = BULK },                             /* less than was told */
        { .size = 20, .rest = 10, .type = BULK },                 /* more */
        { .size = 20, .rest = 10, .type = BULK, .urgent = true }, /* urgent, and in parts */
        { .size = 0, .rest = 20, .type = BULK },                  /* no progress */
        { .size = 20, .rest = 0x7fffffff, .type = BULK },         /* too long */
        { .size = PEER_FRAME_BYTES_MAX + 1, .type = BULK },
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct cluster *c = alone(i);
        struct stranger s = stranger_to(c);
        static uint8_t bytes[FRAME_HEADER_BYTES + PEER_FRAME_BYTES_MAX + 1];

        greet(&s);
        say_frame(&s, &first);
        frame__seal(bytes, &wrong[i], s.seed, s.number);
        say(&s, bytes, FRAME_HEADER_BYTES + 20);
        EXPECT(is_cut_off(&s));
        EXPECT_U64(count_heard(c, 1, 2, BULK), 0);
        part(&s);
        cluster_destroy(c);
    }
}

TEST(who_stops_in_a_message_is_cut_off)
{
    struct cluster *c = alone(5);
    struct stranger s = stranger_to(c);
    size_t idle;

    greet(&s);
    idle = budget_used(&c->members[1].budget);
    say_frame(&s, &(struct frame){ .size = 20, .rest = 1 << 20, .type = BULK });
    EXPECT(budget_used(&c->members[1].budget) >= idle + (1 << 20));
    sim_run_ms(c->w, STALL_MS - 1000);
    EXPECT(!is_cut_off(&s));
    sim_run_ms(c->w, 2000);
    EXPECT(is_cut_off(&s));
    EXPECT(budget_used(&c->members[1].budget) <= idle);
    part(&s);
    cluster_destroy(c);
}

TEST(who_is_silent_between_messages_is_not)
{
    struct cluster *c = alone(6);
    struct stranger s = stranger_to(c);

    greet(&s);
    say_frame(&s, &whole);
    sim_run_ms(c->w, 10 * STALL_MS);
    EXPECT(!is_cut_off(&s));
    part(&s);
    cluster_destroy(c);
}

/* ------------------------------------------------------------------ many of them */

TEST(those_who_say_nothing_make_room_for_others)
{
    enum { SILENT = PEER_GREETING_MAX + 10 };
    static struct sim_client *silent[SILENT];
    struct cluster *c = alone(7);
    struct stranger s;
    unsigned cut = 0;

    for (unsigned i = 0; i < SILENT; i++)
        silent[i] = sim_connect(c->w, 1, PEER_PORT);
    sim_run_ms(c->w, 100);
    EXPECT_U64(peer_of(c, 1)->incoming_count, PEER_GREETING_MAX);
    s = stranger_to(c);
    greet(&s);
    say_frame(&s, &whole);
    EXPECT_U64(count_heard(c, 1, 2, BULK), 1);
    for (unsigned i = 0; i < SILENT; i++) {
        cut += sim_client_closed(silent[i]);
        sim_client_close(silent[i]);
    }
    EXPECT_U64(cut, SILENT + 1 - PEER_GREETING_MAX);
    sim_run_ms(c->w, 100);
    part(&s);
    cluster_destroy(c);
}

/* P1: its end did not reach us, and now the node is here again. */
TEST(a_newer_connection_of_a_loop_replaces_the_older)
{
    struct cluster *c = alone(8);
    struct stranger old = stranger_to(c), other, new;

    greet(&old);
    other = stranger_to(c);
    other.hello.lane = 1;
    greet(&other);
    new = stranger_to(c);
    new.hello.self.incarnation = 6;
    greet(&new);
    EXPECT(is_cut_off(&old) && !is_cut_off(&other) && !is_cut_off(&new));
    say_frame(&new, &whole);
    EXPECT_U64(c->members[1].heard[2][0].incarnation, 6);
    EXPECT_U64(peer_of(c, 1)->incoming_count, 2);
    sim_client_close(old.client);
    sim_client_close(other.client);
    sim_run_ms(c->w, 50);
    part(&new);
    cluster_destroy(c);
}

/* Whom we call may be a stranger as well: node 2's place is taken by a server of node 3's cluster. */
TEST(whom_we_call_must_be_who_we_think)
{
    struct cluster *c = cluster_create(9, 2, 1);

    member_start(c, 1);
    c->id[0] ^= 1;
    member_start(c, 2);
    sim_run_ms(c->w, 5000);
    EXPECT_U64(peer_incarnation(peer_of(c, 1), 2), 0);
    EXPECT_U64(peer_incarnation(peer_of(c, 2), 1), 0);
    EXPECT_U64(c->members[1].state_count, 0);
    cluster_destroy(c);
}

QUIET_TEST_MAIN(
    RUN(who_greets_well_is_heard), RUN(who_may_not_talk_to_us_is_told_who_we_are_and_refused),
    RUN(a_later_format_that_still_speaks_ours_is_welcome), RUN(what_is_no_hello_is_refused_at_once),
    RUN(a_hello_with_a_flipped_bit_is_refused), RUN(who_does_not_greet_in_time_is_shut_out),
    RUN(a_frame_with_a_flipped_bit_ends_the_connection_unheard),
    RUN(a_frame_that_comes_twice_or_too_late_ends_the_connection),
    RUN(frames_that_make_no_message_end_the_connection), RUN(who_stops_in_a_message_is_cut_off),
    RUN(who_is_silent_between_messages_is_not), RUN(those_who_say_nothing_make_room_for_others),
    RUN(a_newer_connection_of_a_loop_replaces_the_older), RUN(whom_we_call_must_be_who_we_think))
