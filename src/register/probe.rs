//! Which operations the running kernel reports as supported.

use core::fmt;

use crate::sys::{Opcode, ProbeOpFlags, RegisterOp, io_uring_probe, io_uring_probe_op};

use super::{RegisterError, Registrar};

/// The number of values of an opcode.
const MAX_OPS: usize = 256;

/// Which operations the running kernel supports. [`Registrar::probe`] returns it.
#[doc(alias = "io_uring_probe")]
#[derive(Clone)]
pub struct Probe(Table);

/// `struct io_uring_probe` with its flexible array at full length.
#[repr(C)]
#[derive(Clone)]
struct Table {
    head: io_uring_probe,
    ops: [io_uring_probe_op; MAX_OPS],
}

impl Probe {
    /// Whether the kernel supports the operation.
    #[doc(alias = "io_uring_opcode_supported")]
    pub fn supports(&self, opcode: Opcode) -> bool {
        let op = self.0.ops.get(usize::from(opcode.as_raw()));
        op.is_some_and(|op| op.flags.contains(ProbeOpFlags::SUPPORTED))
    }

    /// The highest opcode that the kernel knows.
    pub const fn last_op(&self) -> Opcode {
        self.0.head.last_op
    }

    /// The operations that the kernel supports, including those that have no name in this crate.
    pub fn supported(&self) -> impl Iterator<Item = Opcode> + '_ {
        (0..=u8::MAX).map(Opcode::from_raw).filter(|opcode| self.supports(*opcode))
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe ")?;
        f.debug_set().entries(self.supported()).finish()
    }
}

impl Registrar<'_> {
    /// Asks the kernel which operations it supports. `IORING_REGISTER_PROBE`, since Linux 5.6.
    ///
    /// ```
    /// use ringbolt::{IoUring, sys::Opcode};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let probe = ring.registrar().probe()?;
    /// assert!(probe.supports(Opcode::READ));
    /// println!("{probe:?}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 5.6.
    #[doc(alias("io_uring_get_probe", "io_uring_get_probe_ring", "io_uring_register_probe"))]
    #[doc(alias = "IORING_REGISTER_PROBE")]
    pub fn probe(&self) -> Result<Probe, RegisterError> {
        // The kernel refuses a table that is not all zero.
        let mut table =
            Table { head: io_uring_probe::ZEROED, ops: [io_uring_probe_op::ZEROED; MAX_OPS] };
        // A pointer to the whole table, so that its provenance covers all of it.
        let arg = (&raw mut table).cast();
        // SAFETY: there is room for 256 operations after the head, valid for reads and writes
        // during the call.
        unsafe { self.ask(RegisterOp::REGISTER_PROBE, arg, 256) }?;
        Ok(Probe(table))
    }
}
