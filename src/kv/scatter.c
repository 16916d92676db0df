/*
 *      whole   a b c d e          ops, by number
 *      parts   [a c] [b e] [d]    one for each place; each op knows its number in the whole
 *
 * The values of a part die when it is done, so they are copied; they live until the whole is.
 */
#include "kv/scatter.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"

#include "kv/kv_internal.h"

enum { VALUES_CHUNK_BYTES = 4 << 10 };

struct part {
    struct request request;
    struct whole *whole;
    struct site *site;
    struct op *ops;
    struct op_result *results;
    uint32_t *numbers; /* of its ops in the whole */
};

/* One block: this, the parts, and what they point to. */
struct whole {
    struct kv_door *door;
    struct request *request;
    struct part *parts;
    uint32_t part_count;
    uint32_t left;      /* parts that are not done */
    bool wrote;         /* a part that writes was carried out, or may have been */
    enum status status; /* the first failure */
    struct arena values;
    size_t value_bytes;
};

/* ------------------------------------------------------------------ gathering */

static void
finish(struct whole *w)
{
    struct request *r = w->request;

    r->status = w->status;
    if (w->status != ST_OK && w->wrote)
        r->status = ST_UNKNOWN;
    r->elsewhere = true; /* there is no one snapshot of it */
    request_done(r);
    arena_release(&w->values);
    mem_free(w);
}

static enum status
keep_result(struct whole *w, const struct op_result *from, struct op_result *to)
{
    uint8_t *copy;

    *to = *from;
    to->value = (struct slice){ 0 };
    w->value_bytes += from->value.size;
    if (w->value_bytes > w->request->result_bytes_max)
        return ST_TOO_BIG;
    if (from->value.size == 0)
        return ST_OK;
    copy = arena_alloc_bytes(&w->values, from->value.size);
    if (copy == NULL)
        return ST_NO_MEMORY;
    memcpy(copy, from->value.data, from->value.size);
    to->value = slice_of(copy, from->value.size);
    return ST_OK;
}

static void
gathered(struct request *r)
{
    struct part *p = container_of(r, struct part, request);
    struct whole *w = p->whole;
    enum status st = r->status;

    for (uint32_t i = 0; i < r->op_count && st == ST_OK; i++)
        st = keep_result(w, &p->results[i], &w->request->results[p->numbers[i]]);
    if (request_writes(r) && (r->status == ST_OK || r->status == ST_UNKNOWN))
        w->wrote = true;
    if (st != ST_OK && w->status == ST_OK) {
        w->status = st;
        w->request->err = r->err;
    }
    if (--w->left == 0)
        finish(w);
}

/* ------------------------------------------------------------------ taking apart */

/* May it be done in parts, and is it about every tablet? */
static bool
may_be_parted(const struct request *r, bool *everywhere)
{
    *everywhere = r->op_count == 0 || r->ops[0].kind == OP_CLEAR;
    if (r->precondition_count > 0 || r->snapshot != NULL || r->client_id != 0)
        return false;
    if (*everywhere)
        return r->op_count <= 1;
    for (uint32_t i = 0; i < r->op_count; i++) {
        if (op_writes(r->ops[i].kind) && r->ops[i].kind != OP_DELETE)
            return false;
    }
    return true;
}

/* Room for so many parts, each with as many ops as it may get. */
static struct whole *
make_whole(struct kv_door *door, struct request *r, uint32_t parts, uint32_t ops)
{
    size_t bytes = sizeof(struct whole) + parts * sizeof(struct part) +
                   ops * (sizeof(struct op) + sizeof(struct op_result) + sizeof(uint32_t));
    struct whole *w = mem_alloc(bytes);

    if (w == NULL)
        return NULL;
    memset(w, 0, bytes);
    w->door = door;
    w->request = r;
    w->parts = (struct part *)(w + 1);
    arena_init(&w->values, VALUES_CHUNK_BYTES);
    return w;
}

static struct part *
part_of(struct whole *w, struct site *site)
{
    for (uint32_t i = 0; i < w->part_count; i++) {
        if (w->parts[i].site == site)
            return &w->parts[i];
    }
    w->parts[w->part_count] = (struct part){ .whole = w, .site = site };
    return &w->parts[w->part_count++];
}

static void
compose(struct part *p, const struct request *whole)
{
    uint32_t count = p->request.op_count;

    p->request = (struct request){ .keyspace = whole->keyspace,
                                   .durability = whole->durability,
                                   .origin = whole->origin,
                                   .ordered = whole->ordered,
                                   .admin = whole->admin,
                                   .deadline_ns = whole->deadline_ns,
                                   .stale_ms = whole->stale_ms,
                                   .ops = p->ops,
                                   .op_count = count,
                                   .results = p->results,
                                   .result_bytes_max = whole->result_bytes_max,
                                   .done = gathered };
}

/* First how many ops each part gets, then where they lie, then the ops. */
static void
deal(struct whole *w, const struct space *s)
{
    const struct request *r = w->request;
    struct op *ops = (struct op *)(w->parts + w->part_count);
    struct op_result *results;
    uint32_t *numbers;

    results = (struct op_result *)(ops + r->op_count);
    numbers = (uint32_t *)(results + r->op_count);
    for (uint32_t i = 0; i < w->part_count; i++) {
        struct part *p = &w->parts[i];

        p->ops = ops;
        p->results = results;
        p->numbers = numbers;
        ops += p->request.op_count;
        results += p->request.op_count;
        numbers += p->request.op_count;
        p->request.op_count = 0;
    }
    for (uint32_t i = 0; i < r->op_count; i++) {
        struct part *p = part_of(w, space_site(s, r->ops[i].key));

        ASSERT(p->ops != NULL);
        p->ops[p->request.op_count] = r->ops[i];
        p->numbers[p->request.op_count++] = i;
    }
}

/* A clear, or a request without operations, goes to every tablet as it is. */
static struct whole *
part_everywhere(struct kv_door *door, struct request *r, const struct space *s)
{
    uint32_t count = s->keyspace->tablet_count;
    struct whole *w = make_whole(door, r, count, count);
    struct op *ops;
    struct op_result *results;
    uint32_t *numbers;

    if (w == NULL)
        return NULL;
    ops = (struct op *)(w->parts + count);
    results = (struct op_result *)(ops + count);
    numbers = (uint32_t *)(results + count);
    for (uint32_t i = 0; i < count; i++) {
        struct part *p = part_of(w, s->sites[i]);

        p->ops = &ops[i];
        p->results = &results[i];
        p->numbers = &numbers[i];
        if (r->op_count > 0)
            p->ops[0] = r->ops[0];
        p->request.op_count = r->op_count;
    }
    return w;
}

static struct whole *
part_by_key(struct kv_door *door, struct request *r, const struct space *s)
{
    uint32_t most =
        s->keyspace->tablet_count < r->op_count ? s->keyspace->tablet_count : r->op_count;
    struct whole *w = make_whole(door, r, most, r->op_count);

    if (w == NULL)
        return NULL;
    for (uint32_t i = 0; i < r->op_count; i++)
        part_of(w, space_site(s, r->ops[i].key))->request.op_count++;
    deal(w, s);
    return w;
}

static void
refuse(struct request *r, enum status st)
{
    r->status = st;
    request_done(r);
}

void
scatter(struct kv_door *door, struct request *r)
{
    const struct space *s = map_space(&door->map, r->keyspace);
    struct whole *w;
    uint32_t count;
    bool everywhere;

    ASSERT(s != NULL);
    if (!may_be_parted(r, &everywhere)) {
        refuse(r, ST_SCATTERED);
        return;
    }
    w = everywhere ? part_everywhere(door, r, s) : part_by_key(door, r, s);
    if (w == NULL) {
        refuse(r, ST_NO_MEMORY);
        return;
    }
    count = w->left = w->part_count;
    for (uint32_t i = 0; i < count; i++) /* the last of them may end the whole */
        compose(&w->parts[i], r);
    for (uint32_t i = 0; i < count; i++) {
        struct part *p = &w->parts[i];

        kv__enter(door, &p->request);
        p->request.turn =
            r->turn; /* not 0: it was under way, as one, before its tablet was split */
        kv__ask(door, p->site, &p->request);
    }
}
