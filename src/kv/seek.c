#include "kv/seek.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "kv/route.h"

enum {
    PAUSE_MS_MIN = 10,
    PAUSE_MS_MAX = 100,
    PROBE_MS_MAX = 300,
    HERE_FIRST = 1, /* candidates: this node's own replica, then the members, then every node */
};

#define TERM_OF_NOBODY UINT64_MAX
#define NS_PER_MS      UINT64_C(1000000)

void
seek_init(struct seeker *s)
{
    *s = (struct seeker){ .pause_ms = PAUSE_MS_MIN };
}

void
seek_hear(struct seeker *s, const struct request *r)
{
    if (r->status == ST_NOT_LEADER && r->leader != 0 && r->leader_term > s->heard.term)
        s->heard = (struct leadership){ r->leader, r->leader_term };
}

static struct loop *
loop_of(const struct route *route)
{
    return route->forward->door->loop;
}

static void
probed(struct request *r)
{
    struct seeker *s = container_of(r, struct seeker, probe);

    s->probing = false;
    seek_hear(s, r);
    route_stir(container_of(s, struct route, seeker));
}

/* False: it cannot be asked. */
static bool
ask(struct route *route, uint64_t node)
{
    struct forward *f = route->forward;
    struct seeker *s = &route->seeker;
    struct loop *loop = loop_of(route);

    s->probe = (struct request){ .keyspace = route->site->keyspace,
                                 .term = TERM_OF_NOBODY,
                                 .deadline_ns = loop_now_ns(loop) + PROBE_MS_MAX * NS_PER_MS,
                                 .home = loop,
                                 .way = &f->probes,
                                 .done = probed };
    s->probing = true;
    f->probes.under_way++;
    if (node == forward_self(f)) {
        route_send_to_ours(route, &s->probe);
        return true;
    }
    if (forward_can_reach(f, node) && forward_send(f, route, &s->probe, node) == ST_OK)
        return true;
    f->probes.under_way--;
    s->probing = false;
    return false;
}

/* 0: there are no more. */
static uint64_t
candidate(const struct route *route, uint32_t at)
{
    const struct tablet_record *record = route->site->record;
    uint32_t members = record == NULL ? 0 : record->member_count;

    if (at < HERE_FIRST)
        return forward_self(route->forward);
    at -= HERE_FIRST;
    if (at < members)
        return record->members[at].node;
    return forward_neighbour(route->forward, at - members);
}

void
seek_go_on(struct route *route)
{
    struct seeker *s = &route->seeker;
    uint64_t now_ns = loop_now_ns(loop_of(route));
    uint64_t node;

    if (s->probing || now_ns < s->due_ns)
        return;
    while ((node = candidate(route, s->candidate)) != 0) {
        bool again = s->candidate >= HERE_FIRST && node == forward_self(route->forward);

        s->candidate++;
        if (!again && ask(route, node))
            return;
    }
    s->candidate = 0;
    s->due_ns = now_ns + s->pause_ms * NS_PER_MS;
    forward_wake_in(route->forward, s->pause_ms);
    s->pause_ms = s->pause_ms * 2 < PAUSE_MS_MAX ? s->pause_ms * 2 : PAUSE_MS_MAX;
}

void
seek_question(struct route *route, uint64_t node)
{
    struct seeker *s = &route->seeker;
    uint64_t now_ns = loop_now_ns(loop_of(route));

    if (s->probing || now_ns < s->due_ns)
        return;
    s->due_ns = now_ns + PAUSE_MS_MAX * NS_PER_MS;
    (void)ask(route, node);
}

void
seek_end(struct seeker *s)
{
    s->candidate = 0;
    s->pause_ms = PAUSE_MS_MIN;
    s->due_ns = 0;
}
