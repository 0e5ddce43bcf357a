//! The program's memory that system calls and entries refer to.

use core::ptr::copy_nonoverlapping;

use rustix::io::Errno;

/// Addresses below this are never mapped.
const FIRST_PAGE: usize = 4096;

/// How the program's memory is accessed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    /// Whether addresses are those that the program gave. If not, none is dereferenced.
    pub(super) trusted: bool,
}

/// The memory that the arguments of a system call refer to.
pub(super) const ARGUMENTS: Program = Program { trusted: true };

impl Program {
    /// Fails with `EFAULT` for an invalid address.
    fn check(self, address: usize) -> Result<(), Errno> {
        if self.trusted && address >= FIRST_PAGE { Ok(()) } else { Err(Errno::FAULT) }
    }

    /// Reads a value from the program's memory.
    ///
    /// # Safety
    ///
    /// Unless it is in the first page, `from` is valid for reads, and every bit pattern that the
    /// program may have stored there is a `T`. It need not be aligned.
    pub(super) unsafe fn read<T: Copy>(self, from: *const T) -> Result<T, Errno> {
        self.check(from.addr())?;
        // SAFETY: the caller keeps the contract.
        Ok(unsafe { from.read_unaligned() })
    }

    /// Writes a value into the program's memory.
    ///
    /// # Safety
    ///
    /// Unless it is in the first page, `to` is valid for writes. It need not be aligned.
    pub(super) unsafe fn write<T: Copy>(self, to: *mut T, value: T) -> Result<(), Errno> {
        self.check(to.addr())?;
        // SAFETY: the caller keeps the contract.
        unsafe { to.write_unaligned(value) };
        Ok(())
    }

    /// Copies `bytes` into the program's memory.
    ///
    /// # Safety
    ///
    /// Unless it is in the first page, `to` is valid for writes of as many bytes.
    pub(super) unsafe fn give(self, to: *mut u8, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check(to.addr())?;
        // SAFETY: the caller keeps the contract; `bytes` belong to the kernel.
        unsafe { copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Copies bytes out of the program's memory.
    ///
    /// # Safety
    ///
    /// Unless it is in the first page, `from` is valid for reads of as many bytes as `bytes`.
    pub(super) unsafe fn take(self, from: *const u8, bytes: &mut [u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check(from.addr())?;
        // SAFETY: the caller keeps the contract; `bytes` belong to the kernel.
        unsafe { copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }
}
