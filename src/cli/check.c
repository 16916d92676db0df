#include "engine/check.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "env/real.h"

static const char help[] =
    "usage: distkv check DIR [--truncate]\n\n"
    "Reads every file of a data directory that no process uses, and names what is wrong:\n"
    "file, offset, and the key range where what is left tells it.\n\n"
    "  --truncate   keep everything before damage in the log, move the rest aside into a\n"
    "               folder, and say what was lost: how many keys, of which tree\n\n"
    "Exit code: 0 sound; 1 damage, or it could not be read; 2 wrong arguments.\n";

static void
print_finding(void *ctx, enum check_finding kind, const char *text)
{
    static const char *const words[] = {
        [CHECK_NOTE] = "note", [CHECK_DAMAGE] = "DAMAGE", [CHECK_CUT] = "CUT"
    };

    (void)ctx;
    printf("%-6s %s\n", words[kind], text);
}

int
cli_check_main(int argc, char **argv)
{
    struct real_env_options options = { 0 };
    const char *dir = NULL;
    bool truncate = false;
    struct env *env = NULL;
    struct err err = { 0 };
    enum status st;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return fputs(help, stdout) < 0;
        if (strcmp(argv[i], "--truncate") == 0)
            truncate = true;
        else if (argv[i][0] == '-' || dir != NULL)
            return fprintf(stderr, "distkv check: unexpected argument %s\n%s", argv[i], help), 2;
        else
            dir = argv[i];
    }
    if (dir == NULL)
        return fprintf(stderr, "distkv check: which directory?\n%s", help), 2;
    st = real_env_create(&options, &env, &err);
    if (st == ST_OK)
        st = engine_check(env, dir, truncate, print_finding, NULL, &err);
    if (env != NULL)
        real_env_destroy(env);
    if (st != ST_OK && st != ST_CORRUPT)
        fprintf(stderr, "distkv check: %s\n", err.text);
    puts(st == ST_OK ? "sound" : "NOT sound");
    return st == ST_OK ? 0 : 1;
}
