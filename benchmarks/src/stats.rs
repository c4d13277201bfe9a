//! Medians, quartiles and ratios of a few runs. Never a mean: one disturbed run would move it.

use serde::{Deserialize, Serialize};

/// How a figure spreads over the runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// A quarter of the runs lie below.
    pub q1: f64,
    /// Half of them do.
    pub median: f64,
    /// Three quarters do.
    pub q3: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// The spread of these figures; `None` of no figure, or of one that is no number.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        if sorted.is_empty() || sorted.iter().any(|it| !it.is_finite()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            // Between the two nearest runs, as R and NumPy do.
            let place = part * (sorted.len() - 1) as f64;
            let (below, above) = (
                sorted[place.floor() as usize],
                sorted[place.ceil() as usize],
            );
            below + (above - below) * place.fract()
        };
        Some(Spread {
            min: at(0.0),
            q1: at(0.25),
            median: at(0.5),
            q3: at(0.75),
            max: at(1.0),
        })
    }
}

/// The runs of one pair, in seconds: each entry is ours and theirs, one right after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs(pub Vec<(f64, f64)>);

impl Runs {
    /// How long ours took.
    #[must_use]
    pub fn ours(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|it| it.0))
    }

    /// How long theirs took.
    #[must_use]
    pub fn theirs(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|it| it.1))
    }

    /// Ours divided by theirs, pair by pair: what slows the machine for a minute slows both.
    #[must_use]
    pub fn ratio(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|(ours, theirs)| ours / theirs))
    }

    /// Ours minus theirs, pair by pair.
    #[must_use]
    pub fn difference(&self) -> Option<Spread> {
        Spread::of(self.0.iter().map(|(ours, theirs)| ours - theirs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_nearest_runs() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        let figures = [spread.min, spread.q1, spread.median, spread.q3, spread.max];
        assert_eq!(figures, [1.0, 1.75, 2.5, 3.25, 4.0]);
        let one = Spread::of([7.0]).unwrap();
        assert_eq!((one.min, one.median, one.max), (7.0, 7.0, 7.0));
    }

    #[test]
    fn there_is_no_spread_of_nothing_or_of_no_number() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([1.0, f64::NAN]), None);
        assert_eq!(Runs(vec![(1.0, 0.0)]).ratio(), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        // The machine was three times slower in the last pair. The medians' ratio would be 2 / 4.
        let runs = Runs(vec![(1.0, 4.0), (2.0, 8.0), (6.0, 3.0)]);
        assert_eq!(runs.ratio().unwrap().median, 0.25);
        assert_eq!(runs.difference().unwrap().median, -3.0);
    }
}
