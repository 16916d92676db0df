#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The text after the colon in the first line of /proc/cpuinfo that begins with "model name". */
static void
read_cpu(char *out, size_t room)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];

    snprintf(out, room, "unknown");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        char *text = strstr(line, ": ");

        if (strncmp(line, "model name", 10) != 0 || text == NULL)
            continue;
        text[strcspn(text, "\n")] = '\0';
        snprintf(out, room, "%s", text + 2);
        break;
    }
    if (f != NULL)
        fclose(f);
}

void
machine_print(const char *dir)
{
    double load[1] = { 0 };
    struct utsname name;
    struct statfs fs = { 0 };
    char cpu[128];

    uname(&name);
    (void)statfs(dir, &fs);
    if (getloadavg(load, 1) != 1)
        load[0] = -1;
    read_cpu(cpu, sizeof(cpu));
    printf("machine     %ld cores (%s), %.0f GB, %s %s, file system type %lx\n",
           sysconf(_SC_NPROCESSORS_ONLN), cpu,
           (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 1e9, name.sysname,
           name.release, (unsigned long)fs.f_type);
    printf(
        "load        %.2f before the start (others' work disturbs; ratios hold better than rates)\n",
        load[0]);
}
