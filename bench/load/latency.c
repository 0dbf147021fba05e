#include "load.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A power of two of nanoseconds has so many buckets: a latency is right to 1 %. */
#define STEPS 64

struct latencies {
  int64_t count;
  double longest;
  int64_t buckets[64 * STEPS];
};

struct latencies *of_requests, *of_probes;

void open_latencies(void) {
  of_requests = calloc(1, sizeof *of_requests);
  of_probes = calloc(1, sizeof *of_probes);
  if (of_requests == NULL || of_probes == NULL) fail("out of memory: %s", strerror(errno));
}

void add_latency(struct latencies *latencies, double seconds) {
  uint64_t nanoseconds = seconds > 64e-9 ? (uint64_t) (seconds * 1e9) : STEPS;
  int power = 63 - __builtin_clzll(nanoseconds);
  latencies->buckets[power * STEPS + (int) (nanoseconds >> (power - 6)) % STEPS]++;
  latencies->count++;
  if (seconds > latencies->longest) latencies->longest = seconds;
}

/* In seconds, the middle of its bucket. */
static double get_percentile(const struct latencies *latencies, double share) {
  int64_t rank = (int64_t) ceil(share * (double) latencies->count), seen = 0;
  for (int i = 0; i < 64 * STEPS; i++) {
    seen += latencies->buckets[i];
    if (seen >= rank && seen > 0) return ldexp(1 + (i % STEPS + 0.5) / STEPS, i / STEPS) / 1e9;
  }
  return 0;
}

void print_latencies(const char *name, const struct latencies *latencies) {
  printf("\"%s\":{\"count\":%lld,\"p50\":%.9f,\"p99\":%.9f,\"longest\":%.9f},", name, (long long) latencies->count,
    get_percentile(latencies, 0.5), get_percentile(latencies, 0.99), latencies->longest);
}
