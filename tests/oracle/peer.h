/*
 * oracle/peer.h — etcd's raft, as a process that answers lines with lines (etcd/main.go).
 */
#ifndef ORACLE_PEER_H
#define ORACLE_PEER_H

#include <stdio.h>
#include <sys/types.h>

struct peer {
    pid_t pid;
    FILE *to;
    FILE *from;
    char *line; /* the last answer */
    size_t line_room;
};

/* Each of these ends this process, with a message, if the other cannot be started or does not
 * answer: then there is nothing to compare with. */
void peer_open(struct peer *p, const char *program);
void peer_ask(struct peer *p, const char *line); /* without a newline */
char *peer_answer(struct peer *p); /* to the oldest question; until the next call; may be changed */
void peer_close(struct peer *p);

#endif
