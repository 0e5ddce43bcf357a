//! The parts of a received message, whatever the buffer says.
//!
//! Each input is parsed twice: as a buffer that the kernel need not have written, against a model
//! that knows offsets only; and as the parts of a message that is put together well, and has to
//! come apart the same.

use ringbolt::ops::MsgHdr;
use ringbolt::{ControlMessage, MessageError, ReceivedMessage};

use super::Seed;
use super::bytes::Bytes;

/// Bytes of `struct io_uring_recvmsg_out`.
const HEADER: usize = 16;
/// Control messages are aligned as their length is.
const WORD: usize = size_of::<usize>();
/// Bytes of `struct cmsghdr`.
const CONTROL: usize = (WORD + 8).next_multiple_of(WORD);

pub(crate) fn check(input: &[u8]) {
    any_buffer(input);
    well_made(input);
}

pub(crate) fn seeds() -> Vec<Seed> {
    let header = |words: [u32; 4]| words.map(u32::to_ne_bytes).concat();
    let control = control(1, 2, b"rights", 0);
    let len = u32::try_from(control.len()).expect("a short message");
    // Two selectors and two lengths, then the buffer.
    let room = |name: u32, control: usize| {
        [vec![1, 1], name.to_le_bytes().to_vec(), control.to_le_bytes().to_vec()].concat()
    };
    let whole = [header([4, len, 5, 0]), b"name".to_vec(), control.clone(), b"hello".to_vec()];
    let cut = [header([400, len + 9, 500, 0x28]), b"name".to_vec(), control.clone()];
    let twice = [header([0, 2 * len, 0, 0]), control.clone(), control.clone()];
    let seed = |name: &str, room: Vec<u8>, buffer: &[Vec<u8>]| {
        (name.to_owned(), [room, buffer.concat()].concat())
    };
    vec![
        seed("whole", room(4, control.len()), &whole),
        seed("cut", room(4, control.len()), &cut),
        seed("two_controls", room(0, 2 * control.len()), &twice),
        seed("header_alone", room(0, 0), &[header([1, 2, 3, 4])]),
        seed("too_short", room(100, 100), &[header([0; 4])]),
        seed("largest_lengths", room(u32::MAX, usize::MAX), &[header([u32::MAX; 4])]),
    ]
}

/// A length that is asked for: small most often, so that something fits.
fn length(bytes: &mut Bytes<'_>) -> (u32, usize) {
    let small = (bytes.bool(), bytes.bool());
    let (name, control) = (bytes.u32(), bytes.usize());
    (if small.0 { name % 64 } else { name }, if small.1 { control % 128 } else { control })
}

fn any_buffer(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let (name_len, control_len) = length(&mut bytes);
    // As long as the input and no longer: what reads beyond it is seen to do so.
    let buffer: Box<[u8]> = bytes.up_to(input.len()).into();
    let asked = MsgHdr { name_len, control_len, ..MsgHdr::EMPTY };
    let parsed = ReceivedMessage::parse(&buffer, &asked);
    let needed = HEADER as u128 + u128::from(name_len) + control_len as u128;
    if buffer.len() as u128 >= needed {
        let message = parsed.expect("the buffer is long enough");
        let room = [usize::try_from(name_len).expect("it fits"), control_len];
        expect_parts(&message, &buffer, room);
        expect_controls(&message);
        assert!(!format!("{message:?} {:?}", message.controls()).is_empty());
    } else {
        let error = parsed.expect_err("the buffer is too short");
        let needed = usize::try_from(needed).unwrap_or(usize::MAX);
        assert_eq!(error, MessageError { needed, len: buffer.len() });
        assert!(error.to_string().contains(&needed.to_string()), "{error}");
    }
}

/// Each part lies where it was asked for, and is as long as the header says and there is room.
fn expect_parts(message: &ReceivedMessage<'_>, buffer: &[u8], room: [usize; 2]) {
    let word = |at: usize| u32::from_ne_bytes(buffer[at..at + 4].try_into().expect("four bytes"));
    let (name_at, control_at) = (HEADER, HEADER + room[0]);
    let payload_at = control_at + room[1];
    let part = |at: usize, room: usize, told: u32| {
        let len = usize::try_from(told).expect("it fits").min(room);
        (buffer.as_ptr().wrapping_add(at), len)
    };
    let of = |part: &[u8]| (part.as_ptr(), part.len());
    assert_eq!(of(message.name()), part(name_at, room[0], word(0)), "name");
    assert_eq!(of(message.control()), part(control_at, room[1], word(4)), "control messages");
    let rest = buffer.len() - payload_at;
    assert_eq!(of(message.payload()), part(payload_at, rest, word(8)), "payload");
    let told = [message.name_len(), message.payload_len(), message.flags()];
    assert_eq!(told, [word(0), word(8), word(12)]);
}

/// The control messages are those that a walk by offsets comes by, and they end.
fn expect_controls(message: &ReceivedMessage<'_>) {
    let control = message.control();
    let mut found = message.controls();
    let mut at = 0_usize;
    while let Some(expected) = control_at(control, at) {
        let (told, next) = expected;
        let one = found.next().unwrap_or_else(|| panic!("nothing at {at} of {control:x?}"));
        assert_eq!((one.level, one.kind, one.data), (told.level, told.kind, told.data));
        assert_eq!(one.data.as_ptr(), told.data.as_ptr());
        assert!(!format!("{one:?}").is_empty());
        at = next;
    }
    assert_eq!(found.next(), None, "at {at} of {control:x?}");
    assert_eq!(found.next(), None, "the end is not the end");
}

/// The control message at an offset, if there is a whole one, and where the next would be.
fn control_at(control: &[u8], at: usize) -> Option<(ControlMessage<'_>, usize)> {
    if control.len() < at || control.len() - at < CONTROL {
        return None;
    }
    let number = |at: usize| i32::from_ne_bytes(control[at..at + 4].try_into().expect("four"));
    let len = usize::from_ne_bytes(control[at..at + WORD].try_into().expect("a word"));
    if len < CONTROL || len > control.len() - at {
        return None;
    }
    let data = &control[at + CONTROL..at + len];
    let (level, kind) = (number(at + WORD), number(at + WORD + 4));
    Some((ControlMessage { level, kind, data }, at + len.next_multiple_of(WORD)))
}

fn control(level: i32, kind: i32, data: &[u8], filler: u8) -> Vec<u8> {
    let len = CONTROL + data.len();
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(level.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.resize(CONTROL, filler);
    bytes.extend(data);
    bytes.resize(len.next_multiple_of(WORD), filler);
    bytes
}

fn well_made(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let (flags, filler) = (bytes.u32(), bytes.u8());
    let (spare_name, spare_control) = (usize::from(bytes.below(9)), usize::from(bytes.below(30)));
    let name_len = usize::from(bytes.below(33));
    let name = bytes.up_to(name_len).to_vec();
    let mut controls = Vec::new();
    for _ in 0..bytes.below(5) {
        let (level, kind, len) = (bytes.i32(), bytes.i32(), usize::from(bytes.below(40)));
        controls.push((level, kind, bytes.up_to(len).to_vec()));
    }
    let payload = bytes.up_to(usize::MAX);
    let told: Vec<u8> = controls
        .iter()
        .flat_map(|(level, kind, data)| control(*level, *kind, data, filler))
        .collect();
    let len = |len: usize| u32::try_from(len).expect("inputs are short").to_ne_bytes();
    let head = [len(name.len()), len(told.len()), len(payload.len()), flags.to_ne_bytes()].concat();
    let (name_room, control_room) = (name.len() + spare_name, told.len() + spare_control);
    let (after_name, after_control) = (vec![filler; spare_name], vec![filler; spare_control]);
    let parts: [&[u8]; 6] = [&head, &name, &after_name, &told, &after_control, payload];
    let buffer = parts.concat().into_boxed_slice();

    let name_len = u32::from_ne_bytes(len(name_room));
    let asked = MsgHdr { name_len, control_len: control_room, ..MsgHdr::EMPTY };
    let message = ReceivedMessage::parse(&buffer, &asked).expect("a whole message");
    assert_eq!((message.name(), message.payload()), (&name[..], payload));
    assert_eq!((message.control(), message.flags()), (&told[..], flags));
    let found: Vec<_> =
        message.controls().map(|one| (one.level, one.kind, one.data.to_vec())).collect();
    assert_eq!(found, controls);
}
