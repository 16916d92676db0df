/* The ordered half of the memtable; invariants M1..M4 at the head of memtable.c. */
#include "base/assert.h"

#include "mem/memtable_internal.h"

struct memtable_list *
memtable__list_create(struct arena *arena)
{
    struct memtable_list *l = arena_alloc(arena, sizeof(*l));

    if (l == NULL)
        return NULL;
    *l = (struct memtable_list){ .before = &l->head };
    for (int level = 0; level < GUIDE_LEVELS; level++) {
        l->guides[level].node = &l->head;
        l->splice[level] = &l->guides[level];
    }
    return l;
}

static inline bool
is_before(const struct memtable_node *n, const struct memtable_place *place)
{
    uint64_t upper = memtable__prefix(memtable__key(n), 0);

    if (upper != place->prefix.upper)
        return upper < place->prefix.upper;
    return entry_compare(memtable__key(n), n->version, place->key, place->version) < 0;
}

static inline bool
guide_is_before(const struct memtable_guide *g, const struct memtable_place *place)
{
    if (g->prefix.upper != place->prefix.upper)
        return g->prefix.upper < place->prefix.upper;
    if (g->prefix.lower != place->prefix.lower)
        return g->prefix.lower < place->prefix.lower;
    return is_before(g->node, place);
}

/* The last guide before the place on one level, starting at `from`, which is before
 * it.  `*bound` is a guide on this level that is known not to be before the place,
 * or NULL; the one below the bound that is found takes its place. */
static inline struct memtable_guide *
walk_level(struct memtable_guide *from, const struct memtable_place *place,
           struct memtable_guide **bound)
{
    struct memtable_guide *next;

    for (;;) {
        next = atomic_load_explicit(&from->next, memory_order_acquire);
        if (next == NULL || next == *bound || !guide_is_before(next, place))
            break;
        from = next;
    }
    *bound = next;
    return from;
}

/* The last node before the place, starting at `from`, which is before it. */
static inline struct memtable_node *
walk_nodes(struct memtable_node *from, const struct memtable_place *place)
{
    struct memtable_node *next;

    while ((next = memtable__next(from)) != NULL && is_before(next, place))
        from = next;
    return from;
}

struct memtable_node *
memtable__list_before(struct memtable_list *l, const struct memtable_place *place)
{
    struct memtable_guide *at = &l->guides[GUIDE_LEVELS - 1];
    struct memtable_guide *bound = NULL;

    for (int level = GUIDE_LEVELS - 1; level > 0; level--) {
        at = walk_level(at, place, &bound) - 1;
        bound = bound == NULL ? NULL : bound - 1;
    }
    return walk_nodes(walk_level(at, place, &bound)->node, place);
}

struct memtable_node *
memtable__list_at(struct memtable_list *l, const struct memtable_place *place)
{
    struct memtable_node *at = memtable__next(memtable__list_before(l, place));

    while (at != NULL && is_before(at, place))
        at = memtable__next(at); /* added since the search passed here */
    return at;
}

struct memtable_node *
memtable__list_last(struct memtable_list *l)
{
    struct memtable_guide *at = &l->guides[GUIDE_LEVELS - 1];
    struct memtable_node *node;

    for (int level = GUIDE_LEVELS - 1; level >= 0; level--) {
        struct memtable_guide *next;

        while ((next = atomic_load_explicit(&at->next, memory_order_acquire)) != NULL)
            at = next;
        if (level > 0)
            at--;
    }
    node = at->node;
    for (struct memtable_node *next; (next = memtable__next(node)) != NULL;)
        node = next;
    return node;
}

/* M4: if the place is just after what was added last, the splice is right as it is. */
static bool
follows_last(const struct memtable_list *l, const struct memtable_place *place)
{
    struct memtable_node *next;

    if (l->last == NULL || !is_before(l->last, place))
        return false;
    next = memtable__next(l->last);
    return next == NULL || !is_before(next, place);
}

void
memtable__list_locate(struct memtable_list *l, const struct memtable_place *place)
{
    struct memtable_guide *at = &l->guides[GUIDE_LEVELS - 1];
    struct memtable_guide *bound = NULL;

    if (follows_last(l, place))
        return;
    for (int level = GUIDE_LEVELS - 1; level > 0; level--) {
        l->splice[level] = walk_level(at, place, &bound);
        at = l->splice[level] - 1;
        bound = bound == NULL ? NULL : bound - 1;
    }
    l->splice[0] = walk_level(at, place, &bound);
    l->before = walk_nodes(l->splice[0]->node, place);
}

void
memtable__list_add(struct memtable_list *l, const struct memtable_place *place,
                   struct memtable_node *n, struct memtable_guide *guides, uint32_t level_count)
{
    ASSERT(level_count <= GUIDE_LEVELS);
    atomic_init(&n->next, atomic_load_explicit(&l->before->next, memory_order_relaxed));
    atomic_store_explicit(&l->before->next, n, memory_order_release); /* M1, M3 */
    l->before = n;
    l->last = n;
    for (uint32_t level = 0; level < level_count; level++) {
        struct memtable_guide *before = l->splice[level];
        struct memtable_guide *g = &guides[level];

        g->node = n;
        g->prefix = place->prefix;
        atomic_init(&g->next, atomic_load_explicit(&before->next, memory_order_relaxed));
        atomic_store_explicit(&before->next, g, memory_order_release);
        l->splice[level] = g;
    }
}
