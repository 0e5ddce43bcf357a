//! The program's memory, as system calls and entries name it.

use core::ptr::copy_nonoverlapping;

use rustix::io::Errno;

/// Below this there is never memory.
const FIRST_PAGE: usize = 4096;

/// How the program's memory is reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    /// Whether addresses are what the program gave. If not, none is followed.
    pub(super) trusted: bool,
}

/// The memory that a system call names in its own arguments.
pub(super) const ARGUMENTS: Program = Program { trusted: true };

impl Program {
    /// `EFAULT` for an address that cannot be one.
    fn check(self, address: usize) -> Result<(), Errno> {
        if self.trusted && address >= FIRST_PAGE { Ok(()) } else { Err(Errno::FAULT) }
    }

    /// A value of the program's.
    ///
    /// # Safety
    ///
    /// Unless it is below the first page, `from` is valid for reads, and any bytes that the program
    /// may have put there are a `T`. It need not be aligned.
    pub(super) unsafe fn read<T: Copy>(self, from: *const T) -> Result<T, Errno> {
        self.check(from.addr())?;
        // SAFETY: the caller's promise.
        Ok(unsafe { from.read_unaligned() })
    }

    /// Writes a value into the program's memory.
    ///
    /// # Safety
    ///
    /// Unless it is below the first page, `to` is valid for writes. It need not be aligned.
    pub(super) unsafe fn write<T: Copy>(self, to: *mut T, value: T) -> Result<(), Errno> {
        self.check(to.addr())?;
        // SAFETY: the caller's promise.
        unsafe { to.write_unaligned(value) };
        Ok(())
    }

    /// Copies `bytes` into the program's memory.
    ///
    /// # Safety
    ///
    /// Unless it is below the first page, `to` is valid for writes of as many bytes.
    pub(super) unsafe fn give(self, to: *mut u8, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check(to.addr())?;
        // SAFETY: the caller's promise; `bytes` are the kernel's own.
        unsafe { copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Copies bytes out of the program's memory.
    ///
    /// # Safety
    ///
    /// Unless it is below the first page, `from` is valid for reads of as many bytes as `bytes`.
    pub(super) unsafe fn take(self, from: *const u8, bytes: &mut [u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check(from.addr())?;
        // SAFETY: the caller's promise; `bytes` are the kernel's own.
        unsafe { copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }
}
