/*
 * unit/peer/line.h — two nodes of a simulated world, and one connection between them that their carriers wrap.
 *
 *      node 2 calls          one stream          node 1 answers
 *      line.ends[CALLER]  ====================>  line.ends[CALLEE]
 *
 * What an end sends is a row of bytes that anybody can foretell; what it receives is compared with it.
 */
#ifndef UNIT_PEER_LINE_H
#define UNIT_PEER_LINE_H

#include "unit/peer/pki.h"
#include "unit/test.h"

enum { CALLEE = 0, CALLER = 1, LINE_PORT = 7300, LINE_PARTS = 9 };

struct end {
    struct line *line;
    uint32_t id; /* of its node */
    struct carrier *carrier;
    struct stream *stream;
    struct budget budget;
    size_t to_send; /* all in all */
    size_t sent;    /* what was accepted */
    size_t received;
    size_t read_size; /* at a time */
    size_t part_size; /* of each part that is written, but for every third, which is empty */
    bool deaf;        /* it reads nothing */
    bool reads_once;  /* at each event, instead of all that there is */
    bool hangs_up;    /* when all is sent */
    size_t enough;    /* it hangs up when it has received so much; 0: never */
    uint32_t events;
    enum status ended; /* what the stream said of its end */
    char why[200];
};

struct line {
    struct sim *w;
    struct pki ca;
    struct pki nodes[2];
    struct end ends[2];
    struct listener *listener;
    struct connector *connector;
};

/* Two nodes with certificates of one CA on their disks, and no carriers yet. */
void line_begin(struct line *l, uint64_t seed);

/* Both have their carriers, from what is on their disks; then node 2 calls. */
void line_equip(struct line *l);
void line_call(struct line *l);

void line_run(struct line *l, uint64_t ms);

/* Watch again, after fields were changed. */
void end_resume(struct end *e);
void end_hang_up(struct end *e);

/* Both ends hang up, and nothing has leaked. */
void line_end(struct line *l);

struct carrier *carrier_of(struct sim *w, uint32_t id);

#endif
