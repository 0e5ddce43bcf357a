//! Nothing that the kernel can do is out of reach: each operation has a type, each way to register
//! a method, and the README says so.
//!
//! The sources are the list: what they name, they reach.

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ringbolt::sys::{KernelVersion, Opcode, RegisterOp};

/// The crate's folder.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The texts of the files under `folder`; none where a package leaves the folder out.
fn sources(folder: &str) -> Vec<String> {
    fn walk(folder: &Path, texts: &mut Vec<String>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                walk(&path, texts);
            } else {
                texts.push(fs::read_to_string(path).expect("a source"));
            }
        }
    }
    let mut texts = Vec::new();
    walk(&root().join(folder), &mut texts);
    texts
}

/// The types of each operation, by the kernel's name: `doc(alias)` stands before the type.
fn types() -> BTreeMap<String, Vec<String>> {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources("src/ops") {
        let mut alias = None;
        for line in source.lines() {
            if let Some(rest) = line.strip_prefix("#[doc(alias = \"IORING_OP_") {
                alias = rest.strip_suffix("\")]");
            }
            let Some(rest) = line.strip_prefix("pub struct ") else { continue };
            let Some(alias) = alias.take() else { continue };
            let name = rest.split(['(', '<', ' ', ';']).next().expect("a name");
            types.entry(alias.into()).or_default().push(name.into());
        }
    }
    types.values_mut().for_each(|names| names.sort());
    types
}

#[test]
fn every_operation_has_a_type_and_every_type_an_operation() {
    let mut types = types();
    for (name, _) in Opcode::ALL {
        assert!(types.remove(*name).is_some(), "IORING_OP_{name} has no type in src/ops");
    }
    assert!(types.is_empty(), "types of operations that there are not: {types:?}");
}

#[test]
fn every_way_to_register_has_a_method() {
    let mut sources = sources("src/register");
    sources.push(fs::read_to_string(root().join("src/setup/resize.rs")).expect("a source"));
    for (name, op) in RegisterOp::ALL {
        // As an argument, or by a name of its own.
        let uses = [',', ';'].map(|end| format!("RegisterOp::{name}{end}"));
        let uses_it = |text: &String| uses.iter().any(|used| text.contains(used));
        // With a method comes its documentation, which gives the kernel's name.
        let told = format!("`IORING_{name}`");
        let reached = sources.iter().any(|text| uses_it(text) && text.contains(&told));
        // Told of where a ring is built and enabled.
        let elsewhere = [
            RegisterOp::REGISTER_RING_FDS,
            RegisterOp::UNREGISTER_RING_FDS,
            RegisterOp::REGISTER_ENABLE_RINGS,
        ];
        let used = sources.iter().any(uses_it);
        assert!(reached || (elsewhere.contains(op) && used), "IORING_{name} has no method");
    }
}

/// Sets of flags and codes are reached by what takes or gives one, or a struct with one in it.
#[test]
fn every_set_of_flags_and_codes_is_taken_or_given_by_something() {
    let (mut sets, mut users) = (Vec::new(), sources("src"));
    for text in sources("sys/src") {
        if text.contains("bitflags! {") || text.contains("open_set! {") {
            sets.push(text);
        } else if text.contains("#[repr(C)]") {
            users.push(text);
        }
    }
    let declared = sets.iter().flat_map(|text| text.lines());
    let names = declared
        .filter_map(|line| line.trim().strip_prefix("pub struct "))
        .filter_map(|rest| rest.split([':', '(', ' ', ';']).next());
    for name in names {
        let is_used = users.iter().any(|text| text.contains(name));
        assert!(is_used, "nothing takes or gives a {name}");
    }
}

/// What the README says of operations.
fn table() -> String {
    let types = types();
    let mut ops: Vec<(KernelVersion, &str)> = Vec::new();
    for (name, op) in Opcode::ALL {
        ops.push((op.since().expect("a version"), name));
    }
    // The kernel's order within a version.
    ops.sort_by_key(|(since, _)| *since);
    let mut text = String::from("| since | operations |\n|---|---|\n");
    for chunk in ops.chunk_by(|a, b| a.0 == b.0) {
        let names: Vec<String> = chunk
            .iter()
            .flat_map(|(_, name)| types.get(*name).into_iter().flatten())
            .map(|name| format!("`{name}`"))
            .collect();
        let since = chunk.first().expect("a chunk is not empty").0;
        writeln!(text, "| {since} | {} |", names.join(", ")).expect("a string");
    }
    text
}

const BEGIN: &str = "<!-- operations: begin -->\n";
const END: &str = "<!-- operations: end -->";

/// With `RINGBOLT_WRITE_TABLE` set, the table is written instead of compared.
#[test]
fn the_table_of_operations_in_the_readme_is_up_to_date() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).expect("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("where the table begins");
    let (stands, after) = rest.split_once(END).expect("where the table ends");
    let table = table();
    if std::env::var_os("RINGBOLT_WRITE_TABLE").is_some() {
        fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("README.md");
    } else {
        assert_eq!(
            stands, table,
            "README.md is out of date: RINGBOLT_WRITE_TABLE=1 cargo test --test house"
        );
    }
}
