#include "oracle/handlers.h"

#include <stdlib.h>

#include "base/assert.h"

#include "oracle/cases.h"
#include "oracle/judge.h"

static void
tell(FILE *to, const struct script *s, const struct view *theirs, uint32_t at)
{
    fprintf(to, "  begin   %s\n", s->begin);
    for (uint32_t i = 0; i <= at && i < s->step_count; i++)
        fprintf(to, "  %2u      %s\n", i, s->steps[i].text);
    if (at < s->step_count) {
        fprintf(to, "  before  ");
        view_print(to, &s->steps[at].before);
        fprintf(to, "\n  ours    ");
        view_print(to, &s->steps[at].after);
    }
    fprintf(to, "\n  etcd's  ");
    view_print(to, theirs);
    fprintf(to, "\n");
}

const char *
handlers_run(struct peer *p, uint64_t seed, uint64_t *steps, FILE *report)
{
    struct script *s = malloc(sizeof(*s));
    struct view theirs;
    const char *why;
    uint32_t at = 0;
    char *line;

    ASSERT(s != NULL);
    cases_draw(s, seed);
    line = script_line(s);
    peer_ask(p, line);
    why = judge_script(s, peer_answer(p), &theirs, &at);
    if (why != NULL && report != NULL)
        tell(report, s, &theirs, at);
    *steps += at;
    script_end(s);
    free(line);
    free(s);
    return why;
}
