/* Who is let in, and what is said of who is not: both ends can tell why, and nothing of it harms. */
#include "unit/peer/line.h"

enum { HOUR_S = 3600, DAY_S = 86400 };

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
                RUN(a_carrier_survives_the_failure_of_every_allocation))
