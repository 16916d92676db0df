/* Tests of sessions: order, pipelines, closing. */
#include "api_fixture.h"
#include "unit/test.h"

TEST(a_client_is_answered)
{
    struct node n;
    struct client c;

    node_init(&n, 1);
    node_open(&n);
    c = client_connect(&n);
    client_ask(&c, "PING", "+PONG\r\n");
    client_ask(&c, "SET k v", "+OK\r\n");
    client_ask(&c, "GET k", "$1\r\nv\r\n");
    client_close(&c);
    node_close(&n);
    node_release(&n);
}

TEST_MAIN(RUN(a_client_is_answered))
