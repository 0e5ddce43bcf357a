//! What operations a kernel has, as it says itself.

use core::fmt;

use crate::sys::{Opcode, ProbeOpFlags, RegisterOp, io_uring_probe, io_uring_probe_op};

use super::{RegisterError, Registrar};

/// As many operations as an opcode can tell apart.
const MAX_OPS: usize = 256;

/// What operations this kernel has. From [`Registrar::probe`].
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
    /// Whether this kernel has the operation.
    pub fn supports(&self, opcode: Opcode) -> bool {
        let op = self.0.ops.get(usize::from(opcode.as_raw()));
        op.is_some_and(|op| op.flags.contains(ProbeOpFlags::SUPPORTED))
    }

    /// The highest opcode that this kernel knows of.
    pub const fn last_op(&self) -> Opcode {
        self.0.head.last_op
    }

    /// The operations that this kernel has, those without a name here included.
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
    /// Asks which operations this kernel has. `IORING_REGISTER_PROBE`, since Linux 5.6.
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 5.6.
    pub fn probe(&self) -> Result<Probe, RegisterError> {
        // The kernel refuses a table that is not zero.
        let mut table =
            Table { head: io_uring_probe::ZEROED, ops: [io_uring_probe_op::ZEROED; MAX_OPS] };
        // A pointer to the whole, so that it may be used for all of it.
        let arg = (&raw mut table).cast();
        // SAFETY: room for 256 operations behind the head, valid for reads and writes during
        // the call.
        unsafe { self.ask(RegisterOp::REGISTER_PROBE, arg, 256) }?;
        Ok(Probe(table))
    }
}
