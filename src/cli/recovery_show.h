/* cli/recovery_show.h — what `distkv cluster recover` would do or has done, and what may have been lost, for people. */
#ifndef CLI_RECOVERY_SHOW_H
#define CLI_RECOVERY_SHOW_H

#include <jansson.h>
#include <stdio.h>

void recovery_show(const json_t *report, FILE *out);

#endif
