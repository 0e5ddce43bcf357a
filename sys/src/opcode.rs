//! [`Opcode`]: the operation of a submission queue entry.

use crate::open_set::open_set;

open_set! {
    /// The operation of an [`io_uring_sqe`](crate::io_uring_sqe), its `opcode` field.
    ///
    /// ```
    /// use ringbolt_sys::{KernelVersion, Opcode};
    ///
    /// assert_eq!(Opcode::READ.as_raw(), 22);
    /// assert_eq!(Opcode::READ.since(), Some(KernelVersion::new(5, 6)));
    /// // An operation of a newer kernel has no name here, but can still be used.
    /// assert_eq!(format!("{:?} {:?}", Opcode::READ, Opcode::from_raw(200)), "READ Opcode(200)");
    /// ```
    pub struct Opcode(u8);

    /// Does nothing and completes.
    NOP = 0, "IORING_OP_NOP", (5, 1);
    /// Reads into several buffers (an iovec array), as `preadv2(2)`.
    READV = 1, "IORING_OP_READV", (5, 1);
    /// Writes from several buffers (an iovec array), as `pwritev2(2)`.
    WRITEV = 2, "IORING_OP_WRITEV", (5, 1);
    /// Flushes a file, or a range of it, to its storage, as `fsync(2)`.
    FSYNC = 3, "IORING_OP_FSYNC", (5, 1);
    /// Reads into a registered buffer.
    READ_FIXED = 4, "IORING_OP_READ_FIXED", (5, 1);
    /// Writes from a registered buffer.
    WRITE_FIXED = 5, "IORING_OP_WRITE_FIXED", (5, 1);
    /// Waits until a descriptor is ready, once or each time.
    POLL_ADD = 6, "IORING_OP_POLL_ADD", (5, 1);
    /// Removes or changes an earlier `POLL_ADD`.
    POLL_REMOVE = 7, "IORING_OP_POLL_REMOVE", (5, 1);
    /// Starts or awaits write-back of a range, as `sync_file_range(2)`.
    SYNC_FILE_RANGE = 8, "IORING_OP_SYNC_FILE_RANGE", (5, 2);
    /// Sends a message, as `sendmsg(2)`.
    SENDMSG = 9, "IORING_OP_SENDMSG", (5, 3);
    /// Receives a message, as `recvmsg(2)`.
    RECVMSG = 10, "IORING_OP_RECVMSG", (5, 3);
    /// Completes at a given time, or after a number of other completions.
    TIMEOUT = 11, "IORING_OP_TIMEOUT", (5, 4);
    /// Removes or changes an earlier `TIMEOUT`.
    TIMEOUT_REMOVE = 12, "IORING_OP_TIMEOUT_REMOVE", (5, 5);
    /// Accepts a connection, as `accept4(2)`; each one if multishot.
    ACCEPT = 13, "IORING_OP_ACCEPT", (5, 5);
    /// Cancels requests that match.
    ASYNC_CANCEL = 14, "IORING_OP_ASYNC_CANCEL", (5, 5);
    /// Limits the time of the request that is linked to it.
    LINK_TIMEOUT = 15, "IORING_OP_LINK_TIMEOUT", (5, 5);
    /// Connects a socket, as `connect(2)`.
    CONNECT = 16, "IORING_OP_CONNECT", (5, 5);
    /// Changes the space of a file, as `fallocate(2)`.
    FALLOCATE = 17, "IORING_OP_FALLOCATE", (5, 6);
    /// Opens a file, as `openat(2)`, into a descriptor or a fixed slot.
    OPENAT = 18, "IORING_OP_OPENAT", (5, 6);
    /// Closes a descriptor, as `close(2)`, or empties a fixed slot.
    CLOSE = 19, "IORING_OP_CLOSE", (5, 6);
    /// Changes the table of registered files from within the ring.
    FILES_UPDATE = 20, "IORING_OP_FILES_UPDATE", (5, 6);
    /// Reads the attributes of a file, as `statx(2)`.
    STATX = 21, "IORING_OP_STATX", (5, 6);
    /// Reads into one buffer, as `pread(2)`.
    READ = 22, "IORING_OP_READ", (5, 6);
    /// Writes from one buffer, as `pwrite(2)`.
    WRITE = 23, "IORING_OP_WRITE", (5, 6);
    /// Announces how a range of a file will be used, as `posix_fadvise(2)`.
    FADVISE = 24, "IORING_OP_FADVISE", (5, 6);
    /// Announces how a range of memory will be used, as `madvise(2)`.
    MADVISE = 25, "IORING_OP_MADVISE", (5, 6);
    /// Sends on a socket, as `send(2)`.
    SEND = 26, "IORING_OP_SEND", (5, 6);
    /// Receives from a socket, as `recv(2)`.
    RECV = 27, "IORING_OP_RECV", (5, 6);
    /// Opens a file with an [`open_how`](crate::open_how), as `openat2(2)`.
    OPENAT2 = 28, "IORING_OP_OPENAT2", (5, 6);
    /// Changes the interest list of an epoll, as `epoll_ctl(2)`.
    EPOLL_CTL = 29, "IORING_OP_EPOLL_CTL", (5, 6);
    /// Moves bytes between a pipe and another file, as `splice(2)`.
    SPLICE = 30, "IORING_OP_SPLICE", (5, 7);
    /// Adds buffers to a group for the kernel to pick from.
    PROVIDE_BUFFERS = 31, "IORING_OP_PROVIDE_BUFFERS", (5, 7);
    /// Takes provided buffers out of their group.
    REMOVE_BUFFERS = 32, "IORING_OP_REMOVE_BUFFERS", (5, 7);
    /// Duplicates bytes from one pipe to another, as `tee(2)`.
    TEE = 33, "IORING_OP_TEE", (5, 8);
    /// Shuts down a socket, as `shutdown(2)`.
    SHUTDOWN = 34, "IORING_OP_SHUTDOWN", (5, 11);
    /// Renames a file, as `renameat2(2)`.
    RENAMEAT = 35, "IORING_OP_RENAMEAT", (5, 11);
    /// Removes a name, as `unlinkat(2)`.
    UNLINKAT = 36, "IORING_OP_UNLINKAT", (5, 11);
    /// Makes a directory, as `mkdirat(2)`.
    MKDIRAT = 37, "IORING_OP_MKDIRAT", (5, 15);
    /// Makes a symbolic link, as `symlinkat(2)`.
    SYMLINKAT = 38, "IORING_OP_SYMLINKAT", (5, 15);
    /// Makes a hard link, as `linkat(2)`.
    LINKAT = 39, "IORING_OP_LINKAT", (5, 15);
    /// Posts a completion, or a registered file, to another ring.
    MSG_RING = 40, "IORING_OP_MSG_RING", (5, 18);
    /// Sets an extended attribute of an open file, as `fsetxattr(2)`.
    FSETXATTR = 41, "IORING_OP_FSETXATTR", (5, 19);
    /// Sets an extended attribute by path, as `setxattr(2)`.
    SETXATTR = 42, "IORING_OP_SETXATTR", (5, 19);
    /// Reads an extended attribute of an open file, as `fgetxattr(2)`.
    FGETXATTR = 43, "IORING_OP_FGETXATTR", (5, 19);
    /// Reads an extended attribute by path, as `getxattr(2)`.
    GETXATTR = 44, "IORING_OP_GETXATTR", (5, 19);
    /// Makes a socket, as `socket(2)`, into a descriptor or a fixed slot.
    SOCKET = 45, "IORING_OP_SOCKET", (5, 19);
    /// Passes a command to the file's own driver.
    URING_CMD = 46, "IORING_OP_URING_CMD", (5, 19);
    /// Sends without copying; a second completion reports that the buffer is free.
    SEND_ZC = 47, "IORING_OP_SEND_ZC", (6, 0);
    /// Sends a message without copying; a second completion reports that the buffers are free.
    SENDMSG_ZC = 48, "IORING_OP_SENDMSG_ZC", (6, 1);
    /// Reads each time there is data, into provided buffers.
    READ_MULTISHOT = 49, "IORING_OP_READ_MULTISHOT", (6, 7);
    /// Waits for a process to change state, as `waitid(2)`.
    WAITID = 50, "IORING_OP_WAITID", (6, 7);
    /// Waits on a futex.
    FUTEX_WAIT = 51, "IORING_OP_FUTEX_WAIT", (6, 7);
    /// Wakes the waiters of a futex.
    FUTEX_WAKE = 52, "IORING_OP_FUTEX_WAKE", (6, 7);
    /// Waits on several futexes, as `futex_waitv(2)`.
    FUTEX_WAITV = 53, "IORING_OP_FUTEX_WAITV", (6, 7);
    /// Makes an ordinary descriptor for the file of a fixed slot.
    FIXED_FD_INSTALL = 54, "IORING_OP_FIXED_FD_INSTALL", (6, 8);
    /// Sets the length of an open file, as `ftruncate(2)`.
    FTRUNCATE = 55, "IORING_OP_FTRUNCATE", (6, 9);
    /// Gives a socket its address, as `bind(2)`.
    BIND = 56, "IORING_OP_BIND", (6, 11);
    /// Makes a socket listen, as `listen(2)`.
    LISTEN = 57, "IORING_OP_LISTEN", (6, 11);
    /// Receives into a zero-copy receive area.
    RECV_ZC = 58, "IORING_OP_RECV_ZC", (6, 15);
    /// Collects the events of an epoll, as `epoll_wait(2)`.
    EPOLL_WAIT = 59, "IORING_OP_EPOLL_WAIT", (6, 15);
    /// Reads into several ranges of a registered buffer.
    READV_FIXED = 60, "IORING_OP_READV_FIXED", (6, 15);
    /// Writes from several ranges of a registered buffer.
    WRITEV_FIXED = 61, "IORING_OP_WRITEV_FIXED", (6, 15);
    /// Makes a pipe, as `pipe2(2)`, into descriptors or fixed slots.
    PIPE = 62, "IORING_OP_PIPE", (6, 16);
    /// `NOP` in a 128-byte entry.
    NOP128 = 63, "IORING_OP_NOP128", (6, 19);
    /// `URING_CMD` in a 128-byte entry.
    URING_CMD128 = 64, "IORING_OP_URING_CMD128", (6, 19);
}
