//! What reads and writes of all kinds have in common: their entry, and their options.
#![forbid(unsafe_code)]

use crate::entry::Sqe;
use crate::sys::{Opcode, SharedPtr};

use super::{Target, on};

/// Without an offset given, the file position is used and moved, as read(2) and write(2) do.
const CURRENT_POSITION: u64 = u64::MAX;

/// An entry that transfers `len` bytes, or as many vectors, from or to `addr`.
#[inline(always)]
pub(super) const fn transfer(opcode: Opcode, target: Target, addr: SharedPtr, len: u32) -> Sqe {
    let mut sqe = on(opcode, target);
    sqe.set_addr(addr);
    sqe.set_len(len);
    sqe.set_off(CURRENT_POSITION);
    sqe
}

/// The same in registered buffer `buf_index`.
#[inline(always)]
pub(super) const fn in_buffer(
    opcode: Opcode,
    target: Target,
    addr: SharedPtr,
    len: u32,
    buf_index: u16,
) -> Sqe {
    let mut sqe = transfer(opcode, target, addr, len);
    sqe.set_buf_index(buf_index);
    sqe
}

/// The options of writes.
macro_rules! write_options {
    ($($op:ident<$entry:ident>),+) => {$(
        impl<$entry> $op<$entry> {
            /// Groups what is written with other data of the same `stream`, on devices that
            /// keep streams apart; 0 for none. Since Linux 6.16.
            #[inline(always)]
            pub const fn stream(mut self, stream: u8) -> Self {
                let write_stream =
                    $crate::sys::sqe_write_stream { write_stream: stream, __pad4: [0; 3] };
                self.0.as_raw_mut().file = $crate::sys::sqe_file { write_stream };
                self
            }
        }
    )+};
}
pub(super) use write_options;

/// The options of all transfers.
macro_rules! transfer_options {
    ($($op:ident<$entry:ident>),+) => {$(
        impl<$entry> $op<$entry> {
            /// At `offset` bytes from the start of the file, leaving the file position alone.
            ///
            /// Without this the file position is used and moved
            /// ([`Features::RW_CUR_POS`](crate::sys::Features::RW_CUR_POS), since Linux 5.6);
            /// with several transfers in flight their order is then undefined. Files that
            /// cannot seek pay no attention to it.
            #[inline(always)]
            pub const fn offset(mut self, offset: u64) -> Self {
                self.0.set_off(offset);
                self
            }

            /// Adds `RWF_` flags, as for `preadv2(2)` and `pwritev2(2)`.
            #[inline(always)]
            pub const fn flags(mut self, flags: $crate::sys::RwFlags) -> Self {
                $crate::ops::add_flags(&mut self.0, flags.bits());
                self
            }

            /// The I/O priority, as for
            /// [`ioprio_set(2)`](https://man7.org/linux/man-pages/man2/ioprio_set.2.html).
            #[inline(always)]
            pub const fn ioprio(mut self, ioprio: u16) -> Self {
                self.0.set_ioprio(ioprio);
                self
            }
        }
    )+};
}
pub(super) use transfer_options;

/// The options of transfers that name memory by its address.
macro_rules! protection {
    ($($op:ident),+) => {$(
        impl $op {
            /// Sends protection information along, which the device checks or fills in.
            /// `IORING_RW_ATTR_FLAG_PI`
            /// ([`Features::RW_ATTR`](crate::sys::Features::RW_ATTR), since Linux 6.14).
            ///
            /// The struct must stay until taken; the memory that it names must stay, and not
            /// be touched, until the completion has been popped.
            #[inline(always)]
            #[doc(alias = "IORING_RW_ATTR_FLAG_PI")]
            pub const fn protection(
                mut self,
                information: *const $crate::sys::io_uring_attr_pi,
            ) -> Self {
                self.0.as_raw_mut().tail = $crate::sys::sqe_tail {
                    attr: $crate::sys::sqe_attr {
                        attr_ptr: $crate::sys::SharedPtr::new(information),
                        attr_type_mask: $crate::sys::RwAttrFlags::PI.bits(),
                    },
                };
                self
            }
        }
    )+};
}
pub(super) use protection;
