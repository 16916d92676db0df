/* Which tablets are stranded, and who could go on with them, by what those who are left have said. */
#include <stdlib.h>

#include "cluster/recover_internal.h"

static int
compare_tablet(const void *key, const void *at)
{
    uint64_t tablet = *(const uint64_t *)key;
    const struct remnant *m = at;

    return (tablet > m->tablet) - (tablet < m->tablet);
}

static bool
is_anybody_left(const struct recover *v, const struct tablet_record *record)
{
    for (uint32_t i = 0; i < record->member_count; i++) {
        if (left_has(&v->left, record->members[i].node))
            return true;
    }
    return false;
}

void
recover__judge(const struct recover *v, const struct tablet_record *record,
               struct recover_case *out)
{
    const struct remnant *first = v->remnant_count == 0
                                      ? NULL
                                      : bsearch(&record->id, v->remnants, v->remnant_count,
                                                sizeof(v->remnants[0]), compare_tablet);
    struct raft_config asked;

    *out = (struct recover_case){ .record = record, .remnants = first };
    while (out->remnants > v->remnants && out->remnants[-1].tablet == record->id)
        out->remnants--;
    while (first != NULL && out->remnants + out->remnant_count < v->remnants + v->remnant_count &&
           out->remnants[out->remnant_count].tablet == record->id)
        out->remnant_count++;
    tablet_record_config(record, &asked);
    out->verdict =
        recovery_judge(out->remnants, out->remnant_count, &v->left, &asked, &out->chosen);
    if (out->verdict == RECOVERY_GONE && is_anybody_left(v, record))
        out->verdict = RECOVERY_ELECTS; /* its replicas are being made */
}

void
recover__count(const struct recover *v, struct recover_count *out)
{
    const struct atlas *a = v->cluster->atlas;
    struct recover_case k;

    *out = (struct recover_count){ .metadata = RECOVERY_GONE };
    for (uint32_t i = 0; i < a->tablet_count; i++) {
        recover__judge(v, a->tablets[i], &k);
        out->by_verdict[k.verdict]++;
        out->outdated += recover__is_outdated(v, &k);
        out->unmade += k.remnant_count == 0;
        if (a->tablets[i]->id == ATLAS_META_TABLET)
            out->metadata = k.verdict;
    }
}
