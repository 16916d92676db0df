/*
 * What may have been lost, as far as anybody can know.
 *
 *      entries up to `commit`        were committed; nothing of them is lost
 *      up to `last`                  are kept, acknowledged or not
 *      after `last`                  if there were any, only the lost had them; how many nobody knows
 *      `given_up` of another node    came from a leader that the newest log knows nothing of
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#include "cluster/recover_internal.h"

static json_t *
id_json(uint64_t id)
{
    char text[17];

    snprintf(text, sizeof(text), "%016" PRIx64, id);
    return json_string(text);
}

static const char *
name_of(const struct recover *v, uint64_t node)
{
    const struct node_record *n = atlas_node(v->cluster->atlas, node);

    return n == NULL ? "?" : n->name;
}

static json_t *
nodes_json(const struct recover *v, bool answered)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < v->node_count; i++) {
        const struct recover_node *n = &v->nodes[i];
        json_t *one = json_pack("{s:o, s:s}", "id", id_json(n->id), "name", name_of(v, n->id));

        if (n->answered != answered) {
            json_decref(one);
            continue;
        }
        if (!answered) {
            json_object_set_new(
                one, "silent_ms",
                n->silent_ms == UINT64_MAX ? json_null() : json_integer((json_int_t)n->silent_ms));
        }
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *
log_json(const struct recover *v, const struct remnant *m)
{
    return json_pack("{s:s, s:I, s:I, s:I}", "node", name_of(v, m->node), "last",
                     (json_int_t)m->last, "term", (json_int_t)remnant_last_term(m), "commit",
                     (json_int_t)m->commit);
}

static json_t *
others_json(const struct recover *v, const struct recover_case *k)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < k->remnant_count; i++) {
        json_t *one;

        if (&k->remnants[i] == k->chosen)
            continue;
        one = log_json(v, &k->remnants[i]);
        json_object_set_new(
            one, "given_up",
            json_integer((json_int_t)recovery_given_up(k->chosen, &k->remnants[i])));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *
case_json(const struct recover *v, const struct recover_case *k)
{
    const struct atlas_keyspace *keyspace = atlas_keyspace(v->cluster->atlas, k->record->keyspace);
    json_t *j = json_pack("{s:o, s:s, s:s}", "tablet", id_json(k->record->id), "keyspace",
                          keyspace == NULL ? "?" : keyspace->record.name, "outcome",
                          k->chosen == NULL || k->chosen->last == 0 ? "begins empty"
                          : k->verdict == RECOVERY_LED              ? "goes on already"
                                                                    : "goes on");

    if (j == NULL || k->chosen == NULL)
        return j;
    json_object_set_new(j, "from", log_json(v, k->chosen));
    json_object_set_new(j, "uncertain",
                        json_integer((json_int_t)(k->chosen->last - k->chosen->commit)));
    json_object_set_new(j, "others", others_json(v, k));
    return j;
}

static json_t *
report_json(const struct recover *v)
{
    const struct atlas *a = v->cluster->atlas;
    json_t *list = json_array();

    for (uint32_t i = 0; i < a->tablet_count; i++) {
        struct recover_case k;

        recover__judge(v, a->tablets[i], &k);
        if (k.verdict >= RECOVERY_STRANDED || recover__is_outdated(v, &k))
            json_array_append_new(list, case_json(v, &k));
    }
    return json_pack("{s:s, s:b, s:i, s:o, s:o, s:o}", "cluster", a->cluster.name, "done",
                     v->confirmed, "tablets_total", (int)a->tablet_count, "lost",
                     nodes_json(v, false), "left", nodes_json(v, true), "tablets", list);
}

/* As text: what is kept from one round to the next is the node's, and goes with it. */
enum status
recover__report(struct recover *v)
{
    json_t *report = report_json(v);
    char *text = report == NULL ? NULL : json_dumps(report, JSON_COMPACT);
    enum status st;

    v->report = buf_empty(ORDER_ANSWER_BYTES_MAX);
    st = text == NULL ? ST_NO_MEMORY : buf_append(&v->report, slice_str(text));
    free(text);
    json_decref(report);
    return st;
}

void
recover__log(const struct recover *v)
{
    json_t *report = json_loadb((const char *)v->report.data, v->report.size, 0, NULL);
    const json_t *tablets = json_object_get(report, "tablets");
    const json_t *one;
    size_t i;

    json_array_foreach(tablets, i, one)
    {
        const json_t *from = json_object_get(one, "from");

        log_event(LOG_WARN, "cluster.tablet_recovered",
                  log_str("tablet", json_string_value(json_object_get(one, "tablet"))),
                  log_str("outcome", json_string_value(json_object_get(one, "outcome"))),
                  log_str("node", from == NULL ? "nobody"
                                               : json_string_value(json_object_get(from, "node"))),
                  log_u64("last", (uint64_t)json_integer_value(json_object_get(from, "last"))),
                  log_u64("commit", (uint64_t)json_integer_value(json_object_get(from, "commit"))));
    }
    log_event(LOG_WARN, "cluster.recovered", log_u64("tablets", json_array_size(tablets)),
              log_u64("nodes_lost", json_array_size(json_object_get(report, "lost"))));
    json_decref(report);
}
