#include "kv/parting.h"

#include "base/coding.h"

#include "kv/kv_internal.h"

_Static_assert(LIMIT_REACTORS <= 64, "a bit for each door");

static uint64_t
bits_of(uint64_t doors)
{
    return doors >= LIMIT_REACTORS ? UINT64_MAX : (UINT64_C(1) << doors) - 1;
}

/* 0: there is none. */
static uint64_t
connected_to(const struct forward *f, uint32_t at)
{
    uint64_t node = atomic_load(&f->links[at].neighbour->node);

    return node == 0 ? 0 : peer_incarnation(f->door->reactor.peer, node);
}

/* ------------------------------------------------------------------ another one stops */

bool
parting_of(const struct forward *f, uint32_t at)
{
    uint64_t parting = atomic_load(&f->links[at].neighbour->guest.parting);

    return parting != 0 && parting == connected_to(f, at);
}

static enum status
say_parted(struct forward *f, uint64_t node)
{
    uint8_t payload[VARINT_BYTES_MAX];
    uint8_t *end = put_varint(payload, f->door->kv->door_count);
    struct slice doors = slice_of(payload, (size_t)(end - payload));
    struct peer_message message = { .type = FORWARD_PARTED,
                                    .id = loop_index(f->door->loop),
                                    .parts = &doors,
                                    .part_count = 1,
                                    .urgent = true,
                                    .steady = true };

    return forward_post(f, node, &message);
}

void
parting_tend(struct forward *f, uint32_t at)
{
    struct forward_link *l = &f->links[at];
    uint64_t parting = atomic_load(&l->neighbour->guest.parting);

    if (l->parted_from == parting || !list_empty(&l->away) || !parting_of(f, at))
        return;
    if (say_parted(f, atomic_load(&l->neighbour->node)) == ST_OK)
        l->parted_from = parting;
}

void
parting_heard(struct forward *f, uint32_t at, const struct peer_sender *from)
{
    atomic_store(&f->links[at].neighbour->guest.parting, from->incarnation);
    parting_tend(f, at);
}

/* ------------------------------------------------------------------ we stop */

static bool
has_parted(const struct forward *f, uint32_t at)
{
    const struct neighbour_guest *heard = &f->links[at].neighbour->guest;
    uint64_t doors = atomic_load(&heard->doors);

    return doors != 0 && (atomic_load(&heard->parted) & doors) == doors;
}

/* What cannot be sent now is asked by the next tick. */
void
parting_ask(struct forward *f)
{
    struct peer_message message = { .type = FORWARD_PART, .urgent = true, .steady = true };
    enum status ignored;

    for (uint32_t at = 0; at < TABLET_NODES_MAX; at++) {
        if (connected_to(f, at) == 0 || has_parted(f, at))
            continue;
        ignored = forward_post(f, atomic_load(&f->links[at].neighbour->node), &message);
        (void)ignored;
    }
}

void
parted_heard(struct forward *f, uint32_t at, uint64_t id, struct slice payload)
{
    struct neighbour_guest *heard = &f->links[at].neighbour->guest;
    struct reader in = reader_of(payload);
    uint64_t doors = read_varint(&in);

    if (in.bad || id >= LIMIT_REACTORS)
        return;
    atomic_store(&heard->doors, bits_of(doors));
    atomic_fetch_or(&heard->parted, UINT64_C(1) << id);
    kv__check_drained(f->door);
}

bool
parting_is_done(const struct forward *f, uint64_t now_ns)
{
    if (now_ns >= f->part_until_ns)
        return true;
    for (uint32_t at = 0; at < TABLET_NODES_MAX; at++) {
        if (connected_to(f, at) != 0 && !has_parted(f, at))
            return false;
    }
    return true;
}
