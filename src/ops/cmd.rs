//! Commands that a file interprets by itself: sockets, block devices, drivers.
#![forbid(unsafe_code)]

use core::ffi::c_void;
use core::marker::PhantomData;

use rustix::net::addr::{SocketAddrLen, SocketAddrStorage};

use crate::entry::{Sqe, Sqe128};
use crate::sys::{
    BlockUringCmd, Opcode, SharedPtr, SocketCmd, UringCmdFlags, sqe_addr, sqe_cmd_op, sqe_off,
    sqe_sockopt, sqe_tail,
};

use super::{Bytes, IntoTarget, Lent, On, SocketOption, Span, Target, add_flags, on, op, sqe};

/// A command that the file's driver interprets.
///
/// `IORING_OP_URING_CMD`. Since Linux 5.19. The result, the errors, and what must stay until when
/// are the driver's.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::UringCmd;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// let file = std::fs::File::open("Cargo.toml")?;
/// let entry = UringCmd::new(&file, 0).sqe(1);
/// // SAFETY: the file has no driver that takes commands.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert!(cqe.result().is_err());
/// # Ok(())
/// # }
/// ```
#[doc(alias = "IORING_OP_URING_CMD")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_uring_cmd")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct UringCmd(Sqe);

/// A command with a payload of 80 bytes, on a ring with 128-byte entries or mixed ones.
///
/// `IORING_OP_URING_CMD` on the former, since Linux 5.19, and `IORING_OP_URING_CMD128` on the
/// latter, since Linux 6.19. As [`UringCmd`] otherwise.
///
/// ```
/// use ringbolt::ops::{Target, UringCmd80};
///
/// let device = Target::Fd(7);
/// let entry = UringCmd80::new(device, 1, [0xa5; 80]).sqe(7);
/// assert_eq!(entry.payload, [0xa5; 64]); // After the first 16 bytes.
/// ```
#[doc(alias = "IORING_OP_URING_CMD128")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_uring_cmd128")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct UringCmd80(Sqe128);

/// Asks how many bytes wait on a socket, or sets and reads its options.
///
/// `IORING_OP_URING_CMD` with `SOCKET_URING_OP_` commands, like [`getsockopt(2)`] and its kin.
/// Since Linux 6.6, options since 6.7.
///
/// On a [`Fixed`](super::Fixed) slot, those that ask for a count or for time stamps are pushed
/// safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::SocketCommand;
/// use std::io::Write;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
/// let (socket, _) = listener.accept()?;
/// peer.write_all(b"hello")?;
/// let entry = SocketCommand::bytes_to_read(&socket).sqe(1);
/// // SAFETY: `socket` stays open until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// # if cqe.result().is_ok() {
/// assert_eq!(cqe.result(), Ok(5));
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// A count of bytes ([`bytes_to_read`](Self::bytes_to_read),
/// [`bytes_to_send`](Self::bytes_to_send)), the length of the option's value
/// ([`get_option`](Self::get_option)), or 0.
///
/// # Errors
///
/// `ENOTSOCK`, `EOPNOTSUPP` for a level or a socket that cannot, `ENOPROTOOPT`, `EFAULT`, `EINVAL`.
///
/// [`getsockopt(2)`]: https://man7.org/linux/man-pages/man2/getsockopt.2.html
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_cmd_sock", "io_uring_prep_cmd_getsockname"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct SocketCommand<E = Sqe>(Sqe, PhantomData<E>);

/// Discards a range of a block device.
///
/// `IORING_OP_URING_CMD` with `BLOCK_URING_CMD_DISCARD`, like the ioctl `BLKDISCARD`. Since Linux
/// 6.12. **What was there is lost.**
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::BlockDiscard;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// let file = std::fs::File::open("Cargo.toml")?;
/// let entry = BlockDiscard::new(&file, 0, 4096).sqe(1);
/// // SAFETY: `file` stays open until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert!(cqe.result().is_err()); // It is no block device.
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `EBADF` if not open for writing, `EINVAL` for a range that is not aligned or not on the device,
/// `EOPNOTSUPP` if the device cannot.
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_cmd_discard")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct BlockDiscard<E = Sqe>(Sqe, PhantomData<E>);

#[inline(always)]
const fn command(opcode: Opcode, file: Target, code: u32) -> Sqe {
    let mut sqe = on(opcode, file);
    sqe.as_raw_mut().off = sqe_off { cmd: sqe_cmd_op { cmd_op: code, __pad1: 0 } };
    sqe
}

impl UringCmd {
    /// Command `code` of `file`'s driver.
    #[inline(always)]
    pub fn new(file: impl IntoTarget, code: u32) -> Self {
        Self(command(Opcode::URING_CMD, file.into_target(), code))
    }

    /// The payload.
    #[inline(always)]
    pub const fn payload(mut self, cmd: [u8; 16]) -> Self {
        self.0.as_raw_mut().tail = sqe_tail { cmd };
        self
    }

    /// Adds `IORING_URING_CMD_` flags.
    #[inline(always)]
    pub const fn flags(mut self, flags: UringCmdFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }

    /// Uses registered buffer `buf_index`. `IORING_URING_CMD_FIXED`, since Linux 6.1.
    #[inline(always)]
    #[doc(alias = "IORING_URING_CMD_FIXED")]
    pub const fn fixed_buffer(mut self, buf_index: u16) -> Self {
        self.0.set_buf_index(buf_index);
        self.flags(UringCmdFlags::FIXED)
    }

    /// The field `addr`, which some drivers read.
    #[inline(always)]
    pub const fn addr(mut self, addr: SharedPtr) -> Self {
        self.0.set_addr(addr);
        self
    }

    /// The field `len`, which some drivers read.
    #[inline(always)]
    pub const fn len(mut self, len: u32) -> Self {
        self.0.set_len(len);
        self
    }
}

impl UringCmd80 {
    /// Command `code` of `file`'s driver with its payload, for a ring whose entries all have 128
    /// bytes.
    #[inline(always)]
    pub fn new(file: impl IntoTarget, code: u32, payload: [u8; 80]) -> Self {
        Self(wide(command(Opcode::URING_CMD, file.into_target(), code), payload))
    }

    /// The same for a ring with mixed entries.
    #[inline(always)]
    pub fn mixed(file: impl IntoTarget, code: u32, payload: [u8; 80]) -> Self {
        Self(wide(command(Opcode::URING_CMD128, file.into_target(), code), payload))
    }

    /// Adds `IORING_URING_CMD_` flags.
    #[inline(always)]
    pub const fn flags(mut self, flags: UringCmdFlags) -> Self {
        add_flags(&mut self.0.sqe, flags.bits());
        self
    }

    /// The entry, with the `user_data` of its completions.
    #[must_use = "an entry does nothing before it is pushed"]
    #[inline(always)]
    pub const fn sqe(mut self, user_data: u64) -> Sqe128 {
        self.0.sqe.set_user_data(user_data);
        self.0
    }
}

/// An entry whose payload starts in its last 16 bytes and continues after them.
#[inline(always)]
fn wide(mut sqe: Sqe, payload: [u8; 80]) -> Sqe128 {
    // Both are there, which the compiler knows: 80 bytes are 16 and 64.
    let cmd = payload.first_chunk().copied().unwrap_or([0; 16]);
    let rest = payload.last_chunk().copied().unwrap_or([0; 64]);
    sqe.as_raw_mut().tail = sqe_tail { cmd };
    Sqe128 { sqe, payload: rest }
}

impl SocketCommand {
    /// How many bytes wait to be received. `SOCKET_URING_OP_SIOCINQ`, since Linux 6.6.
    #[inline(always)]
    pub fn bytes_to_read<F: IntoTarget>(socket: F) -> SocketCommand<F::Entry> {
        SocketCommand(Self::new(socket, SocketCmd::SIOCINQ).0, PhantomData)
    }

    /// How many bytes have not been sent, or not acknowledged. `SOCKET_URING_OP_SIOCOUTQ`, since
    /// Linux 6.6.
    #[inline(always)]
    pub fn bytes_to_send<F: IntoTarget>(socket: F) -> SocketCommand<F::Entry> {
        SocketCommand(Self::new(socket, SocketCmd::SIOCOUTQ).0, PhantomData)
    }

    /// Reads option `name` of `level` into the `len` bytes at `value`, which must stay, and not be
    /// touched, until the completion has been popped. `SOCKET_URING_OP_GETSOCKOPT`, since Linux
    /// 6.7; only for `SOL_SOCKET`.
    ///
    /// For `SO_GET_FILTER`, `len` counts instructions: the kernel stores up to `8 * len` bytes.
    #[inline(always)]
    pub fn get_option(
        socket: impl IntoTarget,
        level: u32,
        name: u32,
        value: *mut c_void,
        len: u32,
    ) -> Self {
        let this = Self::new(socket, SocketCmd::GETSOCKOPT);
        this.option(level, name, SharedPtr::from_mut(value), len)
    }

    /// Sets option `name` of `level` to the `len` bytes at `value`, which must stay until the
    /// completion has been popped. `SOCKET_URING_OP_SETSOCKOPT`, since Linux 6.7.
    #[inline(always)]
    pub fn set_option(
        socket: impl IntoTarget,
        level: u32,
        name: u32,
        value: *const c_void,
        len: u32,
    ) -> Self {
        let this = Self::new(socket, SocketCmd::SETSOCKOPT);
        this.option(level, name, SharedPtr::new(value), len)
    }

    /// Reads the time stamps of what was sent, one completion each, until there are none left.
    /// `SOCKET_URING_OP_TX_TIMESTAMP`, since Linux 6.17; on a ring with wide completions, whose
    /// second half is the time.
    #[inline(always)]
    pub fn tx_timestamps<F: IntoTarget>(socket: F) -> SocketCommand<F::Entry> {
        // `IORING_URING_CMD_MULTISHOT` is for commands that pick buffers: with it, this is refused.
        SocketCommand(Self::new(socket, SocketCmd::TX_TIMESTAMP).0, PhantomData)
    }

    /// Stores the socket's own address, and at `len` its length, which holds the room there is.
    /// Both must stay, and not be touched, until the completion has been popped.
    /// `SOCKET_URING_OP_GETSOCKNAME`, since Linux 6.19.
    #[inline(always)]
    pub fn own_address(
        socket: impl IntoTarget,
        address: *mut SocketAddrStorage,
        len: *mut SocketAddrLen,
    ) -> Self {
        Self::new(socket, SocketCmd::GETSOCKNAME).address(address, len)
    }

    /// Stores the address of the socket's peer; as [`own_address`](Self::own_address).
    #[inline(always)]
    pub fn peer_address(
        socket: impl IntoTarget,
        address: *mut SocketAddrStorage,
        len: *mut SocketAddrLen,
    ) -> Self {
        let mut this = Self::new(socket, SocketCmd::GETSOCKNAME).address(address, len);
        this.0.set_file_index(1);
        this
    }

    #[inline(always)]
    fn new(socket: impl IntoTarget, code: SocketCmd) -> Self {
        Self::on(socket.into_target(), code)
    }

    #[inline(always)]
    const fn address(mut self, address: *mut SocketAddrStorage, len: *mut SocketAddrLen) -> Self {
        self.0.set_addr(SharedPtr::from_mut(address));
        self.0.set_addr3(SharedPtr::from_mut(len));
        self
    }
}

impl<E> SocketCommand<E> {
    #[inline(always)]
    const fn on(socket: Target, code: SocketCmd) -> Self {
        Self(command(Opcode::URING_CMD, socket, code.as_raw()), PhantomData)
    }

    #[inline(always)]
    const fn option(mut self, level: u32, optname: u32, optval: SharedPtr, optlen: u32) -> Self {
        self.0.as_raw_mut().addr = sqe_addr { sockopt: sqe_sockopt { level, optname } };
        self.0.set_addr3(optval);
        self.0.set_file_index(optlen);
        self
    }
}

impl<'a> SocketCommand<Lent<'a>> {
    /// How many bytes wait to be received, for a job of the [safe front](crate::jobs).
    /// `SOCKET_URING_OP_SIOCINQ`, since Linux 6.6.
    #[inline(always)]
    pub fn bytes_to_read_lent(socket: impl Into<On<'a>>) -> Self {
        Self::on(socket.into().target(), SocketCmd::SIOCINQ)
    }

    /// How many bytes have not been sent, or not acknowledged, for a job of the
    /// [safe front](crate::jobs). `SOCKET_URING_OP_SIOCOUTQ`, since Linux 6.6.
    #[inline(always)]
    pub fn bytes_to_send_lent(socket: impl Into<On<'a>>) -> Self {
        Self::on(socket.into().target(), SocketCmd::SIOCOUTQ)
    }

    /// Reads `option` into `value`, for a job of the [safe front](crate::jobs).
    /// `SOCKET_URING_OP_GETSOCKOPT`, since Linux 6.7; only for options of the level `SOL_SOCKET`.
    #[inline(always)]
    pub fn get_option_lent(
        socket: impl Into<On<'a>>,
        option: SocketOption,
        value: impl Into<Span<'a>>,
    ) -> Self {
        let value = value.into();
        let this = Self::on(socket.into().target(), SocketCmd::GETSOCKOPT);
        let (start, len) = (SharedPtr::from_mut(value.as_mut_ptr()), value.len_field());
        this.option(option.level, option.name, start, len)
    }

    /// Sets `option` to `value`, for a job of the [safe front](crate::jobs).
    /// `SOCKET_URING_OP_SETSOCKOPT`, since Linux 6.7.
    #[inline(always)]
    pub fn set_option_lent(
        socket: impl Into<On<'a>>,
        option: SocketOption,
        value: impl Into<Bytes<'a>>,
    ) -> Self {
        let value = value.into();
        let this = Self::on(socket.into().target(), SocketCmd::SETSOCKOPT);
        let (start, len) = (SharedPtr::new(value.as_ptr()), value.len_field());
        this.option(option.level, option.name, start, len)
    }
}

impl BlockDiscard {
    /// Discards `len` bytes of `device` from `offset` on.
    #[inline(always)]
    pub fn new(device: impl IntoTarget, offset: u64, len: u64) -> Self {
        Self(discard(device.into_target(), offset, len), PhantomData)
    }
}

impl<'a> BlockDiscard<Lent<'a>> {
    /// Discards `len` bytes of `device` from `offset` on, for a job of the
    /// [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(device: impl Into<On<'a>>, offset: u64, len: u64) -> Self {
        Self(discard(device.into().target(), offset, len), PhantomData)
    }
}

/// An entry that discards a range of `device`.
#[inline(always)]
const fn discard(device: Target, offset: u64, len: u64) -> Sqe {
    let mut sqe = command(Opcode::URING_CMD, device, BlockUringCmd::DISCARD.as_raw());
    sqe.set_addr_raw(offset);
    sqe.set_tail([len, 0]);
    sqe
}

sqe!(UringCmd, BlockDiscard);
sqe!(either: SocketCommand);
op!(BlockDiscard: Nothing, SocketCommand: Nothing);
