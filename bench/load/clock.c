#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double read_clock(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) != 0) fail("a clock can't be read: %s", strerror(errno));
  return time.tv_sec + time.tv_nsec / 1e9;
}

double read_time(void) {
  return read_clock(CLOCK_MONOTONIC);
}

static double read_server_cpu(void) {
  double sum = 0;
  for (int i = 0; i < settings.pid_count; i++) {
    clockid_t clock;
    if (clock_getcpuclockid(settings.pids[i], &clock) != 0) fail("process %d is gone", settings.pids[i]);
    sum += read_clock(clock);
  }
  return sum;
}

/* 0 if nobody tells. */
static double read_machine_cpu(void) {
  FILE *file = fopen("/proc/stat", "r");
  long long user, nice, system, idle, wait, irq, softirq, steal;
  if (file == NULL) return 0;
  int count = fscanf(file, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal);
  fclose(file);
  return count == 8 ? (double) (user + nice + system + irq + softirq + steal) / (double) sysconf(_SC_CLK_TCK) : 0;
}

struct usage read_usage(void) {
  return (struct usage) { read_server_cpu(), read_clock(CLOCK_PROCESS_CPUTIME_ID), read_machine_cpu() };
}
