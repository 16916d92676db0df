#include "cli/sim_args.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/prng.h"

#include "sim/node.h"

enum {
    MINUTE_MS = 60000,
    MINUTES_MAX = 24 * 60,
    RATE_MAX = 100000,
    JOBS_MAX = 64,
    SECONDS_MAX = 1000000,
    SECONDS_DEFAULT = 600,
    SHRINK_SECONDS_DEFAULT = 120,
    NUMBER_ROOM = 32,
    NAMES_BYTES_MAX = 1024,
    MINUTES_SALT = 0x317,
};

const char sim_args_help[] =
    "usage: distkv sim [--seed N | --seeds A..B] [OPTION]...\n\n"
    "Runs whole nodes on virtual time, with clients and faults that a seed decides, and judges what the\n"
    "clients saw. The same seed and options give the same run.\n\n"
    "  --seed N            one seed (1)\n"
    "  --seeds A..B        all of these, one line each, and a last line that sums up\n"
    "  --nodes N | A..B    of the cluster (1); of a range each in turn, seed by seed\n"
    "  --minutes M | A..B  simulated, with faults (2), from a range drawn; then all is healed, and\n"
    "                      everything must answer\n"
    "  --faults LIST       all, none, or names with commas (all)\n"
    "  --formed yes|no     does the cluster form itself, or is each node told of all? (drawn)\n"
    "  --workload NAME     what clients ask for (drawn)\n"
    "  --rate N            operations per second of all clients together (drawn, and it changes)\n"
    "  --clients N         (drawn)\n"
    "  --ops N             heal after so many operations\n"
    "  --only LIST         of the planned faults, only these: numbers and ranges, or none\n\n"
    "  --jobs N            so many seeds at a time, each in a process (1); lines are in order of seeds\n"
    "  --seconds-max S     a seed that takes longer, in real time, is a violation (600)\n"
    "  --shrink            after a violation, look for a smaller run that goes wrong in the same way:\n"
    "                      fewer nodes, minutes, faults, clients, operations\n"
    "  --shrink-seconds S  for so long at most, in real time (120)\n"
    "  --json              an object for each seed, and nothing else on standard output\n"
    "  --marks all         fail if no seed has been to one of the places of base/mark.h\n"
    "  --marks count       a line for each of them: how often all seeds together have been there\n"
    "  --history FILE      what clients saw, as JSON lines for distkv check-history; of one seed\n"
    "  --trace FILE        the plan, and the log of the nodes; of one seed\n"
    "  --ignore-sync P     fsyncs of files with P in their path do nothing: can the simulator fail?\n"
    "  --broken NAME       a mistake of base/broken.h is put back, likewise; in a build that has them\n\n"
    "Exit code: 0 all is well; 1 a violation, with the command that replays it; 2 wrong arguments, or\n"
    "there was no memory, no process, or no file to be had.\n";

/* ------------------------------------------------------------------ values */

struct option {
    const char *flag;
    const char *wants; /* NULL: it takes no value */
    bool (*take)(struct sim_args *a, const struct option *o, const char *value);
    size_t at; /* of what it sets in struct sim_args, where that is one field */
    uint64_t low;
    uint64_t high; /* 0: the value is no whole number */
};

typedef bool parse_fn(const char *text, uint64_t *out);

static bool
parse_number(const char *text, uint64_t *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 0);
    return *end == '\0';
}

/* The command that replays a run says its minutes a little too long, never too short. */
static bool
parse_minutes(const char *text, uint64_t *out)
{
    char *end;
    double minutes = strtod(text, &end);

    if (end == text || *end != '\0' || !(minutes > 0 && minutes <= MINUTES_MAX))
        return false;
    *out = (uint64_t)(minutes * MINUTE_MS + 0.01);
    return *out > 0;
}

/* "A..B", or "A" for "A..A". */
static bool
parse_range(const char *text, parse_fn *parse, struct sim_range *out)
{
    const char *dots = strstr(text, "..");
    char first[NUMBER_ROOM];

    if (dots == NULL) {
        if (!parse(text, &out->first))
            return false;
        out->last = out->first;
        return true;
    }
    if (dots - text >= NUMBER_ROOM)
        return false;
    snprintf(first, sizeof(first), "%.*s", (int)(dots - text), text);
    return parse(first, &out->first) && parse(dots + 2, &out->last) && out->first <= out->last;
}

/* A whole number within the option's bounds. */
static bool
parse_within(const struct option *o, const char *text, uint64_t *out)
{
    return parse_number(text, out) && *out >= o->low && *out <= o->high;
}

static bool
take_number(struct sim_args *a, const struct option *o, const char *value)
{
    uint64_t number;

    if (!parse_within(o, value, &number))
        return false;
    memcpy((char *)a + o->at, &number, sizeof(number));
    return true;
}

static bool
take_small(struct sim_args *a, const struct option *o, const char *value)
{
    uint64_t number;
    uint32_t small;

    ASSERT(o->high <= UINT32_MAX);
    if (!parse_within(o, value, &number))
        return false;
    small = (uint32_t)number;
    memcpy((char *)a + o->at, &small, sizeof(small));
    return true;
}

static bool
take_range(struct sim_args *a, const struct option *o, const char *value)
{
    struct sim_range range;

    if (!parse_range(value, parse_number, &range) || range.first < o->low || range.last > o->high)
        return false;
    memcpy((char *)a + o->at, &range, sizeof(range));
    return true;
}

static bool
take_seed(struct sim_args *a, const struct option *o, const char *value)
{
    return strstr(value, "..") == NULL && take_range(a, o, value);
}

static bool
take_minutes(struct sim_args *a, const struct option *o, const char *value)
{
    (void)o;
    return parse_range(value, parse_minutes, &a->ms);
}

static bool
take_word(struct sim_args *a, const struct option *o, const char *value)
{
    memcpy((char *)a + o->at, &value, sizeof(value));
    return true;
}

static bool
take_flag(struct sim_args *a, const struct option *o, const char *value)
{
    bool given = true;

    (void)value;
    memcpy((char *)a + o->at, &given, sizeof(given));
    return true;
}

static bool
take_faults(struct sim_args *a, const struct option *o, const char *value)
{
    (void)o;
    return faults_parse(value, &a->options.faults);
}

static bool
take_workload(struct sim_args *a, const struct option *o, const char *value)
{
    (void)o;
    return (a->options.workload = workload_find(value)) != NULL;
}

static bool
take_formed(struct sim_args *a, const struct option *o, const char *value)
{
    (void)o;
    a->options.formed = strcmp(value, "yes") == 0 ? TRIAL_FORMED : TRIAL_FIXED;
    return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0;
}

static bool
take_only(struct sim_args *a, const struct option *o, const char *value)
{
    (void)o;
    return picks_parse(value, &a->options.only);
}

static bool
take_broken(struct sim_args *a, const struct option *o, const char *value)
{
    (void)o;
    a->options.broken = broken_find(value);
    return a->options.broken != BROKEN_NOTHING && broken_choose(BROKEN_NOTHING);
}

static bool
take_marks(struct sim_args *a, const struct option *o, const char *value)
{
    (void)o;
    a->marks_all = a->marks_all || strcmp(value, "all") == 0;
    a->marks_count = a->marks_count || strcmp(value, "count") == 0;
    return strcmp(value, "all") == 0 || strcmp(value, "count") == 0;
}

#define AT(field) offsetof(struct sim_args, field)

static const struct option options[] = {
    { "--seed", "a number", take_seed, AT(seeds), 0, INT64_MAX },
    { "--seeds", "numbers like 1..100", take_range, AT(seeds), 0, INT64_MAX },
    { "--nodes", "a number, or a range like 3..7", take_range, AT(nodes), 1, NODE_CLUSTER_MAX },
    { "--minutes", "more than 0 and at most 1440, or a range like 2..10", take_minutes, 0, 0, 0 },
    { "--faults", "all, none, or with commas:", take_faults, 0, 0, 0 },
    { "--formed", "yes or no", take_formed, 0, 0, 0 },
    { "--workload", "one of:", take_workload, 0, 0, 0 },
    { "--rate", "a number of operations per second", take_small, AT(options.rate), 1, RATE_MAX },
    { "--clients", "a number", take_small, AT(options.callers), 1, SETUP_CALLERS_MAX },
    { "--ops", "a number", take_number, AT(options.ops_max), 1, UINT64_MAX },
    { "--only", "none, or numbers below 4096 like 3,7-9", take_only, 0, 0, 0 },
    { "--history", "a file", take_word, AT(options.history_path), 0, 0 },
    { "--trace", "a file", take_word, AT(options.trace_path), 0, 0 },
    { "--ignore-sync", "a part of a path", take_word, AT(options.ignore_sync), 0, 0 },
    { "--broken", "a mistake of base/broken.h, in a build with DISTKV_MUTANTS", take_broken, 0, 0,
      0 },
    { "--jobs", "a number of processes", take_number, AT(jobs), 1, JOBS_MAX },
    { "--seconds-max", "a number of seconds", take_number, AT(seconds_max), 1, SECONDS_MAX },
    { "--shrink", NULL, take_flag, AT(shrink), 0, 0 },
    { "--shrink-seconds", "a number of seconds", take_number, AT(shrink_seconds), 1, SECONDS_MAX },
    { "--json", NULL, take_flag, AT(json), 0, 0 },
    { "--marks", "all or count", take_marks, 0, 0, 0 },
};

_Static_assert((int)MINUTES_MAX == 1440, "as --minutes says");
_Static_assert((int)PLAN_ACTIONS_MAX == 4096, "as --only says");

/* ------------------------------------------------------------------ complaints */

static enum status
put_faults(struct buf *out)
{
    enum status st = ST_OK;

    for (enum fault f = 0; f < FAULT_COUNT && st == ST_OK; f++)
        st = buf_printf(out, " %s", fault_name(f));
    return st;
}

static enum status
put_workloads(struct buf *out)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < workload_count() && st == ST_OK; i++)
        st = buf_printf(out, " %s", workload_at(i)->name);
    return st;
}

static enum status
put_wants(const struct option *o, struct buf *out)
{
    enum status st = buf_printf(out, "%s", o->wants);

    if (st == ST_OK && o->high != 0)
        st = buf_printf(out, ", from %" PRIu64 " to %" PRIu64, o->low, o->high);
    if (st == ST_OK && o->take == take_faults)
        st = put_faults(out);
    if (st == ST_OK && o->take == take_workload)
        st = put_workloads(out);
    return st;
}

static enum status
complain(const struct option *o, const char *value, struct err *err)
{
    struct buf wants = buf_empty(NAMES_BYTES_MAX);
    enum status st = put_wants(o, &wants);

    if (st == ST_OK) {
        st = err_raise(err, ST_INVALID, "%s %s: it takes %.*s", o->flag,
                       value == NULL ? "without a value" : value, (int)wants.size,
                       (const char *)wants.data);
    } else {
        st = err_raise(err, st, "no memory for what %s takes", o->flag);
    }
    buf_release(&wants);
    return st;
}

/* ------------------------------------------------------------------ all words */

static const struct option *
find_option(const char *word)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcmp(options[i].flag, word) == 0)
            return &options[i];
    }
    return NULL;
}

enum status
sim_args_take(struct sim_args *a, int argc, char **argv, struct err *err)
{
    *a = (struct sim_args){ .seeds = { 1, 1 },
                            .nodes = { 1, 1 },
                            .jobs = 1,
                            .seconds_max = SECONDS_DEFAULT,
                            .shrink_seconds = SHRINK_SECONDS_DEFAULT };
    trial_options_default(&a->options);
    a->ms = (struct sim_range){ a->options.ms, a->options.ms };
    for (int i = 0; i < argc; i++) {
        const struct option *o = find_option(argv[i]);
        const char *value = NULL;

        if (o == NULL)
            return err_raise(err, ST_INVALID, "%s: there is no such option", argv[i]);
        if (o->wants != NULL && i + 1 < argc)
            value = argv[++i];
        if ((o->wants != NULL && value == NULL) || !o->take(a, o, value))
            return complain(o, value, err);
    }
    if (a->seeds.first < a->seeds.last &&
        (a->options.history_path != NULL || a->options.trace_path != NULL))
        return err_raise(err, ST_INVALID, "--history and --trace are of one seed: --seed N");
    return ST_OK;
}

void
sim_args_draw(const struct sim_args *a, uint64_t seed, struct trial_options *out)
{
    struct prng prng;

    prng_init(&prng, hash_u64(seed ^ MINUTES_SALT));
    *out = a->options;
    out->seed = seed;
    out->nodes = (uint32_t)(a->nodes.first + seed % (a->nodes.last - a->nodes.first + 1));
    out->ms = a->ms.first + prng_below(&prng, a->ms.last - a->ms.first + 1);
    ASSERT(out->nodes <= a->nodes.last && out->ms <= a->ms.last);
}
