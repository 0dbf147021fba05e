#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

/* A client with a rate sends no less at once. */
#define LEAST_SENT 4096

static struct connection *connections;
static int connection_count;
static int epoll_fd;

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

void open_connections(void) {
  connection_count = settings.connections + (settings.probe ? 1 : 0);
  epoll_fd = epoll_create1(0);
  connections = calloc((size_t) connection_count, sizeof *connections);
  if (epoll_fd < 0 || connections == NULL) fail("out of resources: %s", strerror(errno));
  for (int i = 0; i < connection_count; i++) {
    connections[i].index = i;
    open_connection(&connections[i]);
    connections[i].probes = connections[i].idle = i == settings.connections;
  }
}

void begin_request(struct connection *c, int64_t body_size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(c->head, sizeof c->head, format, arguments);
  va_end(arguments);
  if (size < 0 || (size_t) size >= sizeof c->head) fail("a request head is too long");
  c->head_size = (size_t) size;
  c->head_sent = 0;
  c->body_size = body_size;
  c->body_sent = 0;
  c->received_size = 0;
  c->began = read_time();
  counts.requests++;
}

static ssize_t send_small(struct connection *c) {
  int64_t position = (get_first(c->number) + c->offset) % data_size;
  int64_t upto_end = min(c->body_size, data_size - position);
  struct iovec parts[] = {
    { c->head, c->head_size }, { data + position, (size_t) upto_end }, { data, (size_t) (c->body_size - upto_end) }
  };
  struct msghdr message = { .msg_iov = parts, .msg_iovlen = 3 };
  return sendmsg(c->fd, &message, MSG_NOSIGNAL);
}

/* How much of the body may leave now. */
static int64_t get_allowance(const struct connection *c) {
  int64_t left = c->body_size - c->body_sent;
  if (settings.rate == 0) return left;
  int64_t due = LEAST_SENT + (int64_t) ((read_time() - c->began) * (double) settings.rate) - c->body_sent;
  return due < LEAST_SENT ? 0 : min(due, left);
}

static ssize_t send_body(struct connection *c, int64_t allowance) {
  off_t position = (get_first(c->number) + c->offset + c->body_sent) % data_size;
  return sendfile(c->fd, data_fd, &position, (size_t) min(allowance, data_size - position));
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
    } else {
      int64_t allowance = get_allowance(c);
      if (allowance == 0) return;
      sent = send_body(c, allowance);
    }
    if (sent < 0 && errno == EAGAIN) return;
    /* The answer may say why the server did not want it all. */
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
    if (sent <= 0) fail("sending failed: %s", strerror(errno));
    int64_t head = min(sent, (int64_t) (c->head_size - c->head_sent));
    c->head_sent += (size_t) head;
    c->body_sent += sent - head;
  }
}

/* False if there is nothing now. */
static bool receive(struct connection *c) {
  /* With MSG_TRUNC, TCP throws the bytes away without copying them. */
  ssize_t size = c->to_skip > 0
    ? recv(c->fd, NULL, (size_t) c->to_skip, MSG_TRUNC)
    : recv(c->fd, c->received + c->received_size, sizeof c->received - 1 - c->received_size, 0);
  if (size < 0 && errno == EAGAIN) return false;
  if (size <= 0) fail("the server closed a connection: %s", size < 0 ? strerror(errno) : "end of stream");
  if (c->to_skip > 0) c->to_skip -= size;
  else c->received_size += (size_t) size;
  c->received[c->received_size] = '\0';
  return true;
}

/* Takes the body of an answer, as far as it is there, from behind its head; false if more of it has to be looked at. */
static bool take_body(struct connection *c, const char *body) {
  const char *end = c->received + c->received_size, *behind = body;
  bool has_body = c->answer.status != 204 && strncmp(c->head, "HEAD ", 5) != 0;
  if (has_body && c->answer.chunked) behind = skip_chunks(body, end);
  else if (has_body) {
    int64_t there = min(c->answer.content_length, end - body);
    behind = body + there;
    c->to_skip = c->answer.content_length - there;
  }
  if (behind == NULL && c->received_size == sizeof c->received - 1) fail("an answer is too long:\n%s", c->received);
  if (behind != NULL && behind != end) fail("more than one answer:\n%s", c->received);
  return behind != NULL;
}

/* Takes the head of the answer, and what is there of its body; interim answers are dropped. */
static bool take_answer(struct connection *c) {
  for (;;) {
    char *end = strstr(c->received, "\r\n\r\n");
    if (end == NULL && c->received_size == sizeof c->received - 1) fail("the head of an answer is too long");
    if (end == NULL) return false;
    c->answer = parse_answer(c->received);
    if (c->answer.status >= 200) return take_body(c, end + 4);
    c->received_size -= (size_t) (end + 4 - c->received);
    memmove(c->received, end + 4, c->received_size + 1);
  }
}

/* Reads what is there; true if that completed an answer. */
static bool receive_answer(struct connection *c) {
  for (bool complete = false; !complete || c->to_skip > 0;) {
    bool skips = c->to_skip > 0;
    if (!receive(c)) return false;
    complete = skips || take_answer(c);
  }
  if (!is_sent(c)) fail("answered %d before the request was sent:\n%s", c->answer.status, c->received);
  if (c->answer.closes) {
    close(c->fd);
    open_connection(c);
    counts.reconnects++;
  }
  accept_answer(c);
  return true;
}

/* Goes on until the socket can neither send nor receive. */
static void pump(struct connection *c) {
  do {
    if (c->idle) return;
    send_request(c);
  } while (receive_answer(c));
}

void begin_all(void) {
  for (int i = 0; i < settings.connections; i++) begin_work(&connections[i]);
  pump_all();
}

void pump_all(void) {
  for (int i = 0; i < connection_count; i++) {
    if (connections[i].probes) begin_probe(&connections[i]);
    pump(&connections[i]);
  }
}

void wait_for_events(int milliseconds) {
  struct epoll_event events[256];
  int count = epoll_wait(epoll_fd, events, 256, milliseconds);
  for (int i = 0; i < count; i++) pump(events[i].data.ptr);
}
