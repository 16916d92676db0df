#include "unit/kv/line.h"

#include "base/prng.h"

#include "unit/test.h"

enum { SLACK_MS = 200, PATIENCE_MS = 60000 };

static void
step_done(struct request *r)
{
    struct step *s = container_of(r, struct step, request);

    EXPECT(!s->done);
    s->done = true;
    s->status = r->status;
    s->took_ms = (sim_now_ns(s->line->n->w) - s->sent_ns) / 1000000;
    s->line->done++;
}

static void
submit(void *ctx)
{
    struct step *s = ctx;
    struct line *l = s->line;
    struct kv *kv = l->n->kv[l->node];

    s->sent_ns = sim_now_ns(l->n->w);
    s->request.deadline_ns =
        loop_now_ns(sim_loop(l->n->w, l->node, l->loop)) + LINE_DEADLINE_MS * UINT64_C(1000000);
    kv_submit(kv_door_of(kv, l->loop), &s->request);
}

void
line_begin(struct line *l, struct nodes *n, uint32_t node, uint32_t loop)
{
    *l = (struct line){ .n = n, .node = node, .loop = loop, .key = "line" };
}

struct step *
line_step(struct line *l)
{
    struct step *s = &l->steps[l->count];

    EXPECT(l->count < LINE_MAX);
    *s = (struct step){ .line = l };
    snprintf(s->text, sizeof(s->text), "%u,", ++l->count);
    s->op = (struct op){ .kind = OP_APPEND, .key = slice_str(l->key), .value = slice_str(s->text) };
    s->request = (struct request){ .keyspace = l->n->keyspace,
                                   .ops = &s->op,
                                   .op_count = 1,
                                   .results = &s->result,
                                   .result_bytes_max = 1 << 20,
                                   .origin = 40 + l->node,
                                   .done = step_done };
    return s;
}

void
line_send(struct step *s)
{
    sim_on_loop(s->line->n->w, s->line->node, s->line->loop, submit, s);
}

void
line_append(struct line *l, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        line_send(line_step(l));
}

void
line_await(struct line *l)
{
    for (uint32_t passed_ms = 0; passed_ms < PATIENCE_MS && l->done < l->count; passed_ms += 10)
        sim_run_ms(l->n->w, 10);
    EXPECT_U64(l->done, l->count);
    for (uint32_t i = 0; i < l->count; i++)
        EXPECT(l->steps[i].took_ms <= LINE_DEADLINE_MS + LINE_PAUSE_MS + SLACK_MS);
}

uint32_t
line_count(const struct line *l, enum status st)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < l->count; i++)
        count += l->steps[i].status == st;
    return count;
}

void
line_check(struct line *l, uint32_t reader)
{
    char *at, *rest = NULL;
    uint32_t next = 0;
    size_t length = 0;
    char value[NODES_VALUE_MAX];

    snprintf(value, sizeof(value), "%s", nodes_get(l->n, reader, l->key));
    for (at = strtok_r(value, ",", &rest); at != NULL; at = strtok_r(NULL, ",", &rest)) {
        uint32_t number = (uint32_t)strtoul(at, NULL, 10);

        if (strcmp(at, "nil") == 0)
            break;
        EXPECT(number > next && number <= l->count);
        for (uint32_t i = next + 1; i < number; i++)
            EXPECT(l->steps[i - 1].status != ST_OK);
        EXPECT(l->steps[number - 1].status == ST_OK || l->steps[number - 1].status == ST_UNKNOWN);
        length += strlen(at) + 1;
        if (l->steps[number - 1].status == ST_OK)
            EXPECT_U64(l->steps[number - 1].result.integer, length);
        next = number;
    }
    for (uint32_t i = next + 1; i <= l->count; i++)
        EXPECT(l->steps[i - 1].status != ST_OK);
}

uint32_t
line_other_than(uint32_t leader)
{
    return leader % NODES_FOUNDERS + 1;
}

void
line_draw_nodes_apart(struct nodes *n)
{
    for (uint32_t from = 1; from <= n->count; from++) {
        for (uint32_t to = 1; to <= n->count; to++) {
            struct sim_link link = sim_net_get(n->w, from, to);

            if (from == to || (from <= NODES_FOUNDERS && to <= NODES_FOUNDERS))
                continue;
            link.delay_us_min = 1000 * (uint32_t)prng_below(sim_prng(n->w), 60);
            link.delay_us_max = link.delay_us_min + 5000;
            sim_net_set(n->w, from, to, &link);
        }
    }
}

void
line_break_connections(struct nodes *n)
{
    for (uint32_t from = 1; from <= n->count; from++) {
        for (uint32_t to = 1; to <= n->count; to++) {
            struct sim_link link = sim_net_get(n->w, from, to);

            link.break_ms = 200;
            sim_net_set(n->w, from, to, &link);
        }
    }
}
