//! Errors and completions as text, with the names that manual pages use: [`ErrnoText`].
#![forbid(unsafe_code)]

use core::fmt;

use rustix::io::Errno;

use crate::entry::{CqEntry, Cqe, Cqe32, CqeMixed};

/// An errno with its name, for messages: `ENOENT (2): No such file or directory`.
///
/// [`Errno`] itself prints no name. Without the feature `std` the text after the number is left
/// out. An errno that has no name is printed as a number.
///
/// ```
/// use ringbolt::{ErrnoText, IoUring, ops::RawOp, sys::Opcode};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// let unknown = RawOp::new(Opcode::from_raw(u8::MAX)).sqe(7);
/// // SAFETY: no kernel has this operation, and it names nothing.
/// unsafe { ring.submission().push(unknown) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// let errno = cqe.result().expect_err("the kernel refuses it");
/// assert_eq!(ErrnoText(errno).name(), Some("EINVAL"));
/// assert!(ErrnoText(errno).to_string().starts_with("EINVAL (22)"));
/// // A completion prints its error in the same way.
/// assert!(cqe.to_string().starts_with("user_data 0x7: EINVAL (22)"));
/// # Ok(())
/// # }
/// ```
///
/// See [`errno(3)`](https://man7.org/linux/man-pages/man3/errno.3.html).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErrnoText(pub Errno);

macro_rules! name_of {
    ($errno:expr, $($name:ident)*) => {
        match $errno {
            // These are not called as the kernel calls them.
            Errno::ACCESS => Some("EACCES"),
            Errno::TOOBIG => Some("E2BIG"),
            $(Errno::$name => Some(concat!("E", stringify!($name))),)*
            _ => None,
        }
    };
}

impl ErrnoText {
    /// The name, `ENOENT` for example, or `None` for a number that has no name.
    ///
    /// Of two names for one number this returns the one that manual pages of the kernel use:
    /// `EAGAIN`, not `EWOULDBLOCK`; `EOPNOTSUPP`, not `ENOTSUP`; `EDEADLK`, not `EDEADLOCK`.
    pub const fn name(self) -> Option<&'static str> {
        name_of!(
            self.0,
            ADDRINUSE ADDRNOTAVAIL ADV AFNOSUPPORT AGAIN ALREADY BADE BADF BADFD BADMSG BADR
            BADRQC BADSLT BFONT BUSY CANCELED CHILD CHRNG COMM CONNABORTED CONNREFUSED CONNRESET
            DEADLK DESTADDRREQ DOM DOTDOT DQUOT EXIST FAULT FBIG HOSTDOWN HOSTUNREACH HWPOISON
            IDRM ILSEQ INPROGRESS INTR INVAL IO ISCONN ISDIR ISNAM KEYEXPIRED KEYREJECTED
            KEYREVOKED L2HLT L2NSYNC L3HLT L3RST LIBACC LIBBAD LIBEXEC LIBMAX LIBSCN LNRNG LOOP
            MEDIUMTYPE MFILE MLINK MSGSIZE MULTIHOP NAMETOOLONG NAVAIL NETDOWN NETRESET
            NETUNREACH NFILE NOANO NOBUFS NOCSI NODATA NODEV NOENT NOEXEC NOKEY NOLCK NOLINK
            NOMEDIUM NOMEM NOMSG NONET NOPKG NOPROTOOPT NOSPC NOSR NOSTR NOSYS NOTBLK NOTCONN
            NOTDIR NOTEMPTY NOTNAM NOTRECOVERABLE NOTSOCK NOTTY NOTUNIQ NXIO OPNOTSUPP OVERFLOW
            OWNERDEAD PERM PFNOSUPPORT PIPE PROTO PROTONOSUPPORT PROTOTYPE RANGE REMCHG REMOTE
            REMOTEIO RESTART RFKILL ROFS SHUTDOWN SOCKTNOSUPPORT SPIPE SRCH SRMNT STALE STRPIPE
            TIME TIMEDOUT TOOMANYREFS TXTBSY UCLEAN UNATCH USERS XDEV XFULL
        )
    }
}

impl fmt::Display for ErrnoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.raw_os_error();
        match self.name() {
            Some(name) => write!(f, "{name} ({number})")?,
            None => write!(f, "errno {number}")?,
        }
        #[cfg(feature = "std")]
        {
            // The text ends with the number once more.
            let text = std::string::ToString::to_string(&self.0);
            let text = text.split(" (os error").next().unwrap_or_default();
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ErrnoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The `user_data`, and what the operation returned.
fn fmt_completion(cqe: &Cqe, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "user_data {:#x}: ", cqe.user_data())?;
    match cqe.result() {
        _ if cqe.is_notification() => f.write_str("notification"),
        Ok(value) => write!(f, "result {value}"),
        Err(errno) => fmt::Display::fmt(&ErrnoText(errno), f),
    }
}

impl fmt::Display for Cqe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_completion(self, f)
    }
}

impl fmt::Display for Cqe32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_completion(self.as_cqe(), f)
    }
}

impl fmt::Display for CqeMixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_completion(self.as_cqe(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::{Cqe, Cqe32, CqeMixed, Errno, ErrnoText};
    use crate::sys::{CqeFlags, io_uring_cqe};

    fn cqe(res: i32, flags: CqeFlags) -> Cqe {
        Cqe::from_raw(io_uring_cqe { user_data: 7, res, flags, ..io_uring_cqe::ZEROED })
    }

    #[test]
    fn every_errno_of_linux_has_its_name() {
        let named = (1..=133).filter(|number| {
            let name = ErrnoText(Errno::from_raw_os_error(*number)).name();
            name.is_some_and(|name| name.starts_with('E'))
        });
        // Linux leaves out 41 and 58 on the architectures with the generic numbers.
        assert_eq!(named.count(), 131);
        let name = |errno| ErrnoText(errno).name();
        assert_eq!(name(Errno::NOENT), Some("ENOENT"));
        assert_eq!(name(Errno::ACCESS), Some("EACCES"));
        assert_eq!(name(Errno::TOOBIG), Some("E2BIG"));
        assert_eq!(name(Errno::WOULDBLOCK), Some("EAGAIN"));
        assert_eq!(name(Errno::from_raw_os_error(4000)), None);
    }

    #[test]
    fn an_errno_is_printed_with_name_number_and_text() {
        let text = |errno| format!("{}", ErrnoText(errno));
        assert!(text(Errno::NOENT).starts_with("ENOENT (2)"), "{}", text(Errno::NOENT));
        assert!(text(Errno::from_raw_os_error(4000)).starts_with("errno 4000"));
        if cfg!(feature = "std") {
            assert_eq!(text(Errno::NOENT), "ENOENT (2): No such file or directory");
            assert_eq!(format!("{:?}", ErrnoText(Errno::NOENT)), text(Errno::NOENT));
        }
    }

    #[test]
    fn a_completion_prints_its_result_or_the_name_of_its_error() {
        let none = CqeFlags::empty();
        assert_eq!(format!("{}", cqe(42, none)), "user_data 0x7: result 42");
        let failed = format!("{}", cqe(-2, none));
        assert!(failed.starts_with("user_data 0x7: ENOENT (2)"), "{failed}");
        assert_eq!(format!("{}", cqe(0, CqeFlags::NOTIF)), "user_data 0x7: notification");
        let wide = Cqe32 { cqe: cqe(-2, none), extra: [0; 2] };
        assert_eq!(format!("{wide}"), failed);
        assert_eq!(format!("{}", CqeMixed::Wide(wide)), failed);
    }
}
