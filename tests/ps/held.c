/*
 * Holds memory in a family of two: held MEBIBYTES FILE NAME. Parent and child share what was there before the fork; the
 * child then writes to 8 MiB of it. Linked statically, so that nobody else maps a page of it: what smem or a test maps
 * while it looks changes nothing here.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static char *map(size_t size, int flags, int file)
{
	char *start = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, file, 0);

	if (start == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return start;
}

int main(int argc, char **argv)
{
	size_t size = strtoul(argv[1], NULL, 10) * MIB;
	int file = open(argv[2], O_RDWR);
	char *large = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *copied = map(MIB, MAP_PRIVATE, file);
	volatile char seen;

	(void)argc;
	memset(large, 'x', size);
	memset(map(4 * MIB, MAP_SHARED | MAP_ANONYMOUS, -1), 'y', 4 * MIB);
	memset(copied, 'c', MIB / 4); /* dirty here, the next quarter only read, the rest never touched */
	for (size_t at = MIB / 4; at < MIB / 2; at += 4096)
		seen = copied[at];
	(void)seen;
	memset(map(MIB, MAP_SHARED, file), 's', MIB / 2);
	for (int count = 0; count < 4000; count++)
		memset(malloc(500), 'h', 500); /* 2 MB of heap */
	if (fork() == 0) {
		memset(large, 'z', 8 * MIB);
		if (write(1, "child\n", 6) != 6)
			return 1;
	} else if (write(1, "parent\n", 7) != 7) {
		return 1;
	}
	sleep(300);
	return 0;
}
