//! `io_uring_register(2)`: enabling, probing, rings of provided buffers.

use core::ffi::c_void;
use core::mem::offset_of;
use std::thread;

use rustix::io::Errno;

use crate::sys::{
    IORING_OP_LAST, Opcode, ProbeOpFlags, RegisterOp, SetupFlags, io_uring_buf_reg,
    io_uring_buf_status, io_uring_params, io_uring_probe, io_uring_probe_op,
};

use super::buffers::Group;
use super::operation::KNOWN;
use super::program::ARGUMENTS;
use super::state::{Ring, State};

impl State {
    /// `io_uring_register(2)`.
    ///
    /// # Safety
    ///
    /// As for [`io_uring_register`](crate::sys::io_uring_register).
    pub(super) unsafe fn register(
        &mut self,
        op: u32,
        arg: *mut c_void,
        nr_args: u32,
    ) -> Result<u32, Errno> {
        if let Some(errno) = self.world.register_faults.pop_front() {
            return Err(errno);
        }
        let ring = self.ring.as_mut().ok_or(Errno::BADF)?;
        if !ring.may_submit() {
            return Err(Errno::EXIST);
        }
        match RegisterOp::from_raw(op) {
            RegisterOp::REGISTER_ENABLE_RINGS => ring.enable(arg, nr_args)?,
            // SAFETY: the caller keeps the contract, here and below.
            RegisterOp::REGISTER_PROBE => unsafe { probe(arg, nr_args) }?,
            // SAFETY: as above.
            RegisterOp::REGISTER_PBUF_RING => unsafe { ring.add_group(arg, nr_args) }?,
            // SAFETY: as above.
            RegisterOp::UNREGISTER_PBUF_RING => unsafe { ring.remove_group(arg, nr_args) }?,
            // SAFETY: as above.
            RegisterOp::REGISTER_PBUF_STATUS => unsafe { ring.group_status(arg, nr_args) }?,
            RegisterOp::REGISTER_RESIZE_RINGS => {
                // SAFETY: as above.
                let mut params: io_uring_params = unsafe { one(arg, nr_args) }?;
                ring.resize(&mut params)?;
                if let Some(change) = self.resize_answer.take() {
                    ring.trusted = false;
                    change(&mut params);
                    ring.memory.fit(&params)?;
                }
                // SAFETY: as above.
                unsafe { ARGUMENTS.write(arg.cast(), params) }?;
            }
            _ => return Err(Errno::INVAL),
        }
        ring.show_work(&self.world);
        Ok(0)
    }
}

/// Reads the only argument of an operation.
///
/// # Safety
///
/// `arg` is valid for reads, unless it is in the first page, and every bit pattern is a `T`.
unsafe fn one<T: Copy>(arg: *const c_void, nr_args: u32) -> Result<T, Errno> {
    if nr_args != 1 {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller keeps the contract.
    unsafe { ARGUMENTS.read(arg.cast()) }
}

impl Ring {
    fn enable(&mut self, arg: *mut c_void, nr_args: u32) -> Result<(), Errno> {
        if !arg.is_null() || nr_args != 0 {
            return Err(Errno::INVAL);
        }
        if !self.disabled {
            return Err(Errno::BADFD);
        }
        self.disabled = false;
        let owned = self.setup.contains(SetupFlags::SINGLE_ISSUER);
        self.owner = owned.then(|| thread::current().id());
        Ok(())
    }

    /// Registers a ring of provided buffers.
    ///
    /// # Safety
    ///
    /// `arg` is an `io_uring_buf_reg`, whose memory meets the contract of `Group::new`.
    unsafe fn add_group(&mut self, arg: *mut c_void, nr_args: u32) -> Result<(), Errno> {
        // SAFETY: the caller keeps the contract.
        let reg: io_uring_buf_reg = unsafe { one(arg, nr_args) }?;
        // SAFETY: the caller keeps the contract; the group is dropped when unregistered, or with
        // the ring.
        let group = unsafe { Group::new(&reg) }?;
        if self.groups.contains_key(&reg.bgid) {
            return Err(Errno::EXIST);
        }
        self.groups.insert(reg.bgid, group);
        Ok(())
    }

    /// Unregisters a ring of provided buffers.
    ///
    /// # Safety
    ///
    /// `arg` is an `io_uring_buf_reg`.
    unsafe fn remove_group(&mut self, arg: *mut c_void, nr_args: u32) -> Result<(), Errno> {
        // SAFETY: the caller keeps the contract.
        let reg: io_uring_buf_reg = unsafe { one(arg, nr_args) }?;
        if reg.resv != [0; 5] || !reg.flags.is_empty() {
            return Err(Errno::INVAL);
        }
        self.groups.remove(&reg.bgid).map(drop).ok_or(Errno::NOENT)
    }

    /// Reports the kernel's position in a ring of provided buffers.
    ///
    /// # Safety
    ///
    /// `arg` is an `io_uring_buf_status`, valid for writes.
    unsafe fn group_status(&mut self, arg: *mut c_void, nr_args: u32) -> Result<(), Errno> {
        // SAFETY: the caller keeps the contract.
        let mut status: io_uring_buf_status = unsafe { one(arg, nr_args) }?;
        if status.resv != [0; 8] {
            return Err(Errno::INVAL);
        }
        let group = u16::try_from(status.buf_group).ok().and_then(|group| self.groups.get(&group));
        status.head = u32::from(group.ok_or(Errno::NOENT)?.head);
        // SAFETY: the caller keeps the contract.
        unsafe { ARGUMENTS.write(arg.cast(), status) }
    }
}

/// Reports which operations are supported.
///
/// # Safety
///
/// `arg` is an `io_uring_probe` followed by room for `nr_args` operations, valid for reads and
/// writes.
unsafe fn probe(arg: *mut c_void, nr_args: u32) -> Result<(), Errno> {
    let room = u8::try_from(nr_args).unwrap_or(u8::MAX);
    if nr_args > 256 {
        return Err(Errno::INVAL);
    }
    let bytes: *mut u8 = arg.cast();
    let len = size_of::<io_uring_probe>() + nr_args as usize * size_of::<io_uring_probe_op>();
    let mut table = std::vec![0; len];
    // SAFETY: the whole table, by the contract.
    unsafe { ARGUMENTS.take(bytes, &mut table) }?;
    if table.iter().any(|byte| *byte != 0) {
        return Err(Errno::INVAL);
    }
    let ops_len = room.min(IORING_OP_LAST);
    let last_op = Opcode::from_raw(IORING_OP_LAST - 1);
    let head = io_uring_probe { last_op, ops_len, ..io_uring_probe::ZEROED };
    // SAFETY: as above.
    unsafe { ARGUMENTS.write(bytes.cast(), head) }?;
    let ops = bytes.wrapping_add(offset_of!(io_uring_probe, ops)).cast::<io_uring_probe_op>();
    for raw in 0..ops_len {
        let op = Opcode::from_raw(raw);
        let mut flags = ProbeOpFlags::empty();
        flags.set(ProbeOpFlags::SUPPORTED, KNOWN.contains(&op));
        let told = io_uring_probe_op { op, flags, ..io_uring_probe_op::ZEROED };
        // SAFETY: the index is below `nr_args`, and there is room for that many operations.
        unsafe { ARGUMENTS.write(ops.wrapping_add(usize::from(raw)), told) }?;
    }
    Ok(())
}
