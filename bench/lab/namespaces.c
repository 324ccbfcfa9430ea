#define _GNU_SOURCE
#include "namespaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    UNAVAILABLE = 3,
    MTU_BYTES = 1500,
    /* Frames that the device holds until they are read: far more than come in a millisecond. */
    DEVICE_QUEUE = 20000,
};

static const char DEVICE[] = "wire";

/* Windows must not be what limits: one connection alone can fill the longest and widest link. */
static const struct {
    const char *path, *value;
} SYSTEM_SETTINGS[] = {
    {"/proc/sys/net/ipv4/tcp_rmem", "4096 131072 134217728"},
    {"/proc/sys/net/ipv4/tcp_wmem", "4096 16384 134217728"},
    /* Else what one run learnt of the path decides how the next one starts. */
    {"/proc/sys/net/ipv4/tcp_no_metrics_save", "1"},
};

static int checked(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(UNAVAILABLE);
    }
    return result;
}

static struct ifreq request(const char *device)
{
    struct ifreq request = {0};
    strcpy(request.ifr_name, device);
    return request;
}

static void address_of(struct ifreq *request, const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    inet_pton(AF_INET, address, &at.sin_addr);
    memcpy(&request->ifr_addr, &at, sizeof at);
}

static void up(int control, const char *device)
{
    struct ifreq flags = request(device);
    checked(ioctl(control, SIOCGIFFLAGS, &flags), "asking a device's flags");
    flags.ifr_flags |= IFF_UP;
    checked(ioctl(control, SIOCSIFFLAGS, &flags), "bringing a device up");
}

static int tun_open(int control, const char *address)
{
    int tun = checked(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "/dev/net/tun");
    struct ifreq make = request(DEVICE);
    make.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    checked(ioctl(tun, TUNSETIFF, &make), "making a TUN device");
    checked(ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4), "TUN offloads");

    struct ifreq set = request(DEVICE);
    address_of(&set, address);
    checked(ioctl(control, SIOCSIFADDR, &set), "setting an address");
    address_of(&set, "255.255.255.0");
    checked(ioctl(control, SIOCSIFNETMASK, &set), "setting a netmask");
    set = request(DEVICE);
    set.ifr_mtu = MTU_BYTES;
    checked(ioctl(control, SIOCSIFMTU, &set), "setting the MTU");
    set = request(DEVICE);
    set.ifr_qlen = DEVICE_QUEUE;
    checked(ioctl(control, SIOCSIFTXQLEN, &set), "setting a device's queue");
    up(control, DEVICE);
    return tun;
}

struct end end_make(const char *address)
{
    checked(unshare(CLONE_NEWNET), "making a network namespace");
    struct end end;
    end.namespace = checked(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "/proc/self/ns/net");
    for (size_t i = 0; i < sizeof SYSTEM_SETTINGS / sizeof *SYSTEM_SETTINGS; i++) {
        const char *path = SYSTEM_SETTINGS[i].path, *value = SYSTEM_SETTINGS[i].value;
        int setting = checked(open(path, O_WRONLY | O_CLOEXEC), path);
        checked((int)write(setting, value, strlen(value)), path);
        close(setting);
    }
    int control = checked(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    up(control, "lo");
    end.tun = tun_open(control, address);
    close(control);
    return end;
}
