#include "put.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE */
#endif

#ifdef __APPLE__
#define MTIME(status) ((status)->st_mtimespec)
#define CTIME(status) ((status)->st_ctimespec)
#else
#define MTIME(status) ((status)->st_mtim)
#define CTIME(status) ((status)->st_ctim)
#endif

static const char TRAILER[] = "x-amz-checksum-crc64nvme:";
#define CRC_BYTES 8
#define CRC_TEXT_BYTES 12

static int64_t in_ns(struct timespec time) { return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec; }

static int64_t now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return in_ns(now);
}

static void encode_crc(uint64_t crc, char *to) {
    static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    /* 64 bits and two zeros are eleven digits of six bits, and one of padding. */
    for (int digit = 0; digit < 10; digit++)
        to[digit] = ALPHABET[(crc >> (58 - 6 * digit)) & 63];
    to[10] = ALPHABET[(crc << 2) & 63];
    to[11] = '=';
}

static size_t chunk_head(int64_t size_bytes, char *to) {
    return (size_t)snprintf(to, FP_PUT_CHUNK_BYTES, "%llx\r\n", (unsigned long long)size_bytes);
}

static size_t tail_bytes(int64_t size_bytes) {
    /* With no data there is no chunk but the last: "0 CRLF". */
    return (size_bytes ? 2 : 0) + 3 + sizeof TRAILER - 1 + CRC_TEXT_BYTES + 4;
}

size_t fp_put_body_bytes(int64_t size_bytes) {
    char chunk[FP_PUT_CHUNK_BYTES];
    return (size_bytes ? chunk_head(size_bytes, chunk) : 0) + (size_t)size_bytes + tail_bytes(size_bytes);
}


/* Whether it is a regular file of the size and time that are known. */
static int is_known(struct fp_put *put, int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return 0;
    if (status.st_size != put->size_bytes || in_ns(MTIME(&status)) != put->mtime_ns)
        return 0;
    put->device = (uint64_t)status.st_dev;
    put->inode = (uint64_t)status.st_ino;
    put->ctime_ns = in_ns(CTIME(&status));
    char byte;
    return put->size_bytes > 0 || pread(fd, &byte, 1, 0) == 0; /* /proc: says that it is empty, and isn't */
}

static enum fp_put_outcome read_file(struct fp_put *put, int fd, unsigned char *to, fp_update_crc64 update) {
    if (!is_known(put, fd))
        return FP_PUT_CHANGED;
    /* What wasn't cached before isn't left there. */
    const int is_cold = fp_is_cached(fd, 0) == 0;
    struct fp_hashes hashes = {.update_crc64nvme = update};
    enum fp_slice_status status;
    const size_t size_bytes = (size_t)put->size_bytes;
    const size_t got_bytes = fp_slice_file(fd, 0, to, size_bytes, &hashes, &status, &put->error_number);
    if (is_cold)
        fp_wont_need(fd, 0, put->size_bytes);
    if (status == FP_SLICE_ERROR)
        return FP_PUT_UNREADABLE;
    int error_number;
    if (got_bytes < size_bytes ||
        fp_check_unchanged(fd, put->size_bytes, put->mtime_ns, &error_number) != FP_SLICE_OK)
        return FP_PUT_CHANGED;
    put->crc64nvme = hashes.crc64nvme;
    return FP_PUT_DONE;
}

size_t fp_put_prepare(struct fp_put *put, unsigned char *buffer, fp_update_crc64 update_crc64nvme,
                      struct fp_put_times *times, unsigned char **begin) {
    const int64_t began_ns = now_ns(CLOCK_MONOTONIC), cpu_began_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
    /* O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. */
    const int fd = open(put->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        put->error_number = errno;
        put->outcome = FP_PUT_UNREADABLE;
        return 0;
    }
    unsigned char *const data = buffer + FP_PUT_HEAD_BYTES + FP_PUT_CHUNK_BYTES;
    const enum fp_put_outcome outcome = read_file(put, fd, data, update_crc64nvme);
    close(fd);
    times->read_ns += now_ns(CLOCK_MONOTONIC) - began_ns;
    times->read_cpu_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_began_ns;
    if (outcome != FP_PUT_DONE) {
        put->outcome = outcome;
        return 0;
    }
    char chunk[FP_PUT_CHUNK_BYTES];
    const size_t chunk_bytes = put->size_bytes ? chunk_head(put->size_bytes, chunk) : 0;
    memcpy(data - chunk_bytes, chunk, chunk_bytes);
    *begin = data - chunk_bytes - put->head_bytes;
    memcpy(*begin, put->head, put->head_bytes);
    char *at = (char *)data + put->size_bytes;
    at += snprintf(at, FP_PUT_TAIL_BYTES, "%s0\r\n%s", put->size_bytes ? "\r\n" : "", TRAILER);
    encode_crc(put->crc64nvme, at);
    memcpy(at + CRC_TEXT_BYTES, "\r\n\r\n", 4);
    return (size_t)(at + CRC_TEXT_BYTES + 4 - (char *)*begin);
}

static int is_unchanged(const struct fp_put *put) {
    struct stat now;
    if (stat(put->path, &now) != 0 || (uint64_t)now.st_dev != put->device || (uint64_t)now.st_ino != put->inode)
        return 0;
    return now.st_size == put->size_bytes && in_ns(MTIME(&now)) == put->mtime_ns;
}

static int send_all(int socket, const unsigned char *from, size_t length_bytes) {
    for (size_t sent_bytes = 0; sent_bytes < length_bytes;) {
        const ssize_t now_bytes = send(socket, from + sent_bytes, length_bytes - sent_bytes, MSG_NOSIGNAL);
        if (now_bytes >= 0)
            sent_bytes += (size_t)now_bytes;
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

int fp_put_answered(struct fp_put *put, const char *text, size_t got_bytes, size_t *left_bytes) {
    struct fp_answer *const answer = &put->answer;
    size_t head_bytes;
    *left_bytes = 0;
    const int found = fp_read_head(text, got_bytes, answer, &head_bytes);
    if (found == 0 && got_bytes < FP_ANSWER_BYTES)
        return 0;
    if (found <= 0) {
        put->outcome = FP_PUT_STRANGE;
        return 1;
    }
    if (got_bytes - head_bytes > answer->body_bytes)
        answer->end = FP_ANSWER_CLOSES; /* nobody knows what that belongs to */
    else if (answer->end == FP_ANSWER_GOES_ON)
        *left_bytes = answer->body_bytes - (got_bytes - head_bytes);
    if (answer->status >= 300 || answer->etag[0] == '\0')
        put->outcome = FP_PUT_REFUSED;
    else
        put->outcome = is_unchanged(put) ? FP_PUT_DONE : FP_PUT_CHANGED;
    return 1;
}

/* At least one more byte; 0: the end; -1: errno. */
static ssize_t receive(int socket, char *buffer, size_t room_bytes) {
    ssize_t more_bytes;
    do
        more_bytes = recv(socket, buffer, room_bytes, 0);
    while (more_bytes < 0 && errno == EINTR);
    return more_bytes;
}

static void receive_answer(int socket, struct fp_put *put) {
    char text[2 * FP_ANSWER_BYTES];
    size_t got_bytes = 0, left_bytes;
    do {
        const ssize_t more_bytes = receive(socket, text + got_bytes, sizeof text - got_bytes);
        if (more_bytes <= 0) {
            put->outcome = FP_PUT_LOST;
            put->error_number = more_bytes < 0 ? errno : 0;
            return;
        }
        got_bytes += (size_t)more_bytes;
    } while (!fp_put_answered(put, text, got_bytes, &left_bytes));
    while (left_bytes > 0) {
        const ssize_t more_bytes = receive(socket, text, left_bytes);
        if (more_bytes <= 0) {
            put->answer.end = FP_ANSWER_CLOSES;
            return;
        }
        left_bytes -= (size_t)more_bytes;
    }
}

size_t fp_put_files(int socket, struct fp_put *puts, size_t count, unsigned char *buffer,
                    fp_update_crc64 update_crc64nvme, struct fp_put_times *times) {
    for (size_t done = 0; done < count; done++) {
        struct fp_put *const put = &puts[done];
        unsigned char *begin;
        const size_t length_bytes = fp_put_prepare(put, buffer, update_crc64nvme, times, &begin);
        if (!length_bytes)
            continue; /* the file's own trouble */
        if (send_all(socket, begin, length_bytes) != 0) {
            /* A store that refuses may say so and close before it has read the body: who asks again hears it. */
            put->outcome = FP_PUT_LOST;
            put->error_number = errno;
            return done + 1;
        }
        receive_answer(socket, put);
        const int is_through = put->outcome == FP_PUT_DONE || put->outcome == FP_PUT_CHANGED;
        if (!is_through || put->answer.end == FP_ANSWER_CLOSES)
            return done + 1;
    }
    return count;
}
