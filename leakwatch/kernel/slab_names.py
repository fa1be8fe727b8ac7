"""Which slab caches give their memory back when the kernel needs it, as their names tell: where sysfs cannot be asked.

From the kernel's sources: a cache created with SLAB_RECLAIM_ACCOUNT is counted in SReclaimable.
"""

from __future__ import annotations

RECLAIM_ACCOUNTED = frozenset({
    "bdev_cache", "btrfs_inode", "buffer_head", "dax_cache", "debugfs_inode_cache", "dentry", "dquot",
    "ecryptfs_inode_cache", "erofs_inode", "exfat_inode_cache", "ext2_inode_cache", "ext3_inode_cache",
    "ext4_inode_cache", "ext4_groupinfo_4k", "extent_status", "ext4_extent_status", "f2fs_inode_cache",
    "fat_inode_cache", "fuse_inode", "inode_cache", "isofs_inode_cache", "jbd2_journal_head", "mb_cache_entry",
    "nfs_inode_cache", "ovl_inode", "proc_inode_cache", "radix_tree_node", "reiser_inode_cache", "rpc_inode_cache",
    "sock_inode_cache", "squashfs_inode_cache", "xfs_buf", "xfs_ili", "xfs_inode",
})  # fmt: skip
"""Caches the kernel creates with SLAB_RECLAIM_ACCOUNT: most as read in sysfs on 6.18, the rest from kernel sources.

Not every ``*_inode_cache`` is one: those of tmpfs (shmem), hugetlbfs and mqueue are not, as nothing can shrink them.
"""
WITH_INODES = frozenset({"iint_cache", "lsm_inode_cache", "selinux_inode_security"})
"""Caches of what security modules keep for each inode. The kernel does not count them as reclaimable, but they are
freed with the inode, so they grow and shrink as the inode caches do; a walk over files made one look like a leak."""

_OF_FILE_SYSTEMS = ("_inode_cache", "_inode", "_inode_info")
"""How the inode caches of file systems that are not listed end: all but the pinned ones are reclaim-accounted."""
PINNED = frozenset({"hugetlbfs_inode_cache", "mqueue_inode_cache", "shmem_inode_cache", "sock_inode_cache"})
"""Inodes that live as long as what they stand for: a file in memory, a queue, a socket; nothing shrinks these caches.
mm/shmem.c and fs/hugetlbfs lost the flag for that in 2.6.9. net/socket.c still sets it: counted as reclaimable, while
no shortage closes a leaked socket."""
_RECLAIMABLE_PREFIX = "kmalloc-rcl-"


def gives_back(cache: str) -> bool:
    """Return whether the kernel frees this cache's objects when it needs memory, by its name alone."""
    name = cache.partition("@")[0].partition("(")[0]  # a second cache of a name, a memory cgroup's own (before 5.9)
    if name in PINNED:
        return False
    known = name in RECLAIM_ACCOUNTED or name in WITH_INODES
    return known or name.startswith(_RECLAIMABLE_PREFIX) or name.endswith(_OF_FILE_SYSTEMS)
