/*
 * Lanes: queues of jobs, each with a number of workers.
 *
 * A worker is a fiber for as long as it has a job.  Jobs of a lane begin in
 * the order of their submission, each a moment after it could; with more than
 * one worker they end in any order.
 */
#include "base/assert.h"

#include "simenv/sim_internal.h"

enum { START_SPREAD_NS = 30 * SIM_NS_PER_US }; /* how long a thread takes to wake up */

static const uint32_t lane_widths[ENV_LANE_COUNT] = {
    [ENV_LANE_LOG] = 1,
    [ENV_LANE_FLUSH] = 1,
    [ENV_LANE_COMPACT] = 1,
    [ENV_LANE_READ] = 4,
};

static void
start_if_possible(struct sim_lane *lane)
{
    struct sim *w = lane->node->world;

    if (lane->busy < lane->width && !list_empty(&lane->queue) && lane->start.slot == 0)
        sim__schedule(w, &lane->start, sim__soon(w, START_SPREAD_NS));
}

/* The job's memory may be gone when `run` returns, if it has no `done`. */
static void
worker_main(struct sim_fiber *self)
{
    struct job *job = self->job;
    struct sim_lane *lane = self->lane;
    bool has_done = job->done != NULL;

    job->run(job);
    lane->busy--;
    if (has_done)
        sim__loop_job_done((struct sim_loop *)job->loop, job);
    start_if_possible(lane);
}

static void
start_job(struct sim_event *e)
{
    struct sim_lane *lane = container_of(e, struct sim_lane, start);
    struct sim_fiber *f;

    if (sim__postpone(lane->node, e))
        return;
    f = sim__fiber_create(lane->node, SIM_FIBER_JOB, worker_main);
    ASSERT(lane->busy < lane->width && !list_empty(&lane->queue));
    f->lane = lane;
    f->job = container_of(list_pop_front(&lane->queue), struct job, link);
    lane->busy++;
    start_if_possible(lane);
    sim__fiber_resume(f); /* last: the node may not survive it */
}

void
sim__submit(struct env *env, enum env_lane which, struct job *job)
{
    struct sim_node *node = sim__node_of(env);
    struct sim_lane *lane = &node->lanes[which];

    list_push_back(&lane->queue, &job->link);
    start_if_possible(lane);
    sim__fiber_give_way(node->world);
}

void
sim__lanes_init(struct sim_node *node)
{
    for (int i = 0; i < ENV_LANE_COUNT; i++) {
        struct sim_lane *lane = &node->lanes[i];

        lane->node = node;
        list_init(&lane->queue);
        lane->width = lane_widths[i];
        lane->busy = 0;
        sim__event_init(&lane->start, SIM_EVENT_LANE, start_job);
    }
}

void
sim__lanes_stop(struct sim_node *node)
{
    for (int i = 0; i < ENV_LANE_COUNT; i++) {
        sim__cancel(node->world, &node->lanes[i].start);
        list_init(&node->lanes[i].queue); /* the jobs are in memory that is about to go */
    }
}
