#include "unit/kv/scene.h"

/* Compactions come to rest, and a shipment that had begun when `away` went ends. */
enum { REST_MS = 15000, PATIENCE_MS = 40000 };

static raft_index
commit_of(struct scene *s, uint32_t node)
{
    return raft_commit(tablet_raft(kv_tablet(s->n.kv[node], 0)));
}

bool
scene_has_caught_up(struct scene *s, uint32_t node)
{
    if (s->n.kv[s->leader] != NULL)
        s->committed = commit_of(s, s->leader);
    return commit_of(s, node) >= s->committed;
}

bool
scene_await(struct scene *s, uint32_t node, uint32_t limit_ms)
{
    for (uint32_t passed_ms = 0; passed_ms < limit_ms; passed_ms += 10) {
        if (scene_has_caught_up(s, node))
            return true;
        sim_run_ms(s->n.w, 10);
    }
    return false;
}

void
scene_put_noise(struct scene *s)
{
    char value[NODES_LARGE_BYTES + 1] = { 0 };
    char key[16];

    for (uint32_t i = 0; i < SCENE_KEYS; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        for (uint32_t at = 0; at < NODES_LARGE_BYTES; at++)
            value[at] = (char)('!' + prng_below(sim_prng(s->n.w), '~' - '!'));
        EXPECT_OK(nodes_put(&s->n, s->leader, key, value));
    }
}

void
scene_begin(struct scene *s, uint64_t seed, uint32_t count, uint64_t reserve_bytes)
{
    static const uint64_t ids[NODES_MAX] = { 1, 2, 3, 4, 5 };

    nodes_create_with_log(&s->n, seed, count, reserve_bytes);
    if (count > NODES_FOUNDERS)
        nodes_change(&s->n, ids, count);
    s->leader = nodes_leader(&s->n);
    s->away = s->leader == 3 ? 1 : 3;
    nodes_crash(&s->n, s->away);
    scene_put_noise(s);
    if (reserve_bytes == 0)
        nodes_flush(&s->n, s->leader);
    sim_run_ms(s->n.w, REST_MS);
    EXPECT(nodes_leader(&s->n) == s->leader);
    s->committed = commit_of(s, s->leader);
}

void
scene_end(struct scene *s)
{
    nodes_destroy(&s->n);
}

static void
count_table(void *ctx, const char *path, uint64_t size)
{
    uint32_t *count = ctx;

    (void)size;
    *count += strstr(path, ".sst") != NULL;
}

void
scene_await_tables(struct scene *s, uint32_t wanted)
{
    uint32_t count = 0;

    for (uint32_t passed_ms = 0; passed_ms < PATIENCE_MS && count < wanted; passed_ms += 10) {
        sim_run_ms(s->n.w, 10);
        count = 0;
        sim_disk_each(s->n.w, s->away, count_table, &count);
    }
    EXPECT_U64(count, wanted);
}
