//! `open_set!`, the shape of every numbered set in the ABI, and [`KernelVersion`].
//!
//! The kernel adds to these sets, and the program may run on a newer kernel. So none of them is a
//! Rust `enum`: each is a number with named constants, and a number without a name is an ordinary
//! value.

use core::fmt;

/// A kernel release, such as 5.6, that introduced something.
///
/// Do not use it to test what the running kernel supports: distributions backport features to older
/// kernels, and administrators turn features off. Ask the kernel instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The 5 of 5.6.
    pub major: u8,
    /// The 6 of 5.6.
    pub minor: u8,
}

impl KernelVersion {
    /// Linux `major.minor`.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Defines a set of kernel numbers: name, number, C name, and the first kernel that had it.
macro_rules! open_set {
    (
        $(#[$about_set:meta])*
        pub struct $Set:ident($repr:ty);
        $(
            $(#[$about:meta])*
            $NAME:ident = $value:expr, $c_name:literal $(, ($major:literal, $minor:literal))?;
        )*
    ) => {
        $(#[$about_set])*
        #[repr(transparent)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Set($repr);

        impl $Set {
            $(
                $(#[$about])*
                #[doc = ""]
                #[doc = concat!("`", $c_name, "`." $(, " Since Linux ", $major, ".", $minor, ".")?)]
                #[doc(alias = $c_name)]
                pub const $NAME: Self = Self($value);
            )*

            /// Every named value with its name, in the kernel's order.
            pub const ALL: &'static [(&'static str, Self)] =
                &[$((stringify!($NAME), Self::$NAME)),*];

            /// The C names, in the order of [`Self::ALL`].
            #[cfg(test)]
            pub(crate) const C_NAMES: &'static [&'static str] = &[$($c_name),*];

            /// Wraps one of the kernel's numbers, named or not.
            #[inline]
            pub const fn from_raw(raw: $repr) -> Self {
                Self(raw)
            }

            /// The kernel's number.
            #[inline]
            pub const fn as_raw(self) -> $repr {
                self.0
            }

            /// The name of the constant, or `None` for a number that this crate does not know.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$NAME => Some(stringify!($NAME)),)*
                    _ => None,
                }
            }

            /// The first kernel that had it, or `None` if this crate does not know.
            pub const fn since(self) -> Option<$crate::KernelVersion> {
                match self {
                    $(Self::$NAME => {
                        [$($crate::KernelVersion::new($major, $minor))?].as_slice().first().copied()
                    })*
                    _ => None,
                }
            }
        }

        impl core::fmt::Display for $Set {
            /// The name, or the number where there is none.
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => core::fmt::Display::fmt(&self.0, f),
                }
            }
        }

        impl core::fmt::Debug for $Set {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}({})", stringify!($Set), self.0),
                }
            }
        }
    };
}

pub(crate) use open_set;
