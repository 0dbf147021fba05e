#include "load.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings settings = {
  .path = "/files", .connections = 1, .upload_size = 1024, .patch_size = INT64_MAX, .uploads = INT64_MAX, .seconds = 1e9, .timeout = 120,
  .probe_every = 0.005
};

static enum mode parse_mode(const char *name) {
  static const char *const names[] = { [TUS] = "tus", [PUT] = "put", [GET] = "get", [HEAD] = "head" };
  for (int mode = TUS; mode <= HEAD; mode++) if (strcmp(name, names[mode]) == 0) return (enum mode) mode;
  fail("--mode can be tus, put, get, head");
}

static void add_target(const char *path) {
  if (settings.target_count == MOST_TARGETS) fail("too many --target");
  settings.targets[settings.target_count++] = path;
}

static void add_pid(const char *pid) {
  if (settings.pid_count == MOST_PIDS) fail("too many --pid");
  settings.pids[settings.pid_count++] = (pid_t) atoi(pid);
}

static void check(void) {
  if (settings.port == 0 || settings.data == NULL) fail("--port and --data are needed");
  if (settings.uploads == INT64_MAX && settings.seconds == 1e9) fail("--uploads or --seconds is needed");
  if (settings.connections < 1 || settings.connections > MOST_CONNECTIONS) fail("--connections must be 1 to %d", MOST_CONNECTIONS);
  if (settings.upload_size < 1 || settings.patch_size < 1) fail("sizes must be at least 1 byte");
  if (settings.checksum && settings.patch_size < settings.upload_size) fail("--checksum is that of a whole upload");
  if (settings.mode >= GET && settings.target_count == 0) fail("--mode get and head need a --target");
  if (settings.range > settings.upload_size) fail("--range must fit into --upload-size");
}

void read_arguments(int count, char **arguments) {
  static const struct option options[] = {
    { "mode", 1, 0, 'm' }, { "port", 1, 0, 'p' }, { "path", 1, 0, 'P' }, { "data", 1, 0, 'd' }, { "connections", 1, 0, 'c' },
    { "upload-size", 1, 0, 's' }, { "patch-size", 1, 0, 'b' }, { "with-body", 0, 0, 'w' }, { "abandon", 0, 0, 'a' }, { "checksum", 1, 0, 'k' },
    { "rate", 1, 0, 'r' }, { "target", 1, 0, 'g' }, { "range", 1, 0, 'R' }, { "probe", 1, 0, 'h' }, { "uploads", 1, 0, 'u' },
    { "seconds", 1, 0, 't' }, { "timeout", 1, 0, 'T' }, { "pid", 1, 0, 'i' }, { 0, 0, 0, 0 }
  };
  for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
    switch (option) {
      case 'm': settings.mode = parse_mode(optarg); break;
      case 'p': settings.port = atoi(optarg); break;
      case 'P': settings.path = optarg; break;
      case 'd': settings.data = optarg; break;
      case 'c': settings.connections = atoi(optarg); break;
      case 's': settings.upload_size = atoll(optarg); break;
      case 'b': settings.patch_size = atoll(optarg); break;
      case 'w': settings.with_body = true; break;
      case 'a': settings.abandon = true; break;
      case 'k': settings.checksum = optarg; break;
      case 'r': settings.rate = atoll(optarg); break;
      case 'g': add_target(optarg); break;
      case 'R': settings.range = atoll(optarg); break;
      case 'h': settings.probe = optarg; break;
      case 'u': settings.uploads = atoll(optarg); break;
      case 't': settings.seconds = atof(optarg); break;
      case 'T': settings.timeout = atoi(optarg); break;
      case 'i': add_pid(optarg); break;
      default: exit(2);
    }
  }
  check();
}
