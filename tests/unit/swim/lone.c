#include "unit/swim/lone.h"

#include "base/hash.h"
#include "base/mem.h"

#include "unit/test.h"

#define NS_PER_MS UINT64_C(1000000)

struct lone *
lone_create(uint32_t node_count)
{
    struct lone *l = mem_new(struct lone);
    struct swim_options options;

    assert_non_null(l);
    swim_options_default(&options);
    options.self = LONE_SELF;
    options.dice = 7;
    l->now_ns = options.now_ns = LONE_BEGIN_MS * NS_PER_MS;
    EXPECT_OK(swim_create(&l->swim, &options));
    for (swim_id id = 2; id <= node_count; id++)
        EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_LEARN, .node = id }));
    return l;
}

void
lone_destroy(struct lone *l)
{
    swim_destroy(l->swim);
    mem_free(l);
}

uint64_t
lone_ms(const struct lone *l)
{
    return l->now_ns / NS_PER_MS - LONE_BEGIN_MS;
}

enum status
lone_step(struct lone *l, struct swim_event event)
{
    enum status st;

    event.now_ns = l->now_ns;
    event.dice = (uint32_t)hash_u64(l->now_ns);
    st = swim_step(l->swim, &event, &l->fx);
    for (uint32_t i = 0; i < l->fx.message_count; i++) {
        assert_true(l->mail_count < LONE_MAIL_MAX);
        l->mail[l->mail_count++] = l->fx.messages[i];
    }
    for (uint32_t i = 0; i < l->fx.change_count; i++) {
        l->last = l->fx.changes[i];
        l->last_ns = l->now_ns;
        l->change_count++;
    }
    return st;
}

static void
tick(struct lone *l, uint64_t at_ns)
{
    l->now_ns = at_ns;
    EXPECT_OK(lone_step(l, (struct swim_event){ .kind = SWIM_TICK }));
}

void
lone_run_to(struct lone *l, uint64_t ms)
{
    uint64_t limit_ns = (ms + LONE_BEGIN_MS) * NS_PER_MS;

    assert_true(limit_ns >= l->now_ns);
    while (swim_wake_ns(l->swim) < limit_ns)
        tick(l, swim_wake_ns(l->swim));
    tick(l, limit_ns);
}

const struct swim_message *
lone_sent(const struct lone *l, enum swim_message_kind kind, swim_id to)
{
    for (uint32_t i = l->mail_count; i > 0; i--) {
        const struct swim_message *m = &l->mail[i - 1];

        if (m->kind == kind && (to == 0 || m->to == to))
            return m;
    }
    return NULL;
}

void
lone_read_mail(struct lone *l)
{
    l->mail_count = 0;
}

const struct swim_message *
lone_await_ping(struct lone *l, swim_id to)
{
    lone_read_mail(l);
    for (int i = 0; i < 10000; i++) {
        const struct swim_message *ping = lone_sent(l, SWIM_PING, to);

        if (ping != NULL)
            return ping;
        tick(l, swim_wake_ns(l->swim));
    }
    fail_msg("node %u is never pinged", (unsigned)to);
    return NULL;
}

struct swim_message
lone_message(enum swim_message_kind kind, swim_id from, uint64_t incarnation)
{
    struct swim_message m = {
        .kind = kind, .from = from, .to = LONE_SELF, .subject = from, .origin = from
    };

    m.updates[m.update_count++] = (struct swim_update){ .id = from, .incarnation = incarnation };
    return m;
}

enum status
lone_receive(struct lone *l, const struct swim_message *m)
{
    return lone_step(l, (struct swim_event){ .kind = SWIM_RECEIVE, .message = m });
}

void
lone_answer(struct lone *l, const struct swim_message *ping, uint64_t incarnation)
{
    struct swim_message ack = lone_message(SWIM_ACK, ping->to, incarnation);

    ack.origin = ping->origin;
    ack.probe = ping->probe;
    EXPECT_OK(lone_receive(l, &ack));
}

void
lone_accuse(struct lone *l, swim_id from, swim_id id, uint64_t incarnation, swim_id accuser,
            uint32_t age_ms)
{
    struct swim_message m = lone_message(SWIM_PING, from, 1);

    m.updates[m.update_count++] = (struct swim_update){ .id = id,
                                                        .incarnation = incarnation,
                                                        .accused = true,
                                                        .age_ms = age_ms,
                                                        .accuser_count = 1,
                                                        .accusers = { accuser } };
    EXPECT_OK(lone_receive(l, &m));
}

const struct swim_update *
lone_update_about(const struct swim_message *m, swim_id id)
{
    for (uint32_t i = 0; i < m->update_count; i++) {
        if (m->updates[i].id == id)
            return &m->updates[i];
    }
    return NULL;
}

const struct swim_message *
lone_answer_to(struct lone *l, swim_id from)
{
    struct swim_message ping = lone_message(SWIM_PING, from, 1);

    EXPECT_OK(lone_receive(l, &ping));
    return lone_sent(l, SWIM_ACK, from);
}

void
lone_tell_alive(struct lone *l, swim_id from, swim_id id, uint64_t incarnation, uint64_t sequence,
                const char *payload)
{
    struct swim_message m = lone_message(SWIM_PING, from, 1);
    struct swim_update *u = from == id ? &m.updates[0] : &m.updates[m.update_count++];

    *u = (struct swim_update){ .id = id, .incarnation = incarnation };
    u->payload.sequence = sequence;
    u->payload.size = (uint32_t)strlen(payload);
    memcpy(u->payload.bytes, payload, u->payload.size);
    EXPECT_OK(lone_receive(l, &m));
}

struct swim_view
lone_view(const struct lone *l, swim_id id)
{
    struct swim_view view;

    EXPECT_OK(swim_view(l->swim, id, &view));
    return view;
}

enum swim_state
lone_state(const struct lone *l, swim_id id)
{
    return lone_view(l, id).state;
}
