/* Holds and leaks memory as its standard input says: one line "LEAKED WORKING CHURN" a second.
 *
 * LEAKED is the sum of bytes never to be freed, WORKING the bytes of live objects, CHURN how many of these are
 * replaced by others of random size. Ends with its input. usage: churn SEED
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct object {
    char *bytes;
    size_t size;
};

static struct object *live;
static size_t live_count, live_room;
static double live_bytes, leaked_bytes;
static void *volatile last_leaked;

/* Log-uniform from 32 bytes to 16 KiB; one in two hundred is big enough to be mapped by itself. */
static size_t random_size(void) {
    if (rand() % 200 == 0)
        return 140000 + (size_t)(rand() % 200000);
    return (size_t)(32 * pow(2.0, 9.0 * rand() / RAND_MAX));
}

static char *filled(size_t size) {
    char *bytes = malloc(size);
    if (bytes == NULL)
        exit(2);
    memset(bytes, rand(), size);
    return bytes;
}

static void add(void) {
    if (live_count == live_room) {
        live_room = live_room ? 2 * live_room : 1024;
        live = realloc(live, live_room * sizeof *live);
    }
    size_t size = random_size();
    live[live_count].bytes = filled(size);
    live[live_count++].size = size;
    live_bytes += size;
}

static void drop(void) {
    size_t victim = ((size_t)rand() * 32768 + (size_t)rand()) % live_count;
    live_bytes -= live[victim].size;
    free(live[victim].bytes);
    live[victim] = live[--live_count];
}

int main(int argc, char **argv) {
    double leak_to, work_to;
    long churn;
    srand(argc > 1 ? (unsigned)atoi(argv[1]) : 1);
    while (scanf("%lf %lf %ld", &leak_to, &work_to, &churn) == 3) {
        while (leaked_bytes < leak_to) {
            size_t size = 64 + (size_t)(rand() % 4000);
            last_leaked = filled(size);
            leaked_bytes += size;
        }
        for (long i = 0; i < churn && live_count > 0; i++) {
            drop();
            add();
        }
        while (live_bytes < work_to)
            add();
        while (live_count > 0 && live_bytes > work_to)
            drop();
    }
    return 0;
}
