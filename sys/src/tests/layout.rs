//! The table in `layout.rs` against `tests/data/layout.tsv`, and against the source.
//!
//! Goal: no structure, field or arm of the kernel is missing, misplaced or invented here. Method:
//! list each structure as C programs see it, with the fields of unnamed unions and structures as
//! its own, and those of named ones after a dot, and compare.

use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::{assert_same, rows};
use crate::layout::TABLE;

/// A line of the table: a structure or union.
pub(crate) struct Record {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) fields: &'static [Field],
}

/// A field of a [`Record`]; `how` is what the table has in parentheses.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) offset: usize,
    pub(crate) size: usize,
    pub(crate) how: &'static [&'static str],
}

/// Structures of other kernel headers, which the list does not have: sizes and fields in order.
const OTHER_HEADERS: &[(&str, usize, &str)] = &[
    ("__kernel_timespec", 16, "tv_sec tv_nsec"),
    ("open_how", 24, "flags mode resolve"),
    ("futex_waitv", 24, "val uaddr flags __reserved"),
];

fn find(name: &str) -> &'static Record {
    TABLE.iter().find(|record| record.name == name).unwrap_or_else(|| panic!("no {name} in TABLE"))
}

/// Offset and size of every field as C has it, of `record` at `base`, below `prefix`.
fn flatten(
    record: &Record,
    prefix: &str,
    base: usize,
    fields: &mut BTreeMap<String, (usize, usize)>,
) {
    for field in record.fields {
        let name = format!("{prefix}{}", field.name.trim_start_matches("r#"));
        let at = base + field.offset;
        let size = match field.how {
            [] => field.size,
            ["nested", inner] => {
                flatten(find(inner), &format!("{name}."), at, fields);
                field.size
            }
            ["anonymous", inner] => {
                flatten(find(inner), prefix, at, fields);
                continue;
            }
            ["flexible"] => 0,
            ["ours"] => continue,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(fields.insert(name.clone(), (at, size)), None, "{name} twice");
    }
}

/// The rows of the list that are of the kernel this crate mirrors.
fn kernel_rows() -> impl Iterator<Item = BTreeMap<&'static str, &'static str>> {
    rows(include_str!("../../tests/data/layout.tsv"))
        .filter(|row| row["source"] != "liburing2.15" && row["header"] != "io_uring/mock_file.h")
}

/// The alignment that C gives a structure on this target.
fn alignment(row: &BTreeMap<&str, &str>) -> usize {
    let on_i686 = row["i686"].split_once("align=").map(|(_, align)| align);
    let align = if align_of::<u64>() == 4 { on_i686 } else { None };
    align.unwrap_or(row["align"]).parse().unwrap()
}

#[test]
#[cfg_attr(miri, ignore = "slow there, and not about memory")]
fn every_structure_has_the_size_and_alignment_of_the_kernel() {
    let kernel: BTreeMap<String, (usize, usize)> = kernel_rows()
        .filter(|row| row["record"] == "S")
        .map(|row| (row["type"].to_string(), (row["size"].parse().unwrap(), alignment(&row))))
        .collect();
    let inner: BTreeSet<&str> = TABLE
        .iter()
        .flat_map(|record| record.fields)
        .filter_map(|field| field.how.get(1).copied())
        .collect();
    let ours = TABLE
        .iter()
        .filter(|record| kernel.contains_key(record.name) || !inner.contains(record.name))
        .filter(|record| OTHER_HEADERS.iter().all(|(name, ..)| *name != record.name))
        .map(|record| (record.name.to_string(), (record.size, record.align)))
        .collect();
    assert_same(&kernel, &ours);
}

#[test]
#[cfg_attr(miri, ignore = "slow there, and not about memory")]
fn every_field_is_where_the_kernel_has_it() {
    let mut kernel = BTreeMap::new();
    let mut ours = BTreeMap::new();
    for row in kernel_rows() {
        match row["record"] {
            "S" => {
                let mut fields = BTreeMap::new();
                flatten(find(row["type"]), "", 0, &mut fields);
                let of = |(name, place)| (format!("{}.{name}", row["type"]), place);
                ours.extend(fields.into_iter().map(of));
            }
            "F" => {
                let name = format!("{}.{}", row["type"], row["field"]);
                let place = (row["offset"].parse().unwrap(), row["size"].parse().unwrap());
                assert_eq!(kernel.insert(name, place), None, "{row:?} twice");
            }
            other => panic!("{other}"),
        }
    }
    assert!(kernel.len() > 300, "the list was cut");
    assert_same(&kernel, &ours);
}

#[test]
#[cfg_attr(miri, ignore = "slow there, and not about memory")]
fn structures_of_other_headers_have_their_size_and_fields() {
    for (name, size, fields) in OTHER_HEADERS {
        let record = find(name);
        let ours: Vec<&str> = record.fields.iter().map(|field| field.name).collect();
        assert_eq!(record.size, *size, "{name}");
        assert_eq!(ours, fields.split(' ').collect::<Vec<_>>(), "{name}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow there, and not about memory")]
fn every_structure_and_every_arm_in_the_source_is_in_the_table() {
    let sources = [
        include_str!("../bpf_filter.rs"),
        include_str!("../query.rs"),
        include_str!("../register.rs"),
        include_str!("../ring.rs"),
        include_str!("../sqe.rs"),
        include_str!("../zcrx.rs"),
    ];
    let mut source: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in sources.iter().flat_map(|source| source.lines()) {
        let name = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub union "));
        if let Some(name) = name.and_then(|name| name.strip_suffix(" {")) {
            current = name.to_string();
            source.insert(current.clone(), Vec::new());
        } else if let Some((field, _)) =
            line.strip_prefix("    pub ").and_then(|field| field.split_once(": "))
        {
            source.get_mut(&current).unwrap().push(field.to_string());
        }
    }
    let table = TABLE
        .iter()
        .map(|record| {
            let fields = record.fields.iter().map(|field| field.name.to_string());
            (record.name.to_string(), fields.collect())
        })
        .collect();
    assert_same(&source, &table);
}
