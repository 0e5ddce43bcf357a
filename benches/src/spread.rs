//! Medians and quartiles of what the rounds of a contest gave.

/// The middle of many numbers, and how far they lie apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// Half the distance between the quartiles: half of the numbers lie about this near.
    pub deviation: f64,
}

impl Spread {
    /// Sorts `numbers` and takes their quartiles. Zero for none.
    pub fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let at = |quarters: usize| {
            let last = numbers.len().saturating_sub(1);
            // Between two numbers, the mean of both.
            let (low, high) = (last * quarters / 4, (last * quarters).div_ceil(4));
            let pick = |index: usize| numbers.get(index).copied().unwrap_or_default();
            f64::midpoint(pick(low), pick(high))
        };
        Self { median: at(2), deviation: (at(3) - at(1)) / 2.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_and_the_quartiles_are_those_of_the_sorted_numbers() {
        let spread = Spread::of(vec![5.0, 1.0, 2.0, 4.0, 3.0]);
        assert_eq!(spread, Spread { median: 3.0, deviation: 1.0 });
        assert_eq!(Spread::of(vec![1.0, 2.0]).median, 1.5);
        assert_eq!(Spread::of(vec![]), Spread::default());
    }

    #[test]
    fn one_stray_round_moves_nothing() {
        let calm = Spread::of(vec![1.0; 9]);
        let mut rounds = vec![1.0; 8];
        rounds.push(1000.0);
        assert_eq!(Spread::of(rounds), calm);
    }
}
