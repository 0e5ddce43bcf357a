//! Everything that the kernel may extend can be printed, whatever is in it.

use core::fmt::Debug;

use ringbolt::Timespec;
use ringbolt::sys::*;

/// Prints each set of flags and of numbers with the bits of `any`.
pub(super) fn anything(any: u64) {
    let [a, b, c, d, ..] = any.to_ne_bytes();
    let (byte, half, word) = (a, u16::from_ne_bytes([a, b]), u32::from_ne_bytes([a, b, c, d]));
    print(&entry_flags(byte, half, word));
    print(&ring_flags(half, word, any));
    print(&numbers(byte, half, word, any));
    let [seconds, nanoseconds] = [any, !any].map(|half| i64::from_ne_bytes(half.to_ne_bytes()));
    print(&[Box::new(Timespec::new(seconds, nanoseconds))]);
    print(&[Box::new(SharedPtr::without_provenance(any))]);
}

type Shown = Box<dyn Debug>;

fn print(values: &[Shown]) {
    for value in values {
        assert!(!format!("{value:?}").is_empty() && !format!("{value:#?}").is_empty());
    }
}

fn entry_flags(byte: u8, half: u16, word: u32) -> Vec<Shown> {
    vec![
        Box::new(SqeFlags::from_bits_retain(byte)),
        Box::new(CqeFlags::from_bits_retain(word)),
        Box::new(RwFlags::from_bits_retain(word)),
        Box::new(UringCmdFlags::from_bits_retain(word)),
        Box::new(FsyncFlags::from_bits_retain(word)),
        Box::new(TimeoutFlags::from_bits_retain(word)),
        Box::new(SpliceFlags::from_bits_retain(word)),
        Box::new(PollFlags::from_bits_retain(word)),
        Box::new(CancelFlags::from_bits_retain(word)),
        Box::new(RecvSendFlags::from_bits_retain(half)),
        Box::new(NotifUsage::from_bits_retain(word)),
        Box::new(AcceptFlags::from_bits_retain(half)),
        Box::new(MsgRingFlags::from_bits_retain(word)),
        Box::new(FixedFdFlags::from_bits_retain(word)),
        Box::new(NopFlags::from_bits_retain(word)),
        Box::new(Futex2Flags::from_bits_retain(word)),
    ]
}

fn ring_flags(half: u16, word: u32, any: u64) -> Vec<Shown> {
    vec![
        Box::new(RwAttrFlags::from_bits_retain(any)),
        Box::new(SetupFlags::from_bits_retain(word)),
        Box::new(EnterFlags::from_bits_retain(word)),
        Box::new(Features::from_bits_retain(word)),
        Box::new(SqStatus::from_bits_retain(word)),
        Box::new(CqFlags::from_bits_retain(word)),
        Box::new(RsrcRegisterFlags::from_bits_retain(word)),
        Box::new(ProbeOpFlags::from_bits_retain(half)),
        Box::new(RegionFlags::from_bits_retain(word)),
        Box::new(MemRegionFlags::from_bits_retain(any)),
        Box::new(CloneBuffersFlags::from_bits_retain(word)),
        Box::new(BufRingFlags::from_bits_retain(half)),
        Box::new(RegWaitFlags::from_bits_retain(word)),
        Box::new(BpfFilterFlags::from_bits_retain(word)),
        Box::new(ZcrxAreaFlags::from_bits_retain(word)),
        Box::new(ZcrxRegFlags::from_bits_retain(word)),
        Box::new(ZcrxFeatures::from_bits_retain(word)),
        Box::new(ZcrxEventDescFlags::from_bits_retain(word)),
    ]
}

fn numbers(byte: u8, half: u16, word: u32, any: u64) -> Vec<Shown> {
    // A number with a name is printed by it, one without as a number; both are known a version.
    let opcode = Opcode::from_raw(byte);
    assert_eq!(opcode.name().is_some(), Opcode::ALL.iter().any(|(_, known)| *known == opcode));
    assert!(opcode.name().is_none() || opcode.since().is_some());
    assert_eq!(opcode.as_raw(), byte);
    vec![
        Box::new(opcode),
        Box::new(RegisterOp::from_raw(word)),
        Box::new(MsgRingCmd::from_raw(any)),
        Box::new(IoWqType::from_raw(word)),
        Box::new(NapiOp::from_raw(byte)),
        Box::new(NapiTracking::from_raw(word)),
        Box::new(RestrictionOp::from_raw(half)),
        Box::new(SocketCmd::from_raw(word)),
        Box::new(ZcrxEvent::from_raw(word)),
        Box::new(ZcrxCtrlOp::from_raw(word)),
        Box::new(QueryOp::from_raw(word)),
        Box::new(BpfCmd::from_raw(half)),
        Box::new(BlockUringCmd::from_raw(word)),
    ]
}
