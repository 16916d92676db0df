/* `distkv keyspace`: what keyspaces there are, and how they are to be. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/chart_show.h"
#include "cli/cli.h"
#include "cli/desk.h"
#include "cli/follow.h"

enum {
    REPLICAS_DEFAULT = 3,
    TABLETS_DEFAULT = 1,
    TABLETS_AT_ONCE = 100, /* more are made by splitting these */
    NUMBER_BYTES = 12,
    LEADERS_WAIT_S = 30,
};

/* Ask this; 0: it is done, and with --json was printed. */
static int
order(struct desk *d, const char *const *words, uint32_t count)
{
    json_t *answer = NULL;
    enum status st = desk_ask(d, words, count, &answer);

    json_decref(answer);
    if (st == ST_OK)
        (void)desk_prints_json(d);
    return st == ST_OK ? 0 : 1;
}

/* ------------------------------------------------------------------ list */

static int
list(struct desk *d)
{
    json_t *answer = NULL;
    enum status st = desk_ask(d, (const char *const[]){ "keyspaces" }, 1, &answer);

    if (st == ST_OK && !desk_prints_json(d))
        chart_show_keyspaces(answer, stdout);
    json_decref(answer);
    return st == ST_OK ? 0 : 1;
}

/* ------------------------------------------------------------------ split */

/* How many tablets it has, and how many of these are being split. */
static enum status
count_tablets(struct desk *d, uint32_t *count, uint32_t *splitting)
{
    json_t *tablets = NULL;
    enum status st = desk_ask(d, (const char *const[]){ "tablets", d->words[0] }, 2, &tablets);
    const json_t *t;
    size_t i;

    *count = *splitting = 0;
    json_array_foreach(tablets, i, t)
    {
        ++*count;
        *splitting += json_object_get(t, "splits_into") != NULL;
    }
    json_decref(tablets);
    return st;
}

static struct follow_left
count_splitting(const void *ctx, const json_t *tablets)
{
    struct follow_left left = { 0 };
    const json_t *t;
    size_t i;

    (void)ctx;
    json_array_foreach(tablets, i, t) left.count += json_object_get(t, "splits_into") != NULL;
    return left;
}

static int
follow_split(struct desk *d)
{
    struct follow f = { .desk = d,
                        .words = { "tablets", d->words[0] },
                        .word_count = 2,
                        .unit = "tablet",
                        .look = count_splitting };

    return follow(&f) == ST_OK ? 0 : 1;
}

/* Each order halves as many as can be; the rest follows when these are done. */
static int
split_into(struct desk *d, uint32_t wanted)
{
    char text[NUMBER_BYTES];
    const char *words[] = { "keyspace-split", d->words[0], text };
    uint32_t count, splitting;

    snprintf(text, sizeof(text), "%" PRIu32, wanted);
    for (;;) {
        if (count_tablets(d, &count, &splitting) != ST_OK)
            return 1;
        if (count >= wanted)
            return 0;
        if (count + splitting < wanted && order(d, words, 3) != 0)
            return 1;
        if (d->flags[FLAG_NO_WAIT] != NULL)
            return 0;
        if (follow_split(d) != 0)
            return 1;
    }
}

/* ------------------------------------------------------------------ create */

static struct follow_left
count_leaderless(const void *ctx, const json_t *tablets)
{
    struct follow_left left = { 0 };
    const json_t *t;
    size_t i;

    (void)ctx;
    json_array_foreach(tablets, i, t) left.count += !json_is_string(json_object_get(t, "leader"));
    return left;
}

/* Until it can be written to. */
static int
await_leaders(struct desk *d)
{
    struct follow f = { .desk = d,
                        .words = { "tablets", d->words[0] },
                        .word_count = 2,
                        .unit = "tablet",
                        .wait_s = LEADERS_WAIT_S,
                        .look = count_leaderless };
    enum status st = follow(&f);

    if (st == ST_TIMEOUT) {
        desk_complain(d,
                      "keyspace %s is made, but not all of its tablets have a leader yet; see "
                      "distkv cluster tablets %s",
                      d->words[0], d->words[0]);
    }
    return st == ST_OK ? 0 : 1;
}

static int
create(struct desk *d)
{
    uint32_t replicas = desk_number(d, FLAG_REPLICAS, REPLICAS_DEFAULT);
    uint32_t tablets = desk_number(d, FLAG_TABLETS, TABLETS_DEFAULT);
    uint32_t first = tablets;
    const char *partition = d->flags[FLAG_PARTITION];
    char replicas_text[NUMBER_BYTES], tablets_text[NUMBER_BYTES];
    const char *words[] = { "keyspace-create", d->words[0], replicas_text, tablets_text,
                            partition == NULL ? "hash" : partition };

    snprintf(replicas_text, sizeof(replicas_text), "%" PRIu32, replicas);
    while (first > TABLETS_AT_ONCE)
        first = (first + 1) / 2;
    snprintf(tablets_text, sizeof(tablets_text), "%" PRIu32, first);
    if (order(d, words, 5) != 0)
        return 1;
    if (d->flags[FLAG_NO_WAIT] == NULL && await_leaders(d) != 0)
        return 1;
    if (first < tablets && (d->flags[FLAG_NO_WAIT] != NULL || split_into(d, tablets) != 0)) {
        desk_complain(
            d, "keyspace %s is made, with fewer tablets; distkv keyspace split %s --tablets %u",
            d->words[0], d->words[0], tablets);
        return 1;
    }
    if (d->flags[FLAG_JSON] == NULL) {
        printf("Keyspace %s: %u tablet%s, %u cop%s of each. Redis clients reach it with SELECT "
               "%s.\n",
               d->words[0], tablets, tablets == 1 ? "" : "s", replicas, replicas == 1 ? "y" : "ies",
               d->words[0]);
    }
    return 0;
}

/* ------------------------------------------------------------------ alter */

static struct follow_left
count_moves_of(const void *ctx, const json_t *answer)
{
    struct follow_left left = { 0 };
    const json_t *m;
    size_t i;

    json_array_foreach(json_object_get(answer, "moves"), i, m)
    {
        if (strcmp(desk_text(m, "keyspace"), ctx) != 0)
            continue;
        left.count++;
        left.bytes += desk_count(m, "bytes");
    }
    return left;
}

static int
alter(struct desk *d)
{
    struct follow f = { .desk = d,
                        .words = { "rebalance" },
                        .word_count = 1,
                        .unit = "tablet",
                        .look = count_moves_of,
                        .ctx = d->words[0] };
    const char *replicas = d->flags[FLAG_REPLICAS];

    if (replicas == NULL) {
        desk_complain(d, "alter: what is to change? --replicas N");
        return 2;
    }
    if (order(d, (const char *const[]){ "keyspace-alter", d->words[0], replicas }, 3) != 0)
        return 1;
    if (d->flags[FLAG_NO_WAIT] == NULL && follow(&f) != ST_OK)
        return 1;
    if (d->flags[FLAG_JSON] == NULL) {
        printf("Keyspace %s: %s cop%s of each tablet%s.\n", d->words[0], replicas,
               strcmp(replicas, "1") == 0 ? "y" : "ies",
               d->flags[FLAG_NO_WAIT] == NULL ? "" : ", in a while");
    }
    return 0;
}

static int
split_at(struct desk *d, const char *key)
{
    if (order(d, (const char *const[]){ "keyspace-split", d->words[0], "at", key }, 4) != 0)
        return 1;
    return d->flags[FLAG_NO_WAIT] != NULL ? 0 : follow_split(d);
}

static int
split(struct desk *d)
{
    uint32_t wanted = desk_number(d, FLAG_TABLETS, 0);
    const char *key = d->flags[FLAG_AT];
    uint32_t count, splitting;
    int code;

    if ((wanted == 0) == (key == NULL)) {
        desk_complain(d, "split: into how many, or where? --tablets N, or --at KEY");
        return 2;
    }
    code = key == NULL ? split_into(d, wanted) : split_at(d, key);
    if (code != 0 || d->flags[FLAG_JSON] != NULL || count_tablets(d, &count, &splitting) != ST_OK)
        return code;
    printf("Keyspace %s: %" PRIu32 " tablet%s%s.\n", d->words[0], count, count == 1 ? "" : "s",
           splitting == 0 ? "" : ", and more in a while");
    return 0;
}

/* ------------------------------------------------------------------ drop */

static int
drop(struct desk *d)
{
    int code = order(d, (const char *const[]){ "keyspace-drop", d->words[0] }, 2);

    if (code == 0 && d->flags[FLAG_JSON] == NULL)
        printf("Keyspace %s is dropped, with all that was in it.\n", d->words[0]);
    return code;
}

/* ------------------------------------------------------------------ the program */

static const struct desk_verb verbs[] = {
    { .name = "create",
      .arguments = "NAME [--mode strong] [--replicas N] [--tablets N] [--partition hash|range] "
                   "[--no-wait]",
      .summary = "make a keyspace",
      .more = "\n  --mode M       strong: linearizable, by consensus [strong]\n"
              "  --replicas N   copies of each tablet, as far as there are nodes [3]\n"
              "  --tablets N    at the beginning; a range keyspace begins with one [1]\n"
              "  --partition P  hash: keys by their slot; range: keys in their order [hash]\n"
              "  --no-wait      do not wait until all tablets have a leader\n",
      .words_min = 1,
      .words_max = 1,
      .flags = FLAG(MODE) | FLAG(REPLICAS) | FLAG(TABLETS) | FLAG(PARTITION) | FLAG(NO_WAIT),
      .run = create },
    { .name = "list", .arguments = "", .summary = "what keyspaces there are", .run = list },
    { .name = "alter",
      .arguments = "NAME --replicas N [--no-wait]",
      .summary = "another number of copies",
      .more = "\n  --no-wait  do not watch until all are there\n",
      .words_min = 1,
      .words_max = 1,
      .flags = FLAG(REPLICAS) | FLAG(NO_WAIT),
      .run = alter },
    { .name = "split",
      .arguments = "NAME --tablets N | --at KEY [--no-wait]",
      .summary = "split tablets while they serve",
      .more = "\n  --tablets N  of a hash keyspace: halve the largest until there are so many\n"
              "  --at KEY     of a range keyspace: the tablet that has the key; a beginning of "
              "one will do\n"
              "  --no-wait    do not watch\n\n"
              "MSET, RENAME, COPY and MULTI work within one tablet: keys that belong together "
              "share a {tag}.\n",
      .words_min = 1,
      .words_max = 1,
      .flags = FLAG(TABLETS) | FLAG(AT) | FLAG(NO_WAIT),
      .run = split },
    { .name = "drop",
      .arguments = "NAME",
      .summary = "remove a keyspace and all that is in it",
      .words_min = 1,
      .words_max = 1,
      .run = drop },
    { 0 },
};

int
cli_keyspace_main(int argc, char **argv)
{
    static const struct desk_program program = {
        .name = "keyspace",
        .summary = "Keyspaces of a cluster, through any of its nodes. The databases 0 to 15 are "
                   "there from the\nbeginning.\n",
        .verbs = verbs,
    };

    return desk_main(&program, argc, argv);
}
