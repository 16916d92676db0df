#include "server/descriptors.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/log.h"

enum {
    /* An empty node holds 13, and 4 for each reactor; the log's segments to come, a flush and a
     * compaction hold more. */
    OWN = 24,
    PER_REACTOR = 4,

    /* Manifests, and tables that scans and compactions hold beyond those that may be open. */
    JOBS_MAX = 224,

    /* Shared by jobs, tables and connections. */
    SHARED_MIN = 96,
};

static uint64_t
least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
own(uint32_t reactor_count)
{
    return OWN + (uint64_t)PER_REACTOR * reactor_count;
}

uint64_t
descriptors_min(uint32_t reactor_count)
{
    return own(reactor_count) + SHARED_MIN;
}

struct descriptors
descriptors_share(uint64_t limit, uint32_t reactor_count, const struct descriptors *wanted)
{
    uint64_t shared = limit - own(reactor_count);
    uint64_t jobs = least(JOBS_MAX, shared / 4);
    uint64_t tables = least(wanted->tables, shared / 4);

    ASSERT(limit >= descriptors_min(reactor_count));
    return (struct descriptors){
        .connections = least(wanted->connections, shared - jobs - tables),
        .tables = tables,
    };
}

static enum status
raise_limit(uint64_t *out, struct err *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_raise_sys(err, ST_IO, errno, "the limit of open files");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_raise_sys(err, ST_IO, errno, "the limit of open files");
    *out = limit.rlim_cur;
    return ST_OK;
}

enum status
descriptors_claim(uint32_t reactor_count, const struct descriptors *wanted,
                  struct descriptors *share, struct err *err)
{
    uint64_t limit = 0;
    enum status st = raise_limit(&limit, err);

    if (st != ST_OK)
        return st;
    if (limit < descriptors_min(reactor_count)) {
        return err_raise(err, ST_INVALID,
                         "the limit of open files is %llu, and %llu is the least; see ulimit -n",
                         (unsigned long long)limit,
                         (unsigned long long)descriptors_min(reactor_count));
    }
    *share = descriptors_share(limit, reactor_count, wanted);
    if (share->connections < wanted->connections || share->tables < wanted->tables) {
        log_event(LOG_WARN, "server.few_descriptors", log_u64("limit", limit),
                  log_u64("max_connections", share->connections),
                  log_u64("open_tables", share->tables));
    }
    return ST_OK;
}
