//! The kernel's constants that belong to no set, under the kernel's own names.
//!
//! The `*_LAST` and `*_MAX` constants count the codes of a set as of Linux 7.3. They are for the
//! sizes of arrays; a newer kernel may accept larger codes.

/// Asks for any free slot of the registered files instead of naming one: a
/// [`file_index`](crate::sqe_file::file_index). Since Linux 5.19.
pub const IORING_FILE_INDEX_ALLOC: u32 = !0;

/// How far the buffer id is shifted in [`CqeFlags`](crate::CqeFlags). Since Linux 5.7.
pub const IORING_CQE_BUFFER_SHIFT: u32 = 16;

/// `mmap` offset of the submission ring. Since Linux 5.1.
pub const IORING_OFF_SQ_RING: u64 = 0;
/// `mmap` offset of the completion ring. Since Linux 5.1.
pub const IORING_OFF_CQ_RING: u64 = 0x0800_0000;
/// `mmap` offset of the submission entries. Since Linux 5.1.
pub const IORING_OFF_SQES: u64 = 0x1000_0000;
/// `mmap` offset of the provided-buffer rings; the group goes above
/// [`IORING_OFF_PBUF_SHIFT`]. Since Linux 6.4.
pub const IORING_OFF_PBUF_RING: u64 = 0x8000_0000;
/// How far the buffer group is shifted in an `mmap` offset. Since Linux 6.4.
pub const IORING_OFF_PBUF_SHIFT: u32 = 16;
/// The bits of an `mmap` offset that select what is mapped. Since Linux 6.4.
pub const IORING_OFF_MMAP_MASK: u64 = 0xf800_0000;

/// In place of a descriptor in an update: leaves the slot unchanged. Since Linux 5.12.
pub const IORING_REGISTER_FILES_SKIP: i32 = -2;
/// Added to a [`RegisterOp`](crate::RegisterOp) number: the descriptor of the call is an index of
/// the thread's registered rings. Since Linux 6.3.
pub const IORING_REGISTER_USE_REGISTERED_RING: u32 = 1 << 31;

/// Bit number in [`CqeFlags`](crate::CqeFlags) that marks a hardware timestamp, in a completion of
/// [`TX_TIMESTAMP`](crate::SocketCmd::TX_TIMESTAMP). Since Linux 6.17.
pub const IORING_TIMESTAMP_HW_SHIFT: u32 = 16;
/// Lowest bit number of the kind of a timestamp, in the same flags. Since Linux 6.17.
pub const IORING_TIMESTAMP_TYPE_SHIFT: u32 = IORING_TIMESTAMP_HW_SHIFT + 1;
/// `1 <<` [`IORING_TIMESTAMP_HW_SHIFT`]: the timestamp is the device's. Since Linux 6.17.
pub const IORING_CQE_F_TSTAMP_HW: u32 = 1 << IORING_TIMESTAMP_HW_SHIFT;

/// Bit number of [`SqeFlags::FIXED_FILE`](crate::SqeFlags::FIXED_FILE). Since Linux 5.6.
pub const IOSQE_FIXED_FILE_BIT: u32 = 0;
/// Bit number of [`SqeFlags::IO_DRAIN`](crate::SqeFlags::IO_DRAIN). Since Linux 5.6.
pub const IOSQE_IO_DRAIN_BIT: u32 = 1;
/// Bit number of [`SqeFlags::IO_LINK`](crate::SqeFlags::IO_LINK). Since Linux 5.6.
pub const IOSQE_IO_LINK_BIT: u32 = 2;
/// Bit number of [`SqeFlags::IO_HARDLINK`](crate::SqeFlags::IO_HARDLINK). Since Linux 5.6.
pub const IOSQE_IO_HARDLINK_BIT: u32 = 3;
/// Bit number of [`SqeFlags::ASYNC`](crate::SqeFlags::ASYNC). Since Linux 5.6.
pub const IOSQE_ASYNC_BIT: u32 = 4;
/// Bit number of [`SqeFlags::BUFFER_SELECT`](crate::SqeFlags::BUFFER_SELECT). Since Linux 5.7.
pub const IOSQE_BUFFER_SELECT_BIT: u32 = 5;
/// Bit number of [`SqeFlags::CQE_SKIP_SUCCESS`](crate::SqeFlags::CQE_SKIP_SUCCESS). Since
/// Linux 5.17.
pub const IOSQE_CQE_SKIP_SUCCESS_BIT: u32 = 6;

/// Every [`UringCmdFlags`](crate::UringCmdFlags) bit that belongs to io_uring and not to the
/// driver. Since Linux 6.7.
pub const IORING_URING_CMD_MASK: u32 = 3;
/// The [`TimeoutFlags`](crate::TimeoutFlags) that choose a clock: at most one. Since Linux 5.15.
pub const IORING_TIMEOUT_CLOCK_MASK: u32 = 0xc;
/// The [`TimeoutFlags`](crate::TimeoutFlags) that turn a removal into an update. Since
/// Linux 5.15.
pub const IORING_TIMEOUT_UPDATE_MASK: u32 = 0x12;

/// How far the area id is shifted in the offset of an
/// [`io_uring_zcrx_cqe`](crate::io_uring_zcrx_cqe). Since Linux 6.15.
pub const IORING_ZCRX_AREA_SHIFT: u32 = 48;
/// The area id's bits of that offset. Since Linux 6.15.
pub const IORING_ZCRX_AREA_MASK: u64 = !0 << IORING_ZCRX_AREA_SHIFT;

/// The maximum number of futexes of one [`FUTEX_WAITV`](crate::Opcode::FUTEX_WAITV). Since Linux
/// 5.16.
pub const FUTEX_WAITV_MAX: u32 = 128;

/// One past the last [`Opcode`](crate::Opcode). Since Linux 5.5.
pub const IORING_OP_LAST: u8 = 65;
/// One past the last [`RegisterOp`](crate::RegisterOp). Since Linux 5.10.
pub const IORING_REGISTER_LAST: u32 = 38;
/// One past the last [`RestrictionOp`](crate::RestrictionOp). Since Linux 5.10.
pub const IORING_RESTRICTION_LAST: u16 = 4;
/// One past the last [`ZcrxEvent`](crate::ZcrxEvent). Since Linux 7.2.
pub const __ZCRX_EVENT_TYPE_LAST: u32 = 2;
/// One past the last [`ZcrxCtrlOp`](crate::ZcrxCtrlOp). Since Linux 6.19.
pub const __ZCRX_CTRL_LAST: u32 = 4;
/// One past the last [`QueryOp`](crate::QueryOp). Since Linux 6.18.
pub const __IO_URING_QUERY_MAX: u32 = 4;
