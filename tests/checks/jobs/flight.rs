//! [`Flight`]: a job in flight, by the model, and which results it may have.

use ringbolt::jobs::Cause;
use ringbolt::rustix::io::Errno;

use super::value::{Plan, What};

/// How a job was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Alone,
    Chain,
    Quiet,
    /// A read into a provided buffer.
    Take,
    /// Such reads, again and again.
    Multi,
}

/// A job in flight.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) id: usize,
    pub(crate) form: Form,
    pub(crate) plan: Plan,
    /// Whether it was cancelled.
    pub(crate) asked: bool,
    /// Whether time is virtual: then any of it passes at once.
    pub(crate) simulated: bool,
    /// Whether there is a polling thread.
    pub(crate) polled: bool,
}

type Outcome = Result<u32, Errno>;

impl Flight {
    /// Whether it ends by itself.
    pub(crate) fn is_sure(&self) -> bool {
        self.plan.steps().iter().all(|step| step.is_sure())
    }

    /// Why a job of this plan is refused before anything is tried, if it is.
    pub(crate) fn is_unfit(plan: &Plan, form: Form) -> bool {
        let (last, before) = plan.steps().split_last().expect("one operation");
        let ends_early = matches!(last.what, What::Limit(_));
        form == Form::Quiet && (ends_early || before.iter().any(|step| step.hard))
    }

    /// Fails unless a job with this plan may be refused for `cause`.
    pub(crate) fn may_be_refused(plan: &Plan, form: Form, slots: u32, cause: Cause) {
        let len = u32::try_from(plan.steps().len()).unwrap_or(u32::MAX);
        let may = match cause {
            Cause::NoPlace | Cause::Submit(_) => true,
            Cause::TooLong => len > slots,
            Cause::NotQuiet => Self::is_unfit(plan, form),
            _ => false,
        };
        assert!(may, "refused for {cause:?}: {form:?} {plan:?}, {slots} slots");
    }

    /// Fails unless the job may have these results.
    pub(crate) fn check(&self, results: &[Outcome]) {
        match self.form {
            Form::Quiet if !self.polled => self.check_quiet(results),
            // With a polling thread, a quiet chain is not.
            Form::Quiet => self.check_loud(results),
            Form::Take | Form::Multi => self.check_one(0, results[0]),
            Form::Alone | Form::Chain => self.check_loud(results),
        }
    }

    fn check_loud(&self, results: &[Outcome]) {
        let (mut is_broken, mut was_broken) = (false, false);
        let last = self.plan.steps().len() - 1;
        for (nth, (step, result)) in self.plan.steps().iter().zip(results).enumerate() {
            if matches!(step.what, What::Limit(_)) && !was_broken {
                // What it limits was started. It breaks nothing.
                self.check_one(nth, *result);
                continue;
            }
            was_broken = is_broken;
            if is_broken {
                assert_eq!(*result, Err(Errno::CANCELED), "link {nth}: {self:?} {results:?}");
                continue;
            }
            let next = self.plan.steps().get(nth + 1).filter(|_| nth < last).map(|step| step.what);
            let out_of_time = match (next, results.get(nth + 1)) {
                (Some(What::Limit(_)), Some(limit)) => *limit != Err(Errno::CANCELED),
                _ => false,
            };
            if !out_of_time || !matches!(result, Err(Errno::CANCELED | Errno::INTR)) {
                self.check_one(nth, *result);
            }
            is_broken = step.fails(*result) && !(step.hard && nth < last);
        }
    }

    fn check_quiet(&self, results: &[Outcome]) {
        let quiet = results.iter().take_while(|result| **result == Err(Errno::NODATA)).count();
        let steps = self.plan.steps();
        if results[0].is_ok() && steps.len() > 1 && !steps[0].fails(results[0]) {
            // With a polling thread it is a chain like any other.
            return self.check_loud(results);
        }
        assert!(quiet < steps.len(), "nothing was told: {self:?} {results:?}");
        assert!(!matches!(steps[quiet].what, What::Limit(_)), "{self:?} {results:?}");
        let is_limited = matches!(steps.get(quiet + 1).map(|step| step.what), Some(What::Limit(_)));
        if !is_limited || !matches!(results[quiet], Err(Errno::CANCELED | Errno::INTR)) {
            self.check_one(quiet, results[quiet]);
        }
        let rest = &results[quiet + 1..];
        let is_over = rest.is_empty() || steps[quiet].fails(results[quiet]);
        assert!(is_over, "told before its end: {self:?} {results:?}");
        assert!(rest.iter().all(|result| *result == Err(Errno::CANCELED)), "{results:?}");
    }

    /// Fails unless operation `nth`, which was started, may have this result.
    fn check_one(&self, nth: usize, result: Outcome) {
        let is_cancelled = matches!(result, Err(Errno::CANCELED | Errno::INTR)) && self.asked;
        let may_be = match self.plan.steps()[nth].what {
            What::Nop(exact) => {
                let exact = u32::try_from(exact)
                    .map_err(|_| Errno::from_raw_os_error(exact.wrapping_neg()));
                result == exact || is_cancelled
            }
            What::Timeout => result == Err(Errno::TIME) || is_cancelled,
            What::Limit(long) => match result {
                Err(Errno::CANCELED) => true,
                Err(Errno::TIME | Errno::ALREADY | Errno::NOENT) => !long || self.simulated,
                _ => false,
            },
            What::Take(_, _, _, false) => {
                matches!(result, Err(Errno::NOBUFS | Errno::IO | Errno::AGAIN | Errno::INTR))
                    || is_cancelled
            }
            What::Take(..) if result == Err(Errno::NOBUFS) => true,
            What::Take(..) | What::Read(..) | What::Write => match result {
                Ok(len) => len <= 8,
                Err(Errno::CANCELED) => is_cancelled,
                // What a test makes a transfer fail with.
                Err(errno) => matches!(errno, Errno::IO | Errno::AGAIN | Errno::INTR),
            },
        };
        assert!(may_be, "operation {nth} has {result:?}: {self:?}");
    }
}
