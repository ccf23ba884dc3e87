/* Stands between a program and its calls to the disk, for tests/pipeline/disk.rs (LD_PRELOAD). It writes each call that makes
 * something durable or visible to the file DISK_SHIM_LOG, and lets the call number DISK_SHIM_FAIL_AT (from 1; 0: none) of
 * fsync and fdatasync fail with EIO. A sync is told after it was made, everything else before. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long syncs;

static void tell(const char *what, const char *path, const char *other) {
    const char *log = getenv("DISK_SHIM_LOG");
    char line[2 * 4096 + 64];
    int length = snprintf(line, sizeof line, *other ? "%s %s %s\n" : "%s %s%s\n", what, path, other);
    int file = log ? open(log, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (file >= 0) {
        if (write(file, line, (size_t)length) != length) abort();
        syscall(SYS_close, file);
    }
}

static int sync_call(const char *name, int fd) {
    char link_name[64], path[4096];
    snprintf(link_name, sizeof link_name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link_name, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    const char *fail_at = getenv("DISK_SHIM_FAIL_AT");
    if (atomic_fetch_add(&syncs, 1) + 1 == (fail_at ? atol(fail_at) : 0)) {
        tell("fail", path, "");
        errno = EIO;
        return -1;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int done = real(fd), error = errno;
    tell("sync", path, "");
    errno = error;
    return done;
}

int fsync(int fd) { return sync_call("fsync", fd); }
int fdatasync(int fd) { return sync_call("fdatasync", fd); }

int link(const char *from, const char *to) {
    tell("link", from, to);
    return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "link"))(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    tell("link", from, to);
    int (*real)(int, const char *, int, const char *, int) = dlsym(RTLD_NEXT, "linkat");
    return real(from_folder, from, to_folder, to, flags);
}

int rename(const char *from, const char *to) {
    tell("rename", from, to);
    return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(from, to);
}

int unlink(const char *path) {
    tell("unlink", path, "");
    return ((int (*)(const char *))dlsym(RTLD_NEXT, "unlink"))(path);
}

int mkdir(const char *path, mode_t mode) {
    tell("mkdir", path, "");
    return ((int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir"))(path, mode);
}
