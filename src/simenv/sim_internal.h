/*
 * simenv/sim_internal.h — what the files of the simulated world share.
 *
 *      sim.c       the world: event queue, running     sim_node.c     boot, crash, kill, end
 *      sim_fiber.c stacks and switching between them   sim_announce.h fibers, to the sanitizers
 *      sim_fault.c when calls fail, how long they take sim_outside.c  the disk from outside
 *      sim_file.c  files, with faults                  sim_name.c     names of files, likewise
 *      sim_loop.c  loops, tasks, timers                sim_jobs.c     lanes
 *      sim_pipe.c  bytes on their way                  sim_gate.c     gates
 *      sim_net.c   listeners and streams               sim_client.c   clients that are no nodes
 *      sim_link.c  what lies between two nodes         sim_connect.c  attempts to connect
 *      sim_clock.c the clocks of a machine              sim_switch.c   from stack to stack
 *
 * The disk is a thing of its own, which knows no nodes: sim_disk.h.
 *
 * Invariants S1..S5: sim.c.  D1..D6: sim_disk.c.
 */
#ifndef SIMENV_SIM_INTERNAL_H
#define SIMENV_SIM_INTERNAL_H

#include "simenv/sim_disk.h"
#include "simenv/sim_switch.h"
#include "simenv/simenv.h"

struct sim_node;
struct sim_loop;
struct sim_lane;
struct sim_connection;

enum {
    SIM_NS_PER_US = 1000,
    SIM_NS_PER_MS = 1000 * 1000,
    SIM_OP_KINDS = 13,
    SIM_START_NS = 1000 * SIM_NS_PER_MS, /* so that 0 can mean "never" */
};

/* ------------------------------------------------------------------ sim.c: the world */

enum sim_event_kind {
    SIM_EVENT_WAKE = 1, /* of a fiber */
    SIM_EVENT_LANE,
    SIM_EVENT_ROUND,
    SIM_EVENT_TIMER,
    SIM_EVENT_PIECE,
    SIM_EVENT_RESET,
    SIM_EVENT_CONNECT,
    SIM_EVENT_HANDSHAKE,
};

/* Something that is due.  Embedded in what it concerns, so that scheduling cannot fail. */
struct sim_event {
    uint64_t at_ns;
    uint64_t sequence; /* ties go to whoever was scheduled first */
    size_t slot;       /* in the queue, plus 1; 0 = not scheduled */
    enum sim_event_kind kind;
    void (*fire)(struct sim_event *e);
};

struct sim {
    struct prng prng;
    uint64_t now_ns;
    uint64_t sequence;
    uint64_t trace;
    struct sim_event **queue; /* a binary heap by (at_ns, sequence); owned */
    size_t queue_size;
    size_t queue_capacity;
    size_t timer_count; /* how many of them are timers */

    uint64_t deadline_ns; /* of the run in progress */
    const bool *until;    /* its flag, or NULL */
    bool hurry;           /* rounds are being finished: nobody pauses */

    struct sim_fiber *current; /* NULL: the test's own stack, which is the scheduler's (S2) */
    struct sim_stack scheduler;
    const void *scheduler_stack; /* as the address sanitizer knows it */
    size_t scheduler_stack_bytes;
    void *scheduler_fake_stack;
    void *scheduler_thread; /* as the thread sanitizer knows it */
    struct list idle_fibers;
    struct list paused_rounds; /* struct sim_fiber, by `wait` */
    struct sim_node *doomed;   /* the node that the fiber which just left has ended */
    bool doomed_by_power_cut;
    sim_watch_fn *watch; /* NULL: nobody looks */
    void *watch_ctx;
    struct list connections; /* struct sim_connection */
    uint16_t next_client_port;
    struct sim_node *nodes[SIM_NODES_MAX + 1]; /* by id; made when first named */
};

/* Would an allocation of the running node's fail now?  Counts as one. */
MUST_USE bool sim__memory_refused(void);

void sim__event_init(struct sim_event *e, enum sim_event_kind kind,
                     void (*fire)(struct sim_event *e));
void sim__schedule(struct sim *w, struct sim_event *e, uint64_t at_ns); /* moves it if scheduled */
void sim__cancel(struct sim *w, struct sim_event *e);                   /* harmless if not */
void sim__trace(struct sim *w, uint64_t what, uint64_t a, uint64_t b);

/* From now, a random time in [0, spread_ns]. */
uint64_t sim__soon(struct sim *w, uint64_t spread_ns);

/* May whoever runs go on until `at_ns` without anything else coming first? */
bool sim__undisturbed_until(const struct sim *w, uint64_t at_ns);

/* Between these two a test's call lets events happen. */
void sim__run_begin(struct sim *w, uint64_t limit_ns, const bool *until);
void sim__run_end(struct sim *w);

/* The next event up to the deadline; false when there is none. */
bool sim__step(struct sim *w);

/* ------------------------------------------------------------------ sim_fiber.c */

enum sim_fiber_kind {
    SIM_FIBER_JOB,     /* on a lane */
    SIM_FIBER_CALL,    /* sim_call(): start-up code */
    SIM_FIBER_REACTOR, /* one round of a loop */
};

typedef void sim_fiber_fn(struct sim_fiber *self);

struct sim_fiber {
    struct list link; /* in node->fibers, or in world->idle_fibers */
    struct list wait; /* in a queue of whatever it waits for */
    struct sim *world;
    struct sim_node *node;
    enum sim_fiber_kind kind;
    sim_fiber_fn *run;
    bool ended; /* and it stands where the next one can begin */
    struct sim_event wake;
    struct mem_heap *heap; /* the current one when it last left */

    struct job *job;         /* of a JOB */
    struct sim_lane *lane;   /* of a JOB */
    struct sim_loop *loop;   /* of a REACTOR */
    void (*call)(void *ctx); /* of a CALL, or a REACTOR's visitor */
    void *ctx;
    bool *finished; /* set when a call has returned; lies on the test's stack */

    struct sim_stack stack;
    uint8_t *mapping; /* a guard page, then the stack; owned */
    void *fake_stack;
    void *thread;
};

/* Make one; it runs when it is resumed. */
struct sim_fiber *sim__fiber_create(struct sim_node *node, enum sim_fiber_kind kind,
                                    sim_fiber_fn *run);

/* Run it until it blocks or ends, or its node crashes.  Only by the scheduler. */
void sim__fiber_resume(struct sim_fiber *f);

/* Inside a fiber: leave until it is resumed. */
void sim__fiber_block(struct sim *w);

/* Inside a job: let time pass.  Outside of fibers nothing happens. */
void sim__fiber_sleep(struct sim *w, uint64_t ns);

/* Inside a fiber: what every call to env is, a point where others may come first. */
void sim__fiber_give_way(struct sim *w);

/* It will never run again; its stack goes back to the pool. */
void sim__fiber_abandon(struct sim_fiber *f);

/* Resume the rounds that paused, until none is half-way (S5). */
void sim__finish_rounds(struct sim *w);

void sim__fibers_release(struct sim *w);

/* Who is running? */
bool sim__in_reactor(const struct sim *w);
bool sim__in_job(const struct sim *w); /* on a lane */

/* ------------------------------------------------------------------ sim_jobs.c, sim_gate.c */

struct sim_lane {
    struct sim_node *node;
    struct list queue; /* struct job */
    uint32_t width;    /* workers */
    uint32_t busy;     /* of these, how many run a job */
    struct sim_event start;
};

void sim__lanes_init(struct sim_node *node);
void sim__lanes_stop(struct sim_node *node);
void sim__submit(struct env *env, enum env_lane which, struct job *job);

enum status sim__gate_create(struct env *env, struct gate **out);
void sim__gates_drop(struct sim_node *node);

/* ------------------------------------------------------------------ sim_loop.c */

struct sim_loop {
    struct loop base;
    struct sim_node *node;
    bool busy;    /* a round is in progress */
    bool stirred; /* something came in during the round */
    bool ended;   /* no round is begun any more */
    struct sim_event round;
    uint64_t now_ns;
    uint64_t wall_ms;
    struct task *tasks; /* oldest first */
    struct task **tasks_end;
    struct list dones;    /* struct job */
    struct list due;      /* struct sim_timer */
    struct list arrivals; /* struct sim_stream */
    struct list answered; /* struct sim_connector */
    struct list streams;  /* struct sim_stream */
    struct list ready;    /* of these, those of this round */
};

void sim__loop_init(struct sim_loop *loop, struct sim_node *node, uint32_t index);
void sim__loop_stop(struct sim_loop *loop);
void sim__loop_end(struct sim_loop *loop);
bool sim__loop_idle(const struct sim_loop *loop); /* nothing was posted that has not run */

/* There is something to do. */
void sim__loop_stir(struct sim_loop *loop);
void sim__loop_job_done(struct sim_loop *loop, struct job *job);

/* A round that does nothing but call. */
void sim__loop_visit(struct sim_loop *loop, void (*fn)(void *ctx), void *ctx);
void sim__timers_drop(struct sim_node *node);

/* Code of this loop, or start-up code: not a job, not another loop. */
void sim__assert_on_loop(const struct sim_loop *loop);

/* ------------------------------------------------------------------ sim_link.c */

/* A direction between two nodes that is not as all others are. */
struct sim_path {
    struct sim_link link;
    uint64_t free_at_ns; /* until then it carries what was sent before */
};

/* 0 stands for what is no node: a client. */
struct sim_link sim__link_between(const struct sim *w, uint32_t from, uint32_t to);

/* Does something that is on its way now get there? */
bool sim__link_passes(const struct sim *w, uint32_t from, uint32_t to);

/* When so many bytes that are sent now arrive: draws from the seed. */
uint64_t sim__link_arrival(struct sim *w, uint32_t from, uint32_t to, size_t bytes);

/* When something is sent again that has waited since then. */
uint64_t sim__link_retry(struct sim *w, uint64_t since_ns);

/* Something may pass again that did not: a link was set, a machine is on. */
void sim__links_changed(struct sim *w);

/* ------------------------------------------------------------------ sim_pipe.c */

/* A queue of bytes. */
struct sim_bytes {
    struct buf buf;
    size_t start; /* what lies before it was taken */
};

/* One direction of a connection.  A stream at an end is told when something changes; an end that
 * is a client, or closed, is NULL. */
struct sim_pipe {
    struct sim *world;
    uint32_t from; /* node, or 0: a client */
    uint32_t to;
    struct sim_stream *reader;
    struct sim_stream *writer;
    struct sim_bytes unsent; /* accepted from a client, waiting for room */
    struct list pieces;      /* in flight, oldest first */
    size_t flight_bytes;
    struct sim_bytes arrived;
    size_t unacknowledged; /* taken by the reader, but the writer does not know */
    size_t window;         /* bound of what is in flight, has arrived, or is unacknowledged */
    bool deaf;             /* nobody will read: what arrives is dropped */
    size_t room_when_deaf;
    bool ending;    /* the writer has closed */
    bool end_sent;  /* and the news is on its way */
    bool ended;     /* and has arrived */
    bool was_reset; /* the writer has heard that nobody reads */
    bool lost; /* the reader's machine knows nothing of it: what arrives is answered by a reset */
    bool abandoned; /* the writer's machine knows nothing of it: no end will come */
    bool held;      /* the first piece would have arrived, but does not get through */
    bool reset_held;
    uint64_t held_since_ns;
    uint64_t patience_ms; /* the writer's; 0: as the link has it */
    struct sim_event arrival;
    struct sim_event reset;
    struct sim_event give_up; /* the writer */
};

void sim__pipe_init(struct sim_pipe *p, struct sim *w, uint32_t from, uint32_t to);
void sim__pipe_release(struct sim_pipe *p);
size_t sim__pipe_room(const struct sim_pipe *p);
struct slice sim__pipe_arrived(const struct sim_pipe *p);
void sim__pipe_put(struct sim_pipe *p, struct slice bytes);  /* there is room */
void sim__pipe_send(struct sim_pipe *p, struct slice bytes); /* all, as room comes */
void sim__pipe_take(struct sim_pipe *p, size_t size);
void sim__pipe_pump(struct sim_pipe *p); /* there may be room */
void sim__pipe_close_writer(struct sim_pipe *p);
void sim__pipe_close_reader(struct sim_pipe *p);
void sim__pipe_lose_some(struct sim_pipe *p);      /* of what is in flight: any suffix */
void sim__pipe_lose_reader(struct sim_pipe *p);    /* its machine has forgotten the connection */
void sim__pipe_abandon_writer(struct sim_pipe *p); /* likewise */
void sim__pipe_retry(struct sim_pipe *p);          /* it may pass again */

/* ------------------------------------------------------------------ sim_net.c, sim_client.c */

struct sim_listener {
    struct listener base;
    struct list link; /* in node->listeners */
    struct sim_node *node;
    char *address; /* owned */
    listener_fn *accepted;
    void *ctx;
    uint32_t next_loop;
};

struct sim_stream {
    struct stream base;
    struct list link;      /* in node->streams */
    struct list loop_link; /* in one of the loop's lists */
    struct sim_node *node;
    struct sim_loop *loop;
    struct sim_connection *connection;
    struct sim_pipe *in;
    struct sim_pipe *out;
    struct sim_listener *listener; /* until it is accepted */
    bool severed;                  /* its machine has given the connection up */
    unsigned events;
    stream_fn *fn;
    void *ctx;
};

struct sim_connection {
    struct list link; /* in world->connections */
    struct sim *world;
    struct sim_pipe to_node;   /* to the side that listens */
    struct sim_pipe to_client; /* to the side that connected */
    struct sim_stream *stream; /* of the side that listens; NULL: closed */
    struct sim_stream *caller; /* of the side that connected; NULL: closed, or no node */
    struct sim_client *client; /* likewise; NULL: closed, or a node */
    struct sim_event connect;
    bool connect_held;
    uint64_t held_since_ns;
};

enum status sim__listen(struct env *env, const char *address, uint16_t port, listener_fn *accepted,
                        void *ctx, struct listener **out, struct err *err);
struct sim_listener *sim__listener_at(struct sim_node *node, uint16_t port);
void sim__listeners_drop(struct sim_node *node);

/* `from` is the node that connects, or 0.  The stream of the side that listens is on its way. */
struct sim_connection *sim__connection_create(struct sim_listener *l, uint32_t from);
void sim__connection_retry(struct sim_connection *c);

/* The other end of it, for the node that connected. */
struct sim_stream *sim__connection_call(struct sim_connection *c, struct sim_loop *loop);

void sim__stream_stir(struct sim_stream *s);            /* something changed at one of its pipes */
unsigned sim__stream_ready(const struct sim_stream *s); /* what its callback would be told */
void sim__stream_accept(struct sim_stream *s);          /* on its loop */
void sim__stream_drop(struct sim_stream *s);
void sim__stream_sever(struct sim_stream *s); /* the connection has broken, for this side */
void sim__streams_cut(struct sim_node *node, bool power_cut); /* the node is gone */

/* One end is closed; the last one frees it. */
void sim__connection_unref(struct sim_connection *c);

/* ------------------------------------------------------------------ sim_connect.c */

struct sim_connector;

enum status sim__connect(struct loop *loop, const struct connect_options *options,
                         struct connector **out, struct err *err);
void sim__connector_tell(struct list *loop_link); /* on its loop; takes it out of the list */
void sim__connectors_drop(struct sim_node *node);
void sim__connectors_retry(struct sim_node *node);

/* ------------------------------------------------------------------ sim_fault.c */

struct sim_fault {
    unsigned ops; /* 0 = off */
    uint64_t left;
    bool for_good;
    enum status st;
};

struct sim_doom {
    unsigned ops; /* 0 = off */
    uint64_t left;
    bool after;
};

/* One call to env on its way. */
struct sim_op_run {
    struct sim_node *node;
    enum sim_op kind;
    enum status fail; /* ST_OK, or what it must fail with */
    bool crash_after;
};

/* Count the call, crash the node if it is due, and let time pass. */
struct sim_op_run sim__op_begin(struct sim_node *node, enum sim_op kind);

/* As sim__op_begin, for a reactor, which waits for nothing. */
struct sim_op_run sim__op_begin_try(struct sim_node *node, enum sim_op kind);

/* The effect has taken place.  Returns `st`. */
enum status sim__op_end(const struct sim_op_run *op, enum status st);

/* Is a sync of this path to be pretended only? */
bool sim__sync_is_ignored(const struct sim_node *node, const char *path);

/* ------------------------------------------------------------------ sim_file.c */

/* Say what an errno of the disk means; or the fault that was injected (sys 0). */
enum status sim__raise(const struct sim_op_run *op, int sys, struct err *err, const char *what,
                       const char *path);

/* These are in env_ops.  sim_file.c: */
enum status sim__open(struct env *env, const char *path, unsigned flags, struct file **out,
                      struct err *err);
enum status sim__lock(struct env *env, const char *path, struct file **out, struct err *err);
void sim__files_drop(struct sim_node *node);
void sim__files_report(const struct sim_node *node); /* log what is open */

/* sim_name.c: */
enum status sim__remove(struct env *env, const char *path, struct err *err);
enum status sim__rename(struct env *env, const char *from, const char *to, struct err *err);
enum status sim__link(struct env *env, const char *from, const char *to, struct err *err);
enum status sim__make_dir(struct env *env, const char *path, struct err *err);
enum status sim__remove_dir(struct env *env, const char *path, struct err *err);
enum status sim__sync_dir(struct env *env, const char *path, struct err *err);
enum status sim__stat(struct env *env, const char *path, uint64_t *size, struct err *err);
enum status sim__list(struct env *env, const char *path, env_list_fn *fn, void *ctx,
                      struct err *err);
enum status sim__room(struct env *env, const char *path, struct env_room *out, struct err *err);

/* ------------------------------------------------------------------ sim_clock.c */

uint64_t sim__boot_ns(const struct sim_node *node);
uint64_t sim__wall_ms(const struct sim_node *node);

/* The machine is started anew, and its boot clock with it. */
void sim__boot_clock_restart(struct sim_node *node);

/* How much time passes in the world while so much passes on the node's boot clock, or more. */
uint64_t sim__world_ns(const struct sim_node *node, uint64_t own_ns);

/* The node is paused: the event comes again when it no longer is. */
bool sim__postpone(struct sim_node *node, struct sim_event *e);

/* ------------------------------------------------------------------ sim_node.c */

struct sim_node {
    struct env env; /* first: struct env * is struct sim_node * */
    struct sim *world;
    uint32_t id;
    bool running;
    uint64_t life; /* counts crashes, kills and ends: what was before is not what is now */
    struct mem_heap heap;
    struct sim_disk *disk;
    struct sim_loop *loops; /* owned */
    uint32_t loop_count;
    struct sim_lane lanes[ENV_LANE_COUNT];
    bool loops_held;        /* no round begins */
    struct list fibers;     /* struct sim_fiber */
    struct list files;      /* struct sim_file */
    struct list gates;      /* struct sim_gate */
    struct list timers;     /* struct sim_timer */
    struct list listeners;  /* struct sim_listener */
    struct list streams;    /* struct sim_stream, not yet accepted ones included */
    struct list connectors; /* struct sim_connector */
    struct sim_path *paths; /* from here, by the other's id; owned; NULL: all as usual */
    uint16_t next_port;
    bool off;                 /* the machine: since a power cut, or never booted */
    uint64_t paused_until_ns; /* no code of the node runs before */

    uint64_t boot_zero_ns;  /* where the boot clock stood at world time 0, modulo 2^64 */
    uint64_t drift_from_ns; /* world time since which it drifts as it does now */
    int32_t drift_ppm;
    int64_t wall_offset_ms;

    uint64_t op_counts[SIM_OP_KINDS];
    struct sim_fault fault;
    struct sim_doom doom;
    char *ignored_sync; /* owned; NULL = none */
    uint32_t latency_us;
    uint32_t cold_percent;
};

/* The node of this id, made if it was never named. */
struct sim_node *sim__node(struct sim *w, uint32_t id);

static inline struct sim_node *
sim__node_of(struct env *env)
{
    return (struct sim_node *)env;
}

/* The running fiber, which is the node's, ends its node; never returns to it. */
_Noreturn void sim__die(struct sim_node *node, bool power_cut);

/* The scheduler's half of it. */
void sim__bury_doomed(struct sim *w);

#endif
