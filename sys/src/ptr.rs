//! [`SharedPtr`]: a pointer in a 64-bit field of the kernel.
//!
//! The kernel's structures hold addresses as `__u64` on every architecture. If they were `u64` here
//! too, each store would turn a pointer into a number, which neither the compiler nor Miri could
//! track. So the field is a real pointer; on 32-bit targets it is a pointer next to the zero half
//! of the `__u64`.

use core::ffi::c_void;
use core::fmt;
use core::ptr;

/// An address for the kernel: 8 bytes with the layout of a `u64` that are still a pointer.
///
/// The type guarantees nothing about the memory at the address; the code that passes the structure
/// to the kernel does. Every bit pattern is a valid value.
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
    /// The type does not record that the kernel only reads; the operation determines it.
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

    /// Wraps a number that is not a pointer of this program: an offset, a token, or another value
    /// that the kernel reads from the same field. All 64 bits are kept on every target.
    ///
    /// Reading through the result is undefined behaviour; passing it to the kernel is not.
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
    /// On 32-bit targets it does not contain the upper half of a number from
    /// [`SharedPtr::without_provenance`].
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

// SAFETY: the value is an address and gives no access to the memory. Every use of the memory, here
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
