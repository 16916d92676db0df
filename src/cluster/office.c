/*
 * The steward at work: on the node that leads the metadata's group, a plan at a time, each a change of the
 * metadata.  What the leaders of all groups report is kept by every member of the metadata's group, so
 * that whoever leads next knows it.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mark.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "cluster/steward.h"
#include "raft/raft.h"
#include "tablet/tablet.h"

enum {
    PLAN_EVERY_MS = 200,
    REPORT_KEPT_MS = 15000, /* leaders repeat theirs every 5 s */
    JOINS_MAX = 8,          /* replicas that one node is sent at a time */
    LOOK_EVERY_MS = 1000,
};

struct office {
    struct cluster *cluster;
    struct tablet_report *reports; /* owned; by tablet */
    uint64_t *heard_ns;            /* owned; of each */
    uint32_t count;
    uint32_t capacity;
    struct plan plan;
    uint64_t plan_at_ns;
    bool busy;                  /* a change is under way */
    uint64_t looked_ns;         /* whether there are copies enough */
    uint64_t lacking_since_ns;  /* 0: there are */
    const struct atlas *placed; /* a reference; of which `placement` is */
    struct placement *placement;
};

enum status
office_create(struct cluster *c)
{
    c->office = mem_new(struct office);
    if (c->office == NULL)
        return ST_NO_MEMORY;
    c->office->cluster = c;
    return ST_OK;
}

void
office_destroy(struct cluster *c)
{
    struct office *o = c->office;

    if (o == NULL)
        return;
    placement_destroy(o->placement);
    atlas_unref(o->placed);
    mem_free(o->reports);
    mem_free(o->heard_ns);
    mem_free(o);
    c->office = NULL;
}

/* ------------------------------------------------------------------ reports */

static uint32_t
place_of(const struct office *o, uint64_t tablet)
{
    uint32_t low = 0;
    uint32_t high = o->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (o->reports[middle].tablet < tablet)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
grow(struct office *o)
{
    uint32_t capacity = o->capacity == 0 ? 64 : 2 * o->capacity;
    struct tablet_report *reports = mem_resize(o->reports, capacity * sizeof(*reports));
    uint64_t *heard_ns;

    if (reports == NULL)
        return false;
    o->reports = reports;
    heard_ns = mem_resize(o->heard_ns, capacity * sizeof(*heard_ns));
    if (heard_ns == NULL)
        return false;
    o->heard_ns = heard_ns;
    o->capacity = capacity;
    return true;
}

/* A report that cannot be kept is repeated. */
static void
keep(struct office *o, const struct tablet_report *r, uint64_t now_ns)
{
    uint32_t at = place_of(o, r->tablet);
    bool known = at < o->count && o->reports[at].tablet == r->tablet;

    if (known && !report_is_newer(r, &o->reports[at]))
        return;
    if (!known) {
        if (o->count == o->capacity && !grow(o))
            return;
        memmove(&o->reports[at + 1], &o->reports[at], (o->count - at) * sizeof(*o->reports));
        memmove(&o->heard_ns[at + 1], &o->heard_ns[at], (o->count - at) * sizeof(*o->heard_ns));
        o->count++;
    }
    o->reports[at] = *r;
    o->heard_ns[at] = now_ns;
}

void
office_reported(struct cluster *c, uint64_t from, struct slice payload)
{
    struct reader r = reader_of(payload);
    struct tablet_report report;

    while (reader_left(&r) > 0 && report_decode(&r, &report) == ST_OK) {
        if (report.leader == from && atlas_tablet(c->atlas, report.tablet) != NULL)
            keep(c->office, &report, loop_now_ns(c->loop));
    }
}

static void
let_go_of_old(struct office *o, uint64_t now_ns)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < o->count; i++) {
        if (o->heard_ns[i] + (uint64_t)REPORT_KEPT_MS * NS_PER_MS < now_ns)
            continue;
        o->reports[kept] = o->reports[i];
        o->heard_ns[kept++] = o->heard_ns[i];
    }
    o->count = kept;
}

/* ------------------------------------------------------------------ plans */

static enum node_health
health(const void *ctx, uint64_t node)
{
    enum node_health now = watch_health(ctx, node);

    return now == HEALTH_UP && departure_of(ctx, node) ? HEALTH_SUSPICIOUS : now;
}

static bool
place_anew(struct office *o)
{
    const struct cluster *c = o->cluster;

    if (o->placed == c->atlas && o->placement != NULL)
        return true;
    placement_destroy(o->placement);
    atlas_unref(o->placed);
    o->placed = atlas_ref(c->atlas);
    o->placement = placement_create(c->atlas);
    return o->placement != NULL;
}

static void
is_written(void *ctx, enum status st, const struct err *err)
{
    struct office *o = ctx;

    (void)err;
    o->busy = false;
    mark_hit_if(st == ST_CONFLICT, MARK_PLAN_LOST);
    if (st != ST_OK && st != ST_CONFLICT && st != ST_NOT_LEADER && st != ST_CLOSED)
        log_event(LOG_WARN, "cluster.plan_failed", log_str("status", status_name(st)),
                  log_str("effect", "it is made anew"));
}

static bool
makes_leave(const struct record *r)
{
    for (uint32_t i = 0; r->kind == RECORD_TABLET && i < r->as.tablet.member_count; i++) {
        if (r->as.tablet.members[i].role == MEMBER_LEAVING)
            return true;
    }
    return false;
}

static void
say_step(const struct record *r)
{
    mark_hit_if(makes_leave(r), MARK_MEMBERS_SWAPPED);
    mark_hit_if(r->kind == RECORD_NODE && r->as.node.state == NODE_FAILED, MARK_NODE_GIVEN_UP);
    if (r->kind == RECORD_NODE) {
        log_event(LOG_WARN, "cluster.node_state", log_u64("node", r->as.node.id),
                  log_str("state", node_state_name(r->as.node.state)));
    } else {
        log_event(LOG_DEBUG, "cluster.step", log_u64("tablet", r->as.tablet.id),
                  log_u64("members", r->as.tablet.member_count),
                  log_u64("leader", r->as.tablet.leader));
    }
}

static void
write_plan(struct office *o)
{
    struct cluster *c = o->cluster;
    struct change *change = change_begin(c, c->atlas);
    enum status st = change == NULL ? ST_NO_MEMORY : ST_OK;

    for (uint32_t i = 0; i < o->plan.count && st == ST_OK; i++) {
        st = change_put(change, &o->plan.records[i]);
        say_step(&o->plan.records[i]);
    }
    if (st != ST_OK) {
        change_drop(change);
        return;
    }
    o->busy = true;
    change_commit(change, is_written, o);
}

static bool
leads_metadata(const struct cluster *c)
{
    return c->meta != NULL && raft_role(tablet_raft(c->meta)) == RAFT_LEADER;
}

void
office_view(struct cluster *c, struct steward_view *out)
{
    *out = (struct steward_view){ .atlas = c->atlas,
                                  .placement = place_anew(c->office) ? c->office->placement : NULL,
                                  .reports = c->office->reports,
                                  .report_count = c->office->count,
                                  .health = health,
                                  .ctx = c,
                                  .joins_max = JOINS_MAX };
    damages_view(c, out);
    rooms_view(c, out);
}

uint32_t
office_wanted(struct cluster *c, const struct tablet_record *t, uint32_t replicas,
              uint64_t out[CLUSTER_REPLICAS_MAX])
{
    return place_anew(c->office) ? placement_of_new(c->office->placement, t, replicas, out) : 0;
}

/* ------------------------------------------------------------------ copies */

/* Who has come to lead the metadata has to hear all reports first. */
static void
tell_of_copies(struct office *o, const struct steward_view *view, uint64_t now_ns)
{
    uint64_t led_ns = tablet_led_since_ns(o->cluster->meta);
    struct steward_outlook now;

    if (now_ns < o->looked_ns + (uint64_t)LOOK_EVERY_MS * NS_PER_MS ||
        now_ns < led_ns + (uint64_t)REPORT_KEPT_MS * NS_PER_MS)
        return;
    o->looked_ns = now_ns;
    steward_look_out(view, &now);
    if (now.under_replicated > 0 && o->lacking_since_ns == 0) {
        log_event(LOG_WARN, "cluster.copies_lacking", log_u64("tablets", now.under_replicated),
                  log_u64("copies_min", now.copies_min), log_u64("bytes_left", now.bytes_left));
        o->lacking_since_ns = now_ns;
    } else if (now.under_replicated == 0 && o->lacking_since_ns != 0) {
        log_event(LOG_INFO, "cluster.copies_restored", log_u64("tablets", now.tablets),
                  log_u64("seconds", (now_ns - o->lacking_since_ns) / NS_PER_MS / 1000));
        o->lacking_since_ns = 0;
    }
}

/* ------------------------------------------------------------------ time */

void
office_tick(struct cluster *c, uint64_t now_ns)
{
    struct office *o = c->office;
    struct steward_view view;

    if (c->draining || now_ns < o->plan_at_ns)
        return;
    o->plan_at_ns = now_ns + (uint64_t)PLAN_EVERY_MS * NS_PER_MS;
    let_go_of_old(o, now_ns);
    if (!leads_metadata(c))
        o->lacking_since_ns = 0; /* another tells */
    if (o->busy || !leads_metadata(c))
        return;
    office_view(c, &view);
    tell_of_copies(o, &view, now_ns);
    if (view.placement != NULL && steward_plan(&view, &o->plan) == ST_OK && o->plan.count > 0)
        write_plan(o);
}
