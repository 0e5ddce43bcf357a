//! The scripts in `ci/`: each is explained in `CONTRIBUTING.md`, and `.ci/run` runs it or says that
//! it does not.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The scripts that there are, without what others source; or `None`, loudly, in a package, which
/// leaves them out.
fn scripts() -> Option<BTreeSet<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci");
    let Ok(files) = fs::read_dir(folder) else {
        println!("skipped: this package has no folder ci/");
        return None;
    };
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    Some(names.filter(|name| name.ends_with(".sh") && name != "lib.sh").collect())
}

/// The scripts that a text names as `ci/NAME.sh`.
fn named(text: &str) -> BTreeSet<String> {
    let rest_of = text.split("ci/").skip(1);
    let names = rest_of.filter_map(|rest| rest.split_once(".sh").map(|(name, _)| name));
    let is_name =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    names.filter(is_name).map(|name| format!("{name}.sh")).collect()
}

#[test]
fn contributing_explains_each_script_and_no_other() {
    let Some(scripts) = scripts() else { return };
    let named = named(&text("CONTRIBUTING.md"));
    let unexplained: Vec<_> = scripts.difference(&named).collect();
    assert!(unexplained.is_empty(), "CONTRIBUTING.md does not name {unexplained:?} of ci/");
    let absent: Vec<_> = named.difference(&scripts).filter(|name| *name != "lib.sh").collect();
    assert!(absent.is_empty(), "CONTRIBUTING.md names {absent:?}, which ci/ does not have");
}

#[test]
fn each_script_runs_before_a_change_lands_or_is_named_among_those_that_do_not() {
    let Some(scripts) = scripts() else { return };
    let run = text(".ci/run");
    let runs = |script: &str| {
        let name = script.trim_end_matches(".sh");
        run.lines().any(|line| line.split(' ').next() == Some(name))
    };
    let excepted = named(&run);
    for script in scripts {
        let is_told = runs(&script) != excepted.contains(&script);
        assert!(is_told, "{script}: .ci/run runs it, or names it as `ci/{script}`, and not both");
    }
}
