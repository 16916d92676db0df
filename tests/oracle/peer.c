#include "oracle/peer.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void
give_up(const char *what)
{
    perror(what);
    _exit(2);
}

static FILE *
stream_of(int fd, const char *mode)
{
    FILE *f = fdopen(fd, mode);

    if (f == NULL)
        give_up("oracle: a stream");
    return f;
}

void
peer_open(struct peer *p, const char *program)
{
    int down[2];
    int up[2];

    *p = (struct peer){ 0 };
    if (pipe(down) != 0 || pipe(up) != 0)
        give_up("oracle: a pipe");
    p->pid = fork();
    if (p->pid < 0)
        give_up("oracle: a process");
    if (p->pid == 0) {
        if (dup2(down[0], STDIN_FILENO) < 0 || dup2(up[1], STDOUT_FILENO) < 0)
            _exit(2);
        close(down[0]);
        close(down[1]);
        close(up[0]);
        close(up[1]);
        execl(program, program, (char *)NULL);
        _exit(2);
    }
    close(down[0]);
    close(up[1]);
    p->to = stream_of(down[1], "w");
    p->from = stream_of(up[0], "r");
}

void
peer_ask(struct peer *p, const char *line)
{
    if (fputs(line, p->to) == EOF || fputc('\n', p->to) == EOF || fflush(p->to) != 0)
        give_up("oracle: asking etcd's raft");
}

char *
peer_answer(struct peer *p)
{
    ssize_t size = getline(&p->line, &p->line_room, p->from);

    if (size <= 0)
        give_up("oracle: etcd's raft does not answer");
    if (p->line[size - 1] == '\n')
        p->line[size - 1] = '\0';
    return p->line;
}

void
peer_close(struct peer *p)
{
    fclose(p->to);
    fclose(p->from);
    free(p->line);
    (void)waitpid(p->pid, NULL, 0);
}
