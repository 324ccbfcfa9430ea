/* A discarding S3-shaped HTTP/1.1 server for Linux.
 *
 * It measures clients on the machine they run on, so it must cost next to nothing.
 * CPU seconds of the sink for 1 GiB from 25 connections, of three runs each:
 *
 *     0.44-0.51  a blocking thread a connection, MSG_WAITALL
 *     0.23-0.43  epoll, one thread (0.47-0.59 with two)
 *     0.22-0.26  epoll, one thread, and a nap after a batch of nothing but bulk
 *
 * SO_RCVLOWAT is cheaper still (0.16), but it hangs: a sender may not fill the last
 * bytes of a window that are less than a segment, and the mark is never reached.
 */
#define _GNU_SOURCE
#include "connection.h"
#include "inflow.h"
#include "shape.h"
#include "stats.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 256,
    LOOPS_MAX = 64,
    /* 200 us of a 1 GB/s connection are 200 KB, well within a socket's buffer. */
    NAP_NS = 200000,
};

static const char *stats_path;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Connections, and those of them that wait for their ration instead of for data. */
struct loop {
    int epoll;
    struct connection **rationed;
    size_t rationed_count, rationed_room;
    int64_t tick_ns; /* when the next one is due */
};

static void listen_to(struct loop *loop, struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, connection_fd(c), &event))
        connection_free(c);
}

static void wait_for(struct loop *loop, struct connection *c, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.ptr = c};
    epoll_ctl(loop->epoll, EPOLL_CTL_MOD, connection_fd(c), &event);
}

static void put_on_rations(struct loop *loop, struct connection *c)
{
    if (loop->rationed_count == loop->rationed_room) {
        loop->rationed_room = loop->rationed_room * 2 + BATCH;
        loop->rationed = realloc(loop->rationed, loop->rationed_room * sizeof *loop->rationed);
        if (!loop->rationed)
            abort();
    }
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, connection_fd(c), NULL);
    loop->rationed[loop->rationed_count++] = c;
}

static void tick(struct loop *loop, int64_t now_ns)
{
    int64_t share_bytes = shape_share(now_ns);
    size_t stay = 0;
    for (size_t i = 0; i < loop->rationed_count; i++) {
        struct connection *c = loop->rationed[i];
        connection_ration(c, share_bytes, now_ns);
        switch (connection_advance(c)) {
        case RATIONED: loop->rationed[stay++] = c; break;
        case ENDED: connection_free(c); break;
        default: listen_to(loop, c);
        }
    }
    loop->rationed_count = stay;
    loop->tick_ns = now_ns + TICK_NS;
}

/* Until the next tick. */
static int wait_ms(const struct loop *loop)
{
    int64_t left_ns = loop->tick_ns - shape_now_ns();
    return left_ns <= 0 ? 0 : (int)((left_ns + 999999) / 1000000);
}

static void *loop_main(void *argument)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    struct epoll_event ready[BATCH];
    struct loop *loop = argument;
    for (;;) {
        int count = epoll_wait(loop->epoll, ready, BATCH, loop->rationed_count ? wait_ms(loop) : -1);
        bool only_bulk = count > 0;
        for (int i = 0; i < count; i++) {
            struct connection *c = ready[i].data.ptr;
            enum progress progress = connection_advance(c);
            only_bulk &= progress == IN_BULK;
            if (progress == ENDED)
                connection_free(c);
            else if (progress == RATIONED)
                put_on_rations(loop, c);
            else if ((progress == SENDING) != !(ready[i].events & EPOLLIN))
                wait_for(loop, c, progress == SENDING ? EPOLLOUT : EPOLLIN);
        }
        if (loop->rationed_count) {
            int64_t now_ns = shape_now_ns();
            if (now_ns >= loop->tick_ns)
                tick(loop, now_ns);
        } else if (only_bulk)
            nanosleep(&nap, NULL);
    }
    return NULL;
}

static void *signals_main(void *argument)
{
    int number;
    char text[STATS_BYTES];
    sigwait(argument, &number);
    FILE *file = stats_path ? fopen(stats_path, "w") : NULL;
    if (file) {
        stats_json(text);
        fputs(text, file);
        fclose(file);
    }
    _exit(0);
}

static int listen_at(const char *address, unsigned short port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t at_bytes = sizeof at;
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
        fprintf(stderr, "sink: %s is not an IPv4 address\n", address);
        exit(2);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Inherited by accepted sockets: one call for all of them. The receive buffer is left to
     * the kernel, which grows it: sizes from 64 KiB to 4 MiB made no difference. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096))
        die("sink: listen");
    getsockname(fd, (struct sockaddr *)&at, &at_bytes);
    printf(" %u", ntohs(at.sin_port));
    return fd;
}

static struct loop loops[LOOPS_MAX];
static int loop_count = 1;

struct door {
    int listener;
    struct inflow *inflow;
};

static void *door_main(void *argument)
{
    const struct door *door = argument;
    for (unsigned next = 0;; next++) {
        int fd = accept4(door->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            continue;
        struct connection *c = connection_new(fd, door->inflow);
        if (c)
            listen_to(&loops[next % (unsigned)loop_count], c);
        else
            close(fd);
    }
    return NULL;
}

static pthread_t start(void *(*thread_main)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_main, argument))
        die("sink: pthread_create");
    return thread;
}

static double number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    return end == text || *end ? NAN : value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"bind", required_argument, NULL, 'b'},
        {"stats", required_argument, NULL, 's'},
        {"series", required_argument, NULL, 'e'},
        {"threads", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'},
        {"connection-rate", required_argument, NULL, 'c'},
        {"knee", required_argument, NULL, 'k'},
        {"die-with-parent", no_argument, NULL, 'd'},
        {"object", required_argument, NULL, 'o'},
        {"object-bytes", required_argument, NULL, 'n'},
        {"object-crc64nvme", required_argument, NULL, 'm'},
        {0},
    };
    const char *address = "127.0.0.1", *series_path = NULL;
    struct shape shape = {0};
    struct s3_held held = {.fd = -1, .crc64nvme = ""};
    struct stat object;
    int ports[DOORS_MAX] = {0}, given_ports = 0;
    bool good = true;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'p':
            good &= given_ports < DOORS_MAX;
            if (good)
                ports[given_ports++] = atoi(optarg);
            break;
        case 'b': address = optarg; break;
        case 's': stats_path = optarg; break;
        case 'e': series_path = optarg; break;
        case 't': loop_count = atoi(optarg); break;
        case 'r': shape.rate_bytes_per_s = number(optarg); break;
        case 'c': shape.connection_rate_bytes_per_s = number(optarg); break;
        case 'k': shape.knee = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'o': held.fd = open(optarg, O_RDONLY | O_CLOEXEC); break;
        case 'n': held.size_bytes = strtoull(optarg, NULL, 10); break;
        case 'm': held.crc64nvme = optarg; break;
        case 'd': prctl(PR_SET_PDEATHSIG, SIGTERM); break;
        default: good = false;
        }
    }
    int door_count = given_ports ? given_ports : 1;
    for (int i = 0; i < door_count; i++)
        good &= ports[i] >= 0 && ports[i] <= 65535;
    if (held.size_bytes) {
        good &= fstat(held.fd, &object) == 0 && object.st_size > 0;
        held.file_bytes = (uint64_t)object.st_size;
        s3_hold(held);
    }
    if (!good || loop_count < 1 || loop_count > LOOPS_MAX || optind < argc || !shape_set(shape)) {
        fprintf(stderr, "usage: sink [--port N]... [--bind ADDRESS] [--stats FILE] [--series FILE] "
                        "[--threads N] [--rate BYTES_PER_S [--knee CONNECTIONS]] "
                        "[--connection-rate BYTES_PER_S] [--die-with-parent] "
                        "[--object FILE --object-bytes N [--object-crc64nvme BASE64]]\n");
        return 2;
    }

    signal(SIGPIPE, SIG_IGN); /* sendfile() has no MSG_NOSIGNAL */
    static sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    start(signals_main, &ends);
    for (int i = 0; i < loop_count; i++) {
        loops[i].epoll = epoll_create1(EPOLL_CLOEXEC);
        if (loops[i].epoll < 0)
            die("sink: epoll_create1");
        start(loop_main, &loops[i]);
    }
    if (series_path)
        inflow_record(series_path, (unsigned)door_count);

    static struct door doors[DOORS_MAX];
    pthread_t last;
    printf("listening");
    for (int i = 0; i < door_count; i++) {
        doors[i] = (struct door){listen_at(address, (unsigned short)ports[i]), &inflows[i]};
        last = start(door_main, &doors[i]);
    }
    printf("\n");
    fflush(stdout);
    pthread_join(last, NULL);
    return 0;
}
