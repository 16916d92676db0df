#include "engine/scope.h"

#include <string.h>

#include "base/slot.h"

bool
scope_bound_set(struct scope_bound *b, struct slice bytes)
{
    if (bytes.size > SCOPE_BOUND_BYTES)
        return false;
    *b = (struct scope_bound){ .size = (uint8_t)bytes.size };
    if (bytes.size > 0)
        memcpy(b->bytes, bytes.data, bytes.size);
    return true;
}

/* Is the partition key between the bounds? */
static bool
covers(const struct scope *s, struct slice partition)
{
    return slice_compare(partition, scope_bound_slice(&s->from)) >= 0 &&
           (s->limit.size == 0 || slice_compare(partition, scope_bound_slice(&s->limit)) < 0);
}

bool
scope_has(const struct scope *s, struct slice key)
{
    uint8_t room[2];

    switch (s->kind) {
    case SCOPE_SLOTS:
        return covers(s, slot_bound(slot_of(key), room));
    case SCOPE_KEYS:
        return covers(s, key);
    case SCOPE_WHOLE:
        break;
    }
    return true;
}

bool
scope_split(const struct scope *s, enum scope_kind kind, const struct scope_bound *at,
            struct scope *lower, struct scope *upper)
{
    struct slice bound = scope_bound_slice(at);

    if (kind == SCOPE_WHOLE || (s->kind != SCOPE_WHOLE && s->kind != kind))
        return false;
    if (bound.size == 0 || slice_compare(bound, scope_bound_slice(&s->from)) <= 0 ||
        (s->limit.size > 0 && slice_compare(bound, scope_bound_slice(&s->limit)) >= 0))
        return false;
    if (kind == SCOPE_SLOTS && slot_of_bound(bound, SLOT_COUNT) >= SLOT_COUNT)
        return false;
    *lower = *upper = *s;
    lower->kind = upper->kind = kind;
    lower->limit = upper->from = *at;
    lower->edition = upper->edition = s->edition + 1;
    return true;
}

static uint8_t *
put_bound(uint8_t *at, const struct scope_bound *b)
{
    *at++ = b->size;
    if (b->size > 0)
        memcpy(at, b->bytes, b->size);
    return at + b->size;
}

uint8_t *
put_scope(uint8_t *at, const struct scope *s)
{
    *at++ = (uint8_t)s->kind;
    at = put_varint(at, s->edition);
    at = put_bound(at, &s->from);
    return put_bound(at, &s->limit);
}

static void
read_bound(struct reader *r, struct scope_bound *b)
{
    if (!scope_bound_set(b, read_string(r)))
        r->bad = true;
}

void
read_scope(struct reader *r, struct scope *out)
{
    uint8_t kind = read_u8(r);

    *out = (struct scope){ .edition = read_varint(r) };
    read_bound(r, &out->from);
    read_bound(r, &out->limit);
    if (kind > SCOPE_KEYS ||
        (out->limit.size > 0 &&
         slice_compare(scope_bound_slice(&out->from), scope_bound_slice(&out->limit)) >= 0))
        r->bad = true;
    else
        out->kind = (enum scope_kind)kind;
}
