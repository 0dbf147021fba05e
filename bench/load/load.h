/* What the parts of the load generator share. Sizes are in bytes, times in seconds. */
#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MOST_CONNECTIONS 4096
#define MOST_PIDS 64
#define MOST_TARGETS 64
#define MOST_PATH 1024
/* Up to this size a body leaves together with its head, in one call. */
#define SMALL_BODY 65536
#define PAGE 4096

enum mode { TUS, PUT, GET, HEAD };

struct settings {
  enum mode mode;
  int port;
  const char *path;
  const char *data;
  int connections;
  int64_t upload_size;
  int64_t patch_size;
  bool with_body;
  bool abandon;
  const char *checksum;
  int64_t rate;
  const char *targets[MOST_TARGETS];
  int target_count;
  int64_t range;
  const char *probe;
  double probe_every;
  int64_t uploads;
  double seconds;
  int timeout;
  pid_t pids[MOST_PIDS];
  int pid_count;
};

struct answer {
  int status;
  int64_t content_length;
  int64_t upload_offset;
  char location[MOST_PATH];
  bool chunked;
  bool closes;
};

struct connection {
  int fd;
  int index;
  int64_t number;
  int64_t offset;
  char location[MOST_PATH];
  bool probes;
  bool idle;

  char head[4096];
  size_t head_size;
  size_t head_sent;
  int64_t body_size;
  int64_t body_sent;
  double began;

  char received[16384];
  size_t received_size;
  /* Of the body of `answer`, still to come. */
  int64_t to_skip;
  struct answer answer;
};

struct counts {
  int64_t started, finished, requests, bytes, reconnects;
};

extern struct settings settings;
extern struct counts counts;
extern int active;
extern double deadline;

/* settings.c */
void read_arguments(int count, char **arguments);

/* clock.c */
struct usage {
  double server, generator, machine;
};
double read_time(void);
/* Processor time: of the servers, all threads, those that ended included; of this program; of everything on the machine, what the hypervisor took
   from it included. */
struct usage read_usage(void);

/* data.c */
extern int data_fd;
extern char *data;
extern int64_t data_size;
void open_data(void);
/* Where the bytes of an upload begin in the data; every upload has others than its neighbours, except for those with a checksum. */
int64_t get_first(int64_t number);

/* latency.c: from the begin of a request until its answer is complete */
struct latencies;
extern struct latencies *of_requests, *of_probes;
void open_latencies(void);
void add_latency(struct latencies *latencies, double seconds);
void print_latencies(const char *name, const struct latencies *latencies);

/* answer.c */
/* The answer whose head begins `text`, which ends with an empty line. */
struct answer parse_answer(const char *text);
/* Behind the last chunk of a body without trailers; NULL as long as it is not there. */
const char *skip_chunks(const char *body, const char *end);

/* connection.c */
void open_connections(void);
void begin_request(struct connection *c, int64_t body_size, const char *format, ...) __attribute__((format(printf, 3, 4)));
void begin_all(void);
/* Goes on with what waits for the time, not for the server. */
void pump_all(void);
void wait_for_events(int milliseconds);

/* work.c: what is sent, and what the answers must be */
/* The next upload or download on this connection, if there is one left to begin. */
void begin_work(struct connection *c);
/* Sends a HEAD if it is time for one. */
void begin_probe(struct connection *c);
/* Checks the answer to the request of `c`, and begins the next request. */
void accept_answer(struct connection *c);
void print_stored(void);

void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static inline int64_t min(int64_t a, int64_t b) {
  return a < b ? a : b;
}

#endif
