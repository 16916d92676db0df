/* Requests and answers as bytes: what is written is what is read, and nothing else is taken. */
#include "base/limits.h"
#include "base/prng.h"

#include "tablet/request_codec.h"
#include "unit/example.h"
#include "unit/test.h"

enum { ITEMS = 4, TEXT = 12, BYTES = 2048 };

struct letter {
    struct request request;
    struct request_envelope envelope;
    struct op ops[ITEMS];
    struct op_result results[ITEMS];
    struct precondition preconditions[ITEMS];
    uint8_t text[TEXT];
};

/* A number of any size. */
static uint64_t
draw(struct prng *p)
{
    return prng_next(p) >> prng_below(p, 64);
}

static uint64_t
draw_perhaps(struct prng *p)
{
    return prng_chance(p, 1, 2) ? draw(p) : 0;
}

static struct slice
draw_text(struct prng *p, struct letter *l)
{
    return slice_of(l->text, prng_below(p, TEXT + 1));
}

static void
draw_op(struct prng *p, struct letter *l, struct op *op)
{
    *op = (struct op){ .kind = (enum op_kind)prng_below(p, OP_KIND_COUNT),
                       .flags = (unsigned)prng_below(p, 256),
                       .key = draw_text(p, l),
                       .key2 = draw_text(p, l),
                       .value = draw_text(p, l),
                       .number = (int64_t)draw_perhaps(p),
                       .number2 = -(int64_t)(draw_perhaps(p) >> 1),
                       .expiry_ms = draw_perhaps(p) };
}

static void
draw_request(struct prng *p, struct letter *l)
{
    bool identity = prng_chance(p, 1, 2);

    memset(l->text, 't', sizeof(l->text));
    l->request = (struct request){ .keyspace = (uint32_t)draw(p),
                                   .durability = (enum durability)prng_below(p, DURABILITY_COUNT),
                                   .kind = (enum request_kind)prng_below(p, REQUEST_KINDS),
                                   .origin = draw(p),
                                   .ordered = prng_chance(p, 1, 2),
                                   .admin = prng_chance(p, 1, 2),
                                   .client_id = identity ? 1 + (draw(p) >> 1) : 0,
                                   .sequence = identity ? draw(p) : 0,
                                   .term = draw(p),
                                   .result_bytes_max = draw(p),
                                   .ops = l->ops,
                                   .results = l->results,
                                   .preconditions = l->preconditions };
    l->envelope = (struct request_envelope){ draw(p), draw(p) % REQUEST_LEFT_US_MAX };
    l->request.op_count = (uint32_t)prng_below(p, ITEMS + 1);
    l->request.precondition_count = (uint32_t)prng_below(p, ITEMS + 1);
    for (uint32_t i = 0; i < l->request.op_count; i++)
        draw_op(p, l, &l->ops[i]);
    for (uint32_t i = 0; i < l->request.precondition_count; i++)
        l->preconditions[i] = (struct precondition){ draw_text(p, l), draw(p) };
}

static void
draw_answer(struct prng *p, struct letter *l)
{
    struct request *r = &l->request;

    r->status = prng_chance(p, 1, 2) ? ST_OK : (enum status)prng_below(p, ST_STATUS_COUNT);
    r->leader = draw(p);
    r->leader_term = draw(p);
    snprintf(r->err.text, sizeof(r->err.text), "%.*s", (int)prng_below(p, TEXT), "what happened");
    for (uint32_t i = 0; i < r->op_count; i++) {
        l->results[i] = (struct op_result){ .code = (enum op_code)prng_below(p, OP_CODE_COUNT),
                                            .old_missing = prng_chance(p, 1, 2),
                                            .was_tombstone = prng_chance(p, 1, 2),
                                            .value = draw_text(p, l),
                                            .integer = (int64_t)draw_perhaps(p),
                                            .version = draw_perhaps(p),
                                            .expiry_ms = draw_perhaps(p) };
    }
}

static void
expect_same_request(const struct letter *a, const struct letter *b)
{
    const struct request *x = &a->request, *y = &b->request;

    EXPECT(x->keyspace == y->keyspace && x->durability == y->durability && x->kind == y->kind);
    EXPECT(x->origin == y->origin && x->ordered == y->ordered && x->admin == y->admin);
    EXPECT(x->client_id == y->client_id && x->sequence == y->sequence && x->term == y->term);
    EXPECT(x->result_bytes_max == y->result_bytes_max);
    EXPECT(a->envelope.tablet == b->envelope.tablet && a->envelope.left_us == b->envelope.left_us);
    EXPECT_U64(x->op_count, y->op_count);
    EXPECT_U64(x->precondition_count, y->precondition_count);
    for (uint32_t i = 0; i < x->op_count; i++) {
        const struct op *p = &a->ops[i], *q = &b->ops[i];

        EXPECT(p->kind == q->kind && p->flags == q->flags);
        EXPECT(slice_equal(p->key, q->key) && slice_equal(p->key2, q->key2));
        EXPECT(slice_equal(p->value, q->value) && p->expiry_ms == q->expiry_ms);
        EXPECT(p->number == q->number && p->number2 == q->number2);
    }
    for (uint32_t i = 0; i < x->precondition_count; i++) {
        EXPECT(slice_equal(a->preconditions[i].key, b->preconditions[i].key));
        EXPECT_U64(a->preconditions[i].version, b->preconditions[i].version);
    }
}

static void
expect_same_answer(const struct letter *a, const struct letter *b)
{
    const struct request *x = &a->request, *y = &b->request;

    EXPECT_ST(y->status, x->status);
    EXPECT_U64(y->err.code, x->status);
    if (x->status != ST_OK) {
        EXPECT(x->leader == y->leader && x->leader_term == y->leader_term);
        EXPECT_STR(y->err.text, x->err.text);
        return;
    }
    for (uint32_t i = 0; i < x->op_count; i++) {
        const struct op_result *p = &a->results[i], *q = &b->results[i];

        EXPECT(p->code == q->code && p->old_missing == q->old_missing);
        EXPECT(p->was_tombstone == q->was_tombstone && slice_equal(p->value, q->value));
        EXPECT(p->integer == q->integer && p->version == q->version);
        EXPECT_U64(p->expiry_ms, q->expiry_ms);
    }
}

static enum status
decode(struct slice bytes, struct letter *out)
{
    struct request_sizes sizes;
    enum status st = request_measure(bytes, &sizes);

    if (st != ST_OK)
        return st;
    EXPECT(sizes.ops <= ITEMS && sizes.preconditions <= ITEMS);
    return request_decode(bytes, &out->request, out->ops, out->preconditions, &out->envelope);
}

TEST(a_request_survives_the_wire_and_no_part_of_it_is_one)
{
    struct prng p;

    prng_init(&p, test_seed(1));
    for (int round = 0; round < 20000; round++) {
        struct letter sent, got;
        uint8_t bytes[BYTES];
        size_t size;

        draw_request(&p, &sent);
        size = request_encode(NULL, &sent.request, &sent.envelope);
        EXPECT(size <= sizeof(bytes));
        EXPECT_U64(request_encode(bytes, &sent.request, &sent.envelope), size);
        EXPECT_OK(decode(slice_of(bytes, size), &got));
        expect_same_request(&sent, &got);
        EXPECT_ST(decode(slice_of(bytes, prng_below(&p, size)), &got), ST_CORRUPT);
    }
}

TEST(an_answer_survives_the_wire_and_no_part_of_it_is_one)
{
    struct prng p;

    prng_init(&p, test_seed(2));
    for (int round = 0; round < 20000; round++) {
        struct letter sent, got;
        uint8_t bytes[BYTES];
        size_t size;

        draw_request(&p, &sent);
        draw_answer(&p, &sent);
        got = sent;
        got.request.results = got.results;
        size = answer_encode(NULL, &sent.request);
        EXPECT(size <= sizeof(bytes));
        EXPECT_U64(answer_encode(bytes, &sent.request), size);
        got.request.status = ST_BUSY;
        EXPECT_ST(answer_decode(slice_of(bytes, prng_below(&p, size)), &got.request), ST_CORRUPT);
        EXPECT_ST(got.request.status, ST_BUSY);
        EXPECT_OK(answer_decode(slice_of(bytes, size), &got.request));
        expect_same_answer(&sent, &got);
    }
}

/* The bytes up to the counts of a request that has so many. */
TEST(counts_that_the_bytes_cannot_hold_are_refused)
{
    const uint8_t newer[] = { 2, 0, 0 };
    const uint8_t none[] = { 0, 0, 0 };
    const uint8_t ops[] = { 1, 2, 0, 0, 0, 0, 0, 0, 0 };
    const uint8_t preconditions[] = { 1, 0, 2, 0, 0, 0 };
    const uint8_t many[] = { 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0 };
    struct request_sizes sizes;

    EXPECT_ST(request_measure(slice_of(newer, sizeof(newer)), &sizes), ST_INVALID);
    EXPECT_ST(request_measure(slice_of(none, sizeof(none)), &sizes), ST_CORRUPT);
    EXPECT_ST(request_measure(slice_of(ops, sizeof(ops)), &sizes), ST_CORRUPT);
    EXPECT_ST(request_measure(slice_of(preconditions, sizeof(preconditions)), &sizes), ST_CORRUPT);
    EXPECT_ST(request_measure(slice_of(many, sizeof(many)), &sizes), ST_CORRUPT);
    EXPECT_ST(request_measure((struct slice){ 0 }, &sizes), ST_CORRUPT);
}

TEST(a_key_or_value_beyond_its_limit_is_refused)
{
    static uint8_t room[LIMIT_VALUE_BYTES + 1];
    static uint8_t bytes[LIMIT_VALUE_BYTES + 1000];
    struct letter sent = { 0 }, got;
    struct op *op = &sent.ops[0];

    sent.request.ops = sent.ops;
    sent.request.op_count = 1;
    for (int which = 0; which < 6; which++) {
        size_t over = which % 2;
        size_t size;

        *op = (struct op){ .kind = OP_COPY };
        if (which < 2)
            op->key = slice_of(room, LIMIT_KEY_BYTES + over);
        else if (which < 4)
            op->key2 = slice_of(room, LIMIT_KEY_BYTES + over);
        else
            op->value = slice_of(room, LIMIT_VALUE_BYTES + over);
        size = request_encode(bytes, &sent.request, &sent.envelope);
        EXPECT_ST(decode(slice_of(bytes, size), &got), over ? ST_CORRUPT : ST_OK);
    }
}

static void
example_request(struct letter *l)
{
    l->ops[0] = (struct op){ .kind = OP_PUT,
                             .flags = OPF_NX,
                             .key = slice_str("user:1"),
                             .value = slice_str("Ada"),
                             .expiry_ms = 2000000000000 };
    l->ops[1] = (struct op){ .kind = OP_INCR, .key = slice_str("n"), .number = -2 };
    l->preconditions[0] = (struct precondition){ slice_str("lock"), 300 };
    l->request = (struct request){ .keyspace = 3,
                                   .durability = DURABILITY_INTERVAL,
                                   .origin = 9,
                                   .ordered = true,
                                   .client_id = 77,
                                   .sequence = 5,
                                   .term = 12,
                                   .result_bytes_max = 1000,
                                   .ops = l->ops,
                                   .op_count = 2,
                                   .results = l->results,
                                   .preconditions = l->preconditions,
                                   .precondition_count = 1 };
    l->envelope = (struct request_envelope){ UINT64_C(0x1122334455667788), 2000000 };
}

static void
example_answers(struct letter *l)
{
    uint8_t bytes[BYTES];
    size_t size;

    l->results[0] = (struct op_result){ .version = 301, .expiry_ms = 2000000000000 };
    l->results[1] = (struct op_result){ .code = OP_NOT_INTEGER, .value = slice_str("x") };
    size = answer_encode(bytes, &l->request);
    example_bytes("its answer", slice_of(bytes, size), 0, size);
    l->request.status = ST_NOT_LEADER;
    l->request.leader = 2;
    l->request.leader_term = 13;
    snprintf(l->request.err.text, sizeof(l->request.err.text), "moved");
    size = answer_encode(bytes, &l->request);
    example_bytes("a refusal", slice_of(bytes, size), 0, size);
}

TEST(the_example_in_the_document_is_what_the_code_writes)
{
    struct letter l = { 0 };
    uint8_t bytes[BYTES];
    size_t size;

    example_request(&l);
    size = request_encode(bytes, &l.request, &l.envelope);
    example_bytes("a request", slice_of(bytes, size), 0, size);
    example_answers(&l);
    EXPECT_EXAMPLE(DOCUMENT);
}

TEST_MAIN(RUN(a_request_survives_the_wire_and_no_part_of_it_is_one),
          RUN(an_answer_survives_the_wire_and_no_part_of_it_is_one),
          RUN(counts_that_the_bytes_cannot_hold_are_refused),
          RUN(a_key_or_value_beyond_its_limit_is_refused),
          RUN(the_example_in_the_document_is_what_the_code_writes))
