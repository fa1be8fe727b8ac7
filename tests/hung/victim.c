/* A process that holds its own mmap lock for as long as the server of a file does not answer.
 *
 * usage: victim FILE
 *
 * One thread reads the file through the page cache: its page stays locked. Another maps it for direct I/O: the kernel
 * takes the mmap lock to write and then waits for that page. Whoever walks this process's memory waits, too. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static int cached, direct;

static void *read_it(void *nothing) {
    char bytes[4096];
    (void)!read(cached, bytes, sizeof bytes);
    return nothing;
}

static void *map_it(void *nothing) {
    usleep(300 * 1000);
    mmap(NULL, 65536, PROT_READ, MAP_PRIVATE, direct, 0);
    return nothing;
}

int main(int count, char **words) {
    pthread_t reader, mapper;
    cached = open(words[1], O_RDONLY);
    direct = open(words[1], O_RDONLY);
    if (count < 2 || cached < 0 || direct < 0) {
        perror("victim");
        return 1;
    }
    pthread_create(&reader, NULL, read_it, NULL);
    pthread_create(&mapper, NULL, map_it, NULL);
    for (;;) pause();
}
