//! Operations, targets and entries as values: what they are to the compiler, and how they print.

use core::hash::BuildHasher as _;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::hash::RandomState;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;

use ringbolt::ops::{
    AsyncCancel, Close, DestSlot, EpollCtl, Fixed, MsgRingFd, Nop, OpenAt, Read, RenameAt, Statx,
    Target, UnlinkAt, UringCmd80,
};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fs::{AtFlags, OFlags, StatxFlags};
use ringbolt::sys::SqeFlags;
use ringbolt::{Cqe32, SafeSqe, Sqe, Sqe128, SqeMixed};

/// A descriptor that is never used.
const SEVEN: Target = Target::Fd(7);

#[test]
fn targets_are_keys() {
    let slot = Target::Fixed(Fixed(7));
    let open: HashSet<Target> = [SEVEN, slot, SEVEN, Target::Fd(8)].into();
    assert_eq!(open.len(), 3);
    assert!(open.contains(&Fixed(7).into()));
    let state = RandomState::new();
    assert_eq!(state.hash_one(DestSlot::Alloc), state.hash_one(DestSlot::Alloc));
}

#[test]
fn a_target_is_closed_as_what_it_is() {
    assert_eq!(Close::of(SEVEN).sqe(1), Close::new(7).sqe(1));
    let slot = Close::of(Target::Fixed(Fixed(7))).sqe(1);
    assert_eq!(slot, Sqe::from(Close::fixed(Fixed(7)).sqe(1)));
    assert_ne!(slot, Close::new(7).sqe(1));
}

#[test]
fn a_descriptor_by_its_number_is_the_same_as_its_file() {
    let file = fs::File::open("/dev/null").expect("it is everywhere");
    let by_number = Target::Fd(file.as_raw_fd());
    let (path, event) = (c"x".as_ptr(), core::ptr::null());
    let (none, all, buf) = (AtFlags::empty(), StatxFlags::ALL, core::ptr::null_mut());
    let of = |fd: Target| {
        [
            OpenAt::new(fd, path, OFlags::RDONLY).sqe(1),
            Statx::new(fd, path, none, all, buf).sqe(1),
            UnlinkAt::new(fd, path, none).sqe(1),
            RenameAt::new(fd, path, fd, path).sqe(1),
            EpollCtl::add(fd, fd, event).sqe(1),
            AsyncCancel::of_file(fd).sqe(1),
            MsgRingFd::new(fd, Fixed(1), DestSlot::Alloc, 1).sqe(1),
        ]
    };
    let by_file = [
        OpenAt::new(&file, path, OFlags::RDONLY).sqe(1),
        Statx::new(&file, path, none, all, buf).sqe(1),
        UnlinkAt::new(&file, path, none).sqe(1),
        RenameAt::new(&file, path, &file, path).sqe(1),
        EpollCtl::add(&file, &file, event).sqe(1),
        AsyncCancel::of_file(&file).sqe(1),
        MsgRingFd::new(&file, Fixed(1), DestSlot::Alloc, 1).sqe(1),
    ];
    assert_eq!(of(by_number), by_file);
    // A slot is no descriptor, neither here nor by chance.
    for sqe in of(Fixed(1).into()) {
        assert_eq!((sqe.fd(), sqe.flags()), (-1, SqeFlags::empty()), "{sqe:?}");
    }
}

#[test]
fn what_a_target_is_decides_how_it_is_cancelled() {
    let by_file = AsyncCancel::of_file(SEVEN).all().sqe(1);
    assert_eq!(AsyncCancel::of_target(SEVEN).all().sqe(1), by_file);
    let by_slot = Sqe::from(AsyncCancel::of_fixed(Fixed(7)).all().sqe(1));
    assert_eq!(AsyncCancel::of_target(Target::Fixed(Fixed(7))).all().sqe(1), by_slot);
    assert_ne!(by_file, by_slot);
}

#[test]
fn a_slot_is_filled_from_whatever_has_a_descriptor() {
    let file = fs::File::open("/dev/null").expect("it is everywhere");
    assert_eq!(FileSlot::from(file.as_fd()), FileSlot::from(&file));
    assert_ne!(FileSlot::from(file.as_fd()), FileSlot::EMPTY);
}

#[test]
fn an_entry_that_is_safe_to_push_stays_so_with_another_user_data() {
    let safe: SafeSqe = Nop::new().sqe(1).link().with_user_data(2);
    assert_eq!(safe, Nop::new().sqe(2).link());
}

#[test]
fn entries_print_in_one_line() {
    let read = Read::new(SEVEN, core::ptr::null_mut(), 1).offset(1);
    let wide: Sqe128 = UringCmd80::new(SEVEN, 1, [0xa5; 80]).sqe(1);
    let cqe = Cqe32 { cqe: ringbolt::Cqe::from_raw(Default::default()), extra: [1, 2] };
    let texts = [
        format!("{read:?}"),
        format!("{:?}", read.sqe(1)),
        format!("{:?}", Nop::new().sqe(1)),
        format!("{wide:?}"),
        format!("{:?}", SqeMixed::from(wide)),
        format!("{:?}", read.sqe(1).as_raw()),
        format!("{cqe:?}"),
    ];
    for text in texts {
        assert!(!text.contains('\n'), "{text}");
    }
    assert!(format!("{cqe:?}").contains("extra: [0x1, 0x2]"));
    assert!(format!("{:?}", read.sqe(1)).contains("tail: [0x0, 0x0]"));
}

/// The attribute that stands before the type of an operation.
const MUST_USE: &str = "#[must_use = \"an operation does nothing before its entry is pushed\"]";

#[test]
fn every_operation_must_be_used() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder of the operations") {
        let path = entry.expect("an entry of a folder").path();
        let text = fs::read_to_string(path).expect("a source");
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let [before, line] = pair else { continue };
            let wraps = |inner: &str| line.contains(inner);
            let is_operation =
                line.starts_with("pub struct ") && (wraps("(Sqe") || wraps("(AsyncCancel"));
            if is_operation {
                count += 1;
                assert_eq!(*before, MUST_USE, "before {line}");
            }
        }
    }
    assert_eq!(count, 72, "operations that were looked at");
}

/// The operations that `line` gives a safe form, if it calls one of the macros that do.
fn given_by_macro(line: &str) -> Vec<String> {
    let calls = ["op!(in a slot: ", "op!(impl ", "op!(", "multi!(", "zero_copy!("];
    let Some(list) = calls.iter().find_map(|call| line.strip_prefix(call)) else {
        return Vec::new();
    };
    let names = list.trim_end_matches(");").split(", ");
    names.map(|name| name.split([':', '<']).next().unwrap_or(name).trim().to_owned()).collect()
}

#[test]
fn every_operation_has_a_safe_form_or_a_reason_why_not() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let (mut operations, mut safe) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir(&folder).expect("the folder of the operations") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a source");
        let (mut before, mut owner) = ("", "");
        for line in text.lines() {
            if let (MUST_USE, Some(name)) = (before, line.strip_prefix("pub struct ")) {
                operations.insert(name.split(['<', '(']).next().expect("a name").to_owned());
            }
            if let Some(name) = line.strip_prefix("impl ") {
                owner = name.trim_end_matches(" {");
            }
            if line.starts_with("    pub const fn op<") || line.starts_with("    pub fn op<") {
                safe.insert(owner.to_owned());
            }
            safe.extend(given_by_macro(line));
            before = line;
        }
    }
    let docs = fs::read_to_string(folder.join("mod.rs")).expect("a source");
    let (_, table) = docs.split_once("# What has no safe form").expect("the table");
    let (table, _) = table.split_once("//! # ").expect("the end of the table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | "));
    let first = rows.filter_map(|row| row.split_once(" | ")).map(|(names, _)| names);
    let left_out: BTreeSet<_> = first
        .flat_map(|names| names.split("[`").skip(1))
        .filter_map(|name| name.split_once("`]"))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(operations.len(), 72);
    for name in &operations {
        let is_safe = safe.contains(name);
        assert_ne!(is_safe, left_out.contains(name), "{name}: a safe form, or a reason in ops");
    }
    let strange: Vec<_> = left_out.difference(&operations).collect();
    assert!(strange.is_empty(), "not operations: {strange:?}");
}
