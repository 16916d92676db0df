/*
 * Every allocation fails in turn, once and then for good, while a client says
 * many things.  It may be told that there is no memory, or lose its
 * connection; the node goes on, serves the next one, and forgets nothing.
 */
#include "base/mem.h"

#include "api_fixture.h"
#include "unit/test.h"

static const char *const scripts[] = {
    "PING\r\nECHO hello\r\nHELLO 3\r\nCLIENT SETNAME me\r\nCLIENT INFO\r\nCLIENT LIST\r\n",
    "SET k v\r\nGET k\r\nAPPEND k w\r\nMSET a 1 b 2\r\nMGET a b k\r\nINCR a\r\nGETDEL b\r\n"
    "SETRANGE k 100 x\r\nEXPIRE k 100\r\nTTL k\r\nRENAME k l\r\nCOPY l m\r\nDEL l m\r\n",
    "WATCH k\r\nMULTI\r\nSET k v\r\nMGET a k\r\nPING\r\nINCR a\r\nSET k v EX x\r\nEXEC\r\n",
    "KEYS *\r\nSCAN 0 COUNT 1\r\nRANGE - +\r\nDBSIZE\r\nRANDOMKEY\r\n",
    "CONFIG GET *\r\nCONFIG SET test-setting x\r\nINFO\r\nCOMMAND DOCS get\r\nDISTKV STATS\r\n",
    "CLUSTER SLOTS\r\nCLUSTER SHARDS\r\nCLUSTER NODES\r\nCLUSTER INFO\r\n"
    "SET {z}a v\r\nCLUSTER GETKEYSINSLOT 8157 9\r\nCLUSTER COUNTKEYSINSLOT 8157\r\n",
    "MSETNX x 1 y 2\r\nDEL x y\r\nFLUSHDB\r\nSELECT 3\r\nSET k v\r\nGET k\r\nQUIT\r\n",
    "PUT k v\nGET k\nDEL k\nSTATS\nnonsense\n",
};

enum { SCRIPTS = sizeof(scripts) / sizeof(scripts[0]) };

static void
expect_served(struct inn *n)
{
    struct client c = client_connect(n);

    client_ask(&c, "PING", "+PONG\r\n");
    client_ask(&c, "SET z v", "+OK\r\n");
    client_ask(&c, "GET z", "$1\r\nv\r\n");
    client_close(&c);
}

/* False when the allocation was never reached. */
static bool
run_script(struct inn *n, const char *script, uint64_t nth, bool for_good)
{
    struct mem_heap *heap = sim_heap(n->w, NODE_ID);
    struct client c;
    bool reached;

    heap->fail_at = heap->allocation + nth;
    heap->fail_for_good = for_good;
    c = client_connect(n);
    client_send_text(&c, script);
    for (int i = 0; i < 60; i++) {
        sim_run_ms(n->w, 1);
        sim_client_consume(c.c, sim_client_received(c.c).size);
    }
    reached = heap->allocation >= heap->fail_at;
    heap->fail_at = 0;
    heap->fail_for_good = false;
    client_close(&c);
    sim_run_ms(n->w, 20);
    return reached;
}

/* A node of its own for each, so that its pools are empty. */
static bool
fail_one(const char *script, uint64_t nth, bool for_good)
{
    struct inn n;
    bool reached;

    inn_init(&n, nth);
    inn_open(&n);
    reached = run_script(&n, script, nth, for_good);
    expect_served(&n);
    inn_close(&n);
    inn_release(&n);
    return reached;
}

static void
fail_each(bool for_good)
{
    for (int i = 0; i < SCRIPTS; i++) {
        uint64_t nth = 1;

        while (fail_one(scripts[i], nth, for_good))
            nth++;
        print_message("script %d: %llu allocations\n", i, (unsigned long long)nth - 1);
    }
}

TEST(each_allocation_may_fail_once)
{
    fail_each(false);
}

TEST(each_allocation_may_fail_for_good)
{
    fail_each(true);
}

TEST_MAIN(RUN(each_allocation_may_fail_once), RUN(each_allocation_may_fail_for_good))
