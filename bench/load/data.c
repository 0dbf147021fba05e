#include "load.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int data_fd;
char *data;
int64_t data_size;

void open_data(void) {
  struct stat status;
  data_fd = open(settings.data, O_RDONLY);
  if (data_fd < 0 || fstat(data_fd, &status) != 0) fail("%s: %s", settings.data, strerror(errno));
  data_size = status.st_size;
  if (data_size < SMALL_BODY || data_size % PAGE != 0) fail("%s must be whole pages, and at least %d bytes", settings.data, SMALL_BODY);
  data = mmap(NULL, (size_t) data_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, data_fd, 0);
  if (data == MAP_FAILED) fail("%s: %s", settings.data, strerror(errno));
}

int64_t get_first(int64_t number) {
  return settings.checksum ? 0 : number * 7 * PAGE % data_size;
}
