//! [`SharedPtr`], a pointer in the 64-bit field that the kernel has for it.
//!
//! The kernel's structures hold addresses as `__u64` on every architecture. Were they `u64` here
//! too, each store would turn a pointer into a number, and neither the compiler nor Miri could
//! follow it. So the field is a real pointer, and on 32-bit targets a pointer beside the zero
//! half of the `__u64`.

use core::ffi::c_void;
use core::fmt;
use core::ptr;

/// An address given to the kernel: 8 bytes, laid out as a `u64`, that stay a pointer.
///
/// Nothing is promised about what is there; whoever gives the structure to the kernel does that.
/// Every bit pattern is a valid value.
///
/// ```
/// use ringbolt_sys::SharedPtr;
///
/// let byte = 7_u8;
/// let shared = SharedPtr::new(&raw const byte);
/// assert_eq!(shared.as_ptr().cast_const(), (&raw const byte).cast());
/// assert_eq!(shared.addr(), (&raw const byte).addr() as u64);
/// assert_eq!(SharedPtr::NULL.addr(), 0);
/// ```
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SharedPtr {
    #[cfg(all(target_pointer_width = "32", target_endian = "big"))]
    high: u32,
    ptr: *mut c_void,
    #[cfg(all(target_pointer_width = "32", target_endian = "little"))]
    high: u32,
    align: [u64; 0],
}

impl SharedPtr {
    /// The null pointer: all bits zero.
    pub const NULL: Self = Self::from_mut(ptr::null_mut::<c_void>());

    /// Wraps a pointer that the kernel only reads through.
    ///
    /// The type no longer says so afterwards; the operation that the field belongs to does.
    #[inline]
    pub const fn new<T>(ptr: *const T) -> Self {
        Self::from_mut(ptr.cast_mut())
    }

    /// Wraps a pointer that the kernel may write through.
    #[inline]
    pub const fn from_mut<T>(ptr: *mut T) -> Self {
        Self {
            ptr: ptr.cast(),
            #[cfg(target_pointer_width = "32")]
            high: 0,
            align: [],
        }
    }

    /// Wraps a number that is no pointer of this program: an offset, a token, another value that
    /// the kernel reads from the same field. All 64 bits are kept on every target.
    ///
    /// Reading through the result is undefined behaviour; handing it to the kernel is not.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "64-bit: `usize` is as wide. 32-bit: the upper half is stored beside it"
    )]
    #[inline]
    pub const fn without_provenance(addr: u64) -> Self {
        Self {
            ptr: ptr::without_provenance_mut(addr as usize),
            #[cfg(target_pointer_width = "32")]
            high: (addr >> 32) as u32,
            align: [],
        }
    }

    /// The pointer, with the provenance it was made with.
    ///
    /// On 32-bit targets the upper half of a number from [`SharedPtr::without_provenance`] is
    /// not in it.
    #[inline]
    pub const fn as_ptr(self) -> *mut c_void {
        self.ptr
    }

    /// The 64 bits that the kernel reads.
    #[inline]
    pub fn addr(self) -> u64 {
        let low = self.ptr.addr() as u64;
        #[cfg(target_pointer_width = "32")]
        let low = u64::from(self.high) << 32 | low;
        low
    }
}

// SAFETY: the value is an address and gives no access to what is there. Every use of it, here
// or in the kernel, is through an `unsafe` call whose contract covers threads.
unsafe impl Send for SharedPtr {}

// SAFETY: as for `Send`; and there is no interior mutability: `&SharedPtr` only copies it.
unsafe impl Sync for SharedPtr {}

impl Default for SharedPtr {
    fn default() -> Self {
        Self::NULL
    }
}

impl fmt::Debug for SharedPtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.addr())
    }
}
