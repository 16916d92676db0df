/*
 * sim/survey.h — is everything in a formed cluster where it should be?
 *
 * Looks into all nodes at once, between two events; asks nobody, and takes no time.
 */
#ifndef SIM_SURVEY_H
#define SIM_SURVEY_H

#include "cluster/atlas.h"
#include "kv/kv.h"

struct node; /* sim/node.h */

enum { SURVEY_TEXT_MAX = 200 };

/* One that runs, or does not: then `kv` is NULL. */
struct survey_node {
    struct kv *kv;
    uint64_t identity;
};

/* The newest atlas that any has; NULL: none runs. */
const struct atlas *survey_newest(const struct survey_node *nodes, uint32_t count);

/* Which of them leads the tablet, in the highest term; `count`: nobody does. */
uint32_t survey_leader(const struct survey_node *nodes, uint32_t count, uint64_t tablet);

/* Has the tablet those members that its keyspace wants, and no others; is its leader's group like that; and do
 * those that run have a replica if they are members, and none else?  False: `trouble` says what is amiss. */
bool survey_tablet_is_placed(const struct survey_node *nodes, uint32_t count,
                             const struct tablet_record *t, char trouble[SURVEY_TEXT_MAX]);

/* Is it so of all tablets of the newest atlas, of which all that run know, as members? */
bool survey_all_is_placed(const struct survey_node *nodes, uint32_t count,
                          char trouble[SURVEY_TEXT_MAX]);

/* The same of simulated nodes. */
const struct atlas *survey_atlas(const struct node *nodes, uint32_t count);
bool survey_is_placed(const struct node *nodes, uint32_t count, char trouble[SURVEY_TEXT_MAX]);

#endif
