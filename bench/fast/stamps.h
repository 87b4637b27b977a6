/* Clocks, and the kernel's receive timestamps. */

#include <string.h>
#include <sys/socket.h>
#include <time.h>

static inline double clock_s(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

/* Have the kernel stamp received data. */
static inline int stamp_all(int fd) {
    int yes = 1;
    return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes);
}

/* Read; `at` is when the last of the data came, on the monotonic clock: the kernel's
   stamp, or the time of reading if there is none. */
static inline ssize_t receive_stamped(int fd, void *into, size_t room, double *at) {
    struct iovec piece = {into, room};
    union {
        char room[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr aligned;
    } extra;
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1,
        .msg_control = extra.room, .msg_controllen = sizeof extra.room,
    };
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
    struct cmsghdr *one = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    *at = clock_s(CLOCK_MONOTONIC);
    if (one && one->cmsg_level == SOL_SOCKET && one->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec came;
        memcpy(&came, CMSG_DATA(one), sizeof came);
        *at -= clock_s(CLOCK_REALTIME) - (came.tv_sec + came.tv_nsec * 1e-9);
    }
    return got;
}
