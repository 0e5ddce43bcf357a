//! Starting and restarting in each form, with as many operations as a plan has.

use ringbolt::jobs::{Done, Jobs, Key, Refused};

use super::flight::Form;
use super::value::{Plan, Value};

type Started = Result<Key, Refused<Value>>;

/// Starts a job. `before` runs in the closure that makes the operations.
pub(crate) fn start<Th>(
    jobs: &mut Jobs<'_, '_, Value, Th>,
    value: Value,
    form: Form,
    plan: &Plan,
    before: impl FnOnce(),
) -> Started {
    let quiet = form == Form::Quiet;
    match plan.steps().len() {
        _ if form == Form::Multi => jobs.start_multi(value, |value| {
            before();
            value.multi()
        }),
        _ if matches!(form, Form::Alone | Form::Take) => jobs.start(value, |value| {
            before();
            value.op()
        }),
        1 => start_links::<1, Th>(jobs, value, quiet, before),
        2 => start_links::<2, Th>(jobs, value, quiet, before),
        3 => start_links::<3, Th>(jobs, value, quiet, before),
        4 => start_links::<4, Th>(jobs, value, quiet, before),
        5 => start_links::<5, Th>(jobs, value, quiet, before),
        6 => start_links::<6, Th>(jobs, value, quiet, before),
        _ => start_links::<7, Th>(jobs, value, quiet, before),
    }
}

fn start_links<const N: usize, Th>(
    jobs: &mut Jobs<'_, '_, Value, Th>,
    value: Value,
    quiet: bool,
    before: impl FnOnce(),
) -> Started {
    if quiet {
        jobs.start_quiet(value, |value| {
            before();
            value.ops::<N>()
        })
    } else {
        jobs.start_chain(value, |value| {
            before();
            value.ops::<N>()
        })
    }
}

/// Starts a job again in its place.
pub(crate) fn restart<Th>(
    done: Done<'_, '_, '_, Value, Th>,
    form: Form,
    plan: &Plan,
    before: impl FnOnce(),
) -> Started {
    let quiet = form == Form::Quiet;
    match plan.steps().len() {
        _ if form == Form::Multi => done.restart_multi(|value| {
            before();
            value.multi()
        }),
        _ if matches!(form, Form::Alone | Form::Take) => done.restart(|value| {
            before();
            value.op()
        }),
        1 => restart_links::<1, Th>(done, quiet, before),
        2 => restart_links::<2, Th>(done, quiet, before),
        3 => restart_links::<3, Th>(done, quiet, before),
        4 => restart_links::<4, Th>(done, quiet, before),
        5 => restart_links::<5, Th>(done, quiet, before),
        6 => restart_links::<6, Th>(done, quiet, before),
        _ => restart_links::<7, Th>(done, quiet, before),
    }
}

fn restart_links<const N: usize, Th>(
    done: Done<'_, '_, '_, Value, Th>,
    quiet: bool,
    before: impl FnOnce(),
) -> Started {
    if quiet {
        done.restart_quiet(|value| {
            before();
            value.ops::<N>()
        })
    } else {
        done.restart_chain(|value| {
            before();
            value.ops::<N>()
        })
    }
}
