/*
 * Runs a fuzz target once over the empty input and over each file of its
 * corpus, in the order of their names: so what fuzzing has found stays found,
 * without clang.
 *
 *      fuzz_wal tests/fuzz/corpus/wal
 *
 * A folder without a file is an error: a corpus that nobody has checked in
 * proves nothing.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"

enum { PATH_BYTES = 4096 };

static void
die(const char *path)
{
    perror(path);
    exit(1);
}

/* In a block of exactly its size, so that the sanitizer sees a read of one too many. */
static void
replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(size == 0 ? 1 : size);

    if (file == NULL || bytes == NULL || fread(bytes, 1, size, file) != size)
        die(path);
    fclose(file);
    printf("%s (%zu bytes)\n", path, size);
    fflush(stdout); /* the last name printed is the culprit's */
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
}

int
main(int argument_count, char **arguments)
{
    struct dirent **names;
    int name_count;
    int replayed = 0;

    if (argument_count != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
        return 2;
    }
    name_count = scandir(arguments[1], &names, NULL, alphasort);
    if (name_count < 0)
        die(arguments[1]);

    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 0; i < name_count; i++) {
        char path[PATH_BYTES];
        struct stat info;

        snprintf(path, sizeof(path), "%s/%s", arguments[1], names[i]->d_name);
        free(names[i]);
        if (stat(path, &info) != 0)
            die(path);
        if (!S_ISREG(info.st_mode))
            continue;
        replay_file(path, (size_t)info.st_size);
        replayed++;
    }
    free(names);
    if (replayed == 0)
        fprintf(stderr, "%s: no corpus\n", arguments[1]);
    return replayed == 0;
}
