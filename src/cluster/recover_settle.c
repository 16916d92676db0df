/*
 * What the metadata says when tablets were recovered.
 *
 *      a node that is lost                             removed
 *      a tablet that is led by a membership without    its members are those of the membership; who learns in it is
 *      a majority of its record's voters               to vote when it has caught up; its founder is who leads
 *
 * A tablet of which nothing is left is none of these: when the lost are removed, the steward gives it to others, who have
 * an empty copy each, and one of them is chosen like any other.
 *
 * That members go from a record at once does not break S3 and S4 (step.c): a committed, settled membership is without
 * them, and they are removed, or have a copy that is dropped, and join anew.
 */
#include "cluster/recover_internal.h"

static void
follow_group(struct tablet_record *t, const struct remnant *leader)
{
    const struct raft_config *config = &leader->config;

    t->member_count = t->founder_count = 0;
    for (uint32_t i = 0; i < config->voter_count; i++) {
        t->members[t->member_count++] = (struct tablet_member){ config->voters[i], MEMBER_VOTER };
        t->founders[t->founder_count++] = config->voters[i];
    }
    for (uint32_t i = 0; i < config->learner_count && t->member_count < RAFT_MEMBERS_MAX; i++)
        t->members[t->member_count++] =
            (struct tablet_member){ config->learners[i], MEMBER_JOINING };
    t->leader = 0;
}

bool
recover__is_outdated(const struct recover *v, const struct recover_case *k)
{
    struct raft_config asked;

    tablet_record_config(k->record, &asked);
    return k->verdict == RECOVERY_LED && k->record->member_count > 0 &&
           !left_elects(&v->left, &asked);
}

static bool
is_settled(const struct remnant *leader)
{
    return leader->config.outgoing_count == 0;
}

/* The lost first: who is removed is given nothing any more. */
static enum status
put_nodes(const struct recover *v, struct change *g)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < v->node_count && st == ST_OK; i++) {
        const struct node_record *n = atlas_node(v->cluster->atlas, v->nodes[i].id);
        struct record r = { .kind = RECORD_NODE };

        if (v->nodes[i].answered || n == NULL || n->state == NODE_REMOVED)
            continue;
        r.as.node = *n;
        r.as.node.state = NODE_REMOVED;
        st = change_put(g, &r);
    }
    return st;
}

/* `*early`: of a tablet nothing can be said yet. */
static enum status
put_tablets(const struct recover *v, struct change *g, bool *early)
{
    const struct atlas *a = v->cluster->atlas;
    enum status st = ST_OK;

    for (uint32_t i = 0; i < a->tablet_count && st == ST_OK; i++) {
        struct record r = { .kind = RECORD_TABLET, .as.tablet = *a->tablets[i] };
        struct recover_case k;

        recover__judge(v, a->tablets[i], &k);
        if (change_count(g) == CHANGE_RECORDS_MAX)
            break; /* the next time */
        if (!recover__is_outdated(v, &k))
            continue;
        *early |= !is_settled(k.chosen);
        follow_group(&r.as.tablet, k.chosen);
        if (is_settled(k.chosen))
            st = change_put(g, &r);
    }
    return st;
}

struct change *
recover__next_change(struct recover *v, enum status *st)
{
    struct change *g = change_begin(v->cluster, v->cluster->atlas);
    bool early = false;

    *st = g == NULL ? ST_NO_MEMORY : put_nodes(v, g);
    if (*st == ST_OK)
        *st = put_tablets(v, g, &early);
    if (*st == ST_OK && change_count(g) > 0)
        return g;
    if (*st == ST_OK && early)
        *st = ST_BUSY;
    change_drop(g);
    return NULL;
}
