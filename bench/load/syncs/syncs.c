/*
 * Counts the calls of fsync and fdatasync of a process that has this as LD_PRELOAD, in the 8 bytes of the file that BENCH_SYNCS names.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t *count;

__attribute__((constructor)) static void open_count(void) {
  const char *path = getenv("BENCH_SYNCS");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) count = memory;
}

static int call(const char *name, int fd) {
  if (count) (*count)++;
  return ((int (*)(int)) dlsym(RTLD_NEXT, name))(fd);
}

int fsync(int fd) {
  return call("fsync", fd);
}

int fdatasync(int fd) {
  return call("fdatasync", fd);
}
