//! The event loop: nothing is missed, and it does not spin.

use core::time::Duration;

use common::require;
use ringbolt::sys::SetupFlags;

use super::read::stop_and_continue;
use super::{command, common, finish, run};

/// The numbers that it prints: completions, wake-ups and interruptions.
fn numbers(args: &[&str]) -> [u64; 3] {
    let output = run("event_loop", args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let numbers: Vec<u64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().expect("three numbers")
}

/// Goal: with a thread's own ring and an eventfd no completion is missed, and the loop is woken for
/// completions alone. Method: 10,000 messages at an uneven pace; a loop that spins wakes more
/// often.
#[test]
fn an_eventfd_wakes_the_loop_for_every_completion_and_for_nothing_else() {
    require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
    // A loop that the writer never lets sleep is never woken: then another one is tried.
    let [completions, wake_ups, interruptions] = (0..20)
        .map(|_| numbers(&["10000"]))
        .find(|[_, wake_ups, _]| *wake_ups > 0)
        .expect("one of the loops slept");
    assert_eq!(completions, 10_000);
    assert!(wake_ups <= completions, "{wake_ups} wake-ups");
    // Eight reads wait on one pipe. One that others forestall too often goes to a worker thread,
    // whose start interrupts the loop: seldom, on a busy machine.
    assert!(interruptions <= 100, "{interruptions} interruptions");
}

#[test]
fn the_descriptor_of_a_ring_with_default_flags_wakes_the_loop_or_the_kernel_interrupts_it() {
    let ends_of_sleeps = (0..20).map(|_| numbers(&["--descriptor", "10000"])).find_map(|counts| {
        let [completions, wake_ups, interruptions] = counts;
        assert_eq!(completions, 10_000);
        Some(wake_ups + interruptions).filter(|ends| *ends > 0)
    });
    let ends_of_sleeps = ends_of_sleeps.expect("one of the loops slept");
    assert!(ends_of_sleeps <= 20_000, "{ends_of_sleeps}");
}

#[test]
fn help_and_wrong_arguments_are_told_apart() {
    let help = run("event_loop", &["--help"]);
    assert!(help.status.success() && help.stdout.starts_with(b"Usage: event_loop"));
    assert_eq!(run("event_loop", &["--nonsense"]).status.code(), Some(2));
}

/// Goal: a loop that is stopped and continued (Ctrl-Z, fg) misses nothing.
#[test]
fn a_loop_that_is_stopped_and_continued_misses_nothing() {
    require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
    for kind in [&["20000"][..], &["--descriptor", "20000"]] {
        let child = command("event_loop", kind).spawn().expect("the example starts");
        let pause = Duration::from_millis(2);
        stop_and_continue(&child, 10, pause, pause);
        let output = finish(child);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.starts_with("20000 completions"), "{text}");
    }
}
