/*
 * Pings, answers, helpers (SWIM, 3.1).
 *
 *      us                     helper                  target
 *      │ PING ───────────────────────────────────────────>│
 *      │<───────────────────────────────────────────── ACK│
 *
 *      after 3/10 of the interval without an answer, through three helpers at once:
 *
 *      │ PING_REQ ─────────────>│
 *      │<────────────────── ACK │ PING, on our behalf ───>│      "I was asked"
 *      │<─────────── ACK of it  │<──────────────────── ACK│      "it lives"
 *
 * A helper remembers nothing: the ping says on whose behalf it is, and so does the answer.
 */
#include "base/assert.h"

#include "swim/swim_internal.h"

enum { ASK_TENTHS = 3, ASKED_BEFORE_DOWN = 4, LATELY_INTERVALS = 5 };

/* ------------------------------------------------------------------ probing */

/* Do we want to see for ourselves?  At once, if it may have been an accident: the accused hears of the
 * accusation with the next ping, and its refutation is right behind.  Or if others accuse it in vain, because
 * we have heard it since: it may have died right then, and they will repeat nothing but that.  And later
 * again and again, whatever is told of it: its refutation may have been lost, or wait in a crowd of others; so
 * before anyone is DOWN in our opinion we have asked it ourselves, and more than once. */
static bool
is_wanted(const struct swim *s, const struct swim_member *m)
{
    uint64_t pause = s->timing.down_threshold_ns / ASKED_BEFORE_DOWN;
    bool doubtful = m->failed_us || m->state == SWIM_SUSPICIOUS;

    return m->unsure ||
           (doubtful && m->state <= SWIM_SUSPICIOUS && s->now_ns - m->probed_ns >= pause);
}

/* Only every other time: the others must have their turns.  NULL: nobody. */
static struct swim_member *
out_of_turn(struct swim *s)
{
    struct swim_member *oldest = NULL;

    if (s->probe.out_of_turn)
        return NULL;
    for (uint32_t i = 0; i < s->member_count; i++) {
        struct swim_member *m = &s->members[i];

        if (is_wanted(s, m) && (oldest == NULL || m->probed_ns < oldest->probed_ns))
            oldest = m;
    }
    return oldest;
}

/* In doubt, and not DOWN yet: is_wanted() sees to it.  When many fall silent at once, those turns are
 * needed for the ones whom nobody has missed so far. */
static bool
is_passed_over(const struct swim_member *m)
{
    return m->accused && m->state <= SWIM_SUSPICIOUS;
}

static swim_id
whose_turn(struct swim *s)
{
    swim_id id = swim__next_turn(s);

    for (uint32_t i = 1; i < s->member_count && is_passed_over(swim__member(s, id)); i++)
        id = swim__next_turn(s);
    return id;
}

static void
begin(struct swim *s)
{
    struct swim_probe *p = &s->probe;
    uint64_t period = s->timing.gossip_interval_ns * (1 + s->health);
    struct swim_member *wanted = out_of_turn(s);
    struct swim_member *target;
    struct swim_message *message;

    *p = (struct swim_probe){ .target = wanted != NULL ? wanted->id : whose_turn(s),
                              .number = p->number + 1,
                              .sent_ns = s->now_ns,
                              .ask_ns = s->now_ns + period / 10 * ASK_TENTHS,
                              .end_ns = s->now_ns + period,
                              .out_of_turn = wanted != NULL };
    if (p->target == 0)
        return;
    target = swim__member(s, p->target);
    target->unsure = false;
    target->probed_ns = s->now_ns;
    message = swim__send(s, SWIM_PING, p->target);
    message->probe = p->number;
}

/* Any of those whom nobody accuses, and who were heard lately, or were not. */
static void
ask_some(struct swim *s, bool lately)
{
    struct swim_probe *p = &s->probe;
    uint64_t long_ns = s->timing.gossip_interval_ns * LATELY_INTERVALS;
    uint32_t first = (uint32_t)swim__random(s, s->member_count);

    for (uint32_t i = 0; i < s->member_count && p->helper_count < SWIM_HELPERS; i++) {
        const struct swim_member *m = &s->members[(first + i) % s->member_count];
        struct swim_message *message;

        if (m->accused || m->id == p->target || (s->now_ns - m->heard_ns < long_ns) != lately)
            continue;
        message = swim__send(s, SWIM_PING_REQ, m->id);
        message->probe = p->number;
        message->subject = p->target;
        p->helper_count++;
    }
}

/* First those who were heard lately: in a partition they are on our side of it, and when even they are
 * silent it must be us.  Not the very last: whoever helps is heard by more, and would be asked by all. */
static void
ask_for_help(struct swim *s)
{
    struct swim_probe *p = &s->probe;

    p->asked = true;
    if (swim__member(s, p->target)->heard_ns > p->sent_ns)
        return; /* otherwise */
    ask_some(s, true);
    ask_some(s, false);
}

static void
fail(struct swim *s)
{
    struct swim_probe *p = &s->probe;
    struct swim_member *m = swim__member(s, p->target);

    ASSERT(m != NULL);
    p->target = 0;
    if (!swim__accuse(s, m, p->sent_ns, false))
        return;
    if (p->helper_count > 0 && !p->helper_heard)
        swim__health_worse(s);
    swim__add_accuser(s, m, s->self);
    m->unsure = !m->failed_us && m->state == SWIM_HEALTHY;
    m->failed_us = true;
}

void
swim__probe_tick(struct swim *s)
{
    struct swim_probe *p = &s->probe;

    if (s->now_ns >= p->end_ns) {
        if (p->target != 0)
            fail(s);
        begin(s);
    } else if (p->target != 0 && !p->asked && s->now_ns >= p->ask_ns) {
        ask_for_help(s);
    }
}

void
swim__probe_drop(struct swim *s)
{
    s->probe.target = 0;
    s->probe.end_ns = s->now_ns;
}

uint64_t
swim__probe_wake(const struct swim *s)
{
    const struct swim_probe *p = &s->probe;

    return p->target != 0 && !p->asked && p->ask_ns < p->end_ns ? p->ask_ns : p->end_ns;
}

/* ------------------------------------------------------------------ answering */

static void
answer(struct swim *s, const struct swim_message *m)
{
    struct swim_message *ack = swim__send(s, SWIM_ACK, m->from);

    ack->probe = m->probe;
    ack->origin = m->kind == SWIM_PING ? m->origin : m->from;
}

static void
help(struct swim *s, const struct swim_message *m)
{
    struct swim_message *ping;

    answer(s, m);
    if (swim__member(s, m->subject) == NULL)
        return;
    ping = swim__send(s, SWIM_PING, m->subject);
    ping->probe = m->probe;
    ping->origin = m->from;
}

static void
pass_on(struct swim *s, const struct swim_message *m)
{
    struct swim_message *ack;

    if (swim__member(s, m->origin) == NULL)
        return;
    ack = swim__send(s, SWIM_ACK, m->origin);
    ack->probe = m->probe;
    ack->subject = m->subject;
    ack->origin = m->origin;
}

static void
take_ack(struct swim *s, const struct swim_message *m)
{
    struct swim_probe *p = &s->probe;

    if (m->origin != s->self) {
        pass_on(s, m);
        return;
    }
    if (m->probe != p->number || p->target == 0)
        return;
    p->helper_heard |= m->from != p->target;
    if (m->subject != p->target)
        return;
    swim__heard(s, swim__member(s, p->target));
    swim__health_better(s);
    p->target = 0;
}

void
swim__receive(struct swim *s, const struct swim_message *m)
{
    struct swim_member *from = swim__member(s, m->from);

    if (from == NULL) {
        if (m->kind == SWIM_PING)
            answer(s, m);
        return;
    }
    swim__heard(s, from);
    for (uint32_t i = 0; i < m->update_count; i++)
        swim__take_update(s, m->from, &m->updates[i]);
    switch (m->kind) {
    case SWIM_PING:
        answer(s, m);
        break;
    case SWIM_PING_REQ:
        help(s, m);
        break;
    case SWIM_ACK:
        take_ack(s, m);
        break;
    case SWIM_MESSAGE_KIND_COUNT:
        ASSERT(false);
    }
}
