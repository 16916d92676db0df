#include "oracle/view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ ours */

void
view_of(struct view *out, const struct raft *r)
{
    memset(out, 0, sizeof(*out));
    out->up = out->done = true;
    out->role = raft_role(r);
    out->hard = raft_hard(r);
    out->leader = raft_leader(r);
    out->commit = raft_commit(r);
    out->last = raft_last(r);
    out->config = *raft_config(r);
    for (raft_index i = raft_base(r) + 1; i <= out->last && out->term_count < VIEW_LOG_MAX; i++) {
        if (raft_term_at(r, i, &out->terms[out->term_count]) == ST_OK)
            out->term_count++;
    }
    for (raft_id id = 1; out->role == RAFT_LEADER && id <= VIEW_IDS_MAX; id++) {
        struct raft_progress_view p;

        if (raft_progress_of(r, id, &p) == ST_OK)
            out->match[id] = p.match;
    }
}

static void
add_decision(struct view *v, const struct decision *d)
{
    if (v->decision_count < VIEW_DECISIONS_MAX)
        v->decisions[v->decision_count++] = *d;
}

void
view_decide(struct view *v, const struct raft_message *m)
{
    bool has_log = m->kind == RAFT_PREVOTE || m->kind == RAFT_VOTE;

    if (m->kind == RAFT_APPEND || m->kind == RAFT_HEARTBEAT)
        return;
    add_decision(
        v, &(struct decision){ .kind = m->kind,
                               .to = m->to,
                               .term = m->term,
                               .index = has_log || m->kind == RAFT_APPEND_REPLY ? m->index : 0,
                               .log_term = has_log ? m->log_term : 0,
                               .reject = m->reject,
                               .force = m->force,
                               .hint = m->hint });
}

static int
by_kind_and_receiver(const void *a, const void *b)
{
    const struct decision *x = a;
    const struct decision *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

void
view_sort(struct view *v)
{
    qsort(v->decisions, v->decision_count, sizeof(v->decisions[0]), by_kind_and_receiver);
}

/* ------------------------------------------------------------------ theirs */

char *
text_part(char **rest, const char *separator)
{
    char *part = *rest;
    char *end;

    if (part == NULL)
        return NULL;
    end = strstr(part, separator);
    *rest = end == NULL ? NULL : end + strlen(separator);
    if (end != NULL)
        *end = '\0';
    return part;
}

/* The next word of *text, which it takes off; "" at the end. */
static char *
word_of(char **text, const char *separators)
{
    static char nothing[1];
    char *word = strsep(text, separators);

    return word == NULL ? nothing : word;
}

static uint64_t
number_of(char **text, const char *separators)
{
    return strtoull(word_of(text, separators), NULL, 10);
}

static bool
is_list(const char *text)
{
    return text != NULL && *text != '\0' && strcmp(text, "-") != 0;
}

static uint32_t
parse_numbers(char *list, uint64_t *out, uint32_t max)
{
    uint32_t count = 0;

    while (is_list(list) && count < max)
        out[count++] = number_of(&list, ",");
    return count;
}

static void
parse_config(struct view *out, char *text)
{
    struct raft_config *c = &out->config;

    c->voter_count = parse_numbers(word_of(&text, "/"), c->voters, RAFT_VOTERS_MAX);
    c->outgoing_count = parse_numbers(word_of(&text, "/"), c->outgoing, RAFT_VOTERS_MAX);
    c->learner_count = parse_numbers(word_of(&text, "/"), c->learners, RAFT_MEMBERS_MAX);
    out->staged_count = parse_numbers(word_of(&text, "/"), out->staged, VIEW_IDS_MAX);
}

static bool
parse_role(enum raft_role *out, const char *word)
{
    for (int role = 0; role < RAFT_ROLE_COUNT; role++) {
        if (strcmp(word, raft_role_name((enum raft_role)role)) == 0) {
            *out = (enum raft_role)role;
            return true;
        }
    }
    return false;
}

static void
parse_matches(struct view *out, char *list)
{
    while (is_list(list)) {
        char *pair = word_of(&list, ",");
        uint64_t id = number_of(&pair, "=");

        if (id <= VIEW_IDS_MAX)
            out->match[id] = number_of(&pair, "=");
    }
}

static bool
parse_state(struct view *out, char **text)
{
    out->up = true;
    if (!parse_role(&out->role, word_of(text, " ")))
        return false;
    out->hard.term = number_of(text, " ");
    out->hard.vote = number_of(text, " ");
    out->leader = number_of(text, " ");
    out->commit = number_of(text, " ");
    out->last = number_of(text, " ");
    out->term_count = parse_numbers(word_of(text, " "), out->terms, VIEW_LOG_MAX);
    parse_config(out, word_of(text, " "));
    parse_matches(out, word_of(text, " "));
    return true;
}

bool
view_parse_state(struct view *out, char *text)
{
    memset(out, 0, sizeof(*out));
    if (strcmp(text, "down") == 0)
        return true;
    return parse_state(out, &text);
}

static bool
parse_decision(struct view *out, char *text)
{
    const char *kind = word_of(&text, "/");
    struct decision d = { .kind = RAFT_PREVOTE };

    while (d.kind < RAFT_MESSAGE_KIND_COUNT && strcmp(raft_message_name(d.kind), kind) != 0)
        d.kind++;
    if (d.kind == RAFT_MESSAGE_KIND_COUNT)
        return false;
    d.to = number_of(&text, "/");
    d.term = number_of(&text, "/");
    d.index = number_of(&text, "/");
    d.log_term = number_of(&text, "/");
    d.reject = number_of(&text, "/") != 0;
    d.force = number_of(&text, "/") != 0;
    d.hint = number_of(&text, "/");
    add_decision(out, &d);
    return true;
}

bool
view_parse_script(struct view *out, char *text)
{
    char *list;

    memset(out, 0, sizeof(*out));
    if (strncmp(text, "panic", 5) == 0) {
        out->broke = true;
        return true;
    }
    out->done = number_of(&text, " ") != 0;
    if (!parse_state(out, &text))
        return false;
    out->reads = number_of(&text, " ");
    list = word_of(&text, " ");
    while (is_list(list)) {
        if (!parse_decision(out, word_of(&list, ",")))
            return false;
    }
    view_sort(out);
    return true;
}

/* ------------------------------------------------------------------ text */

static void
print_ids(FILE *to, const raft_id *ids, uint32_t count)
{
    if (count == 0)
        fputc('-', to);
    for (uint32_t i = 0; i < count; i++)
        fprintf(to, "%s%" PRIu64, i > 0 ? "," : "", ids[i]);
}

void
view_print_config(FILE *to, const struct raft_config *c)
{
    print_ids(to, c->voters, c->voter_count);
    fputc('/', to);
    print_ids(to, c->outgoing, c->outgoing_count);
    fputc('/', to);
    print_ids(to, c->learners, c->learner_count);
    fputs("/-", to);
}

void
view_print(FILE *to, const struct view *v)
{
    if (!v->up) {
        fputs(v->broke ? "broke" : "down", to);
        return;
    }
    fprintf(to, "%s%s term=%" PRIu64 " vote=%" PRIu64 " leader=%" PRIu64, v->broke ? "broke " : "",
            raft_role_name(v->role), v->hard.term, v->hard.vote, v->leader);
    fprintf(to, " commit=%" PRIu64 " last=%" PRIu64 " terms=", v->commit, v->last);
    print_ids(to, v->terms, v->term_count);
    fputs(" config=", to);
    view_print_config(to, &v->config);
    fputs(" match=", to);
    print_ids(to, v->match + 1, VIEW_IDS_MAX);
    fprintf(to, " done=%d reads=%" PRIu64, v->done, v->reads);
    for (uint32_t i = 0; i < v->decision_count; i++) {
        const struct decision *d = &v->decisions[i];

        fprintf(to, " %s->%" PRIu64 "(term=%" PRIu64 " index=%" PRIu64 "^%" PRIu64 "%s%s)",
                raft_message_name(d->kind), d->to, d->term, d->index, d->log_term,
                d->reject ? " no" : "", d->force ? " force" : "");
    }
}

/* ------------------------------------------------------------------ comparison */

bool
view_logs_agree(const struct view *ours, const struct view *theirs)
{
    raft_index our_base = ours->last - ours->term_count;
    raft_index their_base = theirs->last - theirs->term_count;
    raft_index limit = ours->last < theirs->last ? ours->last : theirs->last;

    for (raft_index i = our_base > their_base ? our_base : their_base; i < limit; i++) {
        if (ours->terms[i - our_base] != theirs->terms[i - their_base])
            return false;
    }
    return true;
}

bool
view_configs_agree(const struct view *ours, const struct view *theirs)
{
    return theirs->staged_count == 0 && raft_config_equal(&ours->config, &theirs->config);
}

const char *
view_difference(const struct view *ours, const struct view *theirs)
{
    if (ours->role != theirs->role)
        return "the role";
    if (ours->hard.term != theirs->hard.term)
        return "the term";
    if (ours->hard.vote != theirs->hard.vote)
        return "the vote";
    if (ours->leader != theirs->leader)
        return "the leader";
    if (ours->last != theirs->last || !view_logs_agree(ours, theirs))
        return "the log";
    if (ours->commit != theirs->commit)
        return "the commit";
    if (!view_configs_agree(ours, theirs))
        return "the membership";
    if (memcmp(ours->match, theirs->match, sizeof(ours->match)) != 0)
        return "what the leader knows of the others";
    return NULL;
}
