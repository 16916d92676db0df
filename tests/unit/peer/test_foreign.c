/* Who speaks something else than TLS at a port that speaks nothing else, or TLS, and means harm. */
#include <openssl/ssl.h>

#include "unit/peer/line.h"

enum { HELLO_CLIENT_BYTES = 64 << 10 };

/* ------------------------------------------------------------------ who speaks something else */

TEST(who_speaks_plainly_is_told_in_words_of_tls)
{
    static const char *const words[] = { "DKVPEER\n", "DKVENTER", "GET / HTTP/1.1\r\n\r\n", "D",
                                         "\x80" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct sim_client *c;
        struct line l;
        struct err err;

        line_begin(&l, 6 + i);
        line_equip(&l);
        c = sim_connect(l.w, 1, LINE_PORT);
        sim_client_send(c, slice_str(words[i]));
        line_run(&l, 100);
        EXPECT_ST(l.ends[CALLEE].ended, ST_INVALID);
        EXPECT(strstr(l.ends[CALLEE].why, "it speaks no TLS") != NULL);
        EXPECT_U64(sim_client_received(c).size, 7);
        EXPECT_ST(carrier_expect_none(sim_client_received(c), &err), ST_INVALID);
        EXPECT(strstr(err.text, "it speaks TLS") != NULL);
        sim_client_close(c);
        line_end(&l);
    }
}

TEST(a_node_without_tls_that_is_called_is_recognised)
{
    struct line l;

    line_begin(&l, 20);
    l.ends[CALLER].carrier = carrier_of(l.w, 2);
    l.ends[CALLEE].to_send = 1000; /* of its own protocol */
    l.ends[CALLEE].deaf = true;
    line_call(&l);
    line_run(&l, 100);
    EXPECT_ST(l.ends[CALLER].ended, ST_INVALID);
    EXPECT(strstr(l.ends[CALLER].why, "it speaks no TLS") != NULL);
    line_end(&l);
}

TEST(who_hangs_up_in_the_handshake_has_perhaps_no_tls)
{
    struct line l;

    line_begin(&l, 21);
    l.ends[CALLER].carrier = carrier_of(l.w, 2);
    l.ends[CALLEE].deaf = true;
    line_call(&l);
    line_run(&l, 100);
    EXPECT_OK(l.ends[CALLER].ended); /* how long it waits is its owner's matter */
    end_hang_up(&l.ends[CALLEE]);
    line_run(&l, 100);
    EXPECT_ST(l.ends[CALLER].ended, ST_CLOSED);
    EXPECT(strstr(l.ends[CALLER].why, "perhaps it speaks no TLS") != NULL);
    line_end(&l);
}

TEST(what_passes_for_tls_is_told_from_our_own_protocols)
{
    static const struct {
        const char *bytes;
        size_t size;
        bool tls;
    } cases[] = {
        { "", 0, false },         { "\x16", 1, false },
        { "\x16\x03", 2, true },  { "\x15\x03\x03", 3, true },
        { "\x17\x03", 2, false }, { "DKVPEER\n", 8, false },
        { "\x16\x04", 2, false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum status st = carrier_expect_none(slice_of(cases[i].bytes, cases[i].size), NULL);

        EXPECT_ST(st, cases[i].tls ? ST_INVALID : ST_OK);
    }
}

/* ------------------------------------------------------------------ who speaks TLS, and means harm */

/* A client with OpenSSL and no certificate of its own, unless it is given one. */
struct foreigner {
    struct line *l;
    struct sim_client *client;
    SSL_CTX *context;
    SSL *ssl;
};

static void
foreigner_begin(struct foreigner *f, struct line *l, const struct pki *shows)
{
    f->l = l;
    f->client = sim_connect(l->w, 1, LINE_PORT);
    f->context = SSL_CTX_new(TLS_client_method());
    EXPECT(f->client != NULL && f->context != NULL);
    if (shows != NULL) {
        EXPECT(SSL_CTX_use_certificate(f->context, shows->cert) == 1);
        EXPECT(SSL_CTX_use_PrivateKey(f->context, shows->key) == 1);
    }
    f->ssl = SSL_new(f->context);
    EXPECT(f->ssl != NULL);
    SSL_set_bio(f->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(f->ssl);
}

/* What OpenSSL wants to be sent, but for the last bytes, and one bit the other way. */
static void
foreigner_send(struct foreigner *f, size_t withheld, size_t flipped_from_end)
{
    char *data = NULL;
    long pending = BIO_get_mem_data(SSL_get_wbio(f->ssl), &data);
    size_t size = pending > 0 ? (size_t)pending : 0;

    if (flipped_from_end > 0)
        data[size - flipped_from_end] ^= 1;
    if (size > withheld)
        sim_client_send(f->client, slice_of(data, size - withheld));
    EXPECT(BIO_reset(SSL_get_wbio(f->ssl)) == 1);
    line_run(f->l, 20);
}

static void
foreigner_receive(struct foreigner *f)
{
    struct slice got = sim_client_received(f->client);

    if (got.size > 0)
        EXPECT_U64(BIO_write(SSL_get_rbio(f->ssl), got.data, (int)got.size), got.size);
    sim_client_consume(f->client, got.size);
}

static bool
foreigner_shakes(struct foreigner *f)
{
    for (int i = 0; i < 10 && SSL_do_handshake(f->ssl) != 1; i++) {
        foreigner_send(f, 0, 0);
        foreigner_receive(f);
    }
    foreigner_send(f, 0, 0);
    return SSL_is_init_finished(f->ssl) == 1;
}

static void
foreigner_end(struct foreigner *f)
{
    sim_client_close(f->client);
    SSL_free(f->ssl);
    SSL_CTX_free(f->context);
    line_run(f->l, 50);
}

static void
begin_callee(struct line *l, uint64_t seed)
{
    line_begin(l, seed);
    l->ends[CALLEE].carrier = carrier_of(l->w, 1);
}

TEST(who_shows_no_certificate_is_refused)
{
    struct line l;
    struct foreigner f;
    char byte;

    begin_callee(&l, 30);
    foreigner_begin(&f, &l, NULL);
    EXPECT(foreigner_shakes(&f)); /* it has no way yet to know what we think of it */
    EXPECT_ST(l.ends[CALLEE].ended, ST_INVALID);
    EXPECT_STR(l.ends[CALLEE].why, "it shows no certificate");
    foreigner_receive(&f);
    EXPECT(SSL_read(f.ssl, &byte, 1) <= 0); /* now it has */
    foreigner_end(&f);
    line_end(&l);
}

TEST(older_tls_is_refused)
{
    struct line l;
    struct foreigner f;

    begin_callee(&l, 31);
    foreigner_begin(&f, &l, &l.nodes[1]);
    EXPECT(SSL_set_max_proto_version(f.ssl, TLS1_2_VERSION) == 1);
    EXPECT(!foreigner_shakes(&f));
    EXPECT_ST(l.ends[CALLEE].ended, ST_INVALID);
    EXPECT(strstr(l.ends[CALLEE].why, "TLS: unsupported protocol") != NULL);
    foreigner_end(&f);
    line_end(&l);
}

static void
expect_row(struct foreigner *f, size_t size)
{
    uint8_t bytes[100];

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + 2);
    EXPECT_U64(SSL_write(f->ssl, bytes, (int)size), size);
}

TEST(a_record_that_is_damaged_or_cut_is_not_heard)
{
    struct line l;
    struct foreigner f;
    uint32_t events;

    for (size_t from_end = 1; from_end <= 116; from_end++) {
        begin_callee(&l, 100 + from_end);
        foreigner_begin(&f, &l, &l.nodes[1]);
        EXPECT(foreigner_shakes(&f));
        expect_row(&f, 100);
        foreigner_send(&f, 0, from_end);
        EXPECT_ST(l.ends[CALLEE].ended, ST_CORRUPT);
        EXPECT_U64(l.ends[CALLEE].received, 0);
        foreigner_end(&f);
        line_end(&l);
    }
    begin_callee(&l, 32);
    foreigner_begin(&f, &l, &l.nodes[1]);
    EXPECT(foreigner_shakes(&f));
    expect_row(&f, 100);
    foreigner_send(&f, 5, 0);
    EXPECT_OK(l.ends[CALLEE].ended);
    events = l.ends[CALLEE].events;
    line_run(&l, 1000); /* it is not called for what is only half here */
    EXPECT_U64(l.ends[CALLEE].events, events);
    foreigner_end(&f);
    EXPECT_ST(l.ends[CALLEE].ended, ST_CLOSED);
    EXPECT_U64(l.ends[CALLEE].received, 0);
    line_end(&l);
}

/* Keys may be changed on the way, and the other side be asked to do the same. */
TEST(new_keys_on_the_way_change_nothing)
{
    struct line l;
    struct foreigner f;

    begin_callee(&l, 33);
    foreigner_begin(&f, &l, &l.nodes[1]);
    EXPECT(foreigner_shakes(&f));
    EXPECT(SSL_key_update(f.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
    expect_row(&f, 100);
    foreigner_send(&f, 0, 0);
    EXPECT_U64(l.ends[CALLEE].received, 100);
    EXPECT_OK(l.ends[CALLEE].ended);
    foreigner_end(&f);
    line_end(&l);
}

/* T2: the beginning of a first message that claims to be long, and then more of it, for ever. */
TEST(a_handshake_without_end_is_ended)
{
    static uint8_t record[5 + 1024];
    struct line l;
    struct sim_client *c;
    size_t sent = 0;

    begin_callee(&l, 34);
    c = sim_connect(l.w, 1, LINE_PORT);
    memcpy(record, "\x16\x03\x01\x04\x00\x01\x01\xff\xff\x03\x03", 11);
    while (l.ends[CALLEE].ended == ST_OK && sent < 4 * HELLO_CLIENT_BYTES) {
        sim_client_send(c, slice_of(record, sizeof(record)));
        line_run(&l, 5);
        sent += sizeof(record);
        memset(record + 5, 0, sizeof(record) - 5);
    }
    EXPECT_ST(l.ends[CALLEE].ended, ST_INVALID);
    EXPECT(strstr(l.ends[CALLEE].why, "a handshake of more than") != NULL);
    EXPECT(sent >= HELLO_CLIENT_BYTES && sent < HELLO_CLIENT_BYTES + 3 * sizeof(record));
    sim_client_close(c);
    line_end(&l);
}

TEST(who_says_anything_at_all_does_no_harm)
{
    struct prng dice;

    prng_init(&dice, test_seed(35));
    for (uint64_t turn = 0; turn < 300; turn++) {
        uint8_t bytes[300];
        size_t size = 1 + prng_below(&dice, sizeof(bytes));
        struct sim_client *c;
        struct line l;

        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)prng_below(&dice, 256);
        if (turn % 2 == 0)
            memcpy(bytes, "\x16\x03\x01\x00\x80\x01\x00\x00\x7c", size < 9 ? size : 9);
        begin_callee(&l, turn);
        c = sim_connect(l.w, 1, LINE_PORT);
        sim_client_send(c, slice_of(bytes, size));
        line_run(&l, 50);
        EXPECT_U64(l.ends[CALLEE].received, 0);
        sim_client_close(c);
        line_run(&l, 50);
        EXPECT(l.ends[CALLEE].ended != ST_OK);
        line_end(&l);
    }
}

QUIET_TEST_MAIN(RUN(who_speaks_plainly_is_told_in_words_of_tls),
                RUN(a_node_without_tls_that_is_called_is_recognised),
                RUN(who_hangs_up_in_the_handshake_has_perhaps_no_tls),
                RUN(what_passes_for_tls_is_told_from_our_own_protocols),
                RUN(who_shows_no_certificate_is_refused), RUN(older_tls_is_refused),
                RUN(a_record_that_is_damaged_or_cut_is_not_heard),
                RUN(new_keys_on_the_way_change_nothing), RUN(a_handshake_without_end_is_ended),
                RUN(who_says_anything_at_all_does_no_harm))
