/*
 * The judge: what is found after a failure, against what was told before it.
 */
#include "manifest_fixture.h"
#include "store_fixture.h"
#include "unit/test.h"

/* One edit more, whatever the state: an L0 table without a new mark. */
static void
go_on_main(void *ctx)
{
    struct run *r = ctx;
    struct table_spec spec = TABLE(0, 9999, "y", "y", 5000, 5001, 1);
    struct version *after = NULL;
    struct version_edit e;
    struct table_file *f;

    r->st = run_open(r, false);
    if (r->st != ST_OK)
        return;
    r->st = run_write_table(r, spec.number);
    version_edit_init(&e);
    f = fixture_try_file(&r->sweep, &spec);
    if (r->st == ST_OK)
        r->st = version_edit_add(&e, 0, f);
    table_file_unref(f);
    if (r->st == ST_OK)
        r->st = version_apply(r->version, &e, &after, &r->err);
    if (r->st == ST_OK)
        r->st = manifest_record(r->manifest, &e, after, &r->mark, &r->err);
    version_edit_release(&e);
    if (after != NULL)
        version_unref(after);
    run_close(r);
}

static const char *
complain(const char *what, const char *detail)
{
    static char text[4 * SCRIPT_STATE_BYTES];

    snprintf(text, sizeof(text), "%s: %s", what, detail);
    return text;
}

/* How many tables does this state name? */
static int
count_tables(const struct script_state *s)
{
    int count = 0;

    for (const char *at = s->text; (at = strstr(at, " | ")) != NULL; at++)
        count++;
    return count;
}

static const char *
complain_of_files(struct run *r, const struct script_state *found)
{
    if (run_count_files(r, "MANIFEST-") != 1)
        return complain("more than one manifest, or none", found->text);
    if (run_count_files(r, ".sst") != count_tables(found))
        return complain("tables that are not in the version", found->text);
    return NULL;
}

/* Nothing is under way, so whoever loses the manifest must notice (M2). */
static const char *
complain_of_leftovers(struct run *r)
{
    if (r->opened && !r->names_doubtful && r->attempted == r->acked &&
        run_count_files(r, "MANIFEST-") != 1)
        return complain("an older manifest is still there", "");
    return NULL;
}

static const char *
complain_of_state(struct run *r, const struct script_state *found)
{
    for (int i = r->acked; i <= r->attempted; i++) {
        struct script_state want = script_expected(i);

        if (strcmp(want.text, found->text) == 0)
            return NULL;
    }
    return complain("neither the old state nor the new one", found->text);
}

static const char *
complain_of_going_on(struct run *r, struct script_state *found)
{
    struct script_state again;

    if (!sim_call(r->w, SCRIPT_NODE, go_on_main, r) || r->st != ST_OK)
        return complain("no more edits", r->err.text);
    sim_crash(r->w, SCRIPT_NODE);
    run_boot(r);
    if (!run_look(r, false, &again) || r->st != ST_OK)
        return complain("the edit after recovery was lost", r->err.text);
    if (strstr(again.text, "99[y..y 1]") == NULL || count_tables(&again) != count_tables(found) + 1)
        return complain("the edit after recovery was lost", again.text);
    return NULL;
}

const char *
run_complaint(struct run *r)
{
    struct script_state found;
    const char *complaint = complain_of_leftovers(r);

    run_boot(r);
    if (complaint != NULL)
        return complaint;
    if (!run_look(r, !r->opened, &found))
        return complain("crashed", "without a reason");
    if (r->st != ST_OK)
        return complain(status_name(r->st), r->err.text);
    complaint = complain_of_state(r, &found);
    if (complaint == NULL)
        complaint = complain_of_files(r, &found);
    if (complaint == NULL)
        complaint = complain_of_going_on(r, &found);
    if (complaint == NULL)
        sim_end(r->w, SCRIPT_NODE); /* and nothing leaked */
    return complaint;
}

void
run_judge(struct run *r, const char *what)
{
    const char *complaint = run_complaint(r);

    if (complaint == NULL)
        return;
    print_error("%s, %d of %d steps acked: %s\n", what, r->acked, r->attempted, complaint);
    _fail(__FILE__, __LINE__);
}
