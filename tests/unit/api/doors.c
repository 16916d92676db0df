#include "unit/api/doors.h"

#include "unit/test.h"

enum { LOOPS = 2, KEYS_TRIED = 1000, STEP_MS = 100, QUIET_MS = 5000, AWAITED_MS = 30000 };

struct opening {
    struct doors *d;
    uint32_t node;
    enum status status;
    struct err err;
};

static void
open_body(void *ctx)
{
    struct opening *o = ctx;
    struct doors *d = o->d;
    struct loop *loops[LOOPS];
    struct api_options options = { .deadline_ms = 5000,
                                   .connections_max = 100,
                                   .version = "0.1.0-test",
                                   .loop_count = LOOPS,
                                   .moved = d->moved };
    struct api **api = &d->api[o->node];

    for (uint32_t i = 0; i < LOOPS; i++)
        loops[i] = sim_loop(d->f.n.w, o->node, i);
    options.loops = loops;
    o->status = api_create(api, d->f.n.kv[o->node], loop_env(loops[0]), &options, &o->err);
    if (o->status == ST_OK)
        o->status = api_open_door(*api, API_DOOR_AUTO, "0.0.0.0", DOORS_PORT, &o->err);
}

static void
open_door(struct doors *d, uint32_t node)
{
    struct opening o = { .d = d, .node = node };

    EXPECT(sim_call(d->f.n.w, node, open_body, &o));
    if (o.status != ST_OK)
        fail_msg("node %u opens no door: %s", node, o.err.text);
}

static bool
is_led_as_it_should_be(struct doors *d)
{
    const struct atlas *a = formed_newest(&d->f);

    for (uint32_t i = 0; i < a->tablet_count; i++) {
        uint32_t leader = formed_leader_of(&d->f, a->tablets[i]->id);

        if (leader == 0 || d->f.nodes[leader].id != a->tablets[i]->leader)
            return false;
    }
    return true;
}

/* Leaderships are spread little by little, and each is handed over. */
static void
await_leaders(struct doors *d)
{
    uint32_t quiet_ms = 0;

    for (uint32_t ms = 0; ms < FORMED_PATIENCE_MS; ms += STEP_MS) {
        quiet_ms = is_led_as_it_should_be(d) ? quiet_ms + STEP_MS : 0;
        if (quiet_ms >= QUIET_MS)
            return;
        sim_run_ms(d->f.n.w, STEP_MS);
    }
    fail_msg("leaderships do not come to rest");
}

void
doors_open(struct doors *d, uint64_t seed, uint32_t count, bool moved)
{
    *d = (struct doors){ .moved = moved };
    formed_create(&d->f, seed, count);
    formed_order(&d->f, 1, "keyspace-create users 3 32 hash");
    formed_await_placed(&d->f);
    await_leaders(d);
    for (uint32_t i = 1; i <= count; i++)
        open_door(d, i);
}

void
doors_release(struct doors *d)
{
    formed_destroy(&d->f);
}

void
doors_crash(struct doors *d, uint32_t node)
{
    nodes_crash(&d->f.n, node);
    d->api[node] = NULL;
}

void
doors_boot(struct doors *d, uint32_t node)
{
    formed_boot(&d->f, node);
    open_door(d, node);
}

struct client
doors_connect(struct doors *d, uint32_t node)
{
    struct client c = { d->f.n.w, sim_connect(d->f.n.w, node, DOORS_PORT) };

    assert_non_null(c.c);
    client_ask(&c, "SELECT users", "+OK\r\n");
    return c;
}

const struct tablet_record *
doors_tablet(struct doors *d, const char *key)
{
    return atlas_tablet_of(formed_keyspace(&d->f, "users"), slice_str(key));
}

uint32_t
doors_leader(struct doors *d, const char *key)
{
    return formed_leader_of(&d->f, doors_tablet(d, key)->id);
}

const char *
doors_key(struct doors *d, uint32_t node)
{
    static char key[16];

    for (int i = 0; i < KEYS_TRIED; i++) {
        snprintf(key, sizeof(key), "{k%d}", i);
        if (doors_leader(d, key) == node)
            return key;
    }
    fail_msg("node %u leads nothing", node);
    return NULL;
}

uint32_t
doors_slot(const char *key)
{
    return slot_of(slice_str(key));
}

/* ------------------------------------------------------------------ what is said */

const char *
doors_text(const char *fmt, ...)
{
    static char out[4][256];
    static unsigned at;
    va_list args;

    at = (at + 1) % 4;
    va_start(args, fmt);
    vsnprintf(out[at], sizeof(out[at]), fmt, args);
    va_end(args);
    return out[at];
}

const char *
client_said(struct client *c, const char *command)
{
    static char text[64 << 10];
    struct slice reply;

    client_send_text(c, command);
    client_send_text(c, "\r\n");
    reply = client_reply(c);
    EXPECT(reply.size < sizeof(text));
    memcpy(text, reply.data, reply.size);
    text[reply.size] = '\0';
    return text;
}

bool
has_part(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

void
expect_part(const char *text, const char *part)
{
    if (!has_part(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

void
client_await(struct client *c, const char *command, const char *part, bool there)
{
    for (uint32_t ms = 0; ms < AWAITED_MS; ms += STEP_MS) {
        if (has_part(client_said(c, command), part) == there)
            return;
        sim_run_ms(c->w, STEP_MS);
    }
    fail_msg("%s: %s %s:\n%s", command, there ? "never" : "always", part, client_said(c, command));
}
