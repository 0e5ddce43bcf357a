//! Types for what a ring is bound to: any thread, one thread, or one thread and its registered
//! index.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

/// Marks rings that can be sent to another thread.
#[derive(Clone, Copy, Debug)]
pub enum AnyThread {}

/// Marks rings that stay on the thread that made or enabled them.
///
/// Either only that thread may enter the ring, or the ring has an index that is registered for that
/// thread and invalid on others.
#[derive(Clone, Copy, Debug)]
pub struct OneThread(PhantomData<*const ()>);

/// Marks rings that have no descriptor, and stay on the thread with which they are registered.
#[derive(Clone, Copy, Debug)]
pub struct NoFd(PhantomData<*const ()>);

/// Markers of rings that have a descriptor: [`AnyThread`] and [`OneThread`]. Sealed.
pub trait HasFd: private::Sealed {}

impl HasFd for AnyThread {}
impl HasFd for OneThread {}

mod private {
    /// Implemented only here, so that every ring of these types was built with a descriptor.
    pub trait Sealed {}
    impl Sealed for super::AnyThread {}
    impl Sealed for super::OneThread {}
}
