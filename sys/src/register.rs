//! The structures of `io_uring_register(2)`: resources, probes, restrictions, regions, buffer
//! rings.

#![allow(non_camel_case_types, reason = "the C names")]

use core::fmt;

use crate::{
    __kernel_timespec, BufRingFlags, CancelFlags, CloneBuffersFlags, MemRegionFlags, NapiOp,
    Opcode, ProbeOpFlags, RegionFlags, RestrictionOp, RsrcRegisterFlags, SharedPtr, SqeFlags,
};

/// Registers files or buffers, sparse or tagged.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_rsrc_register {
    /// How many.
    pub nr: u32,
    /// Whether the table starts empty.
    pub flags: RsrcRegisterFlags,
    /// Zero.
    pub resv2: u64,
    /// The descriptors (`i32`) or `iovec`s.
    pub data: SharedPtr,
    /// Their tags (`u64`), or null.
    pub tags: SharedPtr,
}

/// Replaces some registered files: the older form.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_files_update {
    /// The first slot.
    pub offset: u32,
    /// Zero.
    pub resv: u32,
    /// The descriptors (`i32`).
    pub fds: SharedPtr,
}

/// Replaces some registered files or buffers. Also the argument of
/// [`REGISTER_RING_FDS`](crate::RegisterOp::REGISTER_RING_FDS), with the descriptor in `data`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_rsrc_update {
    /// The first slot.
    pub offset: u32,
    /// Zero.
    pub resv: u32,
    /// The new resources, or the ring descriptor as a number.
    pub data: SharedPtr,
}

/// Replaces some registered files or buffers, and their tags.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_rsrc_update2 {
    /// The first slot.
    pub offset: u32,
    /// Zero.
    pub resv: u32,
    /// The new resources.
    pub data: SharedPtr,
    /// Their tags (`u64`), or null.
    pub tags: SharedPtr,
    /// How many.
    pub nr: u32,
    /// Zero.
    pub resv2: u32,
}

/// What the kernel reports about one opcode.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_probe_op {
    /// The opcode.
    pub op: Opcode,
    /// Zero.
    pub resv: u8,
    /// Whether the kernel supports it.
    pub flags: ProbeOpFlags,
    /// Zero.
    pub resv2: u32,
}

/// What the kernel reports about its opcodes: this header, followed by `ops_len` entries.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_probe {
    /// The last opcode that the kernel knows.
    pub last_op: Opcode,
    /// How many entries it wrote.
    pub ops_len: u8,
    /// Zero.
    pub resv: u16,
    /// Zero.
    pub resv2: [u32; 3],
    /// The start of the entries. Access them from the address of the whole allocation, not through
    /// this field.
    pub ops: [io_uring_probe_op; 0],
}

/// One permission or requirement of a restricted ring.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_restriction {
    /// The kind of the restriction.
    pub opcode: RestrictionOp,
    /// The argument.
    pub arg: restriction_arg,
    /// Zero.
    pub resv: u8,
    /// Zero.
    pub resv2: [u32; 3],
}

/// The argument of an [`io_uring_restriction`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union restriction_arg {
    /// The registration operation, a [`RegisterOp`](crate::RegisterOp), of
    /// [`RestrictionOp::REGISTER_OP`].
    pub register_op: u8,
    /// The opcode of [`RestrictionOp::SQE_OP`].
    pub sqe_op: Opcode,
    /// The flags of the two others.
    pub sqe_flags: SqeFlags,
}

impl fmt::Debug for restriction_arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: every arm is a `u8`, for which every bit pattern is valid.
        let byte = unsafe { self.register_op };
        byte.fmt(f)
    }
}

/// Restrictions of every ring that the thread makes from now on: this header, followed by `nr_res`
/// entries.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_task_restriction {
    /// Zero.
    pub flags: u16,
    /// How many entries follow.
    pub nr_res: u16,
    /// Zero.
    pub resv: [u32; 3],
    /// The start of the entries. Access them from the address of the whole allocation, not through
    /// this field.
    pub restrictions: [io_uring_restriction; 0],
}

/// The clock that waits use.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_clock_register {
    /// `CLOCK_MONOTONIC` or `CLOCK_BOOTTIME`.
    pub clockid: u32,
    /// Zero.
    pub __resv: [u32; 3],
}

/// Shares the registered buffers of another ring.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_clone_buffers {
    /// The other ring.
    pub src_fd: u32,
    /// What the descriptor is, and whether existing buffers are replaced.
    pub flags: CloneBuffersFlags,
    /// The index of the first buffer in the other ring.
    pub src_off: u32,
    /// The index of the first buffer in this ring.
    pub dst_off: u32,
    /// How many buffers; 0 for all.
    pub nr: u32,
    /// Zero.
    pub pad: [u32; 3],
}

/// A piece of memory that the kernel and the program share.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_region_desc {
    /// The program's memory, with [`RegionFlags::TYPE_USER`].
    pub user_addr: SharedPtr,
    /// Its size in bytes: whole pages.
    pub size: u64,
    /// Who provides the memory.
    pub flags: RegionFlags,
    /// Zero.
    pub id: u32,
    /// Filled in by the kernel: the offset at which to map it, if the kernel provides it.
    pub mmap_offset: u64,
    /// Zero.
    pub __resv: [u64; 4],
}

/// Registers a region for arguments of waits.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_mem_region_reg {
    /// The [`io_uring_region_desc`].
    pub region_uptr: SharedPtr,
    /// What the region is for.
    pub flags: MemRegionFlags,
    /// Zero.
    pub __resv: [u64; 2],
}

/// One entry of a ring of provided buffers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_buf {
    /// The buffer.
    pub addr: SharedPtr,
    /// Its length in bytes.
    pub len: u32,
    /// Its id, which the completion reports.
    pub bid: u16,
    /// Zero; in the first entry, this is the ring's tail.
    pub resv: u16,
}

/// A ring of provided buffers: its first entry, which also contains the tail.
///
/// The kernel reads the tail at any time: publish it with an atomic store, not through this type.
#[repr(C)]
#[derive(Clone, Copy)]
pub union io_uring_buf_ring {
    /// The tail, together with the other fields of the first entry.
    pub head: buf_ring_head,
    /// The first entry; C has an array of length 0 here. Access the others from the address of the
    /// whole ring, not through this field.
    pub bufs: [io_uring_buf; 1],
}

/// The tail of an [`io_uring_buf_ring`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct buf_ring_head {
    /// The first entry's `addr`.
    pub resv1: u64,
    /// The first entry's `len`.
    pub resv2: u32,
    /// The first entry's `bid`.
    pub resv3: u16,
    /// The program's counter.
    pub tail: u16,
}

impl fmt::Debug for io_uring_buf_ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: every bit pattern is valid in both arms, and both are the whole 16 bytes.
        let first = unsafe { self.bufs };
        first.fmt(f)
    }
}

/// Registers or unregisters a ring of provided buffers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_buf_reg {
    /// The ring; zero with [`BufRingFlags::MMAP`].
    pub ring_addr: SharedPtr,
    /// How many entries: a power of two.
    pub ring_entries: u32,
    /// The group.
    pub bgid: u16,
    /// Who provides the memory, and how buffers are used up.
    pub flags: BufRingFlags,
    /// With [`BufRingFlags::INC`]: a buffer with fewer bytes left than this is used up.
    pub min_left: u32,
    /// Zero.
    pub resv: [u32; 5],
}

/// The kernel's position in a ring of provided buffers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_buf_status {
    /// The group.
    pub buf_group: u32,
    /// Filled in by the kernel: its head.
    pub head: u32,
    /// Zero.
    pub resv: [u32; 8],
}

/// Busy polling of network devices.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_napi {
    /// How long to poll, in microseconds.
    pub busy_poll_to: u32,
    /// Whether to keep the device's interrupts off while polling: 0 or 1.
    pub prefer_busy_poll: u8,
    /// The command.
    pub opcode: NapiOp,
    /// Zero.
    pub pad: [u8; 2],
    /// A [`NapiTracking`](crate::NapiTracking) or a NAPI id, depending on `opcode`.
    pub op_param: u32,
    /// Zero.
    pub resv: u32,
}

/// Cancels matching requests, and waits until they have ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_sync_cancel_reg {
    /// The `user_data` of the requests.
    pub addr: u64,
    /// The descriptor of the requests.
    pub fd: i32,
    /// Which of these is the key, and how many to cancel.
    pub flags: CancelFlags,
    /// How long to wait; both fields are -1 for no limit.
    pub timeout: __kernel_timespec,
    /// The opcode of the requests.
    pub opcode: Opcode,
    /// Zero.
    pub pad: [u8; 7],
    /// Zero.
    pub pad2: [u64; 3],
}

/// The slots that the kernel allocates from.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_file_index_range {
    /// The first.
    pub off: u32,
    /// How many.
    pub len: u32,
    /// Zero.
    pub resv: u64,
}
