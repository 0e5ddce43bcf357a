//! Entries and completions of any bytes: what is read is what is there.

use ringbolt::ops::{Nop, RawOp};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{CqeFlags, NotifUsage, Opcode, SharedPtr, SqeFlags, io_uring_cqe};
use ringbolt::{Cqe, Cqe32, CqeMixed, SafeSqe, Sqe};

use super::Bytes;

/// `IOSQE_IO_LINK` and `IOSQE_IO_HARDLINK`.
const LINKS: u8 = 1 << 2 | 1 << 3;

/// A way to tell an entry something.
type Way<S> = fn(S) -> S;

/// Tells `sqe` what any entry can be told, and writes the same to `expected`.
pub(super) fn with_common(mut sqe: Sqe, expected: &mut [u8], bytes: &mut Bytes<'_>) -> Sqe {
    let (told, group, personality, flags) = (bytes.u8(), bytes.u16(), bytes.u16(), bytes.u8());
    let ways: [(Way<Sqe>, u8); 5] = [
        (Sqe::drain, 1 << 1),
        (Sqe::link, 1 << 2),
        (Sqe::hard_link, 1 << 3),
        (Sqe::force_async, 1 << 4),
        (Sqe::skip_success, 1 << 6),
    ];
    for (way, flag) in ways {
        if told & flag != 0 {
            sqe = way(sqe);
            expected[1] |= flag;
        }
    }
    if told & 1 != 0 {
        sqe = sqe.with_flags(SqeFlags::from_bits_retain(flags));
        expected[1] |= flags;
    }
    if told & (1 << 5) != 0 {
        sqe = sqe.buffer_group(group);
        expected[1] |= 1 << 5;
        expected[40..42].copy_from_slice(&group.to_ne_bytes());
    }
    if told & (1 << 7) != 0 {
        sqe = sqe.with_personality(personality);
        expected[42..44].copy_from_slice(&personality.to_ne_bytes());
    }
    assert_eq!(sqe.is_linked(), expected[1] & LINKS != 0);
    sqe
}

/// Sets one field of an entry of any bytes after the other.
pub(super) fn fields(bytes: &mut Bytes<'_>) {
    let raw: [u8; 64] = bytes.array();
    let sqe = decoded(&raw);
    assert_eq!(sqe.to_bytes(), raw);
    expect_getters(&sqe, &raw);
    assert_eq!(Sqe::from_raw(*sqe.as_raw()), sqe);
    assert!(!format!("{sqe:?} {sqe:#?} {:?}", sqe.as_raw()).is_empty());
    assert_eq!(by_raw_op(&sqe), sqe);

    let (a, b) = (bytes.u64(), bytes.u64());
    let [a0, a1, a2, a3, a4, a5, a6, a7] = a.to_ne_bytes();
    let (half, quarter) = (u32::from_ne_bytes([a0, a1, a2, a3]), u16::from_ne_bytes([a4, a5]));
    let (fd, flags) = (i32::from_ne_bytes([a0, a1, a2, a3]), SqeFlags::from_bits_retain(a6));
    let pointer = SharedPtr::without_provenance(a);
    let set = |at: usize, value: &[u8], with: &dyn Fn(&mut Sqe)| {
        let (mut changed, mut expected) = (sqe, raw);
        with(&mut changed);
        expected[at..at + value.len()].copy_from_slice(value);
        assert_eq!(changed.to_bytes(), expected, "{value:x?} at {at}");
        assert_eq!(changed == sqe, expected == raw);
        expect_getters(&changed, &expected);
    };
    set(0, &[a7], &|sqe| sqe.set_opcode(Opcode::from_raw(a7)));
    set(1, &[a6], &|sqe| sqe.set_flags(flags));
    set(2, &quarter.to_ne_bytes(), &|sqe| sqe.set_ioprio(quarter));
    set(4, &fd.to_ne_bytes(), &|sqe| sqe.set_fd(fd));
    set(8, &a.to_ne_bytes(), &|sqe| sqe.set_off(a));
    set(8, &a.to_ne_bytes(), &|sqe| sqe.set_addr2(pointer));
    set(16, &a.to_ne_bytes(), &|sqe| sqe.set_addr(pointer));
    set(16, &a.to_ne_bytes(), &|sqe| sqe.set_addr_raw(a));
    set(24, &half.to_ne_bytes(), &|sqe| sqe.set_len(half));
    set(28, &half.to_ne_bytes(), &|sqe| sqe.set_op_flags(half));
    set(32, &a.to_ne_bytes(), &|sqe| sqe.set_user_data(a));
    set(32, &a.to_ne_bytes(), &|sqe| *sqe = sqe.with_user_data(a));
    set(40, &quarter.to_ne_bytes(), &|sqe| sqe.set_buf_index(quarter));
    set(42, &quarter.to_ne_bytes(), &|sqe| sqe.set_personality(quarter));
    set(44, &half.to_ne_bytes(), &|sqe| sqe.set_file_index(half));
    set(48, &[a.to_ne_bytes(), b.to_ne_bytes()].concat(), &|sqe| sqe.set_tail([a, b]));
    set(48, &[a.to_ne_bytes(), [0; 8]].concat(), &|sqe| sqe.set_addr3(pointer));
    set(0, &[a7], &|sqe| sqe.as_raw_mut().opcode = Opcode::from_raw(a7));
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("as many bytes as asked for")
}

/// The entry of these bytes, set field by field.
fn decoded(raw: &[u8; 64]) -> Sqe {
    let mut sqe = Sqe::new(Opcode::from_raw(raw[0]));
    sqe.set_flags(SqeFlags::from_bits_retain(raw[1]));
    sqe.set_ioprio(u16::from_ne_bytes(word(raw, 2)));
    sqe.set_fd(i32::from_ne_bytes(word(raw, 4)));
    sqe.set_off(u64::from_ne_bytes(word(raw, 8)));
    sqe.set_addr_raw(u64::from_ne_bytes(word(raw, 16)));
    sqe.set_len(u32::from_ne_bytes(word(raw, 24)));
    sqe.set_op_flags(u32::from_ne_bytes(word(raw, 28)));
    sqe.set_user_data(u64::from_ne_bytes(word(raw, 32)));
    sqe.set_buf_index(u16::from_ne_bytes(word(raw, 40)));
    sqe.set_personality(u16::from_ne_bytes(word(raw, 42)));
    sqe.set_file_index(u32::from_ne_bytes(word(raw, 44)));
    sqe.set_tail([u64::from_ne_bytes(word(raw, 48)), u64::from_ne_bytes(word(raw, 56))]);
    sqe
}

fn expect_getters(sqe: &Sqe, raw: &[u8; 64]) {
    assert_eq!((sqe.opcode().as_raw(), sqe.flags().bits()), (raw[0], raw[1]));
    assert_eq!(sqe.ioprio().to_ne_bytes(), word(raw, 2));
    assert_eq!(sqe.fd().to_ne_bytes(), word(raw, 4));
    assert_eq!(sqe.off().to_ne_bytes(), word(raw, 8));
    assert_eq!(sqe.addr().to_ne_bytes(), word(raw, 16));
    assert_eq!(sqe.len().to_ne_bytes(), word(raw, 24));
    assert_eq!(sqe.is_empty(), word(raw, 24) == [0; 4]);
    assert_eq!(sqe.op_flags().to_ne_bytes(), word(raw, 28));
    assert_eq!(sqe.user_data().to_ne_bytes(), word(raw, 32));
    assert_eq!(sqe.buf_index().to_ne_bytes(), word(raw, 40));
    assert_eq!(sqe.personality().to_ne_bytes(), word(raw, 42));
    assert_eq!(sqe.file_index().to_ne_bytes(), word(raw, 44));
    assert_eq!(sqe.tail().map(u64::to_ne_bytes).concat(), raw[48..]);
    assert_eq!(sqe.as_raw().as_bytes(), raw);
}

/// The same entry, made by [`RawOp`] from what its getters say.
fn by_raw_op(sqe: &Sqe) -> Sqe {
    let op = RawOp::new(sqe.opcode()).fields(|entry| {
        entry.set_ioprio(sqe.ioprio());
        entry.set_fd(sqe.fd());
        entry.set_off(sqe.off());
        entry.set_addr_raw(sqe.addr());
        entry.set_len(sqe.len());
        entry.set_op_flags(sqe.op_flags());
        entry.set_buf_index(sqe.buf_index());
        entry.set_file_index(sqe.file_index());
        entry.set_tail(sqe.tail());
    });
    assert!(!format!("{op:?}").is_empty());
    op.sqe(sqe.user_data()).with_flags(sqe.flags()).with_personality(sqe.personality())
}

/// An entry that is safe to push can be told the same as any other.
pub(super) fn safe(bytes: &mut Bytes<'_>) {
    let (told, personality) = (bytes.u8(), bytes.u16());
    let ways: [(Way<SafeSqe>, Way<Sqe>); 5] = [
        (SafeSqe::link, Sqe::link),
        (SafeSqe::hard_link, Sqe::hard_link),
        (SafeSqe::drain, Sqe::drain),
        (SafeSqe::force_async, Sqe::force_async),
        (SafeSqe::skip_success, Sqe::skip_success),
    ];
    let mut safe = Nop::new().sqe(bytes.u64());
    let mut plain = Sqe::from(safe);
    for (at, (of_safe, of_plain)) in ways.into_iter().enumerate() {
        if told & 1 << at != 0 {
            (safe, plain) = (of_safe(safe), of_plain(plain));
        }
    }
    (safe, plain) = (safe.with_personality(personality), plain.with_personality(personality));
    assert_eq!((safe.as_sqe(), Sqe::from(safe)), (&plain, plain));
    assert!(format!("{safe:?}").contains("NOP"));
}

/// A completion of any bytes.
pub(super) fn completions(bytes: [u8; 32]) {
    let [user_data, _, first, second] =
        [0, 8, 16, 24].map(|at| u64::from_ne_bytes(word(&bytes, at)));
    let (res, flags) = (i32::from_ne_bytes(word(&bytes, 8)), u32::from_ne_bytes(word(&bytes, 12)));
    let kept = CqeFlags::from_bits_retain(flags);
    let raw = io_uring_cqe { user_data, res, flags: kept, big_cqe: [] };
    let cqe = Cqe::from_raw(raw);
    assert_eq!((cqe.user_data(), cqe.raw_result(), cqe.flags().bits()), (user_data, res, flags));
    let again = cqe.as_raw();
    assert_eq!((again.user_data, again.res, again.flags), (user_data, res, kept));
    let result = match res {
        0.. => Ok(res.unsigned_abs()),
        -4095..=-1 => Err(Errno::from_raw_os_error(-res)),
        _ => Err(Errno::OVERFLOW),
    };
    assert_eq!(cqe.result(), result);
    let bit = |at: u32| flags & 1 << at != 0;
    let id = u16::try_from(flags >> 16).expect("16 bits are left");
    assert_eq!(cqe.buffer_id(), bit(0).then_some(id));
    assert_eq!((cqe.has_more(), cqe.is_socket_nonempty()), (bit(1), bit(2)));
    assert_eq!((cqe.is_notification(), cqe.has_more_of_buffer()), (bit(3), bit(4)));
    assert_eq!((cqe.is_filler(), cqe.is_wide()), (bit(5), bit(15)));
    let usage = NotifUsage::from_bits_retain(u32::from_ne_bytes(word(&bytes, 8)));
    assert_eq!(cqe.zero_copy_usage(), usage);
    let wide = Cqe32 { cqe, extra: [first, second] };
    let printed = format!("{cqe:?} {wide:?} {usage:?} {raw:?}");
    assert!(printed.contains(&format!("{user_data:#x}")), "{printed}");
    let mixed = format!("{:#?} {:#?}", CqeMixed::Narrow(cqe), CqeMixed::Wide(wide));
    assert!(mixed.contains("Wide"), "{mixed}");
}
