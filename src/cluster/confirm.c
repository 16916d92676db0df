/*
 * Is this node's atlas as new as what another leader may have acted on?
 *
 * Whoever comes to lead a group may have an older atlas than the leader before it, and would undo what that has
 * done: bring back a member that was forgotten, say, which has given up its replica and its promises.
 * So a leader changes its group only with an atlas that a read of the metadata, begun after its
 * leadership had, has found to be the newest.  Whatever leaders before it acted on was in the metadata by
 * then.
 */
#include "base/log.h"

#include "cluster/cluster_internal.h"

enum { CONFIRM_MS = 2000 };

bool
confirm_is_since(const struct seat *s, uint64_t since_ns)
{
    const struct cluster *c = s->cluster;
    uint64_t confirmed_ns = atomic_load(&c->confirm.begun_ns);

    return confirmed_ns > since_ns && s->atlas->version >= atomic_load(&c->confirm.version);
}

void
confirm_want(struct seat *s)
{
    atomic_store(&s->cluster->confirm.wanted, true);
}

/* The version first: whoever sees the time sees it, too, or a later one, which only asks for more. */
static void
on_read(struct request *r)
{
    struct confirm *f = container_of(r, struct confirm, request);
    struct cluster *c = container_of(f, struct cluster, confirm);
    version_t version = f->result.version;

    f->busy = false;
    c->under_way--;
    if (r->status != ST_OK)
        return;
    atomic_store(&f->version, version);
    atomic_store(&f->begun_ns, f->asked_ns);
    feed_rumour(c, 0, version);
}

void
confirm_tick(struct cluster *c, uint64_t now_ns)
{
    struct confirm *f = &c->confirm;
    struct record_key key = { .kind = RECORD_CLUSTER };

    if (f->busy || c->draining || !atomic_exchange(&f->wanted, false))
        return;
    f->busy = true;
    f->asked_ns = now_ns;
    record_key_encode(&key, f->key);
    f->op = (struct op){ .kind = OP_META, .key = slice_of(f->key, sizeof(f->key)) };
    f->request = (struct request){ .keyspace = ATLAS_META_KEYSPACE,
                                   .deadline_ns = now_ns + (uint64_t)CONFIRM_MS * NS_PER_MS,
                                   .ops = &f->op,
                                   .op_count = 1,
                                   .results = &f->result,
                                   .done = on_read };
    c->under_way++;
    c->options.submit(c->options.ctx, &f->request);
}
