//! What the types of the safe front refuse, and what they allow.

/// Wrong programs do not compile, and the compiler says what is in the file beside each. The texts
/// are those of the stable compiler: `TRYBUILD=overwrite` writes them again.
#[test]
fn wrong_programs_are_refused() {
    trybuild::TestCases::new().compile_fail("wrong/*.rs");
}

/// Right programs compile, and end without an error.
#[test]
fn right_programs_run() {
    trybuild::TestCases::new().pass("src/bin/*.rs");
}
