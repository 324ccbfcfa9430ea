#define _GNU_SOURCE
#include "shape.h"

#include "inflow.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { BUFFER_BYTES_MIN = 128 << 10, BUFFER_BYTES_MAX = 4 << 20 };

/* What isn't taken within this time is lost: a store that was idle isn't faster afterwards. */
static const double SAVED_S = 0.04;
/* A longer gap between ticks was no delay but a time when nobody was receiving. */
static const double LATE_S_MAX = 0.1;
/* Of what a connection may bring, what its buffer holds: several ticks. */
static const double BUFFERED_S = 0.02;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shape shape;
static double pool_bytes;
static int64_t pool_filled_ns;
static atomic_bool on;
static atomic_ullong taken_bytes; /* since the pool was last looked at */
static atomic_int buffer_bytes;

bool shape_set(struct shape to)
{
    double all = to.rate_bytes_per_s, one = to.connection_rate_bytes_per_s;
    if (!(isfinite(all) && isfinite(one) && all >= 0 && one >= 0) || (to.knee && !all))
        return false;
    double fastest = all && (!one || all < one) ? all : one;
    double buffer = fastest * BUFFERED_S;
    pthread_mutex_lock(&lock);
    shape = to;
    pthread_mutex_unlock(&lock);
    atomic_store(&buffer_bytes, buffer < BUFFER_BYTES_MIN   ? BUFFER_BYTES_MIN
                                : buffer > BUFFER_BYTES_MAX ? BUFFER_BYTES_MAX
                                                            : (int)buffer);
    atomic_store(&on, all || one);
    return true;
}

bool shape_on(void)
{
    return atomic_load_explicit(&on, memory_order_relaxed);
}

int shape_buffer_bytes(void)
{
    return atomic_load(&buffer_bytes);
}

int64_t shape_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* `bytes` of savings, with what has come in since. */
static double saved(double bytes, double rate_bytes_per_s, double elapsed_s)
{
    double most = rate_bytes_per_s * SAVED_S;
    double late_s = elapsed_s < LATE_S_MAX ? elapsed_s : LATE_S_MAX;
    return (bytes < most ? bytes : most) + rate_bytes_per_s * late_s;
}

int64_t shape_share(int64_t now_ns)
{
    unsigned receiving = inflow_receiving();
    double share = INFINITY;
    pthread_mutex_lock(&lock);
    double rate = shape.rate_bytes_per_s;
    if (shape.knee && receiving > shape.knee)
        rate *= pow((double)shape.knee / receiving, 2);
    if (rate) {
        pool_bytes -= (double)atomic_exchange(&taken_bytes, 0);
        pool_bytes = saved(pool_bytes, rate, (double)(now_ns - pool_filled_ns) / 1e9);
        share = pool_bytes / (receiving ? receiving : 1);
    }
    pool_filled_ns = now_ns;
    pthread_mutex_unlock(&lock);
    return share < 0 ? 0 : share < 1e15 ? (int64_t)share : (int64_t)1e15;
}

void purse_open(struct purse *purse, int64_t now_ns)
{
    purse->filled_ns = now_ns;
}

int64_t shape_ration(struct purse *purse, int64_t share_bytes, int64_t now_ns)
{
    pthread_mutex_lock(&lock);
    double rate = shape.connection_rate_bytes_per_s;
    pthread_mutex_unlock(&lock);
    if (!rate)
        return share_bytes;
    purse->bytes = saved(purse->bytes, rate, (double)(now_ns - purse->filled_ns) / 1e9);
    purse->filled_ns = now_ns;
    int64_t own_bytes = purse->bytes > 0 ? (int64_t)purse->bytes : 0;
    return own_bytes < share_bytes ? own_bytes : share_bytes;
}

void shape_took(struct purse *purse, uint64_t bytes)
{
    purse->bytes -= (double)bytes;
    atomic_fetch_add_explicit(&taken_bytes, bytes, memory_order_relaxed);
}
