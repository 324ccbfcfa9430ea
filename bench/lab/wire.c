/* A wide-area link between two network namespaces that it makes, in user space.
 *
 * wire CLIENT_ADDRESS SERVER_ADDRESS SEED, then lines on the standard input, each answered by one:
 *
 *     up|down RATE_BYTES_PER_S DELAY_S LOSS QUEUE_BYTES    ok
 *     count                                                the counters of both, as JSON
 *
 * The first line that it writes names its namespaces: `ready FD FD`, of client and server. They
 * are nowhere else, so all is gone when the process is, and that ends with its input.
 */
#define _GNU_SOURCE
#include "direction.h"
#include "namespaces.h"

#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    /* What comes, or is due, within this time is handled together. */
    NAP_NS = 200000,
    KEPT_BYTES = 256 << 20,
    LINE_BYTES = 512,
};

enum { UP, DOWN };
static const char *const NAMES[] = {"up", "down"};

static struct direction directions[2];

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void say_counters(void)
{
    for (int i = UP; i <= DOWN; i++) {
        struct counters *c = &directions[i].counters;
        printf("%s\"%s\": {\"segments\": %llu, \"lost\": %llu, \"overflowed\": %llu, "
               "\"delivered_bytes\": %llu}",
               i ? ", " : "{", NAMES[i], (unsigned long long)c->segments,
               (unsigned long long)c->lost, (unsigned long long)c->overflowed,
               (unsigned long long)c->delivered_bytes);
    }
    printf("}\n");
}

static int change(const char *line)
{
    char name[8];
    double delay_s;
    struct settings settings;
    if (sscanf(line, "%7s %lf %lf %lf %lf", name, &settings.rate_bytes_per_s, &delay_s,
               &settings.loss, &settings.queue_bytes) != 5)
        return 0;
    if (!(settings.rate_bytes_per_s > 0 && delay_s >= 0 && settings.loss >= 0 && settings.loss < 1
          && settings.queue_bytes >= 0))
        return 0;
    settings.delay_ns = (int64_t)(delay_s * 1e9);
    for (int i = UP; i <= DOWN; i++)
        if (!strcmp(name, NAMES[i])) {
            direction_change(&directions[i], settings, now_ns());
            return 1;
        }
    return 0;
}

/* Lines come whole: Python writes each at once, and they are short. */
static void obey(void)
{
    char text[LINE_BYTES];
    ssize_t got = read(STDIN_FILENO, text, sizeof text - 1);
    if (got <= 0)
        exit(0);
    text[got] = '\0';
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (!strcmp(line, "count"))
            say_counters();
        else
            puts(change(line) ? "ok" : "not understood");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: wire CLIENT_ADDRESS SERVER_ADDRESS SEED\n");
        return 2;
    }
    struct end client = end_make(argv[1]), server = end_make(argv[2]);
    uint64_t seed = strtoull(argv[3], NULL, 10);
    direction_init(&directions[UP], client.tun, server.tun, seed);
    direction_init(&directions[DOWN], server.tun, client.tun, ~seed);
    struct settings none = {.rate_bytes_per_s = 1e12, .queue_bytes = 1e12};
    direction_change(&directions[UP], none, now_ns());
    direction_change(&directions[DOWN], none, now_ns());
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES); /* what a full queue took is soon taken again */
    prctl(PR_SET_TIMERSLACK, 1000);
    /* A link doesn't wait for its ends to leave it a processor. Where that is refused it is less even. */
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    printf("ready %d %d\n", client.namespace, server.namespace);
    fflush(stdout);

    const struct timespec nap = {.tv_nsec = NAP_NS};
    struct pollfd fds[] = {{.fd = client.tun, .events = POLLIN},
                           {.fd = server.tun, .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};
    for (int64_t next = INT64_MAX;;) {
        int64_t left = next == INT64_MAX ? 3600000000000 : next - NAP_NS - now_ns();
        left = left < 0 ? 0 : left;
        ppoll(fds, 3, &(struct timespec){left / 1000000000, left % 1000000000}, NULL);
        /* Half a nap early, on average, and deliveries half a nap late: delays come out right. */
        int64_t arrived = now_ns();
        nanosleep(&nap, NULL);
        if (fds[2].revents)
            obey();
        next = INT64_MAX;
        for (int i = UP; i <= DOWN; i++) {
            direction_take(&directions[i], arrived);
            int64_t due = direction_deliver(&directions[i], now_ns());
            next = due < next ? due : next;
        }
    }
}
