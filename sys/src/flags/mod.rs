//! The flag words, each as wide as its field.
//!
//! Bits that have no name here are kept, and printed as numbers: flags of a newer kernel are passed
//! through in both directions.

mod entry;
mod operation;
mod register;
mod ring;
mod since;
mod zcrx;

pub use self::entry::{CqeFlags, SqeFlags};
pub use self::operation::{
    AcceptFlags, CancelFlags, FixedFdFlags, FsyncFlags, Futex2Flags, MsgRingFlags, NopFlags,
    NotifUsage, PollFlags, RecvSendFlags, RwAttrFlags, RwFlags, SpliceFlags, TimeoutFlags,
    UringCmdFlags,
};
pub use self::register::{
    BpfFilterFlags, BufRingFlags, CloneBuffersFlags, MemRegionFlags, ProbeOpFlags, RegWaitFlags,
    RegionFlags, RsrcRegisterFlags,
};
pub use self::ring::{CqFlags, EnterFlags, Features, SetupFlags, SqStatus};
pub use self::zcrx::{ZcrxAreaFlags, ZcrxEventDescFlags, ZcrxFeatures, ZcrxRegFlags};
