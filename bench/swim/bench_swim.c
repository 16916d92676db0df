/*
 * What failure detection costs, and how soon a death is known, by number of nodes: on virtual time, with the
 * thresholds of the design (tests/unit/swim/figures.h); under a minute.
 *
 *      bench_swim [minutes]      two tables; minutes without a death for each seed, by default 10
 *      bench_swim --csv          the same; scripts/plot detection draws it
 *
 * For each number of nodes and share of lost messages, SEEDS clusters are looked at without a death, and
 * SEEDS others in which DEATHS nodes die, one after the other.  The program fails when a node that lives is
 * DOWN for anybody, when somebody does not know of a death after a minute, or when a node sends more messages
 * than those of a probe with all its helpers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/swim/figures.h"

enum {
    MINUTES = 10,
    SEEDS = 5,
    DEATHS = 6, /* of each seed */
    SIZE_COUNT = 8,
    LOSS_COUNT = 3,
    MESSAGES_MAX = 5, /* of a node in a second */
};

static const uint32_t sizes[SIZE_COUNT] = { 3, 5, 10, 20, 30, 50, 70, 100 };
static const uint32_t losses[LOSS_COUNT] = { 0, 50, 100 }; /* in thousandths */

/* Seconds, of all deaths of all seeds. */
struct delays {
    double first; /* to know of a death, in the median */
    double median;
    double last; /* to know, in the median */
    double longest;
};

struct row {
    struct figures_cost cost; /* means and maxima; all false DOWNs, those of the deaths, too */
    uint32_t unseen;
    struct delays suspicious;
    struct delays down;
};

/* ------------------------------------------------------------------ measuring */

static void
add_cost(struct figures_cost *sum, const struct figures_cost *c)
{
    sum->messages += c->messages / SEEDS;
    sum->bytes += c->bytes / SEEDS;
    sum->suspicions += c->suspicions / SEEDS;
    sum->downs += c->downs;
    if (c->most_in_second > sum->most_in_second)
        sum->most_in_second = c->most_in_second;
}

/* Medians of a seed, their means over the seeds. */
static void
add_delays(struct delays *sum, const struct figures_edges *e)
{
    double longest = figures_part(e->s, e->count, 1);

    sum->first += figures_part(e->first_s, e->death_count, 0.5) / SEEDS;
    sum->median += figures_part(e->s, e->count, 0.5) / SEEDS;
    sum->last += figures_part(e->last_s, e->death_count, 0.5) / SEEDS;
    if (longest > sum->longest)
        sum->longest = longest;
}

static struct row
measure(uint32_t node_count, uint32_t loss_permille, uint32_t minutes)
{
    static struct figures_deaths deaths;
    struct row row = { 0 };

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct figures_setting s = { seed, node_count, loss_permille };
        struct figures_cost cost = figures_peace(&s, minutes);

        s.seed += SEEDS;
        figures_deaths(&s, DEATHS, &deaths);
        cost.downs += deaths.downs;
        row.unseen += deaths.suspicious.unseen + deaths.down.unseen;
        add_cost(&row.cost, &cost);
        add_delays(&row.suspicious, &deaths.suspicious);
        add_delays(&row.down, &deaths.down);
    }
    return row;
}

/* ------------------------------------------------------------------ telling */

static void
print_heads(void)
{
    printf("  %5s %5s %12s %12s %10s %12s %7s   %-23s   %-23s\n", "nodes", "lost", "messages",
           "most in 1 s", "bytes", "suspicions", "downs", "SUSPICIOUS after s", "DOWN after s");
    printf("  %5s %5s %12s %12s %10s %12s %7s   %5s %5s %5s %5s   %5s %5s %5s %5s\n", "", "",
           "a node and s", "", "", "a node and h", "false", "first", "mid", "last", "ever", "first",
           "mid", "last", "ever");
}

static void
print_row(uint32_t node_count, uint32_t loss_permille, const struct row *r)
{
    printf("  %5" PRIu32 " %3" PRIu32 " %% %12.2f %12" PRIu32 " %10.0f %12.3f %7" PRIu32
           "   %5.1f %5.1f %5.1f %5.1f   %5.1f %5.1f %5.1f %5.1f\n",
           node_count, loss_permille / 10, r->cost.messages, r->cost.most_in_second, r->cost.bytes,
           r->cost.suspicions, r->cost.downs, r->suspicious.first, r->suspicious.median,
           r->suspicious.last, r->suspicious.longest, r->down.first, r->down.median, r->down.last,
           r->down.longest);
}

static void
print_csv_row(uint32_t node_count, uint32_t loss_permille, const struct row *r)
{
    printf("%" PRIu32 ",%.2f,%.4f,%" PRIu32 ",%.1f,%.4f,%" PRIu32
           ",%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f\n",
           node_count, loss_permille / 1000.0, r->cost.messages, r->cost.most_in_second,
           r->cost.bytes, r->cost.suspicions, r->cost.downs, r->suspicious.first,
           r->suspicious.median, r->suspicious.last, r->suspicious.longest, r->down.first,
           r->down.median, r->down.last, r->down.longest);
}

int
main(int argc, char **argv)
{
    bool csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
    uint32_t minutes = argc > 1 && !csv ? (uint32_t)strtoul(argv[1], NULL, 10) : MINUTES;
    bool good = true;

    if (minutes == 0) {
        fprintf(stderr, "bench_swim: at least a minute\n");
        return EXIT_FAILURE;
    }
    if (csv)
        printf("nodes,loss,messages,most,bytes,suspicions,downs,"
               "suspicious_first,suspicious_median,suspicious_last,suspicious_longest,"
               "down_first,down_median,down_last,down_longest\n");
    else
        print_heads();
    for (uint32_t i = 0; i < LOSS_COUNT; i++) {
        for (uint32_t j = 0; j < SIZE_COUNT; j++) {
            struct row row = measure(sizes[j], losses[i], minutes);

            good &= row.cost.downs == 0 && row.unseen == 0 && row.cost.messages <= MESSAGES_MAX;
            (csv ? print_csv_row : print_row)(sizes[j], losses[i], &row);
            fflush(stdout);
        }
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
