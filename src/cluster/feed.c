/*
 * How a book grows.
 *
 *      a member of the metadata group   from what its tablet applies
 *      all others                       ask whoever is said to be ahead: MESSAGE_HUNGRY, MESSAGE_FEED
 *
 * Whoever has made a change announces it to all (MESSAGE_RUMOUR).  Now and then a node asks without having heard
 * anything: rumours may be lost.
 */
#include "base/log.h"
#include "base/prng.h"

#include "cluster/cluster_internal.h"

enum { HUNGRY_EVERY_MS = 200, CURIOUS_EVERY_MS = 5000 };

/* ------------------------------------------------------------------ from the tablet */

static enum status
take_entry(struct book *b, const struct entry *e, struct err *err)
{
    struct record_key key;
    enum status st;

    if (e->type != ENTRY_VALUE || e->key.size != RECORD_KEY_BYTES + 1 || e->key.data[0] != KEY_USER)
        return ST_OK; /* a client's last write */
    st = record_key_decode(slice_of(e->key.data + 1, RECORD_KEY_BYTES), &key);
    return st == ST_OK ? book_put(b, &key, e->version, e->value, err) : st;
}

enum status
feed_from_tree(struct tablet *meta, struct book *b, struct err *err)
{
    static const uint8_t user = KEY_USER;
    struct lsm_iter_options options = { 0 };
    struct lsm_iter *it = NULL;
    enum status st = lsm_iter_create(tablet_lsm(meta), &options, &it, err);

    if (st == ST_OK)
        st = lsm_iter_seek(it, slice_of(&user, 1), err);
    while (st == ST_OK) {
        struct entry e;

        lsm_iter_entry(it, &e);
        st = take_entry(b, &e, err);
        if (st == ST_OK)
            st = lsm_iter_next(it, err);
    }
    lsm_iter_destroy(it);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* What another member's snapshot has brought, or what could not be taken when it was applied.  Where it is damaged, others
 * tell us until our copy is replaced. */
static void
read_tree(struct job *job)
{
    struct cluster *c = container_of(job, struct cluster, read_job);
    struct book book = { 0 };
    struct err err = { 0 };

    c->read_status = feed_from_tree(c->read_from, &book, &err);
    if (c->read_status == ST_OK)
        c->read_status = book_feed(&book, 0, &c->read_bytes);
    else if (c->read_status == ST_CORRUPT)
        tablet_tell_damage(c->read_from, &err);
    else
        log_event(LOG_ERROR, "cluster.metadata_unread", log_err(&err));
    book_release(&book);
}

static void
tree_is_read(struct job *job)
{
    struct cluster *c = container_of(job, struct cluster, read_job);

    c->reading = false;
    c->under_way--;
    tablet_let_go(c->read_from);
    if (c->read_status == ST_OK)
        feed_came(c, buf_slice(&c->read_bytes));
    buf_release(&c->read_bytes);
    c->unread |= c->read_status != ST_OK && c->read_status != ST_CORRUPT;
}

static void
begin_to_read(struct cluster *c)
{
    c->unread = false;
    c->reading = true;
    c->under_way++;
    c->read_bytes = buf_empty(VERDICT_BYTES_MAX);
    c->read_from = tablet_hold(c->meta);
    c->read_job = (struct job){ .run = read_tree, .done = tree_is_read, .loop = c->loop };
    env_submit(c->env, ENV_LANE_READ, &c->read_job);
}

void
feed_applied(void *ctx, const struct entry *entries, uint32_t count)
{
    struct cluster *c = ctx;
    uint64_t before = c->book.edits;
    struct err err;

    c->unread |= entries == NULL;
    for (uint32_t i = 0; entries != NULL && i < count; i++) {
        enum status st = take_entry(&c->book, &entries[i], &err);

        if (st != ST_OK) {
            c->unread = true;
            log_event(LOG_ERROR, "cluster.record_unread", log_err(&err));
        }
    }
    if (c->book.edits != before)
        cluster__redraw(c);
}

/* ------------------------------------------------------------------ from other nodes */

void
feed_rumour(struct cluster *c, uint64_t node, version_t version)
{
    if (version <= c->book.version || version <= c->rumour)
        return;
    c->rumour = version;
    c->rumour_node = node;
    c->hungry_at_ns = 0;
}

void
feed_announce(struct cluster *c)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    struct slice payload = { bytes, (size_t)(put_varint(bytes, c->book.version) - bytes) };

    for (uint32_t i = 0; i < c->atlas->node_count; i++) {
        if (c->atlas->nodes[i].id != c->self && c->atlas->nodes[i].state != NODE_REMOVED)
            wires_send(&c->seats[0], c->atlas->nodes[i].id, MESSAGE_RUMOUR, payload);
    }
}

void
feed_heard(struct cluster *c, uint64_t from, struct slice payload)
{
    struct reader r = reader_of(payload);
    version_t version = read_varint(&r);

    if (!r.bad && version <= VERSION_MAX)
        feed_rumour(c, from, version);
}

/* Whoever is said to be ahead; or any member of the metadata's group, in turn. */
static uint64_t
feeder(struct cluster *c)
{
    const struct tablet_record *meta = atlas_tablet(c->atlas, ATLAS_META_TABLET);
    uint64_t node = c->rumour > c->book.version ? c->rumour_node : 0;

    c->rumour_node = 0; /* the next time another one, if that is still needed */
    for (uint32_t i = 0; meta != NULL && node == 0 && i < meta->member_count; i++) {
        uint64_t at = meta->members[c->feed_turn++ % meta->member_count].node;

        node = at == c->self ? 0 : at;
    }
    return node;
}

/* Who has the metadata's tablet is curious, too: it may have left the group, and then its replica is told no more. */
void
feed_tick(struct cluster *c, uint64_t now_ns)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    struct slice payload = { bytes, 0 };
    bool behind = c->rumour > c->book.version;

    if (c->unread && c->meta != NULL && !c->reading && !c->draining)
        begin_to_read(c);
    if (now_ns < c->hungry_at_ns)
        return;
    c->hungry_at_ns = now_ns + (uint64_t)(behind ? HUNGRY_EVERY_MS : CURIOUS_EVERY_MS) * NS_PER_MS;
    payload.size = (size_t)(put_varint(bytes, c->book.version) - bytes);
    wires_send(&c->seats[0], feeder(c), MESSAGE_HUNGRY, payload);
}

void
feed_asked(struct cluster *c, uint64_t from, struct slice payload)
{
    struct reader r = reader_of(payload);
    version_t since = read_varint(&r);
    struct buf bytes = buf_empty(VERDICT_BYTES_MAX);

    if (r.bad)
        return;
    if (since > c->book.version)
        feed_rumour(c, from, since);
    else if (since < c->book.version && book_feed(&c->book, since, &bytes) == ST_OK)
        wires_send(&c->seats[0], from, MESSAGE_FEED, buf_slice(&bytes));
    buf_release(&bytes);
}

void
feed_came(struct cluster *c, struct slice payload)
{
    uint64_t before = c->book.edits;
    struct err err;
    enum status st = book_take(&c->book, payload, &err);

    if (st == ST_CONFLICT) {
        c->hungry_at_ns =
            0; /* the book was replaced by an older one, or the feed is another node's */
    } else if (st != ST_OK) {
        log_event(LOG_ERROR, "cluster.feed_refused", log_err(&err));
    } else if (c->book.edits != before) {
        cluster__redraw(c);
    }
}
