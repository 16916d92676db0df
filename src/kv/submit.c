/*
 * From a session to whoever evaluates its request.
 *
 *      session ──> kv_submit ──┬─ pure read ──────────> tablet_read, on this reactor
 *                              ├─ alone ──────────────> tablet_send: the tablet's reactor
 *                              └─ one of several ─────> its route (route.h): here, or another node
 *
 * The result comes back through request.done on the reactor that asked.
 */
#include "base/assert.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "kv/route.h"
#include "kv/scatter.h"

/* ------------------------------------------------------------------ what may be asked */

static enum status
check_op(const struct op *op, size_t *bytes)
{
    if (op->key.size > LIMIT_KEY_BYTES || op->key2.size > LIMIT_KEY_BYTES ||
        op->value.size > LIMIT_VALUE_BYTES)
        return ST_TOO_BIG;
    *bytes += op->key.size + op->key2.size + op->value.size + sizeof(*op);
    return *bytes > LIMIT_REQUEST_BYTES + (size_t)LIMIT_REQUEST_OPS * sizeof(*op) ? ST_TOO_BIG
                                                                                  : ST_OK;
}

enum status
kv__check_request(const struct request *r)
{
    size_t bytes = 0;
    enum status st = r->op_count <= LIMIT_REQUEST_OPS ? ST_OK : ST_TOO_BIG;

    for (uint32_t i = 0; i < r->op_count && st == ST_OK; i++)
        st = check_op(&r->ops[i], &bytes);
    for (uint32_t i = 0; i < r->precondition_count && st == ST_OK; i++) {
        if (r->preconditions[i].key.size > LIMIT_KEY_BYTES)
            st = ST_TOO_BIG;
    }
    return st;
}

/* Only the door's own loop writes its counters. */
static void
bump(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static void
count_ops(struct kv_door *door, const struct request *r)
{
    uint64_t gets = 0;
    uint64_t deletes = 0;

    for (uint32_t i = 0; i < r->op_count; i++) {
        gets += !op_writes(r->ops[i].kind);
        deletes += r->ops[i].kind == OP_DELETE;
    }
    bump(&door->counters.gets, gets);
    bump(&door->counters.deletes, deletes);
    bump(&door->counters.puts, r->op_count - gets - deletes);
}

static void
refuse(struct request *r, enum status st)
{
    r->status = st;
    request_done(r);
}

/* ------------------------------------------------------------------ asking */

void
kv__enter(struct kv_door *door, struct request *r)
{
    r->home = door->loop;
    r->way = &door->way;
    r->way->under_way++;
    r->cold = NULL;
    r->scratch = (struct buf){ 0 };
    r->err.text[0] = '\0';
    r->turn = 0;
    r->uncertain = false;
    r->term = 0;
    r->fence = NULL;
    r->elsewhere = 0;
    r->kind = REQUEST_OPERATIONS;
}

/* For request.edition. */
static uint64_t
edition_of(const struct site *site)
{
    return site->record == NULL ? 0 : site->record->edition;
}

/* From the door's own way onto that of its route. */
static void
take_route(struct kv_door *door, struct site *site, struct request *r)
{
    struct route *route = forward_route(door->forward, site);

    if (route == NULL) {
        refuse(r, ST_NO_MEMORY);
        return;
    }
    r->edition = edition_of(site);
    r->way->under_way--;
    route_submit(route, r);
}

/* The one site of all keys of the request, or of all there are.  ST_NOT_FOUND: there is no such keyspace;
 * ST_SCATTERED: they have several. */
static enum status
find_place(const struct kv_door *door, const struct request *r, struct site **out)
{
    const struct space *s = map_space(&door->map, r->keyspace);

    if (r->only != 0) {
        *out = map_find(&door->map, r->only);
        return *out == NULL ? ST_NOT_FOUND : ST_OK;
    }
    if (s == NULL || s->keyspace->tablet_count == 0)
        return ST_NOT_FOUND;
    *out = s->sites[0];
    return s->keyspace->tablet_count == 1 ? ST_OK : space_site_of(s, r, out);
}

/* A read that went past the routes has come back from an owner that does not lead. */
static bool
read_comes_back(struct request *r)
{
    struct kv_door *door = container_of(r->way, struct kv_door, way);
    struct site *site = NULL;

    if (r->status != ST_NOT_LEADER || door->draining || r->snapshot != NULL ||
        find_place(door, r, &site) != ST_OK)
        return false;
    take_route(door, site, r);
    return true;
}

void
kv__again(struct kv_door *door, struct request *r)
{
    struct site *site = NULL;
    enum status st = find_place(door, r, &site);

    r->way->under_way--;
    r->way = &door->way;
    r->way->under_way++;
    if (st == ST_OK)
        take_route(door, site, r);
    else if (st == ST_SCATTERED && !r->uncertain)
        scatter(door, r);
    else
        refuse(r, r->uncertain ? ST_UNKNOWN : st);
}

void
kv__forward_from(struct kv_door *door)
{
    door->way.back = read_comes_back;
}

/* To the owner here, past the routes; there may be none. */
static void
send_here(struct tablet *t, struct request *r)
{
    if (t == NULL)
        refuse(r, ST_NOT_LEADER);
    else
        tablet_send(t, r);
}

void
kv__ask(struct kv_door *door, struct site *site, struct request *r)
{
    struct tablet *t = map_tablet(&door->map, site);

    r->edition = edition_of(site);
    if (t != NULL && !r->ordered && r->precondition_count == 0 && !request_writes(r) &&
        tablet_read(t, &door->reactor.reader, r))
        return;
    if (door->forward == NULL || r->snapshot != NULL)
        send_here(t, r);
    else
        take_route(door, site, r);
}

void
kv_submit(struct kv_door *door, struct request *r)
{
    struct site *site = NULL;
    enum status st = find_place(door, r, &site);

    kv__enter(door, r);
    if (st == ST_OK || st == ST_SCATTERED)
        st = kv__check_request(r) == ST_OK ? st : ST_TOO_BIG;
    if (atomic_load_explicit(&door->kv->closing, memory_order_relaxed))
        st = ST_CLOSED;
    if (st == ST_OK || st == ST_SCATTERED)
        count_ops(door, r); /* it may be gone as soon as it is asked */
    if (st == ST_OK)
        kv__ask(door, site, r);
    else if (st != ST_SCATTERED)
        refuse(r, st);
    else
        scatter(door, r);
}

/* ------------------------------------------------------------------ snapshots */

enum status
kv_snapshot_take(struct kv_snapshot *out, const struct request *asked)
{
    struct lsm_snapshot *pin;

    ASSERT(asked->status == ST_OK && asked->snapshot == NULL);
    if (asked->elsewhere != 0)
        return ST_NOT_LEADER;
    pin = lsm_snapshot_take(tablet_lsm(asked->tablet));
    if (pin == NULL)
        return ST_NO_MEMORY;
    *out = (struct kv_snapshot){ tablet_hold(asked->tablet), pin, lsm_snapshot_version(pin) };
    return ST_OK;
}

void
kv_snapshot_release(struct kv_snapshot *s)
{
    if (s->pin == NULL)
        return;
    lsm_snapshot_release(tablet_lsm(s->tablet), s->pin);
    tablet_let_go(s->tablet);
    s->pin = NULL;
}
