/*
 * Uploads over tus 1.0.0 as fast as a server takes them, and tells how long that took.
 *
 * One thread, one epoll, connections that stay open. Bodies go out with sendfile from a file that the page cache holds, so that
 * the generator uses little of the processor that it shares with the server.
 *
 * Upload number n holds the bytes of the data file from byte `first(n)` on, beginning anew at its end.
 * The result is one JSON object on stdout; the first wrong answer ends the program with status 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MOST_CONNECTIONS 4096
#define MOST_PIDS 64
#define MOST_REPORTED 64
/* Up to this size a body leaves together with its head, in one call. */
#define SMALL_BODY 65536
#define PAGE 4096

struct settings {
  int port;
  const char *path;
  const char *data;
  int connections;
  int64_t upload_size;
  int64_t patch_size;
  bool with_body;
  int64_t uploads;
  double seconds;
  int timeout;
  pid_t pids[MOST_PIDS];
  int pid_count;
};

struct connection {
  int fd;
  int64_t number;
  int64_t offset;
  char location[1024];
  bool idle;

  char head[2048];
  size_t head_size;
  size_t head_sent;
  int64_t body_size;
  int64_t body_sent;

  char answer[16384];
  size_t answer_size;
};

struct answer {
  int status;
  int64_t content_length;
  int64_t upload_offset;
  char location[1024];
  bool chunked;
  bool closes;
};

static struct settings settings = {
  .path = "/files", .connections = 1, .upload_size = 1024, .patch_size = INT64_MAX, .uploads = INT64_MAX, .seconds = 1e9, .timeout = 120
};
static struct connection *connections;
static int epoll_fd, data_fd;
static char *data;
static int64_t data_size;
static double deadline;
static int active;
static int64_t started, finished, requests, bytes, reconnects;

static struct { char path[1024]; int64_t first; } reported[MOST_REPORTED];

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static double read_clock(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) != 0) fail("a clock can't be read: %s", strerror(errno));
  return time.tv_sec + time.tv_nsec / 1e9;
}

/* Seconds of processor time that the servers have used, all threads, those that ended included. */
static double read_server_cpu(void) {
  double sum = 0;
  for (int i = 0; i < settings.pid_count; i++) {
    clockid_t clock;
    if (clock_getcpuclockid(settings.pids[i], &clock) != 0) fail("process %d is gone", settings.pids[i]);
    sum += read_clock(clock);
  }
  return sum;
}

/* Seconds of processor time that the whole machine has spent, what the hypervisor took from it included; 0 if nobody tells. */
static double read_machine_cpu(void) {
  FILE *file = fopen("/proc/stat", "r");
  long long user, nice, system, idle, wait, irq, softirq, steal;
  if (file == NULL) return 0;
  int count = fscanf(file, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal);
  fclose(file);
  return count == 8 ? (double) (user + nice + system + irq + softirq + steal) / (double) sysconf(_SC_CLK_TCK) : 0;
}

static int64_t min(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* Where the bytes of an upload begin in the data; every upload has others than its neighbours. */
static int64_t first(int64_t number) {
  return number * 7 * PAGE % data_size;
}

/* ---- requests ---- */

static void pump(struct connection *c);

static void begin_request(struct connection *c, int64_t body_size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(c->head, sizeof c->head, format, arguments);
  va_end(arguments);
  if (size < 0 || (size_t) size >= sizeof c->head) fail("a request head is too long");
  c->head_size = (size_t) size;
  c->head_sent = 0;
  c->body_size = body_size;
  c->body_sent = 0;
  c->answer_size = 0;
  requests++;
}

static void begin_patch(struct connection *c) {
  int64_t size = min(settings.patch_size, settings.upload_size - c->offset);
  begin_request(c, size,
    "PATCH %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %lld\r\n"
    "Content-Type: application/offset+octet-stream\r\nContent-Length: %lld\r\n\r\n",
    c->location, settings.port, (long long) c->offset, (long long) size);
}

static void begin_post(struct connection *c) {
  if (!settings.with_body) {
    begin_request(c, 0, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTus-Resumable: 1.0.0\r\nUpload-Length: %lld\r\nContent-Length: 0\r\n\r\n",
      settings.path, settings.port, (long long) settings.upload_size);
    return;
  }
  int64_t size = min(settings.patch_size, settings.upload_size);
  begin_request(c, size,
    "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTus-Resumable: 1.0.0\r\nUpload-Length: %lld\r\n"
    "Content-Type: application/offset+octet-stream\r\nContent-Length: %lld\r\n\r\n",
    settings.path, settings.port, (long long) settings.upload_size, (long long) size);
}

/* The next upload on this connection, if there is one left to begin. */
static void begin_upload(struct connection *c) {
  if (started >= settings.uploads || read_clock(CLOCK_MONOTONIC) >= deadline) {
    c->idle = true;
    active--;
    return;
  }
  c->number = started++;
  c->offset = 0;
  c->location[0] = '\0';
  begin_post(c);
}

static void end_upload(struct connection *c) {
  if (finished < MOST_REPORTED) {
    strcpy(reported[finished].path, c->location);
    reported[finished].first = first(c->number);
  }
  finished++;
  begin_upload(c);
}

/* ---- sending ---- */

static ssize_t send_small(struct connection *c) {
  int64_t position = (first(c->number) + c->offset) % data_size;
  int64_t upto_end = min(c->body_size, data_size - position);
  struct iovec parts[] = {
    { c->head, c->head_size }, { data + position, (size_t) upto_end }, { data, (size_t) (c->body_size - upto_end) }
  };
  struct msghdr message = { .msg_iov = parts, .msg_iovlen = 3 };
  return sendmsg(c->fd, &message, MSG_NOSIGNAL);
}

static ssize_t send_body(struct connection *c) {
  off_t position = (first(c->number) + c->offset + c->body_sent) % data_size;
  return sendfile(c->fd, data_fd, &position, (size_t) min(c->body_size - c->body_sent, data_size - position));
}

static bool is_sent(const struct connection *c) {
  return c->head_sent == c->head_size && c->body_sent == c->body_size;
}

/* Sends what the socket takes. */
static void send_request(struct connection *c) {
  while (!is_sent(c)) {
    ssize_t sent;
    if (c->head_sent == 0 && c->body_size <= SMALL_BODY) sent = send_small(c);
    else if (c->head_sent < c->head_size) {
      sent = send(c->fd, c->head + c->head_sent, c->head_size - c->head_sent, MSG_NOSIGNAL | (c->body_size > 0 ? MSG_MORE : 0));
    } else sent = send_body(c);
    if (sent < 0 && errno == EAGAIN) return;
    /* The answer may say why the server did not want it all. */
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
    if (sent <= 0) fail("sending failed: %s", strerror(errno));
    int64_t head = min(sent, (int64_t) (c->head_size - c->head_sent));
    c->head_sent += (size_t) head;
    c->body_sent += sent - head;
  }
}

/* ---- answers ---- */

static const char *get_value(const char *line, const char *name) {
  size_t size = strlen(name);
  if (strncasecmp(line, name, size) != 0 || line[size] != ':') return NULL;
  for (line += size + 1; *line == ' ' || *line == '\t'; line++);
  return line;
}

/* The path of a URL, which may be absolute, and may hold nothing that JSON or a request line would have to quote. */
static void take_path(char *path, size_t room, const char *url) {
  const char *authority = strstr(url, "://");
  const char *from = authority ? strchr(authority + 3, '/') : url;
  size_t size = from ? strcspn(from, "\r\n") : 0;
  if (size == 0 || size >= room || *from != '/') fail("unexpected Location: %.*s", (int) strcspn(url, "\r\n"), url);
  for (size_t i = 0; i < size; i++) if (!isgraph((unsigned char) from[i]) || strchr("\"\\", from[i])) fail("unexpected Location: %.*s", (int) size, from);
  memcpy(path, from, size);
  path[size] = '\0';
}

static struct answer parse_head(const char *head) {
  struct answer answer = { .upload_offset = -1 };
  const char *value;
  if (sscanf(head, "HTTP/1.1 %d", &answer.status) != 1) fail("no HTTP/1.1 answer: %.80s", head);
  for (const char *line = strstr(head, "\r\n") + 2; *line != '\r'; line = strstr(line, "\r\n") + 2) {
    if ((value = get_value(line, "content-length"))) answer.content_length = atoll(value);
    else if ((value = get_value(line, "upload-offset"))) answer.upload_offset = atoll(value);
    else if ((value = get_value(line, "location"))) take_path(answer.location, sizeof answer.location, value);
    else if ((value = get_value(line, "connection"))) answer.closes = strncasecmp(value, "close", 5) == 0;
    else if ((value = get_value(line, "transfer-encoding"))) answer.chunked = strncasecmp(value, "chunked", 7) == 0;
  }
  return answer;
}

/* Behind the last chunk of a body without trailers; NULL as long as it is not there. */
static const char *skip_chunks(const char *body, const char *end) {
  for (;;) {
    const char *line_end = strstr(body, "\r\n");
    if (line_end == NULL) return NULL;
    long size = strtol(body, NULL, 16);
    if (size < 0 || line_end + 2 + size + 2 > end) return NULL;
    body = line_end + 2 + size + 2;
    if (size == 0) return body;
  }
}

/* Behind the body of an answer; NULL as long as that is not there. */
static const char *skip_body(const struct answer *answer, const char *body, const char *end) {
  if (answer->status == 204) return body;
  if (answer->chunked) return skip_chunks(body, end);
  return answer->content_length <= end - body ? body + answer->content_length : NULL;
}

static void open_connection(struct connection *c) {
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t) settings.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *) &address, sizeof address) != 0) fail("can't connect: %s", strerror(errno));
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0) fail("epoll: %s", strerror(errno));
}

/* What the answer to the request of `c` must be, by tus 1.0.0; then the next request. */
static void accept_answer(struct connection *c, const struct answer *answer) {
  bool post = c->location[0] == '\0';
  int64_t end = c->offset + c->body_size;
  if (answer->status != (post ? 201 : 204)) fail("%s answered %d:\n%s", post ? "POST" : "PATCH", answer->status, c->answer);
  if ((!post || c->body_size > 0) && answer->upload_offset != end) {
    fail("Upload-Offset is %lld, not %lld", (long long) answer->upload_offset, (long long) end);
  }
  if (post && answer->location[0] == '\0') fail("POST answered without Location");
  if (post) strcpy(c->location, answer->location);
  c->offset = end;
  bytes += c->body_size;
  if (answer->closes) {
    close(c->fd);
    open_connection(c);
    reconnects++;
  }
  if (c->offset == settings.upload_size) end_upload(c);
  else begin_patch(c);
}

/* Reads what is there; true if that completed an answer. */
static bool receive_answer(struct connection *c) {
  ssize_t size = recv(c->fd, c->answer + c->answer_size, sizeof c->answer - 1 - c->answer_size, 0);
  if (size < 0 && errno == EAGAIN) return false;
  if (size <= 0) fail("the server closed a connection: %s", size < 0 ? strerror(errno) : "end of stream");
  c->answer_size += (size_t) size;
  c->answer[c->answer_size] = '\0';
  for (;;) {
    char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL && c->answer_size == sizeof c->answer - 1) fail("the head of an answer is too long");
    if (end == NULL) return false;
    struct answer answer = parse_head(c->answer);
    size_t head_size = (size_t) (end + 4 - c->answer);
    if (answer.status < 200) {
      c->answer_size -= head_size;
      memmove(c->answer, end + 4, c->answer_size + 1);
      continue;
    }
    const char *received = c->answer + c->answer_size, *behind = skip_body(&answer, end + 4, received);
    if (behind == NULL && c->answer_size == sizeof c->answer - 1) fail("an answer is too long:\n%s", c->answer);
    if (behind == NULL) return false;
    if (behind != received) fail("more than one answer:\n%s", c->answer);
    if (!is_sent(c)) fail("answered %d before the request was sent:\n%s", answer.status, c->answer);
    accept_answer(c, &answer);
    return true;
  }
}

/* Goes on until the socket can neither send nor receive. */
static void pump(struct connection *c) {
  do {
    if (c->idle) return;
    send_request(c);
  } while (receive_answer(c));
}

/* ---- the program ---- */

static void read_arguments(int count, char **arguments) {
  static const struct option options[] = {
    { "port", 1, 0, 'p' }, { "path", 1, 0, 'P' }, { "data", 1, 0, 'd' }, { "connections", 1, 0, 'c' }, { "upload-size", 1, 0, 's' },
    { "patch-size", 1, 0, 'b' }, { "with-body", 0, 0, 'w' }, { "uploads", 1, 0, 'u' }, { "seconds", 1, 0, 't' }, { "timeout", 1, 0, 'T' },
    { "pid", 1, 0, 'i' }, { 0, 0, 0, 0 }
  };
  for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
    switch (option) {
      case 'p': settings.port = atoi(optarg); break;
      case 'P': settings.path = optarg; break;
      case 'd': settings.data = optarg; break;
      case 'c': settings.connections = atoi(optarg); break;
      case 's': settings.upload_size = atoll(optarg); break;
      case 'b': settings.patch_size = atoll(optarg); break;
      case 'w': settings.with_body = true; break;
      case 'u': settings.uploads = atoll(optarg); break;
      case 't': settings.seconds = atof(optarg); break;
      case 'T': settings.timeout = atoi(optarg); break;
      case 'i':
        if (settings.pid_count == MOST_PIDS) fail("too many --pid");
        settings.pids[settings.pid_count++] = (pid_t) atoi(optarg);
        break;
      default: exit(2);
    }
  }
  if (settings.port == 0 || settings.data == NULL) fail("--port and --data are needed");
  if (settings.uploads == INT64_MAX && settings.seconds == 1e9) fail("--uploads or --seconds is needed");
  if (settings.connections < 1 || settings.connections > MOST_CONNECTIONS) fail("--connections must be 1 to %d", MOST_CONNECTIONS);
  if (settings.upload_size < 1 || settings.patch_size < 1) fail("sizes must be at least 1 byte");
}

static void open_data(void) {
  struct stat status;
  data_fd = open(settings.data, O_RDONLY);
  if (data_fd < 0 || fstat(data_fd, &status) != 0) fail("%s: %s", settings.data, strerror(errno));
  data_size = status.st_size;
  if (data_size < SMALL_BODY || data_size % PAGE != 0) fail("%s must be whole pages, and at least %d bytes", settings.data, SMALL_BODY);
  data = mmap(NULL, (size_t) data_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, data_fd, 0);
  if (data == MAP_FAILED) fail("%s: %s", settings.data, strerror(errno));
}

static void open_connections(void) {
  epoll_fd = epoll_create1(0);
  connections = calloc((size_t) settings.connections, sizeof *connections);
  if (epoll_fd < 0 || connections == NULL) fail("out of resources: %s", strerror(errno));
  for (int i = 0; i < settings.connections; i++) open_connection(&connections[i]);
}

static void run(void) {
  active = settings.connections;
  for (int i = 0; i < settings.connections; i++) begin_upload(&connections[i]);
  for (int i = 0; i < settings.connections; i++) pump(&connections[i]);
  double latest = read_clock(CLOCK_MONOTONIC) + settings.timeout;
  while (active > 0) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll_fd, events, 256, 1000);
    for (int i = 0; i < count; i++) pump(events[i].data.ptr);
    if (read_clock(CLOCK_MONOTONIC) > latest) fail("%lld of %lld uploads after %d s: gave up", (long long) finished, (long long) started, settings.timeout);
  }
}

/* Processor time in seconds: of the servers, of this program, of everything on the machine. */
struct usage {
  double server, generator, machine;
};

static struct usage read_usage(void) {
  return (struct usage) { read_server_cpu(), read_clock(CLOCK_PROCESS_CPUTIME_ID), read_machine_cpu() };
}

static void print_result(double seconds, struct usage before, struct usage after) {
  printf("{\"seconds\":%.9f,\"serverCpu\":%.9f,\"generatorCpu\":%.9f,\"machineCpu\":%.2f,", seconds,
    after.server - before.server, after.generator - before.generator, after.machine - before.machine);
  printf("\"uploads\":%lld,\"requests\":%lld,\"bytes\":%lld,\"reconnects\":%lld,\"stored\":[",
    (long long) finished, (long long) requests, (long long) bytes, (long long) reconnects);
  for (int64_t i = 0; i < min(finished, MOST_REPORTED); i++) {
    printf("%s{\"path\":\"%s\",\"first\":%lld}", i > 0 ? "," : "", reported[i].path, (long long) reported[i].first);
  }
  puts("]}");
}

int main(int count, char **arguments) {
  read_arguments(count, arguments);
  open_data();
  open_connections();
  struct usage before = read_usage();
  double start = read_clock(CLOCK_MONOTONIC);
  deadline = start + settings.seconds;
  run();
  double seconds = read_clock(CLOCK_MONOTONIC) - start;
  print_result(seconds, before, read_usage());
  return 0;
}
