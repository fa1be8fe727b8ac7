/* Frees everything, but a block at the top of the heap keeps the rest from going back: retention, no leak. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCKS 4096

int main(void) {
  static char *blocks[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    blocks[i] = malloc(16384);
    memset(blocks[i], 1, 16384);
  }
  char *top = malloc(16384);
  memset(top, 1, 16384);
  for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
  printf("ready\n");
  fflush(stdout);
  for (;;) sleep(1);
}
