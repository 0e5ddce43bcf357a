//! Runs a test on random values. If it fails for one, the smallest such value that can be found is
//! shown, once, with its failure.

use core::cell::Cell;
use core::fmt::Debug;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::sync::Once;

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

thread_local! {
    /// Whether a panic of this thread is one of many on the way to the smallest value.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps this thread's panics silent, or no longer.
fn be_quiet(quiet: bool) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                loud(info);
            }
        }));
    });
    IS_QUIET.set(quiet);
    #[cfg(all(feature = "sim", feature = "owned"))]
    crate::checks::script::run::be_quiet(quiet);
}

/// As many values as `RINGBOLT_CASES` says, or `usual`.
pub(crate) fn cases(usual: u32) -> u32 {
    let wish = std::env::var("RINGBOLT_CASES").ok();
    wish.map_or(usual, |wish| wish.parse().expect("RINGBOLT_CASES is a number"))
}

/// Runs `test` on as many values of `strategy` as `config` says. For a value that fails, and that
/// the test does not print itself, `show` says how it is printed.
pub(crate) fn on_any<S: Strategy>(
    config: ProptestConfig,
    strategy: &S,
    show: impl Fn(&S::Value) -> String,
    test: impl Fn(&S::Value),
) where
    S::Value: Debug,
{
    let config = ProptestConfig { failure_persistence: None, ..config };
    be_quiet(true);
    let outcome = TestRunner::new(config).run(strategy, |value| {
        test(&value);
        Ok(())
    });
    be_quiet(false);
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, value)) => {
            eprintln!("== the smallest value that fails, and its failure\n{}", show(&value));
            // Once more, to be seen.
            test(&value);
            panic!("it failed once, and not again: {reason}\n{}", show(&value));
        }
        Err(error) => panic!("{error}"),
    }
}

/// How bytes are printed: in one line, as two digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes: {}", bytes.len(), digits.join(" "))
}

#[test]
#[cfg_attr(miri, ignore = "it runs many cases")]
fn the_smallest_value_that_fails_is_shown_once() {
    let (shown, tries) = (Cell::new(0), Cell::new(0));
    let outcome = catch_unwind(core::panic::AssertUnwindSafe(|| {
        let show = |value: &u32| {
            shown.set(shown.get() + 1);
            assert_eq!(*value, 1000);
            String::new()
        };
        on_any(ProptestConfig::default(), &any::<u32>(), show, |value| {
            tries.set(tries.get() + 1);
            // Only the last failure is heard.
            assert!(*value < 1000, "{value} fails, {}", IS_QUIET.get());
        });
    }));
    let message = outcome.expect_err("most numbers fail");
    assert_eq!(message.downcast_ref::<String>().expect("a text"), "1000 fails, false");
    assert_eq!(shown.get(), 1);
    assert!(tries.get() > 2, "{} tries", tries.get());
}
