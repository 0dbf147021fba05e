/*
 * Uploads over tus 1.0.0 as fast as a server takes them, or at a rate, and tells how long that took. Also PUT, GET and HEAD.
 *
 * One thread, one epoll, connections that stay open. Bodies go out with sendfile from a file that the page cache holds, and those
 * of answers are thrown away unseen, so that the generator uses little of the processor that it shares with the server.
 *
 * Upload number n holds the bytes of the data file from byte `get_first(n)` on, beginning anew at its end.
 * The result is one JSON object on stdout; the first wrong answer ends the program with status 1.
 */
#include "load.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* How often those are looked after that wait for the time. */
#define TICK 0.002

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

/* Clients at a rate would never end: they go when the time is over. */
static bool is_over(double now) {
  return active == 0 || (settings.rate > 0 && now >= deadline);
}

static void run(void) {
  bool ticks = settings.rate > 0 || settings.probe;
  double now = read_time(), latest = now + settings.timeout, next = now + TICK;
  active = settings.connections;
  begin_all();
  while (!is_over(now)) {
    wait_for_events(ticks ? (int) (TICK * 1000) : 1000);
    now = read_time();
    if (ticks && now >= next) {
      pump_all();
      next = now + TICK;
    }
    if (now > latest) fail("%lld of %lld uploads after %d s: gave up", (long long) counts.finished, (long long) counts.started, settings.timeout);
  }
}

static void print_result(double seconds, struct usage before, struct usage after) {
  printf("{\"seconds\":%.9f,\"serverCpu\":%.9f,\"generatorCpu\":%.9f,\"machineCpu\":%.2f,", seconds,
    after.server - before.server, after.generator - before.generator, after.machine - before.machine);
  printf("\"uploads\":%lld,\"requests\":%lld,\"bytes\":%lld,\"reconnects\":%lld,",
    (long long) counts.finished, (long long) counts.requests, (long long) counts.bytes, (long long) counts.reconnects);
  print_latencies("latency", of_requests);
  print_latencies("probe", of_probes);
  print_stored();
  puts("}");
}

int main(int count, char **arguments) {
  read_arguments(count, arguments);
  open_data();
  open_latencies();
  open_connections();
  struct usage before = read_usage();
  double start = read_time();
  deadline = start + settings.seconds;
  run();
  double seconds = read_time() - start;
  print_result(seconds, before, read_usage());
  return 0;
}
