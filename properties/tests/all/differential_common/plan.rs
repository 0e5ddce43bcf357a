//! What has to come of a script, found out by the system calls that do the same one by one.

use core::ffi::c_int;

use ringbolt::ops::IoVec;
use rustix::fd::AsRawFd as _;
use rustix::io::Errno;

use super::memory::{Files, Memory};
use super::script::{Chain, FAR, Form, OnFile, Op, Place, Script, Then};

/// A number that no descriptor has.
pub(crate) const NO_FD: c_int = i32::MAX - 1;

/// What a completion tells.
pub(crate) type Told = Result<u32, Errno>;

/// An operation, as it is to be carried out.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    /// Its place in memory, and what it is to be recognised by.
    pub(crate) place: usize,
    /// What its completion has to tell; none is to come without.
    pub(crate) told: Option<Told>,
}

/// Steps that are pushed together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) steps: Vec<Step>,
    /// Everything before has to have completed when this is pushed.
    pub(crate) awaits: bool,
    pub(crate) reserved: bool,
    pub(crate) then: Then,
}

/// A script with everything that it has to come to.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) batches: Vec<Batch>,
}

impl Plan {
    /// How many operations the chains of `script` have.
    pub(crate) fn places(script: &Script) -> usize {
        let chains = script.phases.iter().flat_map(|phase| &phase.chains);
        chains.map(|chain| chain.ops.len()).sum()
    }

    /// Carries `script` out on `files`, by calls that a kernel has had for long.
    ///
    /// Chains of one phase are given ranges of the file that have nothing in common, so that
    /// there is one thing that can come of them, in whichever order they are carried out.
    pub(crate) fn of(script: &Script, files: &Files, memory: &mut Memory) -> Self {
        let mut plan = Self::default();
        let mut place = 0;
        for phase in &script.phases {
            let alone = phase.chains.len() == 1;
            let lanes = lanes(files.len(), phase.chains.len());
            for (index, (chain, lane)) in phase.chains.iter().zip(lanes).enumerate() {
                let mut ops = chain.ops.clone();
                let awaits = index == 0 && (phase.awaited || script.skips);
                if index == 0 && !awaits {
                    ops.iter_mut().take(1).for_each(|op| op.drains = true);
                    // What is refused is refused at once, and holds nothing back.
                    ops.iter_mut().for_each(|op| op.unknown = false);
                }
                tidy(script, &mut ops);
                if !alone {
                    ops.iter_mut().for_each(|op| confine(op, lane));
                }
                let steps = carry_out(ops, place, files, memory);
                place += steps.len();
                let Chain { reserved, then, .. } = *chain;
                plan.batches.push(Batch { steps, awaits, reserved, then });
            }
        }
        plan
    }

    /// What has to be told in all.
    pub(crate) fn told(&self) -> Vec<(u64, Told)> {
        let steps = self.batches.iter().flat_map(|batch| &batch.steps);
        steps.filter_map(|step| Some((step.place as u64, step.told?))).collect()
    }
}

/// Parts of a file of `len` bytes, the last of which goes on beyond its end.
fn lanes(len: u64, count: usize) -> impl Iterator<Item = (u64, u64)> {
    let count = count as u64;
    let lane = len / count;
    (0..count).map(move |n| (n * lane, if n + 1 == count { u64::MAX } else { (n + 1) * lane }))
}

/// Takes away from a chain what does not go together.
fn tidy(script: &Script, ops: &mut [Op]) {
    let unknown = ops.iter().position(|op| op.unknown);
    let last = ops.len() - 1;
    for (index, op) in ops.iter_mut().enumerate() {
        op.unknown = unknown == Some(index);
        op.drains &= !script.skips;
        // Of a chain that ends with such a one, nobody would know when it has ended.
        op.skips &= script.skips && index < last && unknown.is_none();
        if matches!(op.form, Form::NoVectors) {
            op.len = 0;
        }
        let is_open =
            if op.writes { op.file == OnFile::ReadWrite } else { op.file != OnFile::None };
        if let (Place::At(offset), false) = (op.place, is_open) {
            // Of two errors, a ring may find the other one first.
            op.place = Place::At(offset % FAR);
        }
    }
}

/// Moves `op` into a part of the file.
fn confine(op: &mut Op, (start, end): (u64, u64)) {
    let offset = match op.place {
        // What is refused wherever it is, is no matter.
        Place::At(offset) if offset > u64::from(u32::MAX) => return,
        Place::At(offset) => offset,
        Place::Position => 0,
    };
    if end == u64::MAX {
        // Beyond the other lanes, and not much beyond the end.
        op.place = Place::At(start + offset);
        return;
    }
    let offset = start + offset % (end - start).max(1);
    let room = usize::try_from(end - offset).expect("a short file");
    op.len = op.len.min(room);
    op.place = Place::At(offset);
}

/// Carries a chain out, and stops where a chain does.
fn carry_out(ops: Vec<Op>, first: usize, files: &Files, memory: &mut Memory) -> Vec<Step> {
    let unknown = ops.iter().position(|op| op.unknown);
    // Once it has failed: whether what is behind is told of.
    let mut failed: Option<bool> = None;
    let mut steps = Vec::with_capacity(ops.len());
    for (index, op) in ops.into_iter().enumerate() {
        let place = first + index;
        if op.writes {
            memory.fill(place, op.len);
        }
        let told = match (unknown, failed) {
            (Some(unknown), _) if unknown == index => Some(Err(Errno::INVAL)),
            (Some(_), _) => Some(Err(Errno::CANCELED)),
            (None, Some(is_told)) => is_told.then_some(Err(Errno::CANCELED)),
            (None, None) => {
                let result = call(&op, place, files, memory);
                let short = result.map(|len| len as usize) != Ok(op.len);
                if short && !op.hard {
                    failed = Some(!op.skips);
                }
                (short || !op.skips).then_some(result)
            }
        };
        steps.push(Step { op, place, told });
    }
    steps
}

/// The system call that does what `op` does.
fn call(op: &Op, place: usize, files: &Files, memory: &mut Memory) -> Told {
    let fd = match op.file {
        OnFile::ReadWrite => files.read_write.as_raw_fd(),
        OnFile::ReadOnly => files.read_only.as_raw_fd(),
        OnFile::None => NO_FD,
    };
    let done = match op.form {
        Form::Vectors(_) | Form::NoVectors => {
            let (vectors, count) = memory.vectors(place, op);
            // SAFETY: the vectors name memory of the operation's own.
            unsafe { transfer_vectors(op, fd, vectors, count) }
        }
        Form::Plain | Form::Registered => {
            // SAFETY: as many bytes as an operation has for itself.
            unsafe { transfer(op, fd, memory.place(place)) }
        }
        // SAFETY: there is no memory, which is what the kernel is to find out.
        Form::Nowhere => unsafe { transfer(op, fd, nowhere()) },
    };
    if let Ok(bytes) = u32::try_from(done) {
        return Ok(bytes);
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).expect("a system call's error"))
}

/// An address where no process has memory.
pub(crate) fn nowhere() -> *mut u8 {
    core::ptr::without_provenance_mut(8)
}

/// # Safety
///
/// `bytes` are as many as `op` says, valid for reads and writes, or not there at all.
unsafe fn transfer(op: &Op, fd: c_int, bytes: *mut u8) -> isize {
    let bytes = bytes.cast();
    match (op.writes, op.place) {
        // SAFETY: the caller's promise.
        (false, Place::Position) => unsafe { libc::read(fd, bytes, op.len) },
        // SAFETY: as above. The kernel is to see the same bits, as the signed number they are.
        (false, Place::At(at)) => unsafe { libc::pread64(fd, bytes, op.len, at as i64) },
        // SAFETY: as above.
        (true, Place::Position) => unsafe { libc::write(fd, bytes, op.len) },
        // SAFETY: as above.
        (true, Place::At(at)) => unsafe { libc::pwrite64(fd, bytes, op.len, at as i64) },
    }
}

/// # Safety
///
/// `vectors` are `count` vectors, of memory that is valid for reads and writes.
unsafe fn transfer_vectors(op: &Op, fd: c_int, vectors: *const IoVec, count: usize) -> isize {
    let vectors = vectors.cast();
    let count = c_int::try_from(count).expect("a few vectors");
    match (op.writes, op.place) {
        // SAFETY: the caller's promise.
        (false, Place::Position) => unsafe { libc::readv(fd, vectors, count) },
        // SAFETY: as above. The kernel is to see the same bits, as the signed number they are.
        (false, Place::At(at)) => unsafe { libc::preadv64(fd, vectors, count, at as i64) },
        // SAFETY: as above.
        (true, Place::Position) => unsafe { libc::writev(fd, vectors, count) },
        // SAFETY: as above.
        (true, Place::At(at)) => unsafe { libc::pwritev64(fd, vectors, count, at as i64) },
    }
}
