/* Leaks from one named function, 64 KiB every 50 ms, beside honest work; for tests of the next steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *volatile last;

__attribute__((noinline)) void leak_one_order(void) {
  char *order = malloc(65536);
  memset(order, 1, 65536);
  last = order;
}

__attribute__((noinline)) void serve_one_request(void) {
  char *buffer = malloc(100000);
  memset(buffer, 2, 100000);
  free(buffer);
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 100000;
  printf("ready\n");
  fflush(stdout);
  for (int i = 0; i < rounds; i++) {
    leak_one_order();
    serve_one_request();
    last = 0;
    usleep(50000);
  }
  return 0;
}
