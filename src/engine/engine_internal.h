/* What the files of engine/ share.  The essay and the invariants are in engine.c. */
#ifndef ENGINE_INTERNAL_H
#define ENGINE_INTERNAL_H

#include "base/limits.h"
#include "base/lock.h"

#include "engine/catalogue.h"
#include "lsm/readers.h"
#include "lsm/record_cache.h"

enum {
    ENGINE_TICK_MS = 100,
    OPEN_TABLES_MIN = 8,
    OPEN_TABLES_DEFAULT = 1000,
    SEALED_FLOORS_MAX = 64, /* sealed memtables of one tree whose log is still needed */
};

struct engine_tree {
    struct engine *engine;
    struct lsm *lsm;
    uint64_t id;
    uint64_t log; /* under which the log has its records: N8 */
    struct engine_oath oath;
    uint32_t users;       /* N9; under the lock */
    _Atomic bool dropped; /* it is found no more; those who use it are to end */

    /* Log positions (N1).  `applied` and `active_floor` are written by the owner only. */
    _Atomic uint64_t in_flight;   /* entries appended and not applied */
    _Atomic wal_position applied; /* just past the last entry applied */
    _Atomic wal_position
        active_floor;       /* nothing in the memtable came from before; NO_FLOOR: empty */
    uint64_t applied_index; /* the owner's */
    struct sealed_floor {
        wal_position floor;
        uint64_t index;   /* the last entry of that memtable */
    } * floors;           /* SEALED_FLOORS_MAX, owned; NULL: there is none, as in most trees */
    uint32_t floor_count; /* of the sealed memtables, oldest first; both under the lock */

    bool held;                      /* the owner's: no memtable is sealed */
    _Atomic bool followed;          /* flushed log is kept for others, too */
    _Atomic bool seal_wanted;       /* the owner is asked to seal its memtable */
    _Atomic bool compaction_failed; /* damage: not tried again before a restart */
};

/* What failed is not tried again before its time. */
struct engine_retry {
    _Atomic uint64_t at_ns;   /* env_boot_ns */
    _Atomic uint32_t failure; /* why; enum status */
};

struct engine {
    struct env *env;
    struct engine_options options;
    char *dir; /* owned */
    struct file *lock_file;
    struct engine_identity identity;

    struct budget budget;
    struct epoch epoch;
    struct cache *blocks;
    struct record_cache *records;
    struct readers *readers;
    _Atomic uint64_t next_number;
    _Atomic uint32_t manifests_open;
    struct lsm_shared shared;

    struct lock lock;           /* guards what follows, up to the blank line */
    struct engine_tree **trees; /* sorted by id; owned; written inside the catalogue's gate */
    uint32_t tree_count;
    bool log_running;
    bool sync_wanted;
    bool flush_running;
    bool compact_running;
    uint32_t compact_waiters; /* they want the turn: compactions on nobody's request give way */
    bool closing;             /* no job is begun, but the log's */
    struct file *reserve;     /* NULL: not made yet, or spent */
    bool reserve_spent;       /* and not made again */
    bool reserve_busy;        /* being spent */

    struct gate *catalogue_gate; /* across a change of the catalogue; guards the next two */
    struct catalogue catalogue;
    bool catalogue_unsure; /* the disk may have another one: the last change of it has failed */

    _Atomic(struct engine_listener *) listeners; /* the newest first; all go at the end */
    _Atomic uint32_t jobs;                       /* N7 */
    _Atomic bool ending;                         /* engine_begin_close() */

    struct wal *log;
    _Atomic wal_position log_gone_before; /* durably: no start finds what is before it */
    struct wal_recovery recovery;
    _Atomic bool interval_dirty; /* something waits for the interval's fsync */
    struct job log_job;
    struct job flush_job;
    struct job compact_job;
    struct gate *idle; /* woken when a job ends, and when the log moves */
    bool recovering;
    _Atomic bool flushes_held; /* engine_hold_flushes() */
    bool replay_full; /* no memtable is flushed in this replay: there is room for the start alone */
    bool start_short; /* START has less than it should; the start's, then the monitor's */

    _Atomic uint32_t space;      /* enum engine_space */
    _Atomic bool space_is_short; /* no flushed log is to be kept */
    _Atomic bool log_is_kept;    /* for followers, when it was last looked at */
    _Atomic uint64_t free_bytes; /* of the disk, as last seen */
    _Atomic uint64_t disk_bytes;
    struct job monitor_job;
    _Atomic bool monitor_running;
    struct timer *tick_timer;
    struct job ticker;     /* without loops */
    _Atomic bool ticking;  /* the ticker is to go on */
    uint64_t last_sync_ns; /* the tick's own */
    uint64_t last_monitor_ns;
    uint64_t last_trees_ns; /* when it looked at all trees */
    uint64_t last_moved_ns; /* when it saw that the log had moved */
    wal_position last_end;  /* of the log, at the last tick */
    struct job trim_job;
    _Atomic bool trimming;
    size_t elastic_bytes; /* of the caches, the most since the last trim */
    struct engine_retry flush_retry;
    struct engine_retry compact_retry;
    _Atomic uint64_t memtable_bytes; /* of all trees, as of the last look */
    _Atomic uint64_t seals_asked;

    _Atomic uint64_t stall_count[ENGINE_STALL_COUNT];
    _Atomic uint64_t stall_ns[ENGINE_STALL_COUNT];
};

#define NO_FLOOR UINT64_MAX

/* recover.c: in a replay no job runs, so a memtable that has filled is flushed by whoever is about
 * to apply the record at `at` to its tree. */
MUST_USE enum status engine__flush_replayed(struct engine_tree *tree, wal_position at,
                                            struct err *err);

/* identity.c */
MUST_USE enum status engine__load_identity(struct engine *e, bool *exists, struct err *err);
MUST_USE enum status engine__create_identity(struct engine *e, struct err *err);
MUST_USE enum status engine__store_identity(struct engine *e, struct err *err);

/* trees.c */
/* The one after `before` in order of id, NULL: the first; NULL: there is none.  It stays until it is let
 * go, which happens to `before` here (N9).  Trees that come meanwhile may be missed, and no others. */
struct engine_tree *engine__tree_after(struct engine *e, struct engine_tree *before);
struct engine_tree *engine__hold_tree(struct engine_tree *tree); /* once more, by whoever has it */
void engine__let_go(struct engine_tree *tree);                   /* NULL is allowed */

/* lifetime.c */
MUST_USE enum status engine__open_trees(struct engine *e, struct err *err);
void engine__close_trees(struct engine *e);
/* Have the disk say what we know, whatever became of the last change. */
MUST_USE enum status engine__settle_catalogue(struct engine *e, struct err *err);
/* After a replay: names in the log that were met in it are still there, and others are gone. */
void engine__note_gone(struct engine *e, const bool *met);
void engine__rest_trees(struct engine *e); /* now and then: the idle ones close their files */
void engine__ask_for_seal(struct engine_tree *tree);
/* engine_tree_applied(), but for the count of entries in flight. */
void engine__tree_moved(struct engine_tree *tree, uint64_t index, wal_position position);

/* plant.c: what is in a new tree when its name becomes known. */
struct seedling {
    struct engine_tree *parent; /* whose tables these are; NULL: it is empty */
    struct lsm_mark mark;
};
MUST_USE enum status engine__plant(const struct seedling *s, struct lsm *into, struct err *err);

/* folders.c */
void engine__tree_path(const struct engine *e, uint64_t id, char path[LIMIT_PATH_BYTES]);
/* With all that is in it; ST_OK also when there is none. */
MUST_USE enum status engine__remove_folder(struct engine *e, uint64_t id, struct err *err);
/* The same for one without a name in the catalogue: a failure is told, and the next start tries again. */
void engine__remove_nameless(struct engine *e, uint64_t id);
/* All that the catalogue, which is settled, does not name. */
void engine__remove_leftovers(struct engine *e);

/* log.c: the log's own thread */
void engine__notify(struct engine *e);
/* Flush on the calling thread, in its turn with the log's own. */
MUST_USE enum status engine__flush_now(struct engine *e, bool sync, struct err *err);

/* jobs.c */
void engine__schedule(struct engine *e);
/* As engine__tree_after(), for those who look for work: there is none when the engine closes. */
struct engine_tree *engine__work_after(struct engine *e, struct engine_tree *before);
/* What has failed is not tried again for a second; is it to wait still? */
void engine__put_off(struct engine *e, struct engine_retry *retry, enum status failure);
bool engine__is_put_off(const struct engine *e, const struct engine_retry *retry);
/* After such a failure of a job: is there now what it has failed for want of?  Then it is to be tried
 * once more. */
bool engine__make_room(struct engine *e, enum status st, const struct err *err);
/* Why what would end the stall (for room in the log: a flush) is put off for the moment; ST_OK: it
 * is not. */
enum status engine__put_off_by(const struct engine *e, enum engine_stall stall);
/* Forget what the tree's tables hold by now. */
void engine__drop_floors(struct engine_tree *tree);
void engine__release_log(struct engine *e);
/* The flushed log that is kept for followers at most, as the options have it. */
uint64_t engine__log_reserve(const struct engine *e);
/* N7: whoever submits a job calls the first, and the job calls the second, last of all. */
void engine__begin_job(struct engine *e);
void engine__end_job(struct engine *e);
void engine__await_jobs(struct engine *e);

/* flush_job.c, compaction_job.c: submit the job, unless it runs, is put off, or has nothing to do. */
void engine__flush_if_due(struct engine *e);
void engine__compact_if_due(struct engine *e);

/* space.c */
void engine__find_reserve(struct engine *e); /* at start, before anything can need it */
void engine__monitor(struct engine *e);
bool engine__spend_reserve(struct engine *e);

/* start.c: what only a start may spend.  A little, if the disk has less than that. */
void engine__spend_start(struct engine *e);
/* All of it; then RESERVE.  False: there was nothing. */
bool engine__spend_all_of_start(struct engine *e);
/* Also the monitor's, when START is short and there is room. */
void engine__refill_start(struct engine *e);
/* False: the table could take what the start needs; what is in memory was there before, too. */
bool engine__may_flush_in_replay(struct engine *e);

/* trees.c: what the memtables of all trees may take together. */
size_t engine__memtable_share(const struct engine *e);

/* tick.c */
MUST_USE enum status engine__start_ticking(struct engine *e, struct err *err);
void engine__stop_ticking(struct engine *e);

#endif
