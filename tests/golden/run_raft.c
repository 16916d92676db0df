/*
 * Golden traces of consensus: commands in, everything that the members of a group do out.
 *
 *      run_raft file...
 *
 * A file is blocks: commands, a line of "----", and what they lead to, up to an empty line.  Lines
 * that begin with '#' are comments.
 *
 *      nodes 5 voters 3 leases 90    a new group; nothing happens but what is said
 *      log 2 1 1 2                   member 2 restarts with entries of these terms on its disk
 *      hard 2 3 1                    ... and has voted for 1 in term 3
 *      state                         a line for each member
 *      stand 1                       its election timeout is over
 *      elect 1                       it stands, is elected, and all is said; nothing of it is shown
 *      tick 1 50                     so many milliseconds pass for it, and it is told
 *      wait 600                      they pass for all, and nobody is told
 *      deliver | deliver 1 2 [n]     what is under way, in order; from 1 to 2 only, n of them
 *      drop 1 2 [n]                  ... are lost
 *      propose 1, read 1, change 1 2,3 learners 4, transfer 1 2, silent 1 2, unreachable 1 2
 *      cut 3, heal, crash 2, start 2, fail 1 (its disk), compact 1, install 3
 *      slow 1, sync 1                its disk takes until it is told; it has everything
 *      hold 1, release 1             it sends no entries until it is told
 *
 * After each command the disks that are not slow have what they were given, what is committed is
 * applied, and leaders send what there is to send; but nothing arrives by itself.
 *
 * With GOLDEN_UPDATE=1 in the environment the files are rewritten with what came out: read the
 * difference before believing it.
 */
#include <inttypes.h>

#include "golden/raft_trace.h"

enum { FILE_BYTES_MAX = 1 << 20, WORDS_MAX = 40 };

struct golden {
    struct raft_trace trace;
    struct group *g;
    struct buf file; /* as it should be */
    const char *path;
    char *words[WORDS_MAX]; /* of the command; [0] is its name */
    int word_count;
    bool slow[GROUP_NODES_MAX + 1]; /* by id */
    bool held[GROUP_NODES_MAX + 1];
};

/* ------------------------------------------------------------------ words */

static uint64_t
number(struct golden *x, int i)
{
    char *end = NULL;
    uint64_t n;

    if (i >= x->word_count)
        fail_msg("%s: %s needs more", x->path, x->words[0]);
    n = strtoull(x->words[i], &end, 10);
    if (*end != '\0')
        fail_msg("%s: %s: what is %s?", x->path, x->words[0], x->words[i]);
    return n;
}

/* The number after this word; else the fallback. */
static uint64_t
option(struct golden *x, const char *name, uint64_t fallback)
{
    for (int i = 1; i + 1 < x->word_count; i++) {
        if (strcmp(x->words[i], name) == 0)
            return number(x, i + 1);
    }
    return fallback;
}

static struct node *
node(struct golden *x)
{
    struct node *n = group_node(x->g, number(x, 1));

    x->trace.speaking = 0;
    return n;
}

/* "1,2,3" */
static uint32_t
parse_ids(const char *text, raft_id *out, uint32_t max)
{
    uint32_t count = 0;

    while (*text != '\0') {
        char *end = NULL;

        EXPECT(count < max);
        out[count++] = strtoull(text, &end, 10);
        EXPECT(end != text);
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

/* ------------------------------------------------------------------ commands */

static void
do_nodes(struct golden *x)
{
    uint32_t nodes = (uint32_t)number(x, 1);
    struct raft_options options;

    EXPECT(x->g == NULL);
    raft_options_default(&options);
    options.lease_percent = (uint32_t)option(x, "leases", 0);
    options.message_bytes = option(x, "entries", 10000) * ENTRY_BYTES; /* in a message */
    x->g = calm_with(nodes, (uint32_t)option(x, "voters", nodes), &options);
    trace_begin(&x->trace, x->g);
}

static void
do_log(struct golden *x)
{
    char text[256] = "";

    for (int i = 2; i < x->word_count; i++) {
        strcat(text, i == 2 ? "" : " ");
        strcat(text, x->words[i]);
        EXPECT(strlen(text) < sizeof(text) - 32);
    }
    set_log(x->g, number(x, 1), text);
    trace_begin(&x->trace, x->g);
}

static void
do_hard(struct golden *x)
{
    set_hard(x->g, number(x, 1), number(x, 2), number(x, 3));
    trace_begin(&x->trace, x->g);
}

static void
do_state(struct golden *x)
{
    trace_state(&x->trace);
}

static void
do_stand(struct golden *x)
{
    group_tick(x->g, node(x), 2 * ELECTION_MS);
}

static void
do_elect(struct golden *x)
{
    x->g->trace = NULL;
    x->g->sent = NULL;
    elect(x->g, number(x, 1));
    settle(x->g);
    trace_begin(&x->trace, x->g);
}

static void
do_tick(struct golden *x)
{
    group_tick(x->g, node(x), (uint32_t)number(x, 2));
}

static void
do_wait(struct golden *x)
{
    elapse_ms(x->g, number(x, 1));
}

static void
do_deliver(struct golden *x)
{
    uint32_t left = x->g->packet_count;

    if (x->word_count > 3)
        deliver_some(x->g, number(x, 1), number(x, 2), (uint32_t)number(x, 3));
    else if (x->word_count > 1)
        deliver(x->g, number(x, 1), number(x, 2));
    if (x->word_count > 1)
        return;
    for (; left > 0; left--) { /* the oldest first, and none that is sent meanwhile */
        struct packet p = x->g->packets[0];

        memmove(x->g->packets, x->g->packets + 1,
                (x->g->packet_count - 1) * sizeof(x->g->packets[0]));
        x->g->packets[x->g->packet_count - 1] = p;
        group_deliver(x->g, x->g->packet_count - 1);
    }
}

static void
do_drop(struct golden *x)
{
    drop_some(x->g, number(x, 1), number(x, 2),
              x->word_count > 3 ? (uint32_t)number(x, 3) : UINT32_MAX);
}

static void
tell(struct golden *x, enum raft_event_kind kind)
{
    raft_id other = x->word_count > 2 ? number(x, 2) : 0;

    (void)group_step(x->g, node(x), (struct raft_event){ .kind = kind, .node = other });
}

static void
do_propose(struct golden *x)
{
    (void)group_propose(x->g, node(x));
}

static void
do_read(struct golden *x)
{
    (void)group_read(x->g, node(x));
}

static void
do_transfer(struct golden *x)
{
    tell(x, RAFT_TRANSFER);
}

static void
do_silent(struct golden *x)
{
    tell(x, RAFT_SILENT);
}

static void
do_unreachable(struct golden *x)
{
    tell(x, RAFT_UNREACHABLE);
}

static void
do_change(struct golden *x)
{
    struct raft_config c = { 0 };

    EXPECT(x->word_count > 2);
    c.voter_count = parse_ids(x->words[2], c.voters, RAFT_VOTERS_MAX);
    if (x->word_count > 4)
        c.learner_count = parse_ids(x->words[4], c.learners, RAFT_MEMBERS_MAX);
    (void)group_change(x->g, node(x), &c);
}

static void
do_cut(struct golden *x)
{
    cut_off(x->g, number(x, 1));
}

static void
do_heal(struct golden *x)
{
    group_heal(x->g);
}

static void
do_crash(struct golden *x)
{
    group_crash(x->g, node(x));
}

static void
do_start(struct golden *x)
{
    group_start(x->g, node(x));
    trace_begin(&x->trace, x->g);
}

static void
do_fail(struct golden *x)
{
    group_fail_disk(x->g, node(x));
}

static void
do_compact(struct golden *x)
{
    group_compact(x->g, node(x));
}

static void
do_install(struct golden *x)
{
    group_finish_install(x->g, node(x), true);
}

static void
do_slow(struct golden *x)
{
    x->slow[node(x)->id] = true;
}

static void
do_sync(struct golden *x)
{
    x->slow[node(x)->id] = false;
}

static void
do_hold(struct golden *x)
{
    x->held[node(x)->id] = true;
}

static void
do_release(struct golden *x)
{
    x->held[node(x)->id] = false;
}

static const struct {
    const char *name;
    void (*run)(struct golden *x);
} commands[] = {
    { "nodes", do_nodes },     { "log", do_log },
    { "hard", do_hard },       { "state", do_state },
    { "stand", do_stand },     { "elect", do_elect },
    { "tick", do_tick },       { "wait", do_wait },
    { "deliver", do_deliver }, { "drop", do_drop },
    { "propose", do_propose }, { "read", do_read },
    { "change", do_change },   { "transfer", do_transfer },
    { "silent", do_silent },   { "unreachable", do_unreachable },
    { "cut", do_cut },         { "heal", do_heal },
    { "crash", do_crash },     { "start", do_start },
    { "fail", do_fail },       { "compact", do_compact },
    { "install", do_install }, { "slow", do_slow },
    { "sync", do_sync },       { "hold", do_hold },
    { "release", do_release },
};

/* Disks, state machines and leaders go on, until they wait for the network. */
static void
go_on(struct golden *x)
{
    uint64_t before;

    do {
        before = x->g->step;
        for (raft_id id = 1; id <= x->g->node_count; id++) {
            struct node *n = group_node(x->g, id);

            if (!n->up)
                continue;
            x->trace.speaking = 0;
            if (!x->slow[id])
                group_sync(x->g, n);
            group_apply(x->g, n);
            x->trace.speaking = 0;
            if (!x->held[id])
                group_send_appends(x->g, n);
        }
    } while (x->g->step != before);
}

static void
run_command(struct golden *x, const char *line)
{
    char text[256];

    EXPECT(strlen(line) < sizeof(text));
    strcpy(text, line);
    x->word_count = 0;
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        EXPECT(x->word_count < WORDS_MAX);
        x->words[x->word_count++] = word;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (x->word_count == 0 || strcmp(commands[i].name, x->words[0]) != 0)
            continue;
        commands[i].run(x);
        go_on(x);
        return;
    }
    fail_msg("%s: what is %s?", x->path, line);
}

/* ------------------------------------------------------------------ files */

/* The next line, cut out in place; NULL: none. */
static char *
next_line(char **at)
{
    char *line = *at;
    char *end = strchr(line, '\n');

    if (*line == '\0')
        return NULL;
    *at = end == NULL ? line + strlen(line) : end + 1;
    if (end != NULL)
        *end = '\0';
    return line;
}

/* What a block leads to takes the place of what the file says it does. */
static void
run_text(struct golden *x, char *text)
{
    bool skipping = false;
    char *line;

    while ((line = next_line(&text)) != NULL) {
        skipping = skipping && line[0] != '\0';
        if (skipping)
            continue;
        EXPECT_OK(buf_printf(&x->file, "%s\n", line));
        if (strcmp(line, "----") == 0) {
            EXPECT_OK(buf_append(&x->file, buf_slice(&x->trace.out)));
            buf_release(&x->trace.out);
            x->trace.out = buf_empty(FILE_BYTES_MAX);
            skipping = true;
        } else if (line[0] != '#' && line[0] != '\0') {
            run_command(x, line);
        }
    }
}

/* The first line that differs is printed. */
static bool
is_equal(struct golden *x, const char *want)
{
    const char *got = (const char *)x->file.data;
    int line = 1;

    while (*want != '\0' && *want == *got) {
        line += *want == '\n';
        want++;
        got++;
    }
    if (*want == *got)
        return true;
    print_error("%s:%d: from here on, got\n%.*s\n...\nwant\n%.*s\n", x->path, line,
                (int)strcspn(got, "\n"), got, (int)strcspn(want, "\n"), want);
    return false;
}

static bool
run_file(const char *path)
{
    struct golden x = { .path = path, .file = buf_empty(FILE_BYTES_MAX) };
    char *text = calloc(1, FILE_BYTES_MAX);
    char *want = calloc(1, FILE_BYTES_MAX);
    FILE *f = fopen(path, "r");
    bool same;

    EXPECT(text != NULL && want != NULL && f != NULL);
    EXPECT(fread(text, 1, FILE_BYTES_MAX - 1, f) < FILE_BYTES_MAX - 1);
    fclose(f);
    strcpy(want, text);
    x.trace.out = buf_empty(FILE_BYTES_MAX);
    run_text(&x, text);
    EXPECT_OK(buf_append(&x.file, slice_of("", 1)));
    same = is_equal(&x, want);
    if (!same && getenv("GOLDEN_UPDATE") != NULL) {
        f = fopen(path, "w");
        EXPECT(f != NULL && fputs((const char *)x.file.data, f) >= 0);
        EXPECT(fclose(f) == 0);
    }
    if (x.g != NULL)
        group_destroy(x.g);
    buf_release(&x.trace.out);
    buf_release(&x.file);
    free(text);
    free(want);
    return same;
}

int
main(int argc, char **argv)
{
    int differences = 0;

    for (int i = 1; i < argc; i++)
        differences += !run_file(argv[i]);
    return differences > 0 ? 1 : 0;
}
