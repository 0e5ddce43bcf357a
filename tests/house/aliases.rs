//! Everything is found by the names that C programs use.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ringbolt::sys::{
    CqeFlags, FixedFdFlags, FsyncFlags, MsgRingFlags, NopFlags, RegisterOp, SetupFlags, SqeFlags,
};

/// The names in the `doc(alias)` attributes under `folder`.
fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            collect(&path, names);
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source");
        for attribute in text.split("#[doc(alias").skip(1) {
            let (list, _) = attribute.split_once("]").expect("its end");
            names.extend(list.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
}

fn aliases() -> BTreeSet<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    collect(&root.join("src"), &mut names);
    names
}

/// Fails with each of `wanted` that is no alias.
fn assert_found(wanted: impl Iterator<Item = String>) {
    let aliases = aliases();
    let missing: Vec<_> = wanted.filter(|name| !aliases.contains(name)).collect();
    assert!(missing.is_empty(), "no item of src/ has the alias: {missing:#?}");
}

#[test]
fn every_function_of_liburing_is_found_or_has_a_reason() {
    let rows = include_str!("../data/liburing.tsv").lines().filter(|row| !row.starts_with('#'));
    let rows: Vec<_> = rows.map(|row| row.split_once('\t').expect("two columns")).collect();
    assert!(rows.len() > 190, "the list is cut");
    let without_reason = rows.iter().filter(|(_, reason)| reason.is_empty());
    assert_found(without_reason.map(|(name, _)| (*name).to_owned()));
    // A name of liburing that it does not have is a slip of the pen.
    let known: BTreeSet<_> = rows.iter().map(|(name, _)| *name).collect();
    // Those in its header, and structs of the kernel's.
    let others = [
        "io_uring_buf_ring",
        "io_uring_buf_ring_head",
        "io_uring_cqe",
        "io_uring_for_each_cqe",
        "io_uring_napi",
        "io_uring_params",
        "io_uring_probe",
        "io_uring_recvmsg_out",
        "io_uring_reg_wait",
        "io_uring_restriction",
        "io_uring_sqe",
        "io_uring_sync_cancel_reg",
    ];
    let is_known = |name: &str| known.contains(name) || others.contains(&name);
    let calls = aliases().into_iter().filter(|name| name.starts_with("io_uring_"));
    let strange: Vec<_> = calls.filter(|name| !is_known(name)).collect();
    assert!(strange.is_empty(), "liburing has no such function: {strange:#?}");
}

#[test]
fn every_set_up_flag_is_found() {
    assert_found(SetupFlags::all().iter_names().map(|(name, _)| format!("IORING_SETUP_{name}")));
}

#[test]
fn every_register_operation_is_found() {
    assert_found(RegisterOp::ALL.iter().map(|(name, _)| format!("IORING_{name}")));
}

#[test]
fn every_flag_of_entries_is_found() {
    assert_found(SqeFlags::all().iter_names().map(|(name, _)| format!("IOSQE_{name}")));
}

#[test]
fn every_flag_of_completions_is_found() {
    // The name of one is a number, which cannot be a name here.
    let names = CqeFlags::all().iter_names().map(|(name, _)| name.trim_start_matches("F_"));
    assert_found(names.map(|name| format!("IORING_CQE_F_{name}")));
}

#[test]
fn every_flag_of_an_operation_that_has_a_method_is_found() {
    let nop = NopFlags::all().iter_names().map(|(name, _)| format!("IORING_NOP_{name}"));
    let fsync = FsyncFlags::all().iter_names().map(|(name, _)| format!("IORING_FSYNC_{name}"));
    let message = MsgRingFlags::all().iter_names();
    let message = message.map(|(name, _)| format!("IORING_MSG_RING_{name}"));
    let install = FixedFdFlags::all().iter_names();
    let install = install.map(|(name, _)| format!("IORING_FIXED_FD_{name}"));
    assert_found(nop.chain(fsync).chain(message).chain(install));
}
