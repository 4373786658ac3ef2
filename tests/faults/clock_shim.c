/* LD_PRELOAD: wall time is off by what stands in the file CLOCK_SHIM names, and the kernel calls it synchronized or not
   as that says: a double, seconds; then an int. Mapped, so a change counts at once. Monotonic time, sleeps and timers
   stay true, as when NTP or a person sets the clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static volatile struct { double shift_s; int synced; } *told;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("CLOCK_SHIM");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *at = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *told, PROT_READ, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) told = at;
    if (file >= 0) close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, at);
    if (!failed && told && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        double wall_s = floor(told->shift_s);
        at->tv_nsec += (long)((told->shift_s - wall_s) * 1e9);
        at->tv_sec += (time_t)wall_s + at->tv_nsec / 1000000000L;
        at->tv_nsec %= 1000000000L;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *about) {
    static int (*real)(struct timex *);
    if (!real) real = (int (*)(struct timex *))dlsym(RTLD_NEXT, "adjtimex");
    int state = real(about);
    if (told) about->status = told->synced ? about->status & ~STA_UNSYNC : about->status | STA_UNSYNC;
    return state;
}
