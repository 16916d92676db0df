/*
 * base/limits.h — every bound that is part of what DistKV promises, in one place.
 *
 * Each has its unit in its name, a reason, and what happens at it.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    /* A user's key.  Keys sit in index blocks and in memory; beyond: ST_TOO_BIG, nothing stored. */
    LIMIT_KEY_BYTES = 64 << 10,

    /* A user's value.  One value is one log record and one block; beyond: ST_TOO_BIG. */
    LIMIT_VALUE_BYTES = 16 << 20,

    /* A stored key: the kind byte and, for later kinds, a prefix of ours. */
    LIMIT_STORED_KEY_BYTES = LIMIT_KEY_BYTES + 64,

    /* Operations and arguments of one atomic request, a MULTI included.  Beyond: ST_TOO_BIG. */
    LIMIT_REQUEST_BYTES = 64 << 20,

    /* Results of a client's last write that are kept for its retry.  Beyond: none are, and a retry
     * is told that the write was carried out, but not its results (ST_EXISTS). */
    LIMIT_DEDUP_BYTES = 4 << 10,

    /* How long they are kept.  Later a retry is a new write. */
    LIMIT_DEDUP_MS = 60 * 60 * 1000,

    /* Operations in one atomic request; what MSET with the longest argument list needs. */
    LIMIT_REQUEST_OPS = 1 << 20,

    /* A log record's body: the results of the largest request, which may rewrite more than it
     * was sent (APPEND), so twice that. */
    LIMIT_RECORD_BYTES = 2 * LIMIT_REQUEST_BYTES,

    /* Arguments of one protocol command, as Redis has it.  Beyond: a protocol error. */
    LIMIT_COMMAND_ARGS = 1 << 20,

    /* An inline command or a line of the line protocol, without its value.  Beyond: an error. */
    LIMIT_LINE_BYTES = LIMIT_KEY_BYTES + LIMIT_VALUE_BYTES + 64,

    /* Redis databases (SELECT n). */
    LIMIT_DATABASES = 16,

    /* Threads of one process that may read published state (base/epoch.h). */
    LIMIT_THREADS = 256,

    /* Reactors of one node; more would only queue on the kernel. */
    LIMIT_REACTORS = 64,

    /* Levels of a tree. */
    LIMIT_LEVELS = 7,

    /* Open SCAN cursors of a node; the oldest idle one makes room. */
    LIMIT_CURSORS = 4096,

    /* A node's name, a connection's name. */
    LIMIT_NAME_BYTES = 64,

    /* A path of a data directory's file. */
    LIMIT_PATH_BYTES = 4096,

    /* A log line.  What a pipe takes in one piece (PIPE_BUF), so that the lines of several
     * threads do not mix.  Beyond: values are cut and the line says truncated=true. */
    LIMIT_LOG_LINE_BYTES = 4096,
};

#endif
