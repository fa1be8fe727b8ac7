/* A FUSE file system whose server takes reads and never answers: what a dead NFS server or a broken disk looks like.
 * Files /f0 to /f99 of 64 KiB. Of each, the first to open it reads through the page cache, all others directly. */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse3/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int opens[100];

static int get_attributes(const char *path, struct stat *found, struct fuse_file_info *info) {
    memset(found, 0, sizeof *found);
    if (!strcmp(path, "/")) {
        found->st_mode = 0040755;
        found->st_nlink = 2;
        return 0;
    }
    if (path[1] != 'f') return -ENOENT;
    found->st_mode = 0100644;
    found->st_nlink = 1;
    found->st_size = 65536;
    return 0;
}

static int open_file(const char *path, struct fuse_file_info *info) {
    if (__atomic_fetch_add(&opens[atoi(path + 2) % 100], 1, __ATOMIC_SEQ_CST)) info->direct_io = 1;
    return 0;
}

static int read_file(const char *path, char *to, size_t size, off_t at, struct fuse_file_info *info) {
    pause();
    return 0;
}

static struct fuse_operations operations = {.getattr = get_attributes, .open = open_file, .read = read_file};

int main(int count, char **words) { return fuse_main(count, words, &operations, NULL); }
