#include "load.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

struct answer parse_answer(const char *text) {
  struct answer answer = { .upload_offset = -1 };
  const char *value;
  if (sscanf(text, "HTTP/1.1 %d", &answer.status) != 1) fail("no HTTP/1.1 answer: %.80s", text);
  for (const char *line = strstr(text, "\r\n") + 2; *line != '\r'; line = strstr(line, "\r\n") + 2) {
    if ((value = get_value(line, "content-length"))) answer.content_length = atoll(value);
    else if ((value = get_value(line, "upload-offset"))) answer.upload_offset = atoll(value);
    else if ((value = get_value(line, "location"))) take_path(answer.location, sizeof answer.location, value);
    else if ((value = get_value(line, "connection"))) answer.closes = strncasecmp(value, "close", 5) == 0;
    else if ((value = get_value(line, "transfer-encoding"))) answer.chunked = strncasecmp(value, "chunked", 7) == 0;
  }
  return answer;
}

const char *skip_chunks(const char *body, const char *end) {
  for (;;) {
    const char *line_end = strstr(body, "\r\n");
    if (line_end == NULL) return NULL;
    long size = strtol(body, NULL, 16);
    if (size < 0 || line_end + 2 + size + 2 > end) return NULL;
    body = line_end + 2 + size + 2;
    if (size == 0) return body;
  }
}
