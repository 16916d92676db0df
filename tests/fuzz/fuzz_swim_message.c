/* swim/codec.h: what decodes must encode to the same bytes; and no step of a node trusts it. */
/* LINKS: swim */
#include "base/assert.h"

#include "fuzz/fuzz.h"
#include "swim/codec.h"

enum { SELF = 1, OTHER = 2, MEMBERS = 4 };

static void
step(struct swim *s, const struct swim_event *event)
{
    static struct swim_effects fx;
    uint8_t bytes[SWIM_MESSAGE_BYTES_MAX];
    enum status st = swim_step(s, event, &fx);

    ASSERT(st == ST_OK || st == ST_INVALID);
    for (uint32_t i = 0; i < fx.message_count; i++)
        ASSERT(swim_message_encode(&fx.messages[i], bytes) <= SWIM_MESSAGE_BYTES_MAX);
}

/* It hears this from a member and from a stranger, and lives on. */
static void
try_node(struct swim_message *m)
{
    struct swim_options options;
    struct swim *s;

    swim_options_default(&options);
    options.self = SELF;
    if (swim_create(&s, &options) != ST_OK)
        return;
    for (swim_id id = OTHER; id < OTHER + MEMBERS; id++)
        step(s, &(struct swim_event){ .kind = SWIM_LEARN, .node = id });
    m->to = SELF;
    for (m->from = OTHER; m->from <= OTHER + MEMBERS; m->from++)
        step(s, &(struct swim_event){ .kind = SWIM_RECEIVE, .message = m });
    for (int i = 0; i < 100; i++)
        step(s, &(struct swim_event){ .kind = SWIM_TICK, .now_ns = swim_wake_ns(s) });
    swim_destroy(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[SWIM_MESSAGE_BYTES_MAX];
    struct swim_message m;

    if (swim_message_decode(slice_of(data, size), &m) != ST_OK)
        return 0;
    ASSERT(swim_message_encode(&m, again) == size && memcmp(again, data, size) == 0);
    try_node(&m);
    return 0;
}
