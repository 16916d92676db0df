/*
 * How full the disks are.
 *
 *      every node, with all of its reports     ROOM to every member of the metadata's group
 *      who is asked to let a node go           looks whether the others have room for what it has (withdrawal.h)
 *
 *      ROOM    free:varint total:varint        bytes
 */
#include "cluster/cluster_internal.h"
#include "cluster/steward.h"

enum { ROOM_KEPT_MS = 15000, ROOM_BYTES_MAX = 2 * VARINT_BYTES_MAX };

struct buf
rooms_say(const struct cluster *c)
{
    struct env_room ours = engine_room(c->engine);
    struct buf out = buf_empty(ROOM_BYTES_MAX);

    if (ours.total_bytes > 0 && (append_varint(&out, ours.free_bytes) != ST_OK ||
                                 append_varint(&out, ours.total_bytes) != ST_OK))
        out.size = 0; /* the next time */
    return out;
}

static uint32_t
place_of(const struct rooms *r, uint64_t node)
{
    uint32_t i = 0;

    while (i < r->count && r->at[i].node != node)
        i++;
    return i;
}

void
rooms_heard(struct cluster *c, uint64_t from, struct slice payload)
{
    struct reader r = reader_of(payload);
    struct steward_room said = { .node = from };
    uint32_t at = place_of(&c->rooms, from);

    said.free_bytes = read_varint(&r);
    said.total_bytes = read_varint(&r);
    if (r.bad || said.total_bytes == 0 || said.free_bytes > said.total_bytes ||
        at > TABLET_NODES_MAX || atlas_node(c->atlas, from) == NULL)
        return;
    c->rooms.at[at] = said;
    c->rooms.heard_ns[at] = loop_now_ns(c->loop);
    c->rooms.count += at == c->rooms.count;
}

void
rooms_view(struct cluster *c, struct steward_view *out)
{
    struct rooms *r = &c->rooms;
    uint64_t now_ns = loop_now_ns(c->loop);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < r->count; i++) {
        if (now_ns >= r->heard_ns[i] + (uint64_t)ROOM_KEPT_MS * NS_PER_MS)
            continue;
        r->at[kept] = r->at[i];
        r->heard_ns[kept++] = r->heard_ns[i];
    }
    r->count = kept;
    out->rooms = r->at;
    out->room_count = kept;
}
