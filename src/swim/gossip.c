/* What is told with every message, and what is believed (SWIM, 4.1; S4, S5, S7). */
#include <string.h>

#include "base/assert.h"

#include "swim/swim_internal.h"

enum { NS_PER_MS = 1000000, TELLS_PER_DOUBLING = 2 };

void
swim__news(struct swim *s, struct swim_member *m, bool urgent)
{
    uint32_t doublings = 0;

    while ((s->member_count + 1) >> doublings > 0)
        doublings++;
    m->urgent = urgent || (m->urgent && m->tells > 0);
    m->tells = TELLS_PER_DOUBLING * doublings;
}

/* ------------------------------------------------------------------ telling */

static void
tell_alive(struct swim_message *message, swim_id id, uint64_t incarnation,
           const struct swim_payload *payload)
{
    struct swim_update *u = &message->updates[message->update_count++];

    *u = (struct swim_update){ .id = id, .incarnation = incarnation, .payload = *payload };
}

/* Whoever must rise is told so, even if we have heard from it meanwhile: others have not. */
static void
tell_accused(const struct swim *s, struct swim_message *message, const struct swim_member *m)
{
    struct swim_update *u = &message->updates[message->update_count++];
    uint64_t age_ms = m->accused ? (s->now_ns - m->unanswered_ns) / NS_PER_MS : 0;

    *u = (struct swim_update){ .id = m->id,
                               .incarnation = m->incarnation,
                               .accused = true,
                               .age_ms = age_ms < UINT32_MAX ? (uint32_t)age_ms : UINT32_MAX,
                               .accuser_count = m->accuser_count };
    memcpy(u->accusers, m->accusers, sizeof(u->accusers));
    if (u->accuser_count == 0)
        u->accusers[u->accuser_count++] = s->self;
}

/* Refutations first: whatever else happens at the same time, none of them may come too late.  An
 * accusation may, and a payload will come with the node's own messages.  What room is left is for
 * accusations that stand, over and over: whoever has missed one in a crowd, or is new, must hear of it. */
enum { RANK_NOTHING, RANK_STANDS, RANK_PAYLOAD, RANK_ACCUSATION, RANK_REFUTATION };

static int
rank(const struct swim_member *m)
{
    if (m->tells == 0)
        return m->accused ? RANK_STANDS : RANK_NOTHING;
    if (!m->urgent)
        return RANK_PAYLOAD;
    return m->accused ? RANK_ACCUSATION : RANK_REFUTATION;
}

static bool
goes_before(const struct swim_member *a, const struct swim_member *b)
{
    if (rank(a) != rank(b))
        return rank(a) > rank(b);
    return a->tells != b->tells ? a->tells > b->tells : a->told < b->told;
}

/* By rank, and of the same rank what was told least often, or longest ago.  Members stand in `chosen` in that order;
 * beyond `room` of them there is one place for the one that is pushed out.  Returns how many. */
static uint32_t
choose(struct swim *s, swim_id to, struct swim_member *chosen[], uint32_t room)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->member_count; i++) {
        struct swim_member *m = &s->members[i];
        uint32_t place = count;

        if (rank(m) == RANK_NOTHING || m->id == to)
            continue;
        for (; place > 0 && goes_before(m, chosen[place - 1]); place--)
            chosen[place] = chosen[place - 1];
        chosen[place] = m;
        if (count < room)
            count++;
    }
    return count;
}

struct swim_message *
swim__send(struct swim *s, enum swim_message_kind kind, swim_id to)
{
    struct swim_member *chosen[SWIM_UPDATES_MAX + 1];
    struct swim_member *receiver = swim__member(s, to);
    bool counts = receiver != NULL && !receiver->accused; /* or else it may be told to nobody */
    struct swim_message *message;
    uint32_t count;

    ASSERT(s->fx->message_count < SWIM_MESSAGES_MAX); /* S7 */
    message = &s->fx->messages[s->fx->message_count++];
    s->messages++;
    message->kind = kind;
    message->from = s->self;
    message->to = to;
    message->probe = 0;
    message->subject = message->origin = s->self;
    message->update_count = 0;
    tell_alive(message, s->self, s->incarnation, &s->payload);
    if (receiver != NULL && receiver->must_rise)
        tell_accused(s, message, receiver);
    count = choose(s, to, chosen, SWIM_UPDATES_MAX - message->update_count);
    for (uint32_t i = 0; i < count; i++) {
        struct swim_member *m = chosen[i];

        m->tells -= counts && m->tells > 0;
        m->told = s->messages;
        if (m->accused)
            tell_accused(s, message, m);
        else
            tell_alive(message, m->id, m->incarnation, &m->payload);
    }
    return message;
}

/* ------------------------------------------------------------------ believing */

/* S4.  That others know a higher one than ours means that we had one in an earlier life. */
static void
hear_of_ourselves(struct swim *s, const struct swim_update *u)
{
    if (u->incarnation < s->incarnation || (u->incarnation == s->incarnation && !u->accused))
        return;
    if (u->accused)
        swim__health_worse(s);
    if (u->incarnation < SWIM_INCARNATION_MAX)
        s->incarnation = u->incarnation + 1;
}

static void
take_alive(struct swim *s, swim_id from, struct swim_member *m, const struct swim_update *u)
{
    if (u->incarnation > m->incarnation) {
        m->payload = u->payload;
        swim__rose(s, m, u->incarnation, s->now_ns);
    } else if (u->incarnation < m->incarnation) {
        m->must_rise |= from == m->id;
    } else if (u->payload.sequence > m->payload.sequence) {
        m->payload = u->payload;
        if (!m->accused)
            swim__news(s, m, false);
    }
}

/* A higher incarnation was raised before it was accused: that was the last sign of life. */
static void
take_accusation(struct swim *s, struct swim_member *m, const struct swim_update *u)
{
    uint64_t age_ns = (uint64_t)u->age_ms * NS_PER_MS;
    uint64_t unanswered_ns = s->now_ns > age_ns ? s->now_ns - age_ns : 0;

    if (u->incarnation < m->incarnation)
        return; /* S5 */
    if (u->incarnation > m->incarnation)
        swim__rose(s, m, u->incarnation, unanswered_ns);
    if (!swim__accuse(s, m, unanswered_ns, true))
        return;
    for (uint32_t i = 0; i < u->accuser_count; i++)
        swim__add_accuser(s, m, u->accusers[i]);
}

void
swim__take_update(struct swim *s, swim_id from, const struct swim_update *u)
{
    struct swim_member *m;

    if (u->id == s->self) {
        hear_of_ourselves(s, u);
        return;
    }
    m = swim__member(s, u->id);
    if (m == NULL)
        return;
    if (u->accused)
        take_accusation(s, m, u);
    else
        take_alive(s, from, m, u);
}
