#include "load.h"
#include <stdio.h>
#include <string.h>

#define MOST_REPORTED 64

struct counts counts;
int active;
double deadline;

static struct { char path[MOST_PATH]; int64_t first; } reported[MOST_REPORTED];
static double next_probe;

/* A connection stays with one: some servers let nobody else read what is being read. */
static const char *get_target(const struct connection *c) {
  return settings.targets[c->index % settings.target_count];
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

static void begin_patch(struct connection *c) {
  int64_t size = min(settings.patch_size, settings.upload_size - c->offset);
  begin_request(c, size,
    "PATCH %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %lld\r\n%s%s%s"
    "Content-Type: application/offset+octet-stream\r\nContent-Length: %lld\r\n\r\n",
    c->location, settings.port, (long long) c->offset,
    settings.checksum ? "Upload-Checksum: " : "", settings.checksum ? settings.checksum : "", settings.checksum ? "\r\n" : "", (long long) size);
}

static void begin_put(struct connection *c) {
  snprintf(c->location, sizeof c->location, "%s-%lld", settings.path, (long long) c->number);
  begin_request(c, settings.upload_size, "PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %lld\r\n\r\n",
    c->location, settings.port, (long long) settings.upload_size);
}

static void begin_get(struct connection *c) {
  char range[80] = "";
  if (settings.range > 0) {
    int64_t from = c->number * 7 * PAGE % (settings.upload_size - settings.range + 1);
    snprintf(range, sizeof range, "Range: bytes=%lld-%lld\r\n", (long long) from, (long long) (from + settings.range - 1));
  }
  begin_request(c, 0, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n", get_target(c), settings.port, range);
}

static void begin_head(struct connection *c, const char *path) {
  begin_request(c, 0, "HEAD %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTus-Resumable: 1.0.0\r\n\r\n", path, settings.port);
}

void begin_work(struct connection *c) {
  if (counts.started >= settings.uploads || read_time() >= deadline) {
    c->idle = true;
    active--;
    return;
  }
  c->number = counts.started++;
  c->offset = 0;
  c->location[0] = '\0';
  switch (settings.mode) {
    case TUS: begin_post(c); break;
    case PUT: begin_put(c); break;
    case GET: begin_get(c); break;
    case HEAD: begin_head(c, get_target(c)); break;
  }
}

void begin_probe(struct connection *c) {
  double now = read_time();
  if (!c->idle || now < next_probe) return;
  next_probe = now + settings.probe_every;
  c->idle = false;
  begin_head(c, settings.probe);
}

static void end_work(struct connection *c) {
  if (counts.finished < MOST_REPORTED) {
    strcpy(reported[counts.finished].path, c->location);
    reported[counts.finished].first = get_first(c->number);
  }
  counts.finished++;
  begin_work(c);
}

static void expect(const struct connection *c, bool right) {
  if (!right) fail("%.*s was answered\n%s", (int) strcspn(c->head, "\r"), c->head, c->received);
}

/* By tus 1.0.0. */
static void accept_upload(struct connection *c) {
  const struct answer *answer = &c->answer;
  bool post = c->location[0] == '\0';
  int64_t end = c->offset + c->body_size;
  expect(c, answer->status == (post ? 201 : 204));
  expect(c, (post && c->body_size == 0) || answer->upload_offset == end);
  expect(c, !post || answer->location[0] != '\0');
  if (post) strcpy(c->location, answer->location);
  c->offset = end;
  counts.bytes += c->body_size;
  if (c->offset == settings.upload_size || settings.abandon) end_work(c);
  else begin_patch(c);
}

static void accept_put(struct connection *c) {
  expect(c, c->answer.status == 201 || c->answer.status == 204);
  counts.bytes += c->body_size;
  end_work(c);
}

static void accept_read(struct connection *c) {
  bool get = settings.mode == GET;
  expect(c, c->answer.status == (settings.range > 0 ? 206 : 200));
  expect(c, !get || c->answer.content_length == (settings.range > 0 ? settings.range : settings.upload_size));
  expect(c, get || c->answer.upload_offset >= 0);
  if (get) counts.bytes += c->answer.content_length;
  end_work(c);
}

static void accept_probe(struct connection *c) {
  expect(c, c->answer.status == 200);
  add_latency(of_probes, read_time() - c->began);
  c->idle = true;
}

void accept_answer(struct connection *c) {
  if (c->probes) return accept_probe(c);
  if (c->body_size > 0 || settings.mode == GET || settings.mode == HEAD) add_latency(of_requests, read_time() - c->began);
  switch (settings.mode) {
    case TUS: accept_upload(c); break;
    case PUT: accept_put(c); break;
    case GET:
    case HEAD: accept_read(c); break;
  }
}

void print_stored(void) {
  printf("\"stored\":[");
  for (int64_t i = 0; i < min(counts.finished, MOST_REPORTED); i++) {
    printf("%s{\"path\":\"%s\",\"first\":%lld}", i > 0 ? "," : "", reported[i].path, (long long) reported[i].first);
  }
  printf("]");
}
