/* Preloaded into a process: fails the n-th system call that the addon makes, and no other. The number
 * stands in the file that FAIL_NTH names, as a 32-bit integer which each call counts down; at 0
 * nothing fails. Node's own calls pass: they come from another object file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int *countdown;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAIL_NTH");
  int file = path ? open(path, O_RDWR) : -1;
  if (file < 0) return;
  void *page = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) countdown = page;
  close(file);
}

static int fails(void *caller) {
  Dl_info info;
  if (countdown == NULL || __atomic_load_n(countdown, __ATOMIC_SEQ_CST) == 0) return 0;
  if (!dladdr(caller, &info) || strstr(info.dli_fname, "dodici.node") == NULL) return 0;
  return __atomic_sub_fetch(countdown, 1, __ATOMIC_SEQ_CST) == 0;
}

static int shutdown_at_once(int file) {
  static int (*real)(int, int);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "shutdown");
  return real(file, SHUT_RDWR);
}
#define ended(file) (void)shutdown_at_once(file)

/* `before` makes the error true: a connection whose write fails is at its end. */
#define FAILING(type, name, parameters, arguments, error, before)              \
  type name parameters {                                                       \
    static type(*real) parameters;                                             \
    if (fails(__builtin_return_address(0))) return before, errno = error, -1;  \
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name);               \
    return real arguments;                                                     \
  }

FAILING(int, socket, (int a, int b, int c), (a, b, c), EMFILE, (void)0)
FAILING(int, connect, (int a, const struct sockaddr *b, socklen_t c), (a, b, c), EADDRNOTAVAIL, (void)0)
FAILING(int, setsockopt, (int a, int b, int c, const void *d, socklen_t e), (a, b, c, d, e), ENOBUFS, (void)0)
FAILING(int, getsockopt, (int a, int b, int c, void *d, socklen_t *e), (a, b, c, d, e), ENOBUFS, (void)0)
FAILING(int, getsockname, (int a, struct sockaddr *b, socklen_t *c), (a, b, c), ENOBUFS, (void)0)
FAILING(int, getpeername, (int a, struct sockaddr *b, socklen_t *c), (a, b, c), ENOTCONN, (void)0)
FAILING(int, epoll_ctl, (int a, int b, int c, struct epoll_event *d), (a, b, c, d), ENOMEM, (void)0)
FAILING(int, shutdown, (int a, int b), (a, b), ENOTCONN, (void)0)
FAILING(ssize_t, recv, (int a, void *b, size_t c, int d), (a, b, c, d), ECONNRESET, ended(a))
FAILING(ssize_t, send, (int a, const void *b, size_t c, int d), (a, b, c, d), EPIPE, ended(a))
FAILING(ssize_t, writev, (int a, const struct iovec *b, int c), (a, b, c), EPIPE, ended(a))
