/* SPDX-License-Identifier: BSD-3-Clause */
/* A host is lost when nothing comes back from it, and at no other time.  No MPI: two
 * ends of a connection in a network of this process alone, which is then switched off.
 */
#define _GNU_SOURCE /* for unshare() */
#include "config.h"

#include "mesh/lost.h"

#include "src/base/err.h"
#include "tests/tap.h"

#ifdef __linux__
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void nap(double seconds)
{
    const struct timespec t = { (time_t)seconds,
                                (long)(1e9 * (seconds - (double)(time_t)seconds)) };

    nanosleep(&t, NULL);
}

/* The network's only device. */
static bool switch_on(bool is_on)
{
    struct ifreq r = { .ifr_name = "lo", .ifr_flags = is_on ? IFF_UP : 0 };
    const int s    = socket(AF_INET, SOCK_DGRAM, 0);
    const int rc   = ioctl(s, SIOCSIFFLAGS, &r);

    close(s);
    return rc == 0;
}

/* Both ends of a connection. */
static bool connect_two(int end[2])
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t size        = sizeof at;
    const int s           = socket(AF_INET, SOCK_STREAM, 0);
    bool is_done;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    end[0]             = socket(AF_INET, SOCK_STREAM, 0);
    is_done = bind(s, (struct sockaddr *)&at, size) == 0 && listen(s, 1) == 0 &&
              getsockname(s, (struct sockaddr *)&at, &size) == 0 &&
              connect(end[0], (struct sockaddr *)&at, size) == 0;
    end[1] = is_done ? accept(s, NULL, NULL) : -1;
    close(s);
    return end[1] >= 0;
}

static void close_two(const int end[2])
{
    close(end[0]);
    close(end[1]);
}

/* Send until nothing more is taken: nobody reads there, but the kernel answers. */
static void send_all(int end)
{
    static const char bytes[1 << 16];

    while (send(end, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

/* Look twice, a day apart as far as 'l' knows; true if a host is lost. */
static bool is_lost(struct lost *l, double *now)
{
    double seconds;
    bool is_lost = lost_look(&seconds, l, *now) != NULL;

    *now += 86400;
    return is_lost | (lost_look(&seconds, l, *now) != NULL);
}

static void answered(void)
{
    struct lost *l;
    double now = 0, seconds;
    int end[2];

    lost_open(&l, 0);
    ok(connect_two(end) && !is_lost(l, &now), "an idle connection is not lost");
    send_all(end[0]);
    nap(0.5); /* the kernel asks whether there is room again */
    ok(!is_lost(l, &now) && !is_lost(l, &now), "nor is one that nobody reads from");
    ok(!lost_has_ended(l, now), "and nobody has ended");
    close(end[1]);
    nap(0.1);
    ok(lost_look(&seconds, l, now) == NULL && lost_has_ended(l, now + 1) &&
           !lost_has_ended(l, now + 60),
       "that its other end has gone is known for a while");
    ok(!is_lost(l, &now), "but it is not lost");
    close(end[0]);
    ok(!is_lost(l, &now), "nor one that was closed");
    lost_close(&l);
}

/* The first look finds the connection while it is well. */
static void find(struct lost **l, int end[2])
{
    double seconds;

    lost_open(l, 0);
    if (!switch_on(true) || !connect_two(end) || lost_look(&seconds, *l, 0) != NULL)
        die("no connection");
    switch_on(false);
    if (send(end[0], "?", 1, 0) != 1)
        die("nothing can be sent");
}

static void not_answered(void)
{
    const char *host = NULL;
    struct lost *l;
    double seconds = 0;
    int end[2];

    find(&l, end);
    nap(1);
    ok(lost_look(&seconds, l, 100) == NULL, "a short silence is none");
    host = lost_look(&seconds, l, 161);
    ok(!lost_has_ended(l, 161), "and nobody is known to have ended");
    ok(host != NULL && strcmp(host, "127.0.0.1") == 0 && seconds == 61,
       "after a minute the host is lost, and named");
    close_two(end);
    lost_close(&l);

    find(&l, end);
    nap(1);
    lost_look(&seconds, l, 100);
    switch_on(true);
    nap(3);
    ok(lost_look(&seconds, l, 161) == NULL, "if it answers meanwhile it is not");
    close_two(end);
    lost_close(&l);
}

/* 'is_closed': by who uses the connection, as MPI does when it is told. */
static void given_up(bool is_closed)
{
    const unsigned patience = 900; /* ms, of this connection */
    double seconds          = 0;
    struct lost *l;
    int end[2];

    find(&l, end);
    setsockopt(end[0], IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    nap(0.5);
    lost_look(&seconds, l, 100);
    nap(1.5);
    if (is_closed)
        close(end[0]);
    ok(lost_look(&seconds, l, 103) != NULL && seconds == 3,
       "one that TCP gives up is lost at once%s", is_closed ? ", and closed" : "");
    close_two(end);
    lost_close(&l);
}

int main(void)
{
    const bool is_alone =
        unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;

    if (!is_alone || !switch_on(true))
        tap_skip_all("no network of one's own here");
    answered();
    not_answered();
    given_up(false);
    given_up(true);
    return tap_done();
}

#else

int main(void)
{
    tap_skip_all("only Linux tells what its connections do");
}

#endif
