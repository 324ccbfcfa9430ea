#define _GNU_SOURCE
#include "inflow.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { INTERVAL_NS = 100000000 };

struct inflow inflows[DOORS_MAX];

static FILE *record;
static unsigned recorded_doors;

unsigned inflow_receiving(void)
{
    unsigned receiving = 0;
    for (int door = 0; door < DOORS_MAX; door++)
        receiving += atomic_load_explicit(&inflows[door].receiving, memory_order_relaxed);
    return receiving;
}

static void write_line(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    fprintf(record, "%.6f", (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    for (unsigned door = 0; door < recorded_doors; door++) {
        struct inflow *inflow = &inflows[door];
        fprintf(record, " %llu %u %u", atomic_load(&inflow->body_bytes),
                atomic_load(&inflow->open), atomic_load(&inflow->receiving));
    }
    fputc('\n', record);
    fflush(record);
}

static void *record_main(void *argument)
{
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (;;) {
        write_line();
        next.tv_nsec += INTERVAL_NS;
        if (next.tv_nsec >= 1000000000) {
            next.tv_nsec -= 1000000000;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    return argument;
}

void inflow_record(const char *path, unsigned doors)
{
    pthread_t thread;
    recorded_doors = doors;
    record = fopen(path, "we");
    if (!record || pthread_create(&thread, NULL, record_main, NULL)) {
        perror(path);
        exit(1);
    }
}
