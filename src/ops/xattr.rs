//! Extended attributes.
#![forbid(unsafe_code)]

use core::ffi::{CStr, c_char, c_void};
use core::marker::PhantomData;

use rustix::fs::XattrFlags;

use crate::entry::Sqe;
use crate::sys::{Opcode, SharedPtr};

use super::{Bytes, IntoTarget, Lent, On, Span, add_flags, on, op, sqe};

/// Sets an extended attribute of an open file.
///
/// `IORING_OP_FSETXATTR`, like [`fsetxattr(2)`]. Since Linux 5.19. The name and the value must
/// stay until taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::FSetXattr;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FSETXATTR) {
/// #     return Ok(());
/// # }
/// # let path = std::env::temp_dir().join(format!("ringbolt-fsetxattr-{}", std::process::id()));
/// # let file = std::fs::File::create(&path)?;
/// # let c_path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
/// let (name, value) = (c"user.colour", b"blue");
/// let start = value.as_ptr().cast();
/// let entry = FSetXattr::new(&file, name.as_ptr(), start, 4).sqe(1);
/// // SAFETY: file, name and value stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// # if cqe.result() != Err(ringbolt::rustix::io::Errno::OPNOTSUPP) {
/// assert_eq!(cqe.result(), Ok(0));
/// # }
/// # std::fs::remove_file(path)?;
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
/// `EEXIST`, `ENODATA`, `ENOSPC`, `EOPNOTSUPP`, `ERANGE`, and the others of setxattr(2). A fixed
/// slot is `EBADF` on Linux 6.1 and 6.12.
///
/// [`fsetxattr(2)`]: https://man7.org/linux/man-pages/man2/setxattr.2.html
#[doc(alias = "IORING_OP_FSETXATTR")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_fsetxattr")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct FSetXattr<E = Sqe>(Sqe, PhantomData<E>);

/// Sets an extended attribute of the file at a path.
///
/// `IORING_OP_SETXATTR`, like [`setxattr(2)`]. Since Linux 5.19. The path, the name and the
/// value must stay until taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::SetXattr;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::SETXATTR) {
/// #     return Ok(());
/// # }
/// # let path = std::env::temp_dir().join(format!("ringbolt-setxattr-{}", std::process::id()));
/// # let file = std::fs::File::create(&path)?;
/// # let c_path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
/// # let _ = &file;
/// let (name, value) = (c"user.colour", b"blue");
/// let start = value.as_ptr().cast();
/// let entry = SetXattr::new(c_path.as_ptr(), name.as_ptr(), start, 4).sqe(1);
/// // SAFETY: path, name and value stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// # if cqe.result() != Err(ringbolt::rustix::io::Errno::OPNOTSUPP) {
/// assert_eq!(cqe.result(), Ok(0));
/// # }
/// # std::fs::remove_file(path)?;
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
/// As [`FSetXattr`], and those about the path.
///
/// [`setxattr(2)`]: https://man7.org/linux/man-pages/man2/setxattr.2.html
#[doc(alias = "IORING_OP_SETXATTR")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_setxattr")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct SetXattr<E = Sqe>(Sqe, PhantomData<E>);

/// Reads an extended attribute of an open file.
///
/// `IORING_OP_FGETXATTR`, like [`fgetxattr(2)`]. Since Linux 5.19. The name must stay until
/// taken; the buffer must stay, and not be touched, until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::FGetXattr;
/// use ringbolt::rustix::io::Errno;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FGETXATTR) {
/// #     return Ok(());
/// # }
/// # let path = std::env::temp_dir().join(format!("ringbolt-fgetxattr-{}", std::process::id()));
/// # let file = std::fs::File::create(&path)?;
/// # let c_path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
/// let (name, mut value) = (c"user.colour", [0_u8; 16]);
/// let start = value.as_mut_ptr().cast();
/// let entry = FGetXattr::new(&file, name.as_ptr(), start, 16).sqe(1);
/// // SAFETY: file, name and value stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// // There is no such attribute.
/// # if cqe.result() != Err(ringbolt::rustix::io::Errno::OPNOTSUPP) {
/// assert_eq!(cqe.result(), Err(Errno::NODATA));
/// # }
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// The length of the value in bytes. With a buffer of 0 bytes, the length that one must have.
///
/// # Errors
///
/// `ENODATA` if there is no such attribute, `EOPNOTSUPP`, `ERANGE` if the buffer is too short.
///
/// [`fgetxattr(2)`]: https://man7.org/linux/man-pages/man2/getxattr.2.html
#[doc(alias = "IORING_OP_FGETXATTR")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_fgetxattr")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct FGetXattr<E = Sqe>(Sqe, PhantomData<E>);

/// Reads an extended attribute of the file at a path.
///
/// `IORING_OP_GETXATTR`, like [`getxattr(2)`]. Since Linux 5.19. The path and the name must stay
/// until taken; the buffer must stay, and not be touched, until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::GetXattr;
/// use ringbolt::rustix::io::Errno;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::GETXATTR) {
/// #     return Ok(());
/// # }
/// # let path = std::env::temp_dir().join(format!("ringbolt-getxattr-{}", std::process::id()));
/// # let file = std::fs::File::create(&path)?;
/// # let c_path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
/// # let _ = &file;
/// let (name, mut value) = (c"user.colour", [0_u8; 16]);
/// let start = value.as_mut_ptr().cast();
/// let entry = GetXattr::new(c_path.as_ptr(), name.as_ptr(), start, 16).sqe(1);
/// // SAFETY: path, name and value stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// // There is no such attribute.
/// # if cqe.result() != Err(ringbolt::rustix::io::Errno::OPNOTSUPP) {
/// assert_eq!(cqe.result(), Err(Errno::NODATA));
/// # }
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// As [`FGetXattr`].
///
/// # Errors
///
/// As [`FGetXattr`], and those about the path.
///
/// [`getxattr(2)`]: https://man7.org/linux/man-pages/man2/getxattr.2.html
#[doc(alias = "IORING_OP_GETXATTR")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_getxattr")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct GetXattr<E = Sqe>(Sqe, PhantomData<E>);

/// An entry about the attribute `name`, whose value has `len` bytes at `value`.
#[inline(always)]
fn attribute(sqe: &mut Sqe, name: *const c_char, value: SharedPtr, len: u32) {
    sqe.set_addr(SharedPtr::new(name));
    sqe.set_addr2(value);
    sqe.set_len(len);
}

/// An entry about the file at `path`, and none that is open.
#[inline(always)]
const fn at(opcode: Opcode, path: *const c_char) -> Sqe {
    let mut sqe = Sqe::new(opcode);
    sqe.set_addr3(SharedPtr::new(path));
    sqe
}

impl FSetXattr {
    /// Sets attribute `name` of `file` to the `len` bytes at `value`. The name ends with NUL.
    #[inline(always)]
    pub fn new(file: impl IntoTarget, name: *const c_char, value: *const c_void, len: u32) -> Self {
        let mut sqe = on(Opcode::FSETXATTR, file.into_target());
        attribute(&mut sqe, name, SharedPtr::new(value), len);
        Self(sqe, PhantomData)
    }
}

impl<'a> FSetXattr<Lent<'a>> {
    /// Sets attribute `name` of `file` to `value`, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(file: impl Into<On<'a>>, name: &'a CStr, value: impl Into<Bytes<'a>>) -> Self {
        let value = value.into();
        let mut sqe = on(Opcode::FSETXATTR, file.into().target());
        let len = value.len_field();
        attribute(&mut sqe, name.as_ptr(), SharedPtr::new(value.as_ptr()), len);
        Self(sqe, PhantomData)
    }
}

impl<E> FSetXattr<E> {
    /// Adds `XATTR_` flags: only if it is there, or only if it is not.
    #[inline(always)]
    pub const fn flags(mut self, flags: XattrFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl SetXattr {
    /// Sets attribute `name` of the file at `path` to the `len` bytes at `value`. The path and
    /// the name end with NUL.
    #[inline(always)]
    pub fn new(path: *const c_char, name: *const c_char, value: *const c_void, len: u32) -> Self {
        let mut sqe = at(Opcode::SETXATTR, path);
        attribute(&mut sqe, name, SharedPtr::new(value), len);
        Self(sqe, PhantomData)
    }
}

impl<'a> SetXattr<Lent<'a>> {
    /// Sets attribute `name` of the file at `path` to `value`, for a job of the
    /// [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(path: &'a CStr, name: &'a CStr, value: impl Into<Bytes<'a>>) -> Self {
        let value = value.into();
        let mut sqe = at(Opcode::SETXATTR, path.as_ptr());
        let len = value.len_field();
        attribute(&mut sqe, name.as_ptr(), SharedPtr::new(value.as_ptr()), len);
        Self(sqe, PhantomData)
    }
}

impl<E> SetXattr<E> {
    /// Adds `XATTR_` flags: only if it is there, or only if it is not.
    #[inline(always)]
    pub const fn flags(mut self, flags: XattrFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl FGetXattr {
    /// Reads attribute `name` of `file` into the `len` bytes at `value`. The name ends with NUL.
    #[inline(always)]
    pub fn new(file: impl IntoTarget, name: *const c_char, value: *mut c_void, len: u32) -> Self {
        let mut sqe = on(Opcode::FGETXATTR, file.into_target());
        attribute(&mut sqe, name, SharedPtr::from_mut(value), len);
        Self(sqe, PhantomData)
    }
}

impl<'a> FGetXattr<Lent<'a>> {
    /// Reads attribute `name` of `file` into `value`, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(file: impl Into<On<'a>>, name: &'a CStr, value: impl Into<Span<'a>>) -> Self {
        let value = value.into();
        let mut sqe = on(Opcode::FGETXATTR, file.into().target());
        let len = value.len_field();
        attribute(&mut sqe, name.as_ptr(), SharedPtr::from_mut(value.as_mut_ptr()), len);
        Self(sqe, PhantomData)
    }
}

impl GetXattr {
    /// Reads attribute `name` of the file at `path` into the `len` bytes at `value`. The path and
    /// the name end with NUL.
    #[inline(always)]
    pub fn new(path: *const c_char, name: *const c_char, value: *mut c_void, len: u32) -> Self {
        let mut sqe = at(Opcode::GETXATTR, path);
        attribute(&mut sqe, name, SharedPtr::from_mut(value), len);
        Self(sqe, PhantomData)
    }
}

impl<'a> GetXattr<Lent<'a>> {
    /// Reads attribute `name` of the file at `path` into `value`, for a job of the
    /// [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(path: &'a CStr, name: &'a CStr, value: impl Into<Span<'a>>) -> Self {
        let value = value.into();
        let mut sqe = at(Opcode::GETXATTR, path.as_ptr());
        let len = value.len_field();
        attribute(&mut sqe, name.as_ptr(), SharedPtr::from_mut(value.as_mut_ptr()), len);
        Self(sqe, PhantomData)
    }
}

sqe!(FSetXattr, SetXattr, FGetXattr, GetXattr);
op!(FSetXattr: Nothing, SetXattr: Nothing, FGetXattr: Nothing, GetXattr: Nothing);
