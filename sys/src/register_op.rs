//! [`RegisterOp`]: the operation of a call of `io_uring_register(2)`.

use crate::open_set::open_set;

open_set! {
    /// The operation of an [`io_uring_register`](crate::io_uring_register) call.
    ///
    /// The call takes the number, so that
    /// [`IORING_REGISTER_USE_REGISTERED_RING`](crate::IORING_REGISTER_USE_REGISTERED_RING) can be
    /// added to it.
    pub struct RegisterOp(u32);

    /// Registers an array of buffers (`iovec`).
    REGISTER_BUFFERS = 0, "IORING_REGISTER_BUFFERS", (5, 1);
    /// Unregisters all buffers.
    UNREGISTER_BUFFERS = 1, "IORING_UNREGISTER_BUFFERS", (5, 1);
    /// Registers an array of descriptors.
    REGISTER_FILES = 2, "IORING_REGISTER_FILES", (5, 1);
    /// Unregisters all files.
    UNREGISTER_FILES = 3, "IORING_UNREGISTER_FILES", (5, 1);
    /// Signals an eventfd on each completion.
    REGISTER_EVENTFD = 4, "IORING_REGISTER_EVENTFD", (5, 2);
    /// Stops signalling the eventfd.
    UNREGISTER_EVENTFD = 5, "IORING_UNREGISTER_EVENTFD", (5, 2);
    /// Replaces some registered files
    /// ([`io_uring_files_update`](crate::io_uring_files_update)).
    REGISTER_FILES_UPDATE = 6, "IORING_REGISTER_FILES_UPDATE", (5, 5);
    /// Signals an eventfd only for completions that were not posted inline.
    REGISTER_EVENTFD_ASYNC = 7, "IORING_REGISTER_EVENTFD_ASYNC", (5, 6);
    /// Reports which opcodes the kernel supports ([`io_uring_probe`](crate::io_uring_probe)).
    REGISTER_PROBE = 8, "IORING_REGISTER_PROBE", (5, 6);
    /// Registers the credentials of the caller; returns their id.
    REGISTER_PERSONALITY = 9, "IORING_REGISTER_PERSONALITY", (5, 6);
    /// Unregisters credentials.
    UNREGISTER_PERSONALITY = 10, "IORING_UNREGISTER_PERSONALITY", (5, 6);
    /// Limits what a disabled ring may do once enabled.
    REGISTER_RESTRICTIONS = 11, "IORING_REGISTER_RESTRICTIONS", (5, 10);
    /// Enables a ring that was set up disabled.
    REGISTER_ENABLE_RINGS = 12, "IORING_REGISTER_ENABLE_RINGS", (5, 10);
    /// Registers files, sparse or tagged
    /// ([`io_uring_rsrc_register`](crate::io_uring_rsrc_register)).
    REGISTER_FILES2 = 13, "IORING_REGISTER_FILES2", (5, 13);
    /// Replaces files and their tags ([`io_uring_rsrc_update2`](crate::io_uring_rsrc_update2)).
    REGISTER_FILES_UPDATE2 = 14, "IORING_REGISTER_FILES_UPDATE2", (5, 13);
    /// Registers buffers, sparse or tagged
    /// ([`io_uring_rsrc_register`](crate::io_uring_rsrc_register)).
    REGISTER_BUFFERS2 = 15, "IORING_REGISTER_BUFFERS2", (5, 13);
    /// Replaces buffers and their tags
    /// ([`io_uring_rsrc_update2`](crate::io_uring_rsrc_update2)).
    REGISTER_BUFFERS_UPDATE = 16, "IORING_REGISTER_BUFFERS_UPDATE", (5, 13);
    /// Sets the processors that the worker threads may run on.
    REGISTER_IOWQ_AFF = 17, "IORING_REGISTER_IOWQ_AFF", (5, 14);
    /// Lets the worker threads run on all processors again.
    UNREGISTER_IOWQ_AFF = 18, "IORING_UNREGISTER_IOWQ_AFF", (5, 14);
    /// Sets and returns the maximum number of workers of each [`IoWqType`](crate::IoWqType).
    REGISTER_IOWQ_MAX_WORKERS = 19, "IORING_REGISTER_IOWQ_MAX_WORKERS", (5, 15);
    /// Registers ring descriptors for the calling thread.
    REGISTER_RING_FDS = 20, "IORING_REGISTER_RING_FDS", (5, 18);
    /// Unregisters ring descriptors.
    UNREGISTER_RING_FDS = 21, "IORING_UNREGISTER_RING_FDS", (5, 18);
    /// Registers a ring of provided buffers ([`io_uring_buf_reg`](crate::io_uring_buf_reg)).
    REGISTER_PBUF_RING = 22, "IORING_REGISTER_PBUF_RING", (5, 19);
    /// Unregisters a ring of provided buffers.
    UNREGISTER_PBUF_RING = 23, "IORING_UNREGISTER_PBUF_RING", (5, 19);
    /// Cancels matching requests and waits
    /// ([`io_uring_sync_cancel_reg`](crate::io_uring_sync_cancel_reg)).
    REGISTER_SYNC_CANCEL = 24, "IORING_REGISTER_SYNC_CANCEL", (6, 0);
    /// Limits the slots that the kernel allocates from
    /// ([`io_uring_file_index_range`](crate::io_uring_file_index_range)).
    REGISTER_FILE_ALLOC_RANGE = 25, "IORING_REGISTER_FILE_ALLOC_RANGE", (6, 0);
    /// Reports the kernel's head of a buffer ring
    /// ([`io_uring_buf_status`](crate::io_uring_buf_status)).
    REGISTER_PBUF_STATUS = 26, "IORING_REGISTER_PBUF_STATUS", (6, 8);
    /// Sets busy polling of network devices ([`io_uring_napi`](crate::io_uring_napi)).
    REGISTER_NAPI = 27, "IORING_REGISTER_NAPI", (6, 9);
    /// Stops busy polling.
    UNREGISTER_NAPI = 28, "IORING_UNREGISTER_NAPI", (6, 9);
    /// Chooses the clock of waits
    /// ([`io_uring_clock_register`](crate::io_uring_clock_register)).
    REGISTER_CLOCK = 29, "IORING_REGISTER_CLOCK", (6, 12);
    /// Shares another ring's registered buffers
    /// ([`io_uring_clone_buffers`](crate::io_uring_clone_buffers)).
    REGISTER_CLONE_BUFFERS = 30, "IORING_REGISTER_CLONE_BUFFERS", (6, 12);
    /// Sends a `MSG_RING` entry without a ring to send from.
    REGISTER_SEND_MSG_RING = 31, "IORING_REGISTER_SEND_MSG_RING", (6, 13);
    /// Registers a zero-copy receive queue
    /// ([`io_uring_zcrx_ifq_reg`](crate::io_uring_zcrx_ifq_reg)).
    REGISTER_ZCRX_IFQ = 32, "IORING_REGISTER_ZCRX_IFQ", (6, 15);
    /// Changes the sizes of the rings ([`io_uring_params`](crate::io_uring_params)).
    REGISTER_RESIZE_RINGS = 33, "IORING_REGISTER_RESIZE_RINGS", (6, 13);
    /// Registers memory for wait arguments
    /// ([`io_uring_mem_region_reg`](crate::io_uring_mem_region_reg)).
    REGISTER_MEM_REGION = 34, "IORING_REGISTER_MEM_REGION", (6, 13);
    /// Asks what the kernel supports, with or without a ring
    /// ([`io_uring_query_hdr`](crate::io_uring_query_hdr)).
    REGISTER_QUERY = 35, "IORING_REGISTER_QUERY", (6, 18);
    /// Controls a zero-copy receive queue ([`zcrx_ctrl`](crate::zcrx_ctrl)).
    REGISTER_ZCRX_CTRL = 36, "IORING_REGISTER_ZCRX_CTRL", (6, 19);
    /// Registers a BPF filter for requests ([`io_uring_bpf`](crate::io_uring_bpf)).
    REGISTER_BPF_FILTER = 37, "IORING_REGISTER_BPF_FILTER", (7, 0);
}
