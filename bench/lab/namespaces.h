/* The two ends of the link: a network namespace each, with a TUN device and a route to the other. */
#ifndef LAB_NAMESPACES_H
#define LAB_NAMESPACES_H

struct end {
    int namespace; /* lives as long as this is open */
    int tun;       /* non-blocking; frames as in packet.h */
};

/* Ends the process with status 3 where that is not allowed or not there. */
struct end end_make(const char *address);

#endif
