/* Power cuts at any moment: what was acknowledged is there, and what survives
 * is a prefix of what was sent (P1). */
#include "kv_fixture.h"
#include "unit/test.h"

enum { KEYS = 20, ROUNDS = 6, BURST = 40 };

/* What may be found under each key: the newest acknowledged value, or one of the same burst that
 * was not acknowledged (it may have been evaluated after that one). */
struct expectation {
    uint64_t acknowledged; /* number of the write; 0 = none */
    version_t version;     /* and its version */
    uint64_t sent[64];     /* numbers of later writes, not acknowledged */
    uint32_t sent_count;
};

struct campaign {
    struct kvfix f;
    struct expectation keys[KEYS];
    uint64_t next;
};

static void
check_key(struct campaign *c, int k)
{
    struct expectation *x = &c->keys[k];
    char key[32];
    const char *got;
    uint64_t number;
    bool allowed;

    snprintf(key, sizeof(key), "key:%d", k);
    got = fix_get(&c->f, key);
    number = strcmp(got, "nil") == 0 ? 0 : strtoull(got, NULL, 10);
    allowed = number == x->acknowledged;
    for (uint32_t i = 0; i < x->sent_count; i++)
        allowed = allowed || number == x->sent[i];
    if (!allowed)
        print_error("%s: found %s, acknowledged was %llu\n", key, got,
                    (unsigned long long)x->acknowledged);
    EXPECT(allowed);
    x->acknowledged = number; /* whatever it is now, it must stay */
    x->sent_count = 0;
}

static struct call *
send_write(struct campaign *c, int k)
{
    struct call *call = call_new(&c->f, (uint32_t)prng_below(sim_prng(c->f.w), FIX_LOOPS));
    char key[32], value[200];

    snprintf(key, sizeof(key), "key:%d", k);
    snprintf(value, sizeof(value), "%llu %0150d", (unsigned long long)++c->next, 0);
    call_value(call, call_op(call, OP_PUT, key), value);
    call->request.sequence = c->next; /* to find its number again */
    call_send(call);
    return call;
}

static void
note(struct campaign *c, int k, const struct call *call)
{
    struct expectation *x = &c->keys[k];

    if (call->done && call->request.status == ST_OK) {
        if (call->results[0].version > x->version) {
            x->acknowledged = call->request.sequence;
            x->version = call->results[0].version;
        }
    } else if (x->sent_count < 64) {
        x->sent[x->sent_count++] = call->request.sequence;
    }
}

static void
burst(struct campaign *c)
{
    struct call *calls[BURST];
    int keys[BURST];

    for (int i = 0; i < BURST; i++) {
        keys[i] = (int)prng_below(sim_prng(c->f.w), KEYS);
        calls[i] = send_write(c, keys[i]);
        if (prng_chance(sim_prng(c->f.w), 1, 4))
            sim_run_ms(c->f.w, prng_below(sim_prng(c->f.w), 3));
    }
    sim_run_ms(c->f.w, prng_below(sim_prng(c->f.w), 20));
    kvfix_crash(&c->f);
    for (int i = 0; i < BURST; i++) {
        note(c, keys[i], calls[i]);
        free(calls[i]);
    }
}

/* A second cut, in the middle of recovery, then a third try. */
static void
reopen(struct campaign *c)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        enum status st;

        c->f.env = NULL;
        if (attempt < 2 && prng_chance(sim_prng(c->f.w), 1, 2))
            st = kvfix_open_cut(&c->f, 1 + prng_below(sim_prng(c->f.w), 120));
        else
            st = kvfix_open(&c->f);
        if (st == ST_OK)
            return;
        if (sim_running(c->f.w, FIX_NODE))
            print_error("open: %s: %s\n", status_name(st), c->f.open_err.text);
        EXPECT(!sim_running(c->f.w, FIX_NODE)); /* it may only have been cut */
    }
    EXPECT_OK(kvfix_open(&c->f));
}

static void
run_seed(uint64_t seed)
{
    struct campaign *c = calloc(1, sizeof(*c));

    kvfix_create(&c->f, seed);
    EXPECT_OK(kvfix_open(&c->f));
    for (int round = 0; round < ROUNDS; round++) {
        burst(c);
        reopen(c);
        for (int k = 0; k < KEYS; k++)
            check_key(c, k);
    }
    kvfix_close(&c->f);
    kvfix_destroy(&c->f);
    free(c);
}

TEST(a_power_cut_loses_nothing_that_was_acknowledged)
{
    uint64_t seed = test_seed(1000);

    for (uint64_t i = 0; i < 40; i++) {
        print_message("seed %llu\n", (unsigned long long)(seed + i));
        run_seed(seed + i);
    }
}

TEST_MAIN(RUN(a_power_cut_loses_nothing_that_was_acknowledged))
