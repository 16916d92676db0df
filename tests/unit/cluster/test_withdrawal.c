/* Tests of cluster/withdrawal.h: small clusters, and who may go from them. */
#include "cluster/withdrawal.h"
#include "unit/test.h"

enum { NODES_MAX = 6, KEEPS_NOTHING = 0, WEIGHT = 128 };

/* Nodes 1, 2, ... and one tablet, which has copies on the first of them. */
struct scene {
    struct node_record nodes[NODES_MAX];
    struct tablet_record tablet;
    const struct tablet_record *tablets[1];
    struct tablet_report report;
    struct atlas atlas;
    enum node_health health[NODES_MAX + 1]; /* by id */
    struct steward_view view;
};

static enum node_health
health_of(const void *ctx, uint64_t node)
{
    return ((const struct scene *)ctx)->health[node];
}

static void
scene_set(struct scene *s, uint32_t nodes, uint32_t copies, uint32_t voters)
{
    *s = (struct scene){ .tablet = { .id = 7, .member_count = copies },
                         .report = { .tablet = 7, .member_count = copies } };
    for (uint32_t i = 0; i < nodes; i++)
        s->nodes[i] = (struct node_record){ .id = i + 1, .state = NODE_MEMBER, .weight = WEIGHT };
    for (uint32_t i = 0; i < copies; i++) {
        s->tablet.members[i] =
            (struct tablet_member){ i + 1, i < voters ? MEMBER_VOTER : MEMBER_LEARNER };
        s->report.members[i] = (struct report_member){ i + 1, i < voters, true };
    }
    s->tablets[0] = &s->tablet;
    s->atlas = (struct atlas){
        .nodes = s->nodes, .node_count = nodes, .tablets = s->tablets, .tablet_count = 1
    };
    s->view = (struct steward_view){
        .atlas = &s->atlas, .reports = &s->report, .report_count = 1, .health = health_of, .ctx = s
    };
}

static bool
may_go(const struct scene *s, uint64_t node)
{
    struct withdrawal_harm harm;

    return withdrawal_harms(&s->view, &node, 1, &harm, 1) == 0;
}

TEST(one_of_three_may_go_when_all_are_well)
{
    struct scene s;

    scene_set(&s, 3, 3, 3);
    EXPECT(may_go(&s, 1));
    EXPECT(may_go(&s, 3));
}

TEST(none_may_go_while_another_of_three_is_down_and_nobody_can_take_over)
{
    struct scene s;
    struct withdrawal_harm harm;
    uint64_t going = 1;

    scene_set(&s, 3, 3, 3);
    s.health[2] = HEALTH_DOWN;
    EXPECT_U64(withdrawal_harms(&s.view, &going, 1, &harm, 1), 1);
    EXPECT(harm.tablet == &s.tablet);
    EXPECT_U64(harm.left, 1);
    EXPECT_U64(harm.majority, 2);
    EXPECT(may_go(&s, 2)); /* it is not of those that are left */
    s.health[2] = HEALTH_SUSPICIOUS;
    EXPECT(!may_go(&s, 1));
}

TEST(it_may_go_when_a_fourth_can_be_given_a_copy)
{
    struct scene s;

    scene_set(&s, 4, 3, 3);
    s.health[2] = HEALTH_DOWN;
    EXPECT(may_go(&s, 1));
    s.health[4] = HEALTH_SUSPICIOUS;
    EXPECT(!may_go(&s, 1));
    s.health[4] = HEALTH_UP;
    s.nodes[3].weight = KEEPS_NOTHING;
    EXPECT(!may_go(&s, 1));
}

TEST(a_copy_that_is_behind_counts_for_nothing)
{
    struct withdrawal_harm harm;
    uint64_t going = 1;
    struct scene s;

    scene_set(&s, 3, 3, 3);
    s.report.members[2].caught_up = false;
    EXPECT_U64(withdrawal_harms(&s.view, &going, 1, &harm, 1), 1);
    EXPECT_U64(harm.left, 1);
    EXPECT_U64(harm.behind, 1);
    EXPECT(may_go(&s, 3));
    s.health[3] = HEALTH_SUSPICIOUS;
    EXPECT_U64(withdrawal_harms(&s.view, &going, 1, &harm, 1), 1);
    EXPECT_U64(harm.behind, 0);
}

TEST(a_tablet_of_which_nobody_has_reported_keeps_its_nodes)
{
    struct scene s;

    scene_set(&s, 3, 3, 3);
    s.view.report_count = 0;
    EXPECT(!may_go(&s, 1));
}

TEST(of_two_either_may_go)
{
    struct scene s;

    scene_set(&s, 2, 2, 1);
    EXPECT(may_go(&s, 1));
    EXPECT(may_go(&s, 2));
}

TEST(the_only_copy_moves_if_it_has_somewhere_to_go)
{
    struct scene s;

    scene_set(&s, 2, 1, 1);
    EXPECT(may_go(&s, 1));
    scene_set(&s, 1, 1, 1);
    EXPECT(!may_go(&s, 1));
}

TEST(a_node_without_a_copy_harms_nobody)
{
    struct scene s;

    scene_set(&s, 4, 3, 3);
    s.health[1] = s.health[2] = HEALTH_DOWN;
    EXPECT(may_go(&s, 4));
}

TEST(who_is_going_already_does_not_stay)
{
    struct scene s;

    scene_set(&s, 3, 3, 3);
    s.nodes[0].state = NODE_DRAINING;
    EXPECT(!may_go(&s, 2));
    s.nodes[0].state = NODE_FAILED;
    EXPECT(!may_go(&s, 2));
}

TEST(several_at_once_are_asked_about_together)
{
    const uint64_t two[] = { 1, 2 };
    struct withdrawal_harm harm;
    struct scene s;

    scene_set(&s, 3, 3, 3);
    EXPECT_U64(withdrawal_harms(&s.view, two, 2, &harm, 1), 1);
    EXPECT_U64(harm.left, 1);
    scene_set(&s, 5, 3, 3);
    EXPECT_U64(withdrawal_harms(&s.view, two, 2, &harm, 1), 0);
    EXPECT_U64(withdrawal_harms(&s.view, two, 2, NULL, 0), 0);
}

TEST(keepers_store_something_and_stay)
{
    const uint64_t going[] = { 1 };
    struct scene s;

    scene_set(&s, 5, 3, 3);
    EXPECT_U64(withdrawal_keepers(&s.atlas, going, 1), 4);
    s.nodes[1].state = NODE_DRAINING;
    s.nodes[2].weight = KEEPS_NOTHING;
    EXPECT_U64(withdrawal_keepers(&s.atlas, going, 1), 2);
    EXPECT_U64(withdrawal_keepers(&s.atlas, going, 0), 3);
}

/* ------------------------------------------------------------------ room */

enum { GB = 1 << 30 };

/* Each disk has 10 GB; of the first node's, 4 are free, of the second's 5, and so on. */
static void
rooms_set(struct scene *s, struct steward_room rooms[NODES_MAX], uint64_t tablet_bytes)
{
    for (uint32_t i = 0; i < s->atlas.node_count; i++)
        rooms[i] = (struct steward_room){ i + 1, (uint64_t)(4 + i) * GB, (uint64_t)10 * GB };
    s->report.bytes = tablet_bytes;
    s->view.rooms = rooms;
    s->view.room_count = s->atlas.node_count;
}

TEST(what_would_fill_a_disk_too_far_is_told_of_the_fullest)
{
    const uint64_t going[] = { 1, 2 };
    struct steward_room rooms[NODES_MAX];
    struct withdrawal_crowd crowd;
    struct scene s;

    scene_set(&s, 4, 2, 2);
    rooms_set(&s, rooms, (uint64_t)9 * GB);
    EXPECT(!withdrawal_crowds(&s.view, going, 1, &crowd)); /* 5 + 3 of 10 */
    s.report.bytes = (uint64_t)12 * GB;
    EXPECT(withdrawal_crowds(&s.view, going, 1, &crowd));
    EXPECT(crowd.node == &s.nodes[1]);
    EXPECT_U64(crowd.percent, 89);
    EXPECT_U64(crowd.more, (uint64_t)4 * GB);
    EXPECT(withdrawal_crowds(&s.view, going, 2, &crowd));
    EXPECT(crowd.node == &s.nodes[2]);
    EXPECT_U64(crowd.more, (uint64_t)12 * GB);
}

TEST(each_gets_its_share_by_weight)
{
    struct steward_room rooms[NODES_MAX];
    struct withdrawal_crowd crowd;
    uint64_t going = 1;
    struct scene s;

    scene_set(&s, 3, 1, 1);
    rooms_set(&s, rooms, (uint64_t)8 * GB);
    s.nodes[1].weight = 3 * WEIGHT;
    EXPECT(withdrawal_crowds(&s.view, &going, 1, &crowd));
    EXPECT(crowd.node == &s.nodes[1]);
    EXPECT_U64(crowd.more, (uint64_t)6 * GB);
    s.nodes[1].weight = KEEPS_NOTHING;
    EXPECT(withdrawal_crowds(&s.view, &going, 1, &crowd));
    EXPECT(crowd.node == &s.nodes[2]);
    EXPECT_U64(crowd.more, (uint64_t)8 * GB);
}

TEST(a_disk_that_is_full_but_gets_nothing_stops_nobody)
{
    struct steward_room rooms[NODES_MAX];
    struct withdrawal_crowd crowd;
    uint64_t going = 1;
    struct scene s;

    scene_set(&s, 3, 3, 3);
    rooms_set(&s, rooms, (uint64_t)8 * GB);
    rooms[1].free_bytes = 0;
    EXPECT(!withdrawal_crowds(&s.view, &going, 1, &crowd)); /* both have a copy already */
    scene_set(&s, 3, 1, 1);
    rooms_set(&s, rooms, (uint64_t)8 * GB);
    s.view.report_count = 0;
    EXPECT(!withdrawal_crowds(&s.view, &going, 1, &crowd));
    s.view.report_count = 1;
    s.view.room_count = 0;
    EXPECT(!withdrawal_crowds(&s.view, &going, 1, &crowd));
}

TEST_MAIN(RUN(one_of_three_may_go_when_all_are_well),
          RUN(none_may_go_while_another_of_three_is_down_and_nobody_can_take_over),
          RUN(it_may_go_when_a_fourth_can_be_given_a_copy),
          RUN(a_copy_that_is_behind_counts_for_nothing),
          RUN(a_tablet_of_which_nobody_has_reported_keeps_its_nodes), RUN(of_two_either_may_go),
          RUN(the_only_copy_moves_if_it_has_somewhere_to_go),
          RUN(a_node_without_a_copy_harms_nobody), RUN(who_is_going_already_does_not_stay),
          RUN(several_at_once_are_asked_about_together), RUN(keepers_store_something_and_stay),
          RUN(what_would_fill_a_disk_too_far_is_told_of_the_fullest),
          RUN(each_gets_its_share_by_weight),
          RUN(a_disk_that_is_full_but_gets_nothing_stops_nobody))
