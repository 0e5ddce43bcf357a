//! Cases, contenders, and the contest that they are held in.
//!
//! A contest measures a case in rounds. In each round every contender does one short slice of
//! the work, a different one first each time; what is reported is the median over the rounds
//! of the ratio within a round. A machine that slows down for a second then slows all of them
//! down, and the ratio stays. Criterion gets the same closures afterwards, for its plots.

use core::fmt;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::thread;

use criterion::{BenchmarkId, Criterion, Throughput};
use hdrhistogram::Histogram;
use regex::Regex;

use crate::clock::Spent;
use crate::report::Report;
use crate::tally::{Tally, calibrate, row};

/// Who does the work. The order is that of the columns in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// ringbolt, by its public typed interface: everybody else is compared with it.
    Ringbolt,
    /// What an expert writes by hand for this very work, on the raw rings.
    Floor,
    /// The `io-uring` crate.
    IoUring,
    /// Readiness by epoll, then plain system calls.
    Epoll,
    /// Plain system calls.
    Calls,
}

impl Who {
    /// All of them, in the order of the columns.
    pub const ALL: [Self; 5] =
        [Self::Ringbolt, Self::Floor, Self::IoUring, Self::Epoll, Self::Calls];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ringbolt => "ringbolt",
            Self::Floor => "floor",
            Self::IoUring => "io-uring",
            Self::Epoll => "epoll",
            Self::Calls => "calls",
        }
    }
}

/// How long single operations took, from their start to their completion.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        // Up to a minute, to three digits. The memory is all allocated here.
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        Self(histogram.expect("bounds that a histogram can have"))
    }

    /// Counts one operation.
    #[inline]
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Whether none was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The latency, in nanoseconds, that so large a part (0.99 for p99) of the operations kept.
    pub fn percentile(&self, part: f64) -> u64 {
        self.0.value_at_quantile(part)
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

type Plain<'a> = Box<dyn FnMut(u64) + 'a>;
type Timed<'a> = Box<dyn FnMut(u64, &mut Latencies) -> Spent + 'a>;

/// How the work is done.
enum Run<'a> {
    /// Nothing but the work, which must not allocate.
    Plain(Plain<'a>),
    /// Measures itself.
    Timed(Timed<'a>),
}

/// One way to do the work of a case.
pub struct Contender<'a> {
    /// Whose way it is.
    pub who: Who,
    run: Run<'a>,
}

impl Contender<'_> {
    /// Does `turns` turns of the work, and says what they took.
    pub fn run(&mut self, turns: u64, latencies: &mut Latencies) -> Spent {
        match &mut self.run {
            Run::Plain(work) => Spent::by_process(|| work(turns)),
            Run::Timed(work) => work(turns, latencies),
        }
    }

    /// Does `turns` turns of work that does not measure itself, and looks at no clock.
    pub fn work(&mut self, turns: u64) {
        match &mut self.run {
            Run::Plain(work) => work(turns),
            Run::Timed(_) => panic!("this contender measures itself"),
        }
    }

    /// Whether every allocation meanwhile is the contender's own doing.
    const fn is_plain(&self) -> bool {
        matches!(self.run, Run::Plain(_))
    }
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender").field("who", &self.who).finish_non_exhaustive()
    }
}

/// A piece of work, and those who do it.
///
/// Work is done in turns: the least that can be repeated, such as one batch.
#[derive(Debug)]
pub struct Case<'a> {
    pub(crate) group: &'static str,
    pub(crate) variant: String,
    pub(crate) size: u64,
    pub(crate) operations: u64,
    pub(crate) contenders: Vec<Contender<'a>>,
    settle: Duration,
    slice: Option<Duration>,
    pub(crate) is_headline: bool,
}

impl<'a> Case<'a> {
    /// A case named `group/variant/size`, of which one turn is so many `operations` (messages,
    /// reads, whatever the figures are to be per).
    pub fn new(
        group: &'static str,
        variant: impl Into<String>,
        size: impl Into<u64>,
        operations: impl Into<u64>,
    ) -> Self {
        Self {
            group,
            variant: variant.into(),
            size: size.into(),
            operations: operations.into(),
            contenders: Vec::new(),
            settle: Duration::ZERO,
            slice: None,
            is_headline: false,
        }
    }

    /// The name on the command line and in reports.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.group, self.variant, self.size)
    }

    /// Adds a contender that does so many turns and returns: the whole of it is measured, by
    /// the wall and by the CPU time of the process. ringbolt's must not allocate.
    pub fn enter(&mut self, who: Who, work: impl FnMut(u64) + 'a) -> &mut Self {
        self.add(who, Run::Plain(Box::new(work)))
    }

    /// Adds a contender that measures itself: one that sets something up each time, counts the
    /// CPU time of one of its threads only, or tells latencies.
    pub fn enter_timed(
        &mut self,
        who: Who,
        work: impl FnMut(u64, &mut Latencies) -> Spent + 'a,
    ) -> &mut Self {
        self.add(who, Run::Timed(Box::new(work)))
    }

    fn add(&mut self, who: Who, run: Run<'a>) -> &mut Self {
        assert!(self.contenders.iter().all(|one| one.who != who), "{} is here", who.name());
        self.contenders.push(Contender { who, run });
        self
    }

    /// Sleeps before each slice, until what the last contender left behind (an SQPOLL thread
    /// that still polls, say) is quiet.
    pub fn settle(&mut self, time: Duration) -> &mut Self {
        self.settle = time;
        self
    }

    /// Makes slices as long as this, for work that has to get going. Not in a quick pass.
    pub fn slice(&mut self, time: Duration) -> &mut Self {
        self.slice = Some(time);
        self
    }

    /// Puts the case into the short table and the one picture of the README.
    pub fn headline(&mut self) -> &mut Self {
        self.is_headline = true;
        self
    }

    /// Operations of one turn.
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// Those who do the work, ringbolt first.
    pub fn contenders(&mut self) -> &mut [Contender<'a>] {
        self.contenders.sort_by_key(|contender| contender.who);
        &mut self.contenders
    }
}

/// How much time a contest takes.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rounds: usize,
    slice: Duration,
    /// How long criterion measures one contender; not at all in a quick pass.
    criterion: Option<Duration>,
    is_quick: bool,
}

impl Plan {
    const FULL: Self = Self {
        rounds: 25,
        slice: Duration::from_millis(16),
        criterion: Some(Duration::from_millis(250)),
        is_quick: false,
    };
    const QUICK: Self =
        Self { rounds: 7, slice: Duration::from_millis(3), criterion: None, is_quick: true };
}

/// Holds cases, and keeps what came out.
pub struct Contest {
    plan: Plan,
    wanted: Option<Regex>,
    criterion: Criterion,
    target: PathBuf,
    report: Report,
}

impl fmt::Debug for Contest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contest").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Contest {
    /// A contest of the cases whose name matches the first argument that is no option, a
    /// regular expression; of all without one. Options are criterion's; their values are to be
    /// given with `=`, as in `--save-baseline=before`.
    ///
    /// With `RINGBOLT_BENCH_QUICK=1` slices are few and short, and criterion is left out.
    pub fn from_args(target: &Path) -> Self {
        let pattern = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
        let wanted = pattern.map(|pattern| match Regex::new(&pattern) {
            Ok(wanted) => wanted,
            Err(error) => panic!("no pattern to choose cases by: {error}"),
        });
        let is_quick = std::env::var_os("RINGBOLT_BENCH_QUICK").is_some_and(|value| value == "1");
        let plan = if is_quick { Plan::QUICK } else { Plan::FULL };
        let time = plan.criterion.unwrap_or(Plan::FULL.slice);
        let criterion = Criterion::default()
            .output_directory(&target.join("criterion"))
            .sample_size(10)
            .nresamples(2000)
            .warm_up_time(Duration::from_millis(50))
            .measurement_time(time)
            .configure_from_args()
            // The cases are chosen here, by whole cases.
            .with_filter(".");
        let report = Report::default();
        Self { plan, wanted, criterion, target: target.join("ringbolt"), report }
    }

    /// Whether the pass is to be a quick one: long cases are then to be left out, or shortened.
    pub const fn is_quick(&self) -> bool {
        self.plan.is_quick
    }

    /// Where reports go, and files that cases need meanwhile.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// A new case, if it was asked for; see [`Case::new`].
    pub fn case<'a>(
        &self,
        group: &'static str,
        variant: impl Into<String>,
        size: impl Into<u64>,
        operations: impl Into<u64>,
    ) -> Option<Case<'a>> {
        let case = Case::new(group, variant, size, operations);
        self.wants(&case.name()).then_some(case)
    }

    /// Whether a case with this name was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.is_match(name))
    }

    /// Puts a sentence under the tables: what was skipped, and for lack of what; what a case
    /// has shown that is no ratio.
    pub fn note(&mut self, note: impl Into<String>) {
        self.report.note(note.into());
    }

    /// Measures a case.
    pub fn hold(&mut self, mut case: Case<'_>) {
        println!("\n{}", case.name());
        let first = case.contenders().first().map(|contender| contender.who);
        assert_eq!(first, Some(Who::Ringbolt), "everybody is compared with ringbolt");
        let tallies = self.rounds(&mut case);
        let row = row(&case, &tallies);
        print!("{row}");
        self.check_allocations(&case, &tallies);
        self.report.add(row);
        if self.plan.criterion.is_some() {
            self.hand_to_criterion(&mut case);
        }
    }

    /// Prints and writes what came out. Ends the program with an error if something that must
    /// not happen has.
    pub fn finish(self) {
        self.criterion.final_summary();
        if let Err(error) = self.report.write(&self.target) {
            eprintln!("the report cannot be written to {}: {error}", self.target.display());
            std::process::exit(1);
        }
        if self.report.has_failed() {
            std::process::exit(1);
        }
    }

    fn rounds(&self, case: &mut Case<'_>) -> Vec<Tally> {
        let settle = case.settle;
        let slice = case.slice.filter(|_| !self.plan.is_quick).unwrap_or(self.plan.slice);
        let count = case.contenders().len();
        let mut tallies: Vec<Tally> =
            case.contenders().iter_mut().map(|one| Tally::new(calibrate(one, slice))).collect();
        for round in 0..self.plan.rounds {
            let mut pairs: Vec<_> = case.contenders.iter_mut().zip(&mut tallies).collect();
            pairs.rotate_left(round % count.max(1));
            for (contender, tally) in pairs {
                if !settle.is_zero() {
                    thread::sleep(settle);
                }
                tally.slice(contender);
            }
        }
        tallies
    }

    fn check_allocations(&mut self, case: &Case<'_>, tallies: &[Tally]) {
        for (contender, tally) in case.contenders.iter().zip(tallies) {
            let ours = contender.who == Who::Ringbolt && contender.is_plain();
            if ours && tally.allocations > 0 {
                let count = tally.allocations;
                self.report.fail(format!("{}: ringbolt allocated {count} times", case.name()));
            }
        }
    }

    fn hand_to_criterion(&mut self, case: &mut Case<'_>) {
        let mut group = self.criterion.benchmark_group(format!("{} {}", case.group, case.variant));
        group.throughput(Throughput::Elements(case.operations));
        let (size, settle) = (case.size, case.settle);
        for contender in case.contenders() {
            let mut latencies = Latencies::new();
            group.bench_function(BenchmarkId::new(contender.who.name(), size), |bencher| {
                bencher.iter_custom(|turns| {
                    thread::sleep(settle);
                    contender.run(turns, &mut latencies).wall
                });
            });
        }
        group.finish();
    }
}
