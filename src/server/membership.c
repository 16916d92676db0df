#include "server/membership.h"

#include <stdio.h>

#include "base/assert.h"

enum {
    PEER_PORT_AFTER = 1000,
    PORTS = 65536,
    LEASE_PERCENT = 80, /* the setting read-leases says what it means */
};

static uint16_t
peer_port(const struct config *c)
{
    uint64_t port = c->peer_port != 0 ? c->peer_port : c->port + PEER_PORT_AFTER;

    if (c->peer_port == 0 && c->port == 0)
        return 0; /* whoever lets the system choose a port wants no other */
    return (uint16_t)(port < PORTS ? port : port - PORTS / 2);
}

static const char *
or_else(const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

struct cluster_pace
membership_pace(const struct config *c)
{
    return (struct cluster_pace){ .gossip_ms = c->gossip_interval_ms,
                                  .suspicion_ms = c->suspicion_threshold_ms,
                                  .down_ms = c->down_threshold_ms,
                                  .failure_ms = c->permanent_failure_threshold_ms };
}

void
membership_of(const struct config *c, struct membership *m, struct kv_member *out)
{
    uint16_t port = peer_port(c);

    *out = (struct kv_member){
        .cluster_name = c->cluster_name,
        .zone = or_else(c->zone, ""),
        .weight = (uint32_t)c->weight,
        .listen = { c->peer_bind, port },
        .peer = { or_else(c->advertise, c->peer_bind), port },
        .pace = membership_pace(c),
        .lease_percent = LEASE_PERCENT,
        .client = { or_else(c->advertise, c->bind), (uint16_t)c->port },
    };
    snprintf(m->name, sizeof(m->name), "%s:%u", out->client.host, out->client.port);
    if (c->node_name != NULL)
        snprintf(m->name, sizeof(m->name), "%s", c->node_name);
    if (c->join != NULL) {
        enum status st = config_address(c->join, m->join_host, &out->join.port);

        ASSERT(st == ST_OK);
        out->join.host = m->join_host;
    }
}
