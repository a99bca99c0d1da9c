/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections, as the kernel sees them (TCP_INFO).  The other end does not answer while
 * the kernel repeats what it has sent, or asks in vain whether anybody is there; both
 * counts are zero again as soon as anything comes back.  A connection is lost when that
 * lasts for as long as TCP is set to wait, but at most a minute; or when the kernel or
 * MPI gives it up meanwhile: one that is closed in order was answered just before.
 */
#include "config.h"

#include "mesh/lost.h"

#include "src/base/mem.h"

#include <stddef.h>

#ifdef __linux__
#include <dirent.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
    KNOWN         = 256, /* connections at most; more are not watched */
    MOST_PATIENCE = 60,  /* seconds, as these two */
    ASK_AFTER     = 5,
    ASK_EVERY     = 2,
    RECENT        = 30,
};

struct connection {
    int fd;
    ino_t socket; /* another one may get the number */
    char host[64];
    bool is_silent, is_here; /* here: seen by the look that is being taken */
    bool is_closed;          /* at the other end */
    double since;            /* the silence */
};

struct lost {
    double patience;
    struct connection known[KNOWN];
    int count;     /* of those that are known */
    char host[64]; /* that is lost */
    double ended;  /* when a process that answered did */
};

/* 'early' seconds before TCP gives up what nobody acknowledges, or half of that time:
 * it does so after so many repetitions, each after twice the time of the one before,
 * the first after 0.2 s.
 */
static double patience(double early)
{
    FILE *f     = fopen("/proc/sys/net/ipv4/tcp_retries2", "r");
    int retries = 0;
    double tcp;

    if (f != NULL && fscanf(f, "%d", &retries) != 1)
        retries = 0;
    if (f != NULL)
        fclose(f);
    if (retries <= 0)
        return MOST_PATIENCE;
    tcp = 0.2 * (ldexp(1, retries + 1) - 1);
    return fmin(fmax(tcp - early, tcp / 2), MOST_PATIENCE);
}

void lost_open(struct lost **lost, double early)
{
    *lost             = mem_new(1, sizeof **lost);
    (*lost)->patience = patience(early);
    (*lost)->ended    = -INFINITY;
}

void lost_close(struct lost **lost)
{
    mem_free(*lost);
    *lost = NULL;
}

/* The known connection that is file 'fd', or a new one if it is one that is
 * established; NULL: it is none.
 */
static struct connection *find(struct lost *lost, int fd, const struct tcp_info *info)
{
    struct connection *c;
    struct stat st;

    if (fstat(fd, &st) != 0)
        return NULL;
    for (int k = 0; k < lost->count; k++)
        if (lost->known[k].fd == fd && lost->known[k].socket == st.st_ino)
            return &lost->known[k];
    if (info->tcpi_state != TCP_ESTABLISHED || lost->count == KNOWN)
        return NULL;
    c  = &lost->known[lost->count++];
    *c = (struct connection){ .fd = fd, .socket = st.st_ino };
    return c;
}

/* Learn who is at the other end, and let the kernel ask there where nothing is sent,
 * more often than anybody's patience lasts.
 */
static void get_to_know(struct connection *c)
{
    static const int on = 1, after = ASK_AFTER, every = ASK_EVERY, times = 64;
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;

    if (getpeername(c->fd, (struct sockaddr *)&peer, &size) != 0 ||
        getnameinfo((struct sockaddr *)&peer, size, c->host, sizeof c->host, NULL, 0,
                    NI_NUMERICHOST) != 0)
        snprintf(c->host, sizeof c->host, "%s", "an unknown address");
    setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &after, sizeof after);
    setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
    setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static void look_at(struct lost *lost, int fd, double now)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    struct connection *c;
    bool is_silent;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return;
    c = find(lost, fd, &info);
    if (c == NULL)
        return;
    if (c->host[0] == '\0')
        get_to_know(c);
    is_silent = info.tcpi_retransmits > 0 || info.tcpi_probes > 0;
    if (is_silent && !c->is_silent)
        c->since = now;
    c->is_here   = info.tcpi_state != TCP_CLOSE;
    c->is_closed = info.tcpi_state == TCP_CLOSE_WAIT;
    c->is_silent = is_silent || (c->is_silent && !c->is_here);
}

static void look_at_all(struct lost *lost, double now)
{
    DIR *files = opendir("/proc/self/fd");
    struct dirent *entry;

    if (files == NULL) {
        lost->count = 0;
        return;
    }
    for (int k = 0; k < lost->count; k++)
        lost->known[k].is_here = false;
    while ((entry = readdir(files)) != NULL)
        if (entry->d_name[0] != '.')
            look_at(lost, atoi(entry->d_name), now);
    closedir(files);
}

/* Connections that were answered a moment before they ended are forgotten. */
const char *lost_look(double *seconds, struct lost *lost, double now)
{
    const char *host = NULL;
    int left         = 0;

    look_at_all(lost, now);
    for (int k = 0; k < lost->count; k++) {
        const struct connection c = lost->known[k];

        if (!c.is_silent && (c.is_closed || !c.is_here))
            lost->ended = now;
        if (c.is_silent && (now - c.since >= lost->patience ||
                            (!c.is_here && now - c.since >= ASK_EVERY))) {
            snprintf(lost->host, sizeof lost->host, "%s", c.host);
            *seconds = now - c.since;
            host     = lost->host;
        }
        if (c.is_here)
            lost->known[left++] = c;
    }
    lost->count = left;
    return host;
}

bool lost_has_ended(const struct lost *lost, double now)
{
    return now - lost->ended <= RECENT;
}

#else /* only Linux tells */

struct lost {
    int nothing;
};

void lost_open(struct lost **lost, double early)
{
    (void)early;
    *lost = NULL;
}

void lost_close(struct lost **lost)
{
    (void)lost;
}

const char *lost_look(double *seconds, struct lost *lost, double now)
{
    (void)seconds;
    (void)lost;
    (void)now;
    return NULL;
}

bool lost_has_ended(const struct lost *lost, double now)
{
    (void)lost;
    (void)now;
    return false;
}

#endif
