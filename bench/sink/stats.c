#define _GNU_SOURCE
#include "stats.h"

#include "inflow.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

struct stats {
    uint64_t requests[S3_KIND_COUNT];
    uint64_t body_bytes; /* as sent: with the framing of aws-chunked, without that of HTTP */
    uint64_t bad_requests;
    unsigned connections, open_connections, most_connections;
    double last_body_s;
    double cpu_before_s; /* used before the last reset */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stats stats;
static atomic_llong first_body_ns; /* 0: none yet */

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void stats_connection_opened(void)
{
    pthread_mutex_lock(&lock);
    stats.connections++;
    if (++stats.open_connections > stats.most_connections)
        stats.most_connections = stats.open_connections;
    pthread_mutex_unlock(&lock);
}

void stats_connection_closed(void)
{
    pthread_mutex_lock(&lock);
    stats.open_connections--;
    pthread_mutex_unlock(&lock);
}

void stats_first_body(void)
{
    long long none = 0;
    if (!atomic_load_explicit(&first_body_ns, memory_order_relaxed))
        atomic_compare_exchange_strong(&first_body_ns, &none, now_ns());
}

void stats_request(enum s3_kind kind, uint64_t body_bytes, bool good)
{
    bool data = kind == S3_PUT_OBJECT || kind == S3_UPLOAD_PART;
    double last_s = data ? (double)now_ns() / 1e9 : 0;
    pthread_mutex_lock(&lock);
    stats.requests[kind]++;
    stats.bad_requests += !good;
    if (data) {
        stats.body_bytes += body_bytes;
        stats.last_body_s = last_s;
    }
    pthread_mutex_unlock(&lock);
}

void stats_reset(void)
{
    s3_forget_all();
    pthread_mutex_lock(&lock);
    unsigned open = stats.open_connections;
    stats = (struct stats){
        .open_connections = open, .most_connections = open, .cpu_before_s = cpu_s()};
    atomic_store(&first_body_ns, 0);
    pthread_mutex_unlock(&lock);
}

void stats_json(char *out)
{
    uint64_t objects, object_bytes;
    s3_totals(&objects, &object_bytes);
    pthread_mutex_lock(&lock);
    struct stats seen = stats;
    pthread_mutex_unlock(&lock);

    size_t used = (size_t)snprintf(
        out, STATS_BYTES,
        "{\"body_bytes\": %llu, \"objects\": %llu, \"object_bytes\": %llu, "
        "\"connections\": %u, \"most_connections\": %u, \"bad_requests\": %llu, "
        "\"first_body_s\": %.6f, \"last_body_s\": %.6f, \"cpu_s\": %.6f, \"requests\": {",
        (unsigned long long)seen.body_bytes, (unsigned long long)objects,
        (unsigned long long)object_bytes, seen.connections, seen.most_connections,
        (unsigned long long)seen.bad_requests, (double)atomic_load(&first_body_ns) / 1e9,
        seen.last_body_s, cpu_s() - seen.cpu_before_s);
    const char *comma = "";
    for (int kind = 0; kind < S3_KIND_COUNT; kind++)
        if (seen.requests[kind]) {
            used += (size_t)snprintf(out + used, STATS_BYTES - used, "%s\"%s\": %llu", comma,
                                     s3_kind_names[kind], (unsigned long long)seen.requests[kind]);
            comma = ", ";
        }
    used += (size_t)snprintf(out + used, STATS_BYTES - used, "}, \"door_bytes\": [");
    for (int door = 0; door < DOORS_MAX; door++)
        used += (size_t)snprintf(out + used, STATS_BYTES - used, "%s%llu", door ? ", " : "",
                                 atomic_load(&inflows[door].body_bytes));
    snprintf(out + used, STATS_BYTES - used, "]}\n");
}
