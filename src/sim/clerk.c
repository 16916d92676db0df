#include "sim/clerk.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mark.h"
#include "base/mem.h"
#include "base/prng.h"

#include "sim/survey.h"

enum {
    NS_PER_MS = 1000000,
    DEADLINE_MS = 4000,
    PAUSE_MS = 200, /* before it is tried again */
    WORDS_BYTES_MAX = 64,
    SPACE_NAME_MAX = 24,
    CLERK_SALT = 0x09e,
};

struct clerk {
    struct node *nodes;
    const struct setup *setup;
    struct prng prng;
    struct clerk_wish *wishes; /* owned; in their order */
    uint32_t count;
    uint32_t next; /* that is not yet answered for good */
    uint32_t capacity;
    uint64_t due_ns;
    bool is_lost; /* the next one was asked for before, and nobody knows what became of that */

    /* The order that is under way, if `asked` is not NULL. */
    struct node *asked;
    uint32_t life; /* of that node */
    bool answered;
    char words[WORDS_BYTES_MAX];
    struct order order;
};

enum status
clerk_create(struct clerk **out, struct node *nodes, const struct setup *setup, uint32_t wishes_max)
{
    struct clerk *p = mem_new(struct clerk);

    if (p == NULL)
        return ST_NO_MEMORY;
    *p = (struct clerk){ .nodes = nodes, .setup = setup, .capacity = wishes_max };
    prng_init(&p->prng, hash_u64(setup->seed ^ CLERK_SALT));
    p->wishes = mem_new_array(struct clerk_wish, wishes_max);
    if (p->wishes == NULL) {
        mem_free(p);
        return ST_NO_MEMORY;
    }
    *out = p;
    return ST_OK;
}

void
clerk_destroy(struct clerk *p)
{
    if (p == NULL)
        return;
    mem_free(p->wishes);
    mem_free(p);
}

void
clerk_wish(struct clerk *p, const struct clerk_wish *wish)
{
    struct clerk_wish *w = &p->wishes[p->count];

    ASSERT(p->count < p->capacity);
    p->count++;
    *w = *wish;
    if (w->node != 0)
        w->emptied = p->nodes[w->node - 1].emptied;
    if (w->verb == CLERK_REMOVE)
        p->nodes[w->node - 1].leaves = true;
}

bool
clerk_is_content(const struct clerk *p)
{
    return p->next == p->count;
}

/* ------------------------------------------------------------------ words */

static void PRINTF_LIKE(2, 3) put(struct clerk *p, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(p->words, sizeof(p->words), fmt, args);
    va_end(args);
}

static void
put_node_words(struct clerk *p, const char *verb, const struct clerk_wish *w)
{
    char name[NODE_NAME_MAX];

    node_name(w->node, w->emptied, name);
    put(p, "%s %s", verb, name);
}

/* By whatever runs on the other machine when it is asked. */
static void
put_replacement(struct clerk *p, const struct clerk_wish *w)
{
    char old[NODE_NAME_MAX];
    char new[NODE_NAME_MAX];

    node_name(w->node, w->emptied, old);
    node_name(w->other, p->nodes[w->other - 1].emptied, new);
    put(p, "replace %s %s", old, new);
}

/* At a key that clients use, or might. */
static void
put_split(struct clerk *p, const struct clerk_wish *w, const char *space)
{
    const struct workload *load = p->setup->workload;
    uint64_t key = w->dice % (load->keys + load->counters);

    if (w->space != CLERK_SPACE_OF_CLIENTS || !p->setup->ranges)
        put(p, "keyspace-split %s %u", space, w->count);
    else if (key < load->keys)
        put(p, "keyspace-split %s at k%" PRIu64, space, key);
    else
        put(p, "keyspace-split %s at n%" PRIu64, space, key - load->keys);
}

static void
put_space_words(struct clerk *p, const struct clerk_wish *w)
{
    bool is_clients = w->space == CLERK_SPACE_OF_CLIENTS;
    char space[SPACE_NAME_MAX] = "0";

    if (!is_clients || p->setup->keyspace != 0)
        snprintf(space, sizeof(space), "s%" PRIu64, w->space);
    if (w->verb == CLERK_SPLIT)
        put_split(p, w, space);
    else if (w->verb == CLERK_ALTER)
        put(p, "keyspace-alter %s %u", space, w->count);
    else if (w->verb == CLERK_DROP)
        put(p, "keyspace-drop %s", space);
    else if (is_clients && p->setup->ranges)
        put(p, "keyspace-create %s %d 1 range", space, CLERK_COPIES);
    else
        put(p, "keyspace-create %s %d %u hash", space, CLERK_COPIES, w->count);
}

static void
put_words(struct clerk *p, const struct clerk_wish *w)
{
    static const char *const looks[] = { "status",  "nodes",     "keyspaces",
                                         "tablets", "rebalance", "ring 0" };

    switch (w->verb) {
    case CLERK_DRAIN:
        put_node_words(p, "drain", w);
        break;
    case CLERK_UNDRAIN:
        put_node_words(p, "undrain", w);
        break;
    case CLERK_REMOVE:
        put_node_words(p, "remove", w);
        break;
    case CLERK_REPLACE:
        put_replacement(p, w);
        break;
    case CLERK_CREATE:
    case CLERK_SPLIT:
    case CLERK_ALTER:
    case CLERK_DROP:
        put_space_words(p, w);
        break;
    case CLERK_LOOK:
        put(p, "%s", looks[w->dice % (sizeof(looks) / sizeof(looks[0]))]);
        break;
    }
}

static void
split(struct clerk *p)
{
    struct order *o = &p->order;
    const char *at = p->words;

    while (*at != '\0') {
        size_t size = strcspn(at, " ");

        o->words[o->word_count++] = slice_of(at, size);
        at += size + (at[size] == ' ');
    }
}

/* ------------------------------------------------------------------ asking */

static uint64_t
now_ns(const struct clerk *p)
{
    return sim_now_ns(p->nodes[0].world);
}

/* In the node's context: the answer is its memory. */
static void
on_done(struct order *o)
{
    buf_release(&o->answer);
    container_of(o, struct clerk, order)->answered = true;
}

static void
ask(struct clerk *p)
{
    struct node *n = &p->nodes[prng_below(&p->prng, p->setup->nodes)];

    p->due_ns = now_ns(p) + PAUSE_MS * (uint64_t)NS_PER_MS;
    if (n->state != NODE_UP || !node_responds(n))
        return;
    p->asked = n;
    p->life = n->life;
    p->answered = false;
    put_words(p, &p->wishes[p->next]);
    p->order = (struct order){ .done = on_done,
                               .deadline_ns = loop_now_ns(sim_loop(n->world, n->id, 0)) +
                                              DEADLINE_MS * (uint64_t)NS_PER_MS };
    split(p);
    node_order(n, &p->order);
}

/* ------------------------------------------------------------------ being answered */

static bool
is_removed(const struct clerk *p, const struct clerk_wish *w)
{
    const struct atlas *a = survey_atlas(p->nodes, p->setup->nodes);
    char name[NODE_NAME_MAX];

    node_name(w->node, w->emptied, name);
    for (uint32_t i = 0; a != NULL && i < a->node_count; i++) {
        if (a->nodes[i].state == NODE_REMOVED && strcmp(a->nodes[i].name, name) == 0)
            return true;
    }
    return false;
}

/* A node that is not there has been removed before, by an order whose answer got lost; or whoever was asked has not
 * yet heard of it. */
static bool
is_for_good(const struct clerk *p, enum status st)
{
    const struct clerk_wish *w = &p->wishes[p->next];

    if (st == ST_NOT_FOUND)
        return w->verb != CLERK_REMOVE || is_removed(p, w);
    return st == ST_OK || st == ST_INVALID || st == ST_EXISTS;
}

static void
conclude(struct clerk *p)
{
    const struct clerk_wish *w = &p->wishes[p->next++];
    struct clerk_wish instead = { .verb = CLERK_UNDRAIN, .node = w->node };
    struct node *n;

    if (w->verb != CLERK_REMOVE)
        return;
    ASSERT(w->node != 0);
    n = &p->nodes[w->node - 1];
    if (n->emptied != w->emptied)
        return;
    if (p->order.status == ST_OK || p->order.status == ST_NOT_FOUND) {
        mark_hit(MARK_NODE_REMOVED);
        n->removed = true;
    } else {
        n->leaves = p->is_lost;
        clerk_wish(p, &instead);
    }
}

static void
hear(struct clerk *p)
{
    enum status st = p->order.status;

    if (!p->answered && p->asked->state != NODE_DOWN && p->asked->life == p->life)
        return;
    p->asked = NULL;
    if (p->answered && is_for_good(p, st)) {
        conclude(p);
        p->is_lost = false;
        p->due_ns = 0;
    } else {
        p->is_lost |= !p->answered || st == ST_TIMEOUT || st == ST_UNKNOWN || st == ST_CLOSED;
    }
}

void
clerk_tend(struct clerk *p)
{
    if (p->asked != NULL)
        hear(p);
    if (p->asked == NULL && p->next < p->count && p->due_ns <= now_ns(p))
        ask(p);
}
