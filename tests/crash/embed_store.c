/* Makes an embedded store with one key: the wrong folder for a server.  embed_store FOLDER */
#include <stdio.h>

#include "distkv/distkv.h"

int
main(int argc, char **argv)
{
    struct dkv_error error = { 0 };
    struct dkv *db = NULL;
    bool done;

    if (argc != 2)
        return 2;
    done = dkv_open(&db, argv[1], NULL, &error) == DKV_OK &&
           dkv_put(db, NULL, "k", 1, "v", 1, NULL, &error) == DKV_OK;
    done = dkv_close(db, &error) == DKV_OK && done;
    if (!done)
        fprintf(stderr, "embed_store: %s\n", error.text);
    return done ? 0 : 1;
}
