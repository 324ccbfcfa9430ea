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
#include "stats.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

static void *loop_main(void *argument)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    struct epoll_event ready[BATCH];
    int epoll = *(int *)argument;
    for (;;) {
        int count = epoll_wait(epoll, ready, BATCH, -1);
        bool only_bulk = count > 0;
        for (int i = 0; i < count; i++) {
            struct connection *c = ready[i].data.ptr;
            enum progress progress = connection_advance(c);
            only_bulk &= progress == IN_BULK;
            if (progress == ENDED)
                connection_free(c);
        }
        if (only_bulk)
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
    printf("listening %u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"bind", required_argument, NULL, 'b'},
        {"stats", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'},
        {"die-with-parent", no_argument, NULL, 'd'},
        {0},
    };
    const char *address = "127.0.0.1";
    int port = 0, loops = 1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'b': address = optarg; break;
        case 's': stats_path = optarg; break;
        case 't': loops = atoi(optarg); break;
        case 'd': prctl(PR_SET_PDEATHSIG, SIGTERM); break;
        default: loops = 0;
        }
    }
    if (loops < 1 || loops > LOOPS_MAX || port < 0 || port > 65535 || optind < argc) {
        fprintf(stderr, "usage: sink [--port N] [--bind ADDRESS] [--stats FILE] [--threads N] "
                        "[--die-with-parent]\n");
        return 2;
    }

    static sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, signals_main, &ends))
        die("sink: pthread_create");
    static int epolls[LOOPS_MAX];
    for (int i = 0; i < loops; i++) {
        epolls[i] = epoll_create1(EPOLL_CLOEXEC);
        if (epolls[i] < 0 || pthread_create(&thread, NULL, loop_main, &epolls[i]))
            die("sink: pthread_create");
    }

    int listener = listen_at(address, (unsigned short)port);
    for (unsigned next = 0;; next++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        struct connection *c = connection_new(fd);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (!c)
            close(fd);
        else if (epoll_ctl(epolls[next % (unsigned)loops], EPOLL_CTL_ADD, fd, &event))
            connection_free(c);
    }
}
