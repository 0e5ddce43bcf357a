//! The guide: each page in `docs/` is a module of `ringbolt::guide` and is listed on its front
//! page, in the same order, and each picture is on a page.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder whose names end with `end`, without that.
fn names(folder: &str, end: &str) -> BTreeSet<String> {
    let files = fs::read_dir(path(folder)).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    names.filter_map(|name| name.strip_suffix(end).map(str::to_owned)).collect()
}

/// What stands in `text` between each `start` and the `end` after it, in order.
fn between(text: &str, start: &str, end: &str) -> Vec<String> {
    let rest_of = text.split(start).skip(1);
    rest_of.filter_map(|rest| rest.split_once(end).map(|(name, _)| name.to_owned())).collect()
}

#[test]
fn every_page_is_a_module_and_is_listed_in_the_same_order() {
    let front = text("docs/guide.md");
    let listed = between(&front, "](crate::guide::", ")");
    let lib = text("src/lib.rs");
    let guide = lib.split_once("pub mod guide {").expect("the module of the guide").1;
    assert_eq!(between(guide, "    pub mod ", " {}"), listed, "modules, and what is listed");
    let shown = between(guide, "include_str!(\"../docs/", ".md\")");
    let shown = shown.iter().take(listed.len()).cloned();
    assert_eq!(shown.collect::<Vec<_>>(), listed, "a module shows the page of its name");
    let mut pages = names("docs", ".md");
    assert!(pages.remove("guide"), "the front page");
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), pages, "listed, and in docs/");
}

/// A blank line ends what Markdown takes for HTML, and a colour of its own is for one background.
#[test]
fn every_picture_is_on_a_page_and_can_stand_there() {
    let lib = text("src/lib.rs");
    let shown = between(&lib, "include_str!(\"../docs/pictures/", ".svg\")");
    let pictures = names("docs/pictures", ".svg");
    assert_eq!(shown.into_iter().collect::<BTreeSet<_>>(), pictures, "shown, and in docs/pictures");
    for name in pictures {
        let picture = text(&format!("docs/pictures/{name}.svg"));
        assert!(picture.lines().all(|line| !line.trim().is_empty()), "{name} has a blank line");
        assert!(picture.contains("<title>"), "{name} has no title, for those who do not see it");
        let own = ["black", "white", "#000", "#fff", "#FFF"];
        assert!(own.iter().all(|colour| !picture.contains(colour)), "{name}: a colour of its own");
    }
}
