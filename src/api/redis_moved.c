/*
 * MOVED: where that is asked for (the setting redis-moved), a command whose keys another node leads is not
 * forwarded, but its client is told whom to ask; once it has learned that, it saves a hop.
 *
 *      a request must not overtake an earlier one of its connection, which may still be on its way to that
 *      node: while a write is under way, what follows is forwarded, too
 *      what is not known for certain is forwarded: the keys of several tablets, of a range keyspace, a leader
 *      that is sought, or that no client can call
 *      in a MULTI each command is looked at when it is queued, and EXEC is never moved: as in Redis
 *
 * READONLY: reads of this connection are answered here, whoever leads; they are as fresh as anywhere, but where
 * the setting stale-reads-ms lets a replica here answer that is behind.
 * ASKING: the next command is answered here.
 */
#include <stdio.h>

#include "api/api_internal.h"
#include "api/redis.h"
#include "api/slots.h"

/* NULL: the keys have several, or none, or the keyspace no slots. */
static const struct tablet_record *
tablet_of_keys(const struct atlas_keyspace *k, const struct command *command,
               const struct slice *args, uint32_t count)
{
    uint32_t first = (uint32_t)command->first_key;
    const struct tablet_record *t;

    if (k == NULL || k->record.partition != PARTITION_HASH)
        return NULL;
    t = atlas_tablet_of(k, args[first]);
    for (uint32_t i = first; i <= command_last_key(command, count);
         i += (uint32_t)command->key_step) {
        if (atlas_tablet_of(k, args[i]) != t)
            return NULL;
    }
    return t;
}

static bool
may_move(struct session *s, const struct command *command)
{
    bool asking = s->asking;

    s->asking = false;
    return atomic_load_explicit(&s->reactor->api->moved, memory_order_relaxed) && !asking &&
           command->first_key > 0 && s->writes_unfinished == 0 &&
           !(s->reads_here && (command->flags & CMD_READONLY) != 0);
}

const char *
redis_moved(struct session *s, const struct command *command, const struct slice *args,
            uint32_t count, char out[REFUSAL_TEXT_MAX])
{
    struct kv_door *door = s->reactor->door;
    const struct tablet_record *t;
    const struct node_record *leader;
    const struct atlas *atlas;

    if (!may_move(s, command))
        return NULL;
    atlas = leaders_atlas(door);
    t = tablet_of_keys(atlas_keyspace(atlas, s->keyspace), command, args, count);
    if (t == NULL)
        return NULL;
    leader = atlas_node(atlas, leaders_elsewhere(door, t));
    if (leader == NULL || leader->client.host[0] == '\0' || leader->client.port == 0)
        return NULL;
    snprintf(out, REFUSAL_TEXT_MAX, "MOVED %u %s:%u", slot_of(args[command->first_key]),
             leader->client.host, leader->client.port);
    return out;
}

void
local_readonly(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)args;
    (void)count;
    s->reads_here = true;
    resp_put_simple(w, "OK");
}

void
local_readwrite(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)args;
    (void)count;
    s->reads_here = false;
    resp_put_simple(w, "OK");
}

void
local_asking(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)args;
    (void)count;
    s->asking = true;
    resp_put_simple(w, "OK");
}
