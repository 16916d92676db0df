#include "unit/ring/schemes.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/prng.h"

struct cluster
cluster_of(uint32_t count, uint32_t zone_count, uint64_t seed)
{
    struct cluster c = { .count = count };

    ASSERT(count <= SCHEME_NODES_MAX);
    for (uint32_t i = 0; i < count; i++)
        c.nodes[i] = (struct ring_node){ .id = hash_u64(seed << 32 | (i + 1)),
                                         .zone = zone_count == 0 ? 0 : 1 + i % zone_count,
                                         .weight = RING_WEIGHT_DEFAULT };
    return c;
}

void
cluster_remove(struct cluster *c, uint32_t index)
{
    ASSERT(index < c->count);
    c->count--;
    memmove(&c->nodes[index], &c->nodes[index + 1], (c->count - index) * sizeof(c->nodes[0]));
}

void
tablets_of(struct ring_tablet *tablets, uint32_t count, uint32_t replicas, uint64_t seed)
{
    struct prng prng;

    prng_init(&prng, seed);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t high =
            prng_next(&prng); /* an initializer list would not say which is drawn first */

        tablets[i] = (struct ring_tablet){
            .position = { .high = high, .low = prng_next(&prng) },
            .size = 1,
            .replicas = replicas,
        };
    }
}

/* ------------------------------------------------------------------ placing */

static void
place_by_modulo(const struct cluster *c, struct ring_position p, uint32_t replicas, uint64_t *row)
{
    for (uint32_t i = 0; i < replicas; i++)
        row[i] = i < c->count ? c->nodes[(p.high % c->count + i) % c->count].id : 0;
}

static void
place_by_ring(const struct ring *ring, struct ring_position p, uint32_t replicas, uint64_t *row)
{
    struct ring_choice list[SCHEME_NODES_MAX];
    uint32_t found = ring_prefer(ring, p, replicas, list);

    for (uint32_t i = 0; i < replicas; i++)
        row[i] = i < found ? list[i].node : 0;
}

void
scheme_place(enum scheme scheme, const struct cluster *c, const struct ring_tablet *tablets,
             uint32_t count, const struct ring_bound *bound, uint64_t *holders)
{
    struct ring *ring = NULL;
    enum status st = ring_create(&ring, c->nodes, c->count, NULL);

    ASSERT(st == ST_OK);
    if (scheme == SCHEME_BOUNDED) {
        st = ring_place(ring, tablets, count, bound, holders);
        ASSERT(st == ST_OK);
        st = ring_lead(ring, tablets, count, bound, holders);
        ASSERT(st == ST_OK);
    } else {
        for (uint32_t i = 0; i < count; i++) {
            uint64_t *row = holders + (size_t)i * bound->replicas_max;

            if (scheme == SCHEME_MODULO)
                place_by_modulo(c, tablets[i].position, bound->replicas_max, row);
            else
                place_by_ring(ring, tablets[i].position, bound->replicas_max, row);
        }
    }
    ring_destroy(ring);
}

/* ------------------------------------------------------------------ judging */

static uint32_t
index_of(const struct cluster *c, uint64_t id)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->nodes[i].id == id)
            return i;
    }
    return c->count;
}

static struct balance
balance_of(const struct cluster *c, const double *loads)
{
    struct balance b = { .least = INFINITY };
    double total_load = 0;
    double total_weight = 0;

    for (uint32_t i = 0; i < c->count; i++) {
        total_load += loads[i];
        total_weight += c->nodes[i].weight;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        double part = loads[i] / (total_load * c->nodes[i].weight / total_weight);

        b.most = fmax(b.most, part);
        b.least = fmin(b.least, part);
        b.deviation += (part - 1) * (part - 1);
    }
    b.deviation = sqrt(b.deviation / c->count);
    return b;
}

struct balance
balance_of_replicas(const struct cluster *c, const struct ring_tablet *tablets, uint32_t count,
                    uint32_t replicas, const uint64_t *holders)
{
    double loads[SCHEME_NODES_MAX + 1] = { 0 };

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < replicas; j++)
            loads[index_of(c, holders[(size_t)i * replicas + j])] += (double)tablets[i].size;
    }
    return balance_of(c, loads);
}

struct balance
balance_of_leaders(const struct cluster *c, uint32_t count, uint32_t replicas,
                   const uint64_t *holders)
{
    double loads[SCHEME_NODES_MAX + 1] = { 0 };

    for (uint32_t i = 0; i < count; i++)
        loads[index_of(c, holders[(size_t)i * replicas])]++;
    return balance_of(c, loads);
}

struct company
company_of(const struct cluster *c, uint32_t count, uint32_t replicas, const uint64_t *holders)
{
    static bool meets[SCHEME_NODES_MAX + 1][SCHEME_NODES_MAX + 1];
    struct company company = { 0 };

    memset(meets, 0, sizeof(meets));
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t *row = holders + (size_t)i * replicas;

        for (uint32_t j = 0; j < replicas; j++) {
            for (uint32_t k = 0; k < replicas; k++)
                meets[index_of(c, row[j])][index_of(c, row[k])] |= j != k;
        }
    }
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t others = 0;

        for (uint32_t j = 0; j < c->count; j++)
            others += meets[i][j];
        company.mean += (double)others / c->count;
        company.most = others > company.most ? others : company.most;
    }
    return company;
}

static bool
row_has(const uint64_t *row, uint32_t replicas, uint64_t id)
{
    for (uint32_t i = 0; i < replicas; i++) {
        if (row[i] == id)
            return true;
    }
    return false;
}

double
moved_replicas(const uint64_t *before, const uint64_t *after, uint32_t count, uint32_t replicas)
{
    uint32_t moved = 0;

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < replicas; j++) {
            uint64_t id = after[(size_t)i * replicas + j];

            moved += id != 0 && !row_has(before + (size_t)i * replicas, replicas, id);
        }
    }
    return (double)moved / ((double)count * replicas);
}

double
moved_leaders(const uint64_t *before, const uint64_t *after, uint32_t count, uint32_t replicas)
{
    uint32_t moved = 0;

    for (size_t i = 0; i < count; i++)
        moved += before[i * replicas] != after[i * replicas];
    return (double)moved / count;
}
