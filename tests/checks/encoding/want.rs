//! [`Want`]: what an entry has to look like, written by the kernel's offsets.

use ringbolt::Sqe128;
use ringbolt::ops::{DestSlot, Fixed, Target};
use ringbolt::sys::Opcode;

/// The bytes of an entry; those that nobody sets are 0, as the kernel wants them.
#[derive(Clone, Copy)]
pub(crate) struct Want {
    pub(super) bytes: [u8; 128],
}

/// `IOSQE_FIXED_FILE`, `IOSQE_BUFFER_SELECT`.
const FIXED_FILE: u8 = 1;
const BUFFER_SELECT: u8 = 1 << 5;

impl Want {
    pub(super) fn new(opcode: Opcode, user_data: u64) -> Self {
        let zeros = Self { bytes: [0; 128] };
        zeros.put(0, [opcode.as_raw()]).put(32, user_data.to_ne_bytes())
    }

    pub(super) fn put<const N: usize>(mut self, at: usize, value: [u8; N]) -> Self {
        self.bytes[at..at + N].copy_from_slice(&value);
        self
    }

    pub(super) fn flag(mut self, flag: u8) -> Self {
        self.bytes[1] |= flag;
        self
    }

    pub(super) fn ioprio(self, value: u16) -> Self {
        self.put(2, value.to_ne_bytes())
    }

    pub(super) fn fd(self, value: i32) -> Self {
        self.put(4, value.to_ne_bytes())
    }

    pub(super) fn on(self, target: Target) -> Self {
        match target {
            Target::Fd(fd) => self.fd(fd),
            Target::Fixed(Fixed(slot)) => self.put(4, slot.to_ne_bytes()).flag(FIXED_FILE),
        }
    }

    pub(super) fn off(self, value: u64) -> Self {
        self.put(8, value.to_ne_bytes())
    }

    pub(super) fn addr(self, value: u64) -> Self {
        self.put(16, value.to_ne_bytes())
    }

    pub(super) fn len(self, value: u32) -> Self {
        self.put(24, value.to_ne_bytes())
    }

    pub(super) fn op_flags(self, value: u32) -> Self {
        self.put(28, value.to_ne_bytes())
    }

    pub(super) fn buf(self, value: u16) -> Self {
        self.put(40, value.to_ne_bytes())
    }

    pub(super) fn group(self, value: u16) -> Self {
        self.buf(value).flag(BUFFER_SELECT)
    }

    pub(super) fn file(self, value: u32) -> Self {
        self.put(44, value.to_ne_bytes())
    }

    /// Where a new file goes: slots count from 1, and one beyond them all stays one.
    pub(super) fn dest(self, slot: DestSlot) -> Self {
        match slot {
            DestSlot::Alloc => self.file(0xffff_ffff),
            DestSlot::At(Fixed(slot)) => {
                let counted = u64::from(slot) + 1;
                self.file(u32::try_from(counted.min(0xffff_fffe)).expect("it was cut"))
            }
        }
    }

    pub(super) fn addr3(self, value: u64) -> Self {
        self.put(48, value.to_ne_bytes())
    }

    pub(super) fn last(self, value: u64) -> Self {
        self.put(56, value.to_ne_bytes())
    }

    /// Poll events, whose halves are the other way around where bytes are.
    pub(super) fn events(self, value: u32) -> Self {
        let swapped = cfg!(target_endian = "big");
        self.op_flags(if swapped { value.rotate_left(16) } else { value })
    }

    /// Fails with both entries, eight bytes to a line, where they differ.
    pub(super) fn expect(&self, entry: &Sqe128, printed: &str) {
        let head = entry.sqe.to_bytes();
        let made = [&head[..], &entry.payload].concat();
        assert!(
            made == self.bytes,
            "{printed}\nmade {:#?}\nwant {:#?}",
            lines(&made),
            self.lines()
        );
    }

    fn lines(&self) -> Vec<String> {
        lines(&self.bytes)
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    bytes.chunks(8).map(|word| format!("{word:02x?}")).collect()
}
