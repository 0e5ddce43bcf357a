//! The small numbered sets: codes inside operations and inside registration structures.

use crate::open_set::open_set;
use crate::syscall::IOC_NONE;

open_set! {
    /// What a [`MSG_RING`](crate::Opcode::MSG_RING) entry sends, its `addr` field.
    pub struct MsgRingCmd(u64);

    /// A `user_data` and a result of the sender's choice.
    DATA = 0, "IORING_MSG_DATA", (6, 0);
    /// A registered file.
    SEND_FD = 1, "IORING_MSG_SEND_FD", (6, 0);
}

open_set! {
    /// The kind of a worker thread: the index into the array that
    /// [`REGISTER_IOWQ_MAX_WORKERS`](crate::RegisterOp::REGISTER_IOWQ_MAX_WORKERS) takes.
    pub struct IoWqType(u32);

    /// For work that ends in bounded time: on regular files and block devices.
    BOUND = 0, "IO_WQ_BOUND", (5, 15);
    /// For work that may never end: on sockets, pipes and character devices.
    UNBOUND = 1, "IO_WQ_UNBOUND", (5, 15);
}

open_set! {
    /// The command of a [`REGISTER_NAPI`](crate::RegisterOp::REGISTER_NAPI), the `opcode` of
    /// [`io_uring_napi`](crate::io_uring_napi).
    pub struct NapiOp(u8);

    /// Turns busy polling on, with the [`NapiTracking`] in `op_param`.
    REGISTER_OP = 0, "IO_URING_NAPI_REGISTER_OP", (6, 13);
    /// Adds the NAPI id in `op_param` to a static list.
    STATIC_ADD_ID = 1, "IO_URING_NAPI_STATIC_ADD_ID", (6, 13);
    /// Removes the NAPI id in `op_param` from a static list.
    STATIC_DEL_ID = 2, "IO_URING_NAPI_STATIC_DEL_ID", (6, 13);
}

open_set! {
    /// How a ring determines which NAPI instances to poll.
    pub struct NapiTracking(u32);

    /// From the sockets that its requests wait on.
    DYNAMIC = 0, "IO_URING_NAPI_TRACKING_DYNAMIC", (6, 13);
    /// From the list that the program keeps.
    STATIC = 1, "IO_URING_NAPI_TRACKING_STATIC", (6, 13);
    /// Not at all: busy polling is off. Only the kernel reports it.
    INACTIVE = 255, "IO_URING_NAPI_TRACKING_INACTIVE", (6, 13);
}

open_set! {
    /// What an [`io_uring_restriction`](crate::io_uring_restriction) allows or requires.
    pub struct RestrictionOp(u16);

    /// Allows one registration operation.
    REGISTER_OP = 0, "IORING_RESTRICTION_REGISTER_OP", (5, 10);
    /// Allows one opcode.
    SQE_OP = 1, "IORING_RESTRICTION_SQE_OP", (5, 10);
    /// Allows a set of entry flags.
    SQE_FLAGS_ALLOWED = 2, "IORING_RESTRICTION_SQE_FLAGS_ALLOWED", (5, 10);
    /// Requires a set of entry flags.
    SQE_FLAGS_REQUIRED = 3, "IORING_RESTRICTION_SQE_FLAGS_REQUIRED", (5, 10);
}

open_set! {
    /// The `cmd_op` of a [`URING_CMD`](crate::Opcode::URING_CMD) on a socket.
    pub struct SocketCmd(u32);

    /// Reports how many bytes can be received, as `SIOCINQ`.
    SIOCINQ = 0, "SOCKET_URING_OP_SIOCINQ", (6, 6);
    /// Reports how many bytes are not yet sent, as `SIOCOUTQ`.
    SIOCOUTQ = 1, "SOCKET_URING_OP_SIOCOUTQ", (6, 6);
    /// Reads a socket option, as `getsockopt(2)`.
    GETSOCKOPT = 2, "SOCKET_URING_OP_GETSOCKOPT", (6, 7);
    /// Sets a socket option, as `setsockopt(2)`.
    SETSOCKOPT = 3, "SOCKET_URING_OP_SETSOCKOPT", (6, 7);
    /// Reports the times at which packets were sent, one completion for each.
    TX_TIMESTAMP = 4, "SOCKET_URING_OP_TX_TIMESTAMP", (6, 17);
    /// Reads the socket's own address or its peer's, as `getsockname(2)` and `getpeername(2)`.
    GETSOCKNAME = 5, "SOCKET_URING_OP_GETSOCKNAME", (6, 19);
}

open_set! {
    /// An event of a zero-copy receive queue: a bit number of
    /// [`zcrx_event_desc::type_mask`](crate::zcrx_event_desc::type_mask).
    pub struct ZcrxEvent(u32);

    /// The area had no room for incoming data.
    ALLOC_FAIL = 0, "ZCRX_EVENT_ALLOC_FAIL", (7, 2);
    /// Data was copied, as the device could not place it in the area.
    COPY = 1, "ZCRX_EVENT_COPY", (7, 2);
}

open_set! {
    /// The command of a [`REGISTER_ZCRX_CTRL`](crate::RegisterOp::REGISTER_ZCRX_CTRL).
    pub struct ZcrxCtrlOp(u32);

    /// Consumes the entries of the refill ring immediately.
    FLUSH_RQ = 0, "ZCRX_CTRL_FLUSH_RQ", (6, 19);
    /// Makes a descriptor for the queue, which another ring can import.
    EXPORT = 1, "ZCRX_CTRL_EXPORT", (6, 19);
    /// Enables an event again after it was reported.
    ARM_EVENT = 2, "ZCRX_CTRL_ARM_EVENT", (7, 2);
    /// Adds an area of memory to the queue.
    ADD_AREA = 3, "ZCRX_CTRL_ADD_AREA", (7, 3);
}

open_set! {
    /// The query of an [`io_uring_query_hdr`](crate::io_uring_query_hdr).
    pub struct QueryOp(u32);

    /// Opcodes and flags ([`io_uring_query_opcode`](crate::io_uring_query_opcode)).
    OPCODES = 0, "IO_URING_QUERY_OPCODES", (6, 18);
    /// Zero-copy receive ([`io_uring_query_zcrx`](crate::io_uring_query_zcrx)).
    ZCRX = 1, "IO_URING_QUERY_ZCRX", (6, 19);
    /// The size of the rings' header ([`io_uring_query_scq`](crate::io_uring_query_scq)).
    SCQ = 2, "IO_URING_QUERY_SCQ", (6, 19);
    /// Zero-copy receive events
    /// ([`io_uring_query_zcrx_event`](crate::io_uring_query_zcrx_event)).
    ZCRX_EVENT = 3, "IO_URING_QUERY_ZCRX_EVENT", (7, 2);
}

open_set! {
    /// The `cmd_type` of an [`io_uring_bpf`](crate::io_uring_bpf).
    pub struct BpfCmd(u16);

    /// Attaches a filter to an opcode.
    FILTER = 1, "IO_URING_BPF_CMD_FILTER", (7, 0);
}

open_set! {
    /// The `cmd_op` of a [`URING_CMD`](crate::Opcode::URING_CMD) on a block device.
    pub struct BlockUringCmd(u32);

    /// Discards a range, as the `BLKDISCARD` ioctl.
    DISCARD = IOC_NONE | 0x1200, "BLOCK_URING_CMD_DISCARD", (6, 12);
    /// Resets every zone of a zoned device.
    ZONE_RESET_ALL = IOC_NONE | 0x1201, "BLOCK_URING_CMD_ZONE_RESET_ALL";
}
