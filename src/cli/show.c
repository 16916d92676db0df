#include "cli/show.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 30 };

const char *
show_bytes(uint64_t bytes, char out[SHOW_MAX])
{
    static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(out, SHOW_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

const char *
show_count(uint64_t count, char out[SHOW_MAX])
{
    char digits[SHOW_MAX];
    int size = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
    size_t at = 0;

    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

double
show_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void
progress_begin(struct progress *p, FILE *out, const char *what, uint64_t total)
{
    *p = (struct progress){ .out = out,
                            .terminal = isatty(fileno(out)) != 0,
                            .what = what,
                            .total = total,
                            .begun = show_clock() };
    p->shown = p->begun;
}

void
show_bar(FILE *out, uint64_t done, uint64_t total)
{
    char bar[BAR_WIDTH + 1];
    double part = total == 0 ? 0 : (double)done / (double)total;

    if (part > 1)
        part = 1;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)(part * BAR_WIDTH));
    bar[BAR_WIDTH] = '\0';
    fprintf(out, "[%s] %3.0f %%  ", bar, 100 * part);
}

void
progress_update(struct progress *p, uint64_t done, uint64_t records)
{
    double now = show_clock();
    double spent = now - p->begun;
    char count[SHOW_MAX], rate[SHOW_MAX];

    if (now - p->shown < (p->terminal ? 0.1 : 5.0))
        return;
    p->shown = now;
    if (p->terminal)
        fprintf(p->out, "\r\033[K");
    if (p->total > 0)
        show_bar(p->out, done, p->total);
    fprintf(p->out, "%s %s, %s/s", show_count(records, count), p->what,
            show_count(spent > 0 ? (uint64_t)((double)records / spent) : 0, rate));
    if (p->total > 0 && done > 0 && done < p->total)
        fprintf(p->out, ", %.0f s left", spent * (double)(p->total - done) / (double)done);
    if (!p->terminal)
        fputc('\n', p->out);
    fflush(p->out);
}

void
progress_hide(const struct progress *p)
{
    if (p->terminal) {
        fprintf(p->out, "\r\033[K");
        fflush(p->out);
    }
}

void
progress_end(struct progress *p, uint64_t records)
{
    double spent = show_clock() - p->begun;
    char count[SHOW_MAX], rate[SHOW_MAX];

    if (p->terminal)
        fprintf(p->out, "\r\033[K");
    fprintf(p->out, "%s %s in %.1f s (%s/s)\n", show_count(records, count), p->what, spent,
            show_count(spent > 0 ? (uint64_t)((double)records / spent) : 0, rate));
    fflush(p->out);
}
