//! What the contenders of a case did, round by round, and what that comes to.

use core::time::Duration;

use crate::clock::Spent;
use crate::contest::{Case, Contender, Latencies};
use crate::count::allocations;
use crate::report::{Entry, Row};
use crate::spread::Spread;

/// How many turns make a slice of about this length.
pub(crate) fn calibrate(contender: &mut Contender<'_>, slice: Duration) -> u64 {
    let mut latencies = Latencies::new();
    let mut turns = 1_u64;
    // 2^40 turns take longer than any slice.
    for _ in 0..40 {
        let mut wall = contender.run(turns, &mut latencies).wall;
        if wall * 4 >= slice {
            // Once more: something else may have had the CPU meanwhile.
            wall = wall.min(contender.run(turns, &mut latencies).wall);
        }
        if wall * 4 >= slice {
            let per_turn = wall.as_nanos().max(1) / u128::from(turns);
            let fit = slice.as_nanos() / per_turn.max(1);
            return u64::try_from(fit).unwrap_or(turns).max(1);
        }
        turns *= 2;
    }
    turns
}

/// What one contender did, round by round.
#[derive(Debug)]
pub(crate) struct Tally {
    turns: u64,
    slices: Vec<Spent>,
    latencies: Latencies,
    /// How often memory was allocated meanwhile, by any thread.
    pub(crate) allocations: u64,
}

impl Tally {
    pub(crate) fn new(turns: u64) -> Self {
        Self { turns, slices: Vec::new(), latencies: Latencies::new(), allocations: 0 }
    }

    /// One slice, and a shorter one before it that does not count.
    pub(crate) fn slice(&mut self, contender: &mut Contender<'_>) {
        // Others have used the caches and the branch predictors meanwhile.
        let mut ignored = Latencies::new();
        contender.run(self.turns.div_ceil(8), &mut ignored);
        let before = allocations();
        let spent = contender.run(self.turns, &mut self.latencies);
        self.allocations += allocations() - before;
        self.slices.push(spent);
    }

    /// What a turn took in each round, in nanoseconds.
    fn per_turn(&self, clock: impl Fn(&Spent) -> Duration) -> Vec<f64> {
        let turns = self.turns as f64;
        self.slices.iter().map(|spent| clock(spent).as_nanos() as f64 / turns).collect()
    }
}

/// What the rounds of a case come to.
pub(crate) fn row(case: &Case<'_>, tallies: &[Tally]) -> Row {
    let clocks: [fn(&Spent) -> Duration; 2] = [|spent| spent.wall, |spent| spent.cpu];
    // Each number of `theirs` in terms of ringbolt's of the same round.
    let ratio = |theirs: &[f64], ours: &[f64]| {
        Spread::of(theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours.max(0.001)).collect())
    };
    let ours = clocks.map(|clock| tallies.first().map_or(Vec::new(), |one| one.per_turn(clock)));
    let [our_wall, our_cpu] = &ours;
    let entries = case.contenders.iter().zip(tallies).map(|(contender, tally)| {
        let [wall, cpu] = clocks.map(|clock| tally.per_turn(clock));
        let per_operation = |turns: &[f64]| {
            let operations = case.operations as f64;
            Spread::of(turns.iter().map(|turn| turn / operations).collect())
        };
        let told = !tally.latencies.is_empty();
        Entry {
            who: contender.who,
            wall: per_operation(&wall),
            cpu: per_operation(&cpu),
            faster: ratio(&wall, our_wall),
            cheaper: ratio(&cpu, our_cpu),
            latencies: told.then(|| [0.5, 0.99, 0.999].map(|p| tally.latencies.percentile(p))),
        }
    });
    let entries = entries.collect();
    let label = format!("{}/{}", case.variant, case.size);
    Row { group: case.group, label, entries, is_headline: case.is_headline }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{Tally, calibrate, row};
    use crate::clock::Spent;
    use crate::contest::{Case, Who};

    /// Goal: a machine that changes its speed changes no ratio.
    /// Method: two contenders, one always three times as slow, on a clock that is ever slower.
    #[test]
    fn ratios_are_those_within_a_round() {
        let mut case = Case::new("g", "v", 1_u32, 2_u32);
        let spent = |us| Spent { wall: Duration::from_micros(us), cpu: Duration::from_micros(us) };
        for (who, factor) in [(Who::Ringbolt, 1), (Who::Calls, 3)] {
            let mut slowness = 1;
            case.enter_timed(who, move |turns, _| {
                slowness += 1;
                spent(turns * factor * slowness)
            });
        }
        let mut tallies = [Tally::new(10), Tally::new(20)];
        for _ in 0..9 {
            for (contender, tally) in case.contenders().iter_mut().zip(&mut tallies) {
                tally.slice(contender);
            }
        }
        let row = row(&case, &tallies);
        let [ours, calls] = [Who::Ringbolt, Who::Calls].map(|who| row.entry(who).expect("it ran"));
        assert_eq!((calls.faster.median, calls.faster.deviation), (3.0, 0.0));
        assert_eq!(calls.cheaper, calls.faster);
        // Two operations to a turn; two slices to a round, of which the second counts.
        assert_eq!((ours.wall.median, calls.wall.median), (5_500.0, 16_500.0));
        assert!(ours.wall.deviation > 0.0 && ours.latencies.is_none());
    }

    #[test]
    fn slices_are_about_as_long_as_they_are_to_be() {
        for ns in [1, 700, 5_000_000] {
            let mut case = Case::new("g", "v", 1_u32, 1_u32);
            case.enter_timed(Who::Ringbolt, |turns, _| {
                let wall = Duration::from_nanos(ns * turns);
                Spent { wall, cpu: wall }
            });
            let contender = case.contenders().first_mut().expect("one");
            assert_eq!(calibrate(contender, Duration::from_millis(1)), (1_000_000 / ns).max(1));
        }
    }

    #[test]
    fn what_a_contender_allocates_is_counted() {
        let mut case = Case::new("g", "v", 1_u32, 1_u32);
        case.enter(Who::Ringbolt, |turns| {
            for turn in 0..turns {
                drop(core::hint::black_box(Box::new(turn)));
            }
        });
        let mut tally = Tally::new(100);
        tally.slice(case.contenders().first_mut().expect("one"));
        assert!(tally.allocations >= 100);
    }

    #[test]
    fn latencies_are_told_by_percentile() {
        let mut case = Case::new("g", "v", 1_u32, 1_u32);
        case.enter_timed(Who::Ringbolt, |_, latencies| {
            for us in 1..=1000 {
                latencies.record(Duration::from_micros(us));
            }
            Spent::default()
        });
        let mut tallies = [Tally::new(1)];
        for (contender, tally) in case.contenders().iter_mut().zip(&mut tallies) {
            tally.slice(contender);
        }
        let told = row(&case, &tallies).entries.first().and_then(|entry| entry.latencies);
        let percentiles = told.expect("latencies").map(|ns| ns.div_ceil(1000));
        assert_eq!(percentiles, [501, 991, 1000]);
    }
}
