//! The names of the crate against `tests/data/constants.tsv`.
//!
//! Goal: no name of the kernel is missing, has another value or another first kernel, or is
//! invented here. Method: collect C name, value and first kernel of every constant; the first
//! kernel of flags and plain constants, and the C name of flags, are in their docs.

use std::collections::BTreeMap;
use std::string::{String, ToString as _};
use std::vec::Vec;

use bitflags::{Bits as _, Flags};

use super::{assert_same, rows};
use crate::*;

/// A constant: its value, and the first kernel if that is known.
type Constant = (i128, Option<String>);

/// Names of headers that the list does not cover: name, value, first kernel.
const OTHER_HEADERS: &[(&str, i128, Option<&str>)] = &[
    ("RWF_HIPRI", 0x1, Some("4.6")),
    ("RWF_DSYNC", 0x2, Some("4.7")),
    ("RWF_SYNC", 0x4, Some("4.7")),
    ("RWF_NOWAIT", 0x8, Some("4.14")),
    ("RWF_APPEND", 0x10, Some("4.16")),
    ("RWF_NOAPPEND", 0x20, Some("6.9")),
    ("RWF_ATOMIC", 0x40, Some("6.11")),
    ("RWF_DONTCACHE", 0x80, Some("6.14")),
    ("RWF_NOSIGNAL", 0x100, Some("6.18")),
    ("FUTEX2_SIZE_U8", 0, Some("6.7")),
    ("FUTEX2_SIZE_U16", 1, Some("6.7")),
    ("FUTEX2_SIZE_U32", 2, Some("6.7")),
    ("FUTEX2_SIZE_U64", 3, Some("6.7")),
    ("FUTEX2_SIZE_MASK", 3, Some("6.7")),
    ("FUTEX2_NUMA", 4, Some("6.7")),
    ("FUTEX2_MPOL", 8, Some("6.16")),
    ("FUTEX2_PRIVATE", 0x80, Some("6.7")),
    ("FUTEX_WAITV_MAX", 128, Some("5.16")),
    // `_IO(0x12, n)`, whose direction bits are not zero on PowerPC.
    ("BLOCK_URING_CMD_DISCARD", if PPC { 0x2000_1200 } else { 0x1200 }, Some("6.12")),
    ("BLOCK_URING_CMD_ZONE_RESET_ALL", if PPC { 0x2000_1201 } else { 0x1201 }, None),
];

const PPC: bool = cfg!(target_arch = "powerpc64");

/// Every name of the kernel, with the headers that this crate leaves out left out.
fn kernel() -> BTreeMap<String, Constant> {
    let list = rows(include_str!("../../tests/data/constants.tsv"))
        .filter(|row| row["header"] != "io_uring/mock_file.h")
        .map(|row| (row["name"], row["value"].parse().unwrap(), Some(row["since"])));
    let mut kernel = BTreeMap::new();
    for (name, value, since) in list.chain(OTHER_HEADERS.iter().copied()) {
        let constant = (value, since.map(String::from));
        assert_eq!(kernel.insert(name.to_string(), constant), None, "{name} twice");
    }
    assert!(kernel.len() > 280, "the list was cut");
    kernel
}

/// A constant as the source has it: the type it is in, its name there, its C name, its version.
struct Documented<'a> {
    owner: &'a str,
    name: &'a str,
    c_name: &'a str,
    since: Option<String>,
}

/// The constants of a source file of flags or plain constants.
fn documented(source: &str) -> Vec<Documented<'_>> {
    let (mut owner, mut docs, mut alias) = ("", String::new(), None);
    let mut found = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            docs = docs + text + " ";
            continue;
        }
        if let Some(text) = line.strip_prefix("#[doc(alias = \"") {
            alias = text.strip_suffix("\")]");
            continue;
        }
        if let Some(text) = line.strip_prefix("pub struct ") {
            owner = text.split(':').next().unwrap();
        }
        let name = line.strip_prefix("const ").or_else(|| line.strip_prefix("pub const "));
        let name = name.and_then(|name| name.split([':', ' ']).next());
        if let Some(name) = name.filter(|&name| name != "_") {
            let since = docs.split_once("Since Linux ").and_then(|(_, rest)| rest.split_once(". "));
            let since = since.map(|(version, _)| version.to_string());
            found.push(Documented { owner, name, c_name: alias.unwrap_or(name), since });
        }
        (docs, alias) = (String::new(), None);
    }
    found
}

/// Adds the flags of one type; their C names and versions are read from the source.
fn add_flags<F: Flags>(
    ours: &mut BTreeMap<String, Constant>,
    docs: &[Documented<'_>],
    since: fn(F) -> Option<KernelVersion>,
) where
    F::Bits: Into<u64>,
{
    let owner = core::any::type_name::<F>().rsplit("::").next().unwrap();
    for flag in F::FLAGS.iter().filter(|flag| flag.is_named()) {
        let known = docs.iter().find(|doc| doc.owner == owner && doc.name == flag.name());
        let known = known.unwrap_or_else(|| panic!("{owner}::{}: no C name", flag.name()));
        assert!(known.c_name.ends_with(flag.name()), "{owner}::{}: {}", flag.name(), known.c_name);
        let version = since(F::from_bits_retain(flag.value().bits()));
        assert_eq!(version.map(|version| version.to_string()), known.since, "{}", known.c_name);
        let bits: u64 = flag.value().bits().into();
        let constant = (i128::from(bits), known.since.clone());
        assert_eq!(ours.insert(known.c_name.to_string(), constant), None, "{} twice", known.c_name);
    }
    let all: u64 = F::all().bits().into();
    let width: u64 = F::Bits::ALL.into();
    assert_eq!(all, width, "{owner} must keep the bits that have no name");
    assert_eq!((since(F::empty()), since(F::all())), (None, None), "{owner}");
}

#[test]
#[cfg_attr(miri, ignore = "slow there, and not about memory")]
fn every_name_has_the_value_and_the_first_kernel_of_the_kernels_list() {
    let mut ours = BTreeMap::new();
    add_codes(&mut ours);
    add_all_flags(&mut ours);
    add_plain(&mut ours);
    assert_same(&kernel(), &ours);
}

fn add_codes(ours: &mut BTreeMap<String, Constant>) {
    macro_rules! add {
        ($($Set:ident)*) => {$(
            assert_eq!($Set::ALL.len(), $Set::C_NAMES.len());
            for (&(name, code), &c_name) in $Set::ALL.iter().zip($Set::C_NAMES) {
                assert!(c_name.ends_with(name), "{name}: {c_name}");
                assert_eq!(code.name(), Some(name));
                let since = code.since().map(|since| since.to_string());
                let constant = (i128::from(code.as_raw()), since);
                assert_eq!(ours.insert(c_name.to_string(), constant), None, "{c_name} twice");
            }
        )*};
    }
    add!(Opcode RegisterOp MsgRingCmd IoWqType NapiOp NapiTracking RestrictionOp SocketCmd);
    add!(ZcrxEvent ZcrxCtrlOp QueryOp BpfCmd BlockUringCmd);
}

fn add_all_flags(ours: &mut BTreeMap<String, Constant>) {
    let sources = [
        include_str!("../flags/entry.rs"),
        include_str!("../flags/operation.rs"),
        include_str!("../flags/register.rs"),
        include_str!("../flags/ring.rs"),
        include_str!("../flags/zcrx.rs"),
    ];
    let docs: Vec<Documented<'_>> = sources.iter().flat_map(|source| documented(source)).collect();
    macro_rules! add {
        ($($Flags:ident)*) => {$(add_flags(ours, &docs, $Flags::since);)*};
    }
    add!(SqeFlags CqeFlags SetupFlags EnterFlags Features SqStatus CqFlags);
    add!(RwFlags RwAttrFlags UringCmdFlags FsyncFlags TimeoutFlags SpliceFlags PollFlags);
    add!(CancelFlags RecvSendFlags NotifUsage AcceptFlags MsgRingFlags FixedFdFlags NopFlags);
    add!(Futex2Flags RsrcRegisterFlags ProbeOpFlags RegionFlags MemRegionFlags CloneBuffersFlags);
    add!(BufRingFlags RegWaitFlags BpfFilterFlags);
    add!(ZcrxAreaFlags ZcrxRegFlags ZcrxFeatures ZcrxEventDescFlags);

    let size = |name| docs.iter().find(|doc| doc.name == name).unwrap().since.clone();
    let u8_bits = i128::from(Futex2Flags::SIZE_U8.bits());
    let mask_bits = i128::from(Futex2Flags::SIZE_MASK.bits());
    ours.insert("FUTEX2_SIZE_U8".to_string(), (u8_bits, size("SIZE_U8")));
    ours.insert("FUTEX2_SIZE_MASK".to_string(), (mask_bits, size("SIZE_MASK")));
}

fn add_plain(ours: &mut BTreeMap<String, Constant>) {
    let docs = documented(include_str!("../consts.rs"));
    let mut listed = Vec::new();
    macro_rules! add {
        ($($NAME:ident)*) => {$(
            let name = stringify!($NAME);
            listed.push(name);
            let doc = docs.iter().find(|doc| doc.name == name).unwrap();
            ours.insert(name.to_string(), (i128::from($NAME), doc.since.clone()));
        )*};
    }
    add!(IORING_FILE_INDEX_ALLOC IORING_CQE_BUFFER_SHIFT);
    add!(IORING_OFF_SQ_RING IORING_OFF_CQ_RING IORING_OFF_SQES IORING_OFF_PBUF_RING);
    add!(IORING_OFF_PBUF_SHIFT IORING_OFF_MMAP_MASK);
    add!(IORING_REGISTER_FILES_SKIP IORING_REGISTER_USE_REGISTERED_RING);
    add!(IORING_TIMESTAMP_HW_SHIFT IORING_TIMESTAMP_TYPE_SHIFT IORING_CQE_F_TSTAMP_HW);
    add!(IOSQE_FIXED_FILE_BIT IOSQE_IO_DRAIN_BIT IOSQE_IO_LINK_BIT IOSQE_IO_HARDLINK_BIT);
    add!(IOSQE_ASYNC_BIT IOSQE_BUFFER_SELECT_BIT IOSQE_CQE_SKIP_SUCCESS_BIT);
    add!(IORING_URING_CMD_MASK IORING_TIMEOUT_CLOCK_MASK IORING_TIMEOUT_UPDATE_MASK);
    add!(IORING_ZCRX_AREA_SHIFT IORING_ZCRX_AREA_MASK FUTEX_WAITV_MAX);
    add!(IORING_OP_LAST IORING_REGISTER_LAST IORING_RESTRICTION_LAST);
    add!(__ZCRX_EVENT_TYPE_LAST __ZCRX_CTRL_LAST __IO_URING_QUERY_MAX);
    let in_source: Vec<&str> = docs.iter().map(|doc| doc.name).collect();
    assert_eq!(listed, in_source, "a constant of consts.rs is not compared, or out of order");
}

#[test]
#[cfg_attr(miri, ignore = "slow there, and not about memory")]
fn newest_setup_flag_agrees_with_the_kernels_list() {
    let kernel = kernel();
    for (name, flag) in SetupFlags::all().iter_names() {
        let (newest, since) = flag.newest().unwrap_or_else(|| panic!("{name} has no version"));
        let (_, listed) = &kernel[&std::format!("IORING_SETUP_{name}")];
        assert_eq!((newest, Some(since.to_string())), (flag, listed.clone()), "{name}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow there, and not about memory")]
fn newest_of_several_setup_flags_is_the_one_that_came_last() {
    let mut flags = SetupFlags::empty();
    let mut latest = KernelVersion::new(0, 0);
    for (_, flag) in SetupFlags::all().iter_names() {
        flags |= flag;
        let (newest, since) = flags.newest().unwrap();
        assert_eq!(newest, flag);
        assert!(since >= latest, "{flag:?} is not in the order of the kernels");
        latest = since;
    }
    assert_eq!(SetupFlags::empty().newest(), None);
    assert_eq!(SetupFlags::from_bits_retain(1 << 31).newest(), None);
    assert_eq!(
        (SetupFlags::from_bits_retain(1 << 31) | SetupFlags::CLAMP).newest().unwrap().0,
        SetupFlags::CLAMP
    );
}
