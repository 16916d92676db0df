/* Who is let in, and what is said of who is not: both ends can tell why, and nothing of it harms. */
#include <openssl/ssl.h>

#include "unit/peer/line.h"

enum { HOUR_S = 3600, DAY_S = 86400, HELLO_CLIENT_BYTES = 64 << 10 };

/* ------------------------------------------------------------------ files */

static enum status
try_files(struct line *l, char text[ERR_TEXT_MAX])
{
    struct carrier *c = NULL;
    struct err err = { 0 };
    enum status st = carrier_create(&c, loop_env(sim_loop(l->w, 1, 0)), &pki_files, &err);

    snprintf(text, ERR_TEXT_MAX, "%s", err.text);
    carrier_destroy(c);
    return st;
}

static void
expect_refused(struct line *l, enum status st, const char *setting, const char *part)
{
    char text[ERR_TEXT_MAX];

    EXPECT_ST(try_files(l, text), st);
    if (strncmp(text, setting, strlen(setting)) != 0 || strstr(text, part) == NULL) {
        print_error("\"%s\", expected %s and \"%s\"\n", text, setting, part);
        fail();
    }
    pki_put(l->w, 1, &l->nodes[0], &l->ca);
    EXPECT_OK(try_files(l, text));
}

static void
put_text(struct line *l, const char *path, const char *text)
{
    EXPECT(sim_disk_write(l->w, 1, path, slice_str(text)));
}

static void
put_both(struct line *l, const char *path, const struct pki *first, const char *then)
{
    struct buf bytes = buf_empty(1 << 20);

    pki_put_cert(l->w, 1, path, first);
    EXPECT(sim_disk_read(l->w, 1, path, &bytes));
    EXPECT_OK(buf_append(&bytes, slice_str(then)));
    EXPECT(sim_disk_write(l->w, 1, path, buf_slice(&bytes)));
    buf_release(&bytes);
}

TEST(a_file_that_is_wrong_is_named_with_its_setting)
{
    static const char damaged[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    struct line l;

    line_begin(&l, 1);
    for (size_t i = 0; i < 3; i++) {
        static const char *const paths[] = { "cert", "key", "ca" };
        static const char *const settings[] = { "peer-tls-cert: ", "peer-tls-key: ",
                                                "peer-tls-ca: " };

        EXPECT(sim_disk_remove(l.w, 1, paths[i]));
        expect_refused(&l, ST_NOT_FOUND, settings[i], paths[i]);
        put_text(&l, paths[i], "");
        expect_refused(&l, ST_INVALID, settings[i], "in PEM");
        put_text(&l, paths[i], "no PEM at all\n");
        expect_refused(&l, ST_INVALID, settings[i], "in PEM");
        put_text(&l, paths[i], damaged);
        expect_refused(&l, ST_INVALID, settings[i], "in PEM");
        if (i == 1)
            continue;
        put_both(&l, paths[i], i == 0 ? &l.nodes[0] : &l.ca, damaged);
        expect_refused(&l, ST_INVALID, settings[i], "damaged");
    }
    pki_put_key(l.w, 1, "key", &l.nodes[1], NULL);
    expect_refused(&l, ST_INVALID, "peer-tls-key: ", "not that of peer-tls-cert");
    pki_put_key(l.w, 1, "key", &l.nodes[0], "secret");
    expect_refused(&l, ST_INVALID, "peer-tls-key: ", "without a passphrase");
    line_end(&l);
}

/* ------------------------------------------------------------------ certificates */

struct misfit {
    struct pki_wish wish;
    const char *own;    /* what is said of it where it is read */
    const char *theirs; /* by whom it is shown to */
    const char *alert;  /* by whom that is told */
};

static const struct misfit misfits[] = {
    { { .name = "late", .from_s = -2 * DAY_S, .until_s = -HOUR_S },
      "certificate has expired",
      "certificate has expired",
      "certificate expired" },
    { { .name = "early", .from_s = HOUR_S, .until_s = DAY_S },
      "certificate is not yet valid",
      "certificate is not yet valid",
      "bad certificate" },
    { { .name = "other" },
      "unable to get local issuer certificate",
      "unable to get local issuer certificate",
      "unknown CA" },
    { { .name = "self" }, "self-signed certificate", "self-signed certificate", "unknown CA" },
};

enum { OTHER_CA = 2, SELF = 3 };

static void
make_misfit(struct pki *out, size_t i, struct line *l, struct pki *other_ca)
{
    struct pki_wish wish = misfits[i].wish;

    wish.issuer = &l->ca;
    if (i == OTHER_CA)
        wish.issuer = other_ca;
    if (i == SELF)
        wish.issuer = NULL;
    pki_make(out, &wish);
}

TEST(a_certificate_that_others_would_refuse_is_refused_by_its_owner)
{
    static const char *const half[] = { "serverAuth", "clientAuth" };
    struct pki other_ca, misfit;
    struct line l;

    line_begin(&l, 2);
    pki_authority(&other_ca, "other ca");
    for (size_t i = 0; i < sizeof(misfits) / sizeof(misfits[0]); i++) {
        make_misfit(&misfit, i, &l, &other_ca);
        pki_put_cert(l.w, 1, "cert", &misfit);
        pki_put_key(l.w, 1, "key", &misfit, NULL);
        expect_refused(&l, ST_INVALID, "peer-tls-cert: ", misfits[i].own);
        pki_release(&misfit);
    }
    for (size_t i = 0; i < 2; i++) { /* a node calls, and is called */
        struct pki_wish wish = { .name = "half", .issuer = &l.ca, .purpose = half[i] };

        pki_make(&misfit, &wish);
        pki_put(l.w, 1, &misfit, &l.ca);
        expect_refused(&l, ST_INVALID, "peer-tls-cert: ", "purpose");
        pki_release(&misfit);
    }
    pki_release(&other_ca);
    line_end(&l);
}

/* The end with index `shows` has what its carrier takes for good: its clock or its CA is another one. */
static void
expect_misfit(size_t i, uint32_t shows)
{
    struct pki other_ca, misfit;
    struct line l;
    struct end *shown, *judge;

    line_begin(&l, i);
    pki_authority(&other_ca, "other ca");
    make_misfit(&misfit, i, &l, &other_ca);
    pki_put(l.w, shows + 1, &misfit, i == SELF ? &misfit : i == OTHER_CA ? &other_ca : &l.ca);
    if (i < OTHER_CA)
        sim_jump_clock(l.w, shows + 1, (i == 0 ? -DAY_S : 2 * HOUR_S) * INT64_C(1000));
    line_equip(&l);
    if (i >= OTHER_CA) { /* it trusts the others */
        pki_put_cert(l.w, shows + 1, "ca", &l.ca);
        EXPECT_ST(carrier_reload(l.ends[shows].carrier, NULL), ST_INVALID);
    }
    shown = &l.ends[shows];
    judge = &l.ends[1 - shows];
    shown->to_send = judge->to_send = 1000;
    line_call(&l);
    line_run(&l, 1000);
    EXPECT_ST(judge->ended, ST_INVALID);
    EXPECT_U64(judge->received, 0);
    if (i < OTHER_CA || shows == CALLEE) {
        EXPECT(strstr(judge->why, misfits[i].theirs) != NULL);
        EXPECT(shown->ended != ST_OK);
        EXPECT(strstr(shown->why, misfits[i].alert) != NULL);
        EXPECT(strstr(shown->why, "it refuses our certificate") != NULL);
    } else { /* who calls has seen first that they are not of one CA */
        EXPECT(strstr(shown->why, "its certificate is refused") != NULL);
        EXPECT(strstr(judge->why, "it refuses our certificate: unknown CA") != NULL);
    }
    EXPECT_U64(shown->received, 0);
    pki_release(&misfit);
    pki_release(&other_ca);
    line_end(&l);
}

TEST(both_sides_judge_and_say_why)
{
    for (size_t i = 0; i < sizeof(misfits) / sizeof(misfits[0]); i++) {
        expect_misfit(i, CALLER);
        expect_misfit(i, CALLEE);
    }
}

TEST(certificates_between_ours_and_the_authority_are_shown)
{
    struct pki between, node;
    struct pki_wish wish = { .name = "between", .is_authority = true };
    struct buf pem = buf_empty(1 << 20), more = buf_empty(1 << 20);
    struct line l;

    line_begin(&l, 3);
    wish.issuer = &l.ca;
    pki_make(&between, &wish);
    pki_node(&node, &between, "far");
    pki_put(l.w, 2, &node, &l.ca);
    pki_put_cert(l.w, 2, "between", &between);
    EXPECT(sim_disk_read(l.w, 2, "cert", &pem));
    EXPECT(sim_disk_read(l.w, 2, "between", &more));
    EXPECT_OK(buf_append(&pem, buf_slice(&more)));
    EXPECT(sim_disk_write(l.w, 2, "cert", buf_slice(&pem)));
    line_equip(&l);
    l.ends[CALLER].to_send = 10;
    line_call(&l);
    line_run(&l, 100);
    EXPECT_U64(l.ends[CALLEE].received, 10);
    buf_release(&pem);
    buf_release(&more);
    pki_release(&node);
    pki_release(&between);
    line_end(&l);
}

/* The CA of the cluster may be a branch: whom the root has signed is somebody else's. */
TEST(a_branch_can_be_the_authority_and_its_root_is_not)
{
    struct pki_wish wish = { .name = "branch", .is_authority = true };
    struct pki branch, nodes[2];
    struct line l;

    line_begin(&l, 3);
    wish.issuer = &l.ca;
    pki_make(&branch, &wish);
    for (uint32_t i = 0; i < 2; i++) {
        pki_node(&nodes[i], &branch, "of the branch");
        pki_put(l.w, i + 1, &nodes[i], &branch);
    }
    line_equip(&l);
    l.ends[CALLER].to_send = 10;
    line_call(&l);
    line_run(&l, 100);
    EXPECT_U64(l.ends[CALLEE].received, 10);
    pki_put_cert(l.w, 2, "cert", &l.nodes[1]);
    pki_put_key(l.w, 2, "key", &l.nodes[1], NULL);
    EXPECT_ST(carrier_reload(l.ends[CALLER].carrier, NULL), ST_INVALID);
    for (uint32_t i = 0; i < 2; i++)
        pki_release(&nodes[i]);
    pki_release(&branch);
    line_end(&l);
}

/* ------------------------------------------------------------------ rotation */

static void
call_again(struct line *l)
{
    for (uint32_t i = 0; i < 2; i++) {
        end_hang_up(&l->ends[i]);
        l->ends[i].ended = ST_OK;
        l->ends[i].sent = l->ends[i].received = 0;
        l->ends[i].why[0] = '\0';
    }
    line_call(l);
    line_run(l, 200);
}

TEST(files_that_have_changed_count_for_new_connections)
{
    struct pki new_ca, renewed;
    struct line l;

    line_begin(&l, 4);
    line_equip(&l);
    l.ends[CALLER].to_send = 100;
    line_call(&l);
    line_run(&l, 100);
    EXPECT_U64(l.ends[CALLEE].received, 100);

    pki_authority(&new_ca, "new ca");
    pki_node(&renewed, &new_ca, "n2");
    pki_put(l.w, 2, &renewed, &new_ca);
    EXPECT_OK(carrier_reload(l.ends[CALLER].carrier, NULL));
    l.ends[CALLER].to_send = 200; /* what stands goes on */
    end_resume(&l.ends[CALLER]);
    line_run(&l, 100);
    EXPECT_U64(l.ends[CALLEE].received, 200);

    call_again(&l); /* what is new is judged anew: nothing of the old connection is resumed */
    EXPECT_U64(l.ends[CALLEE].received, 0);
    EXPECT(strstr(l.ends[CALLER].why, "its certificate is refused") != NULL);
    pki_put(l.w, 2, &l.nodes[1], &l.ca);
    EXPECT_OK(carrier_reload(l.ends[CALLER].carrier, NULL));
    call_again(&l);
    EXPECT_U64(l.ends[CALLEE].received, 200);
    pki_release(&renewed);
    pki_release(&new_ca);
    line_end(&l);
}

TEST(files_that_have_become_wrong_change_nothing)
{
    struct line l;
    struct err err;

    line_begin(&l, 5);
    line_equip(&l);
    EXPECT(sim_disk_write(l.w, 2, "cert", slice_str("?")));
    EXPECT_ST(carrier_reload(l.ends[CALLER].carrier, &err), ST_INVALID);
    EXPECT(sim_disk_remove(l.w, 2, "key"));
    pki_put_cert(l.w, 2, "cert", &l.nodes[1]);
    EXPECT_ST(carrier_reload(l.ends[CALLER].carrier, &err), ST_NOT_FOUND);
    l.ends[CALLER].to_send = 10;
    line_call(&l);
    line_run(&l, 100);
    EXPECT_U64(l.ends[CALLEE].received, 10);
    line_end(&l);
}

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

/* ------------------------------------------------------------------ no memory */

TEST(a_carrier_survives_the_failure_of_every_allocation)
{
    struct line l;
    enum status st = ST_NO_MEMORY;
    uint64_t nth = 0;

    line_begin(&l, 40);
    while (st == ST_NO_MEMORY) {
        struct mem_heap heap = { .fail_at = ++nth };
        struct mem_heap *before = mem_heap_enter(&heap);
        struct carrier *c = NULL;

        st = carrier_create(&c, loop_env(sim_loop(l.w, 1, 0)), &pki_files, NULL);
        carrier_destroy(c);
        mem_heap_enter(before);
        EXPECT_U64(heap.block_count, 0);
    }
    EXPECT_OK(st);
    EXPECT(nth > 6);
    line_end(&l);
}

QUIET_TEST_MAIN(RUN(a_file_that_is_wrong_is_named_with_its_setting),
                RUN(a_certificate_that_others_would_refuse_is_refused_by_its_owner),
                RUN(both_sides_judge_and_say_why),
                RUN(certificates_between_ours_and_the_authority_are_shown),
                RUN(a_branch_can_be_the_authority_and_its_root_is_not),
                RUN(files_that_have_changed_count_for_new_connections),
                RUN(files_that_have_become_wrong_change_nothing),
                RUN(who_speaks_plainly_is_told_in_words_of_tls),
                RUN(a_node_without_tls_that_is_called_is_recognised),
                RUN(who_hangs_up_in_the_handshake_has_perhaps_no_tls),
                RUN(what_passes_for_tls_is_told_from_our_own_protocols),
                RUN(who_shows_no_certificate_is_refused), RUN(older_tls_is_refused),
                RUN(a_record_that_is_damaged_or_cut_is_not_heard),
                RUN(new_keys_on_the_way_change_nothing), RUN(a_handshake_without_end_is_ended),
                RUN(who_says_anything_at_all_does_no_harm),
                RUN(a_carrier_survives_the_failure_of_every_allocation))
