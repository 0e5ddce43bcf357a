//! What a ring is bound to, as a type: any thread, one thread, or one thread by an index.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

/// Rings that can be sent to another thread.
#[derive(Clone, Copy, Debug)]
pub enum AnyThread {}

/// Rings that stay on the thread that made or enabled them: what is registered for that
/// thread, or a ring that only that thread may enter, is of no use to another.
#[derive(Clone, Copy, Debug)]
pub struct OneThread(PhantomData<*const ()>);

/// Rings that have no descriptor, and stay on the thread with which they are registered.
#[derive(Clone, Copy, Debug)]
pub struct NoFd(PhantomData<*const ()>);

/// Rings that have a descriptor: [`AnyThread`] and [`OneThread`]. Sealed.
pub trait HasFd: private::Sealed {}

impl HasFd for AnyThread {}
impl HasFd for OneThread {}

mod private {
    /// Implemented here only: a ring of a type that has a descriptor was built with one.
    pub trait Sealed {}
    impl Sealed for super::AnyThread {}
    impl Sealed for super::OneThread {}
}
