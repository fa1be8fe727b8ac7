/* class_leaker CLASS BYTES_PER_S: grows one class of its mappings and never gives anything back.
   CLASS: heap arenas mmap stacks memfd named file shared sysv shm.
   BYTES_PER_S 0: leaks as many KiB as each line of its standard input says, and answers with a line.
   Else: leaks by itself. Prints "ready", or what the kernel does not have; ends with its standard input. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#define PIECE (64 * 1024)

static void die(const char *what) {
  printf("%s: %s\n", what, strerror(errno));
  exit(1);
}

static void use(void *memory, size_t size) {
  if (memory == NULL || memory == MAP_FAILED) die("memory");
  memset(memory, 'x', size);
}

static void by_malloc(size_t size) {
  for (size_t done = 0; done < size; done += 4096) use(malloc(4080), 4080);
}

static void *map(size_t size, int flags, int file, off_t at) {
  void *found = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, file, at);
  if (found == MAP_FAILED) die("mmap");
  return found;
}

/* A thread of its own, as only those have arenas of their own. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static size_t wanted;

static void *worker(void *unused) { /* never ends */
  (void)unused;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (wanted == 0) pthread_cond_wait(&moved, &lock);
    by_malloc(wanted);
    wanted = 0;
    pthread_cond_broadcast(&moved);
  }
  return NULL;
}

static void by_arena(size_t size) {
  static pthread_t thread;
  if (thread == 0 && pthread_create(&thread, NULL, worker, NULL)) die("pthread_create");
  pthread_mutex_lock(&lock);
  wanted = size;
  pthread_cond_broadcast(&moved);
  while (wanted) pthread_cond_wait(&moved, &lock);
  pthread_mutex_unlock(&lock);
}

/* Threads that end and are never joined: their stacks stay, with the pages near the top. */
static void *short_lived(void *unused) { return unused; }

static void by_stack(size_t size) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  for (size_t done = 0; done < size; done += 8192) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, short_lived, NULL)) die("pthread_create");
  }
}

static void by_file(size_t size, const char *path) {
  static int file = -1;
  static off_t end;
  if (file < 0 && (file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0) die(path);
  if (ftruncate(file, end + size)) die(path);
  use(map(size, MAP_PRIVATE, file, end), size);
  end += size;
}

static void by_memfd(size_t size) {
  static int file = -1;
  static off_t end;
  if (file < 0 && (file = memfd_create("leaky", MFD_CLOEXEC)) < 0) die("memfd_create");
  if (ftruncate(file, end + size)) die("ftruncate");
  use(map(size, MAP_SHARED, file, end), size);
  end += size;
}

static void by_shm(size_t size) {
  char name[64];
  snprintf(name, sizeof name, "/leakwatch-test-%d", getpid());
  int file = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (file < 0) die("shm_open");
  shm_unlink(name);
  if (ftruncate(file, size)) die("ftruncate");
  use(map(size, MAP_SHARED, file, 0), size);
  close(file);
}

static void by_sysv(size_t size) {
  int segment = shmget(IPC_PRIVATE, size, 0600);
  if (segment < 0) die("shmget");
  void *found = shmat(segment, NULL, 0);
  shmctl(segment, IPC_RMID, NULL); /* goes with its last user */
  use(found == (void *)-1 ? NULL : found, size);
}

static void by_name(size_t size) {
  char *found = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, found, size, "cache of shop")) die("PR_SET_VMA_ANON_NAME");
  use(found, size);
}

static void leak(const char *class, size_t size) {
  if (!strcmp(class, "heap")) by_malloc(size);
  else if (!strcmp(class, "arenas")) by_arena(size);
  else if (!strcmp(class, "mmap")) use(map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size);
  else if (!strcmp(class, "stacks")) by_stack(size);
  else if (!strcmp(class, "memfd")) by_memfd(size);
  else if (!strcmp(class, "named")) by_name(size);
  else if (!strcmp(class, "file")) by_file(size, "leaky.dat");
  else if (!strcmp(class, "shared")) use(map(size, MAP_SHARED | MAP_ANONYMOUS, -1, 0), size);
  else if (!strcmp(class, "sysv")) by_sysv(size);
  else if (!strcmp(class, "shm")) by_shm(size);
  else exit(2);
}

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  double rate = atof(argv[2]);
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  leak(argv[1], PIECE);
  puts("ready");
  if (rate == 0) {
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
      leak(argv[1], (size_t)atol(line) * 1024);
      puts("done");
    }
    return 0;
  }
  double began = now();
  size_t leaked = 0;
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, 100) == 0) {
    size_t due = (size_t)((now() - began) * rate);
    for (; leaked + PIECE <= due; leaked += PIECE) leak(argv[1], PIECE);
  }
  return 0;
}
