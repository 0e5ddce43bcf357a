//! Memory for rings of provided buffers, which the program and a simulated kernel share.
//!
//! A real kernel holds the pages of such a ring until the group is unregistered, whatever the
//! program does with its mapping. Here both sides hold the allocation: it is freed when the last of
//! them drops it.
#![forbid(unsafe_code)]

use core::fmt;
use core::ptr::NonNull;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use rustix::io::Errno;

use super::memory::Region;
use super::table::lock;

/// All shared memory, by address, so that a registration finds it.
static LENT: Mutex<BTreeMap<usize, Weak<Lent>>> = Mutex::new(BTreeMap::new());

/// Page-aligned memory, initially zero. It stays valid as long as this value, or a group registered
/// at its address, exists.
#[derive(Clone)]
pub(crate) struct BufferMemory(Arc<Lent>);

struct Lent {
    region: Region,
}

impl BufferMemory {
    /// Allocates `len` bytes, which must not be 0.
    pub(crate) fn new(len: usize) -> Result<Self, Errno> {
        let region = Region::new(u32::try_from(len).map_err(|_| Errno::NOMEM)?)?;
        let lent = Arc::new(Lent { region });
        lock(&LENT).insert(lent.address(), Arc::downgrade(&lent));
        Ok(Self(lent))
    }

    /// Its address.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.0.region.shared().cast()
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.region.shared().len()
    }

    /// Returns the shared memory at an address, if there is any.
    pub(super) fn find(address: usize) -> Option<Self> {
        lock(&LENT).get(&address).and_then(Weak::upgrade).map(Self)
    }
}

impl Lent {
    fn address(&self) -> usize {
        self.region.shared().cast::<u8>().addr().get()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Removed before the address can be reused for other memory.
        lock(&LENT).remove(&self.address());
    }
}

impl fmt::Debug for BufferMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:p}", self.len(), self.start())
    }
}
