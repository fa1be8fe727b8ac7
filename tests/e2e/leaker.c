/* leaker NAME BYTES_PER_S LEDGER: allocates and fills that much, never frees it, and writes down how much it was when.
   Prints "ready" and ends with its standard input. NAME tells leakers apart in a report. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock) {
  struct timespec at;
  clock_gettime(clock, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  double rate = atof(argv[2]);
  FILE *ledger = fopen(argv[3], "w");
  if (!ledger) return 1;
  setvbuf(ledger, NULL, _IOLBF, BUFSIZ);
  puts("ready");
  fflush(stdout);
  double began = now(CLOCK_MONOTONIC);
  size_t leaked = 0;
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, 100) == 0) {
    size_t due = (size_t)((now(CLOCK_MONOTONIC) - began) * rate);
    while (leaked + 4096 <= due) {
      char *kept = malloc(4096);
      if (!kept) return 1;
      memset(kept, 'x', 4096);
      leaked += 4096;
    }
    fprintf(ledger, "%.0f %zu\n", now(CLOCK_REALTIME) * 1000, leaked);
  }
  return 0;
}
