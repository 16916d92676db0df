#include "tablet/overlay.h"

#include "base/assert.h"
#include "base/mem.h"

enum { OVERLAY_BUCKETS_MIN = 64 };

void
overlay_init(struct overlay *o)
{
    *o = (struct overlay){ 0 };
}

void
overlay_release(struct overlay *o)
{
    mem_free(o->buckets);
    overlay_init(o);
}

static struct overlay_node **
bucket_of(const struct overlay *o, uint64_t hash)
{
    return &o->buckets[hash & (o->bucket_count - 1)];
}

static void
push(struct overlay *o, struct overlay_node *node)
{
    struct overlay_node **bucket = bucket_of(o, node->hash);

    node->next = *bucket;
    *bucket = node;
}

static enum status
grow(struct overlay *o, size_t bucket_count)
{
    struct overlay_node **old = o->buckets;
    size_t old_count = o->bucket_count;
    struct overlay_node **fresh = mem_new_array(struct overlay_node *, bucket_count);

    if (fresh == NULL)
        return ST_NO_MEMORY;
    o->buckets = fresh;
    o->bucket_count = bucket_count;
    for (size_t i = 0; i < old_count; i++) {
        struct overlay_node *node = old[i];

        while (node != NULL) {
            struct overlay_node *next = node->next;

            push(o, node);
            node = next;
        }
    }
    mem_free(old);
    return ST_OK;
}

enum status
overlay_reserve(struct overlay *o, size_t more)
{
    size_t want = o->bucket_count < OVERLAY_BUCKETS_MIN ? OVERLAY_BUCKETS_MIN : o->bucket_count;

    while (want < o->count + more)
        want *= 2;
    return want == o->bucket_count ? ST_OK : grow(o, want);
}

static struct overlay_node **
find(const struct overlay *o, struct slice key, uint64_t hash)
{
    struct overlay_node **at = bucket_of(o, hash);

    while (*at != NULL && !((*at)->hash == hash && slice_equal((*at)->entry->key, key)))
        at = &(*at)->next;
    return at;
}

static void
unlink_at(struct overlay *o, struct overlay_node **at)
{
    struct overlay_node *node = *at;

    *at = node->next;
    node->linked = false;
    o->count--;
}

void
overlay_put(struct overlay *o, struct overlay_node *node)
{
    struct overlay_node **older = find(o, node->entry->key, node->hash);

    if (*older != NULL)
        unlink_at(o, older);
    ASSERT(o->count < o->bucket_count); /* reserved */
    push(o, node);
    node->linked = true;
    o->count++;
}

void
overlay_remove(struct overlay *o, struct overlay_node *node)
{
    struct overlay_node **at;

    if (!node->linked)
        return;
    at = bucket_of(o, node->hash);
    while (*at != node)
        at = &(*at)->next;
    unlink_at(o, at);
}

void
overlay_clear(struct overlay *o)
{
    for (size_t i = 0; i < o->bucket_count && o->count > 0; i++) {
        while (o->buckets[i] != NULL)
            unlink_at(o, &o->buckets[i]);
    }
}

const struct entry *
overlay_find(const struct overlay *o, struct slice key, uint64_t hash)
{
    struct overlay_node **at;

    if (o->count == 0)
        return NULL;
    at = find(o, key, hash);
    return *at == NULL ? NULL : (*at)->entry;
}
