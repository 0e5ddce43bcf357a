//! Zero-copy receive: the kernel's `zcrx.h`.

#![allow(non_camel_case_types, reason = "the C names")]

use core::fmt;

use crate::{SharedPtr, ZcrxAreaFlags, ZcrxCtrlOp, ZcrxEvent, ZcrxEventDescFlags, ZcrxRegFlags};

/// An entry of the refill ring: a part of the area that is returned to the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_zcrx_rqe {
    /// The area's token and the offset in the area.
    pub off: u64,
    /// The length in bytes.
    pub len: u32,
    /// Zero.
    pub __pad: u32,
}

/// The 16 further bytes of a [`RECV_ZC`](crate::Opcode::RECV_ZC) completion.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_zcrx_cqe {
    /// The position of the data: the area's id above
    /// [`IORING_ZCRX_AREA_SHIFT`](crate::IORING_ZCRX_AREA_SHIFT), the offset below.
    pub off: u64,
    /// Zero.
    pub __pad: u64,
}

/// Where the parts of the refill ring are, in bytes from the start of its region.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_zcrx_offsets {
    /// The kernel's counter, `u32`.
    pub head: u32,
    /// The program's counter, `u32`.
    pub tail: u32,
    /// The entries: [`io_uring_zcrx_rqe`].
    pub rqes: u32,
    /// Zero.
    pub __resv2: u32,
    /// Zero.
    pub __resv: [u64; 2],
}

/// The memory that data is received into.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_zcrx_area_reg {
    /// The memory, or an offset into the dma-buf.
    pub addr: SharedPtr,
    /// Its length in bytes.
    pub len: u64,
    /// The token that refill entries must contain; filled in by the kernel.
    pub rq_area_token: u64,
    /// What kind of memory it is.
    pub flags: ZcrxAreaFlags,
    /// The dma-buf, with [`ZcrxAreaFlags::DMABUF`].
    pub dmabuf_fd: u32,
    /// Zero.
    pub __resv2: [u64; 2],
}

/// What the kernel counts for a queue.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zcrx_stats {
    /// How many completions carried copied data.
    pub copy_count: u64,
    /// How many bytes were copied.
    pub copy_bytes: u64,
}

/// Which events of a queue are reported, and how.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zcrx_event_desc {
    /// The `user_data` of the completions that report them.
    pub user_data: u64,
    /// The events that are reported: bit `n` for the [`ZcrxEvent`] `n`.
    pub type_mask: u32,
    /// Which fields are valid.
    pub flags: ZcrxEventDescFlags,
    /// The offset in the refill ring's region at which the kernel keeps its [`zcrx_stats`].
    pub stats_offset: u64,
    /// Zero.
    pub __resv2: [u64; 9],
}

/// Registers a receive queue of a network device.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_zcrx_ifq_reg {
    /// The interface's index.
    pub if_idx: u32,
    /// The queue of the interface.
    pub if_rxq: u32,
    /// Entries of the refill ring: a power of two.
    pub rq_entries: u32,
    /// Whether the queue is a new one, an imported one, or one without a device.
    pub flags: ZcrxRegFlags,
    /// The [`io_uring_zcrx_area_reg`].
    pub area_ptr: SharedPtr,
    /// The [`io_uring_region_desc`](crate::io_uring_region_desc) of the refill ring.
    pub region_ptr: SharedPtr,
    /// Where the parts of the refill ring are; filled in by the kernel.
    pub offsets: io_uring_zcrx_offsets,
    /// The id of the queue; filled in by the kernel.
    pub zcrx_id: u32,
    /// The size of a receive buffer in bytes; 0 for a page.
    pub rx_buf_len: u32,
    /// The [`zcrx_event_desc`], or null.
    pub event_desc: SharedPtr,
    /// Zero.
    pub __resv: [u64; 2],
}

/// The argument of [`ZcrxCtrlOp::FLUSH_RQ`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zcrx_ctrl_flush_rq {
    /// Zero.
    pub __resv: [u64; 6],
}

/// The argument of [`ZcrxCtrlOp::EXPORT`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zcrx_ctrl_export {
    /// The descriptor; filled in by the kernel.
    pub zcrx_fd: u32,
    /// Zero.
    pub __resv1: [u32; 11],
}

/// The argument of [`ZcrxCtrlOp::ARM_EVENT`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zcrx_ctrl_arm_event {
    /// The event.
    pub event_type: ZcrxEvent,
    /// Zero.
    pub __resv: [u32; 11],
}

/// The argument of [`ZcrxCtrlOp::ADD_AREA`]. Since Linux 7.3.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zcrx_ctrl_add_area {
    /// The address of the [`io_uring_zcrx_area_reg`].
    pub area_ptr: SharedPtr,
    /// Zero.
    pub __resv: [u64; 5],
}

/// Controls a registered queue.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct zcrx_ctrl {
    /// The id of the queue.
    pub zcrx_id: u32,
    /// The command.
    pub op: ZcrxCtrlOp,
    /// Zero.
    pub __resv: [u64; 2],
    /// The argument.
    pub arg: zcrx_ctrl_arg,
}

/// The argument of a [`zcrx_ctrl`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union zcrx_ctrl_arg {
    /// Of [`ZcrxCtrlOp::EXPORT`].
    pub zc_export: zcrx_ctrl_export,
    /// Of [`ZcrxCtrlOp::FLUSH_RQ`].
    pub zc_flush: zcrx_ctrl_flush_rq,
    /// Of [`ZcrxCtrlOp::ARM_EVENT`].
    pub zc_arm_event: zcrx_ctrl_arm_event,
    /// Of [`ZcrxCtrlOp::ADD_AREA`].
    pub zc_area: zcrx_ctrl_add_area,
}

impl fmt::Debug for zcrx_ctrl_arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: every bit pattern is valid in every arm, and each is the whole 48 bytes.
        let words = unsafe { self.zc_flush };
        write!(f, "{:x?}", words.__resv)
    }
}
