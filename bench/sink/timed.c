/* Runs a command and writes what it cost as one line of JSON.
 *
 * A process keeps the peak RSS of what it was before exec, so a child of the
 * Python runner would never show less than the runner's 25 MB; this program has 1 MB.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: timed REPORT COMMAND [ARGUMENT...]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* ends with the runner, and the command with it */
    FILE *report = fopen(argv[1], "we");
    if (!report) {
        perror(argv[1]);
        return 2;
    }
    double start_s = seconds(CLOCK_REALTIME), begin_s = seconds(CLOCK_MONOTONIC);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execv(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    int status;
    struct rusage used; /* of the command and of the children it has waited for */
    if (child < 0 || wait4(child, &status, 0, &used) != child) {
        perror("timed");
        return 2;
    }
    fprintf(report,
            "{\"start_s\": %.6f, \"wall_s\": %.6f, \"user_s\": %.6f, \"sys_s\": %.6f, "
            "\"max_rss_bytes\": %ld}\n",
            start_s, seconds(CLOCK_MONOTONIC) - begin_s, of(used.ru_utime), of(used.ru_stime),
            used.ru_maxrss * 1024);
    fclose(report);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
