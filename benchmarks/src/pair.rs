//! What a pair is, and how it is run: in turn, A B B A ..., after a warm-up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lab::Lab;
use crate::stats::Runs;

/// Which of the two is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This task layer.
    Ours,
    /// What it is compared with.
    Theirs,
}

/// What is asked of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The median ratio of ours to theirs is at most this.
    Ratio(f64),
    /// The median of ours minus theirs is below this many seconds.
    MoreBy(f64),
    /// Nothing is asked: it is only reported.
    Report,
}

impl Goal {
    /// Whether the runs meet it; `None` where nothing is asked, or nothing was measured.
    #[must_use]
    pub fn met(self, runs: &Runs) -> Option<bool> {
        match self {
            Goal::Ratio(most) => runs.ratio().map(|it| it.median <= most),
            Goal::MoreBy(seconds) => runs.difference().map(|it| it.median < seconds),
            Goal::Report => None,
        }
    }
}

/// Times one run of one side: readies what it needs, measures, and tidies up.
pub type Run<'a> = Box<dyn FnMut(Side) -> anyhow::Result<Duration> + 'a>;

/// A pair that was set up.
pub enum Ready<'a> {
    /// It can be run.
    Yes(Run<'a>),
    /// It cannot: something that it measures is not there, in words.
    NotThere(String),
}

/// One comparison.
#[derive(Clone, Copy)]
pub struct Pair {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What is ours.
    pub ours: &'static str,
    /// What it is compared with.
    pub theirs: &'static str,
    /// What is asked.
    pub goal: Goal,
    /// How many counted runs it has, where nobody says otherwise.
    pub runs: u32,
    /// Sets it up.
    pub ready: for<'a> fn(&'a Lab) -> anyhow::Result<Ready<'a>>,
}

/// How a pair ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was measured.
    Measured(Runs),
    /// It could not be: why.
    NotThere(String),
}

/// Runs one pair: `warm_up` runs of each side that do not count, then `counted` that do. Which side goes
/// first changes from pair to pair, so that none always finds what the other has left warm.
///
/// # Errors
/// When a run fails: a failed run has no time.
pub fn run(lab: &Lab, pair: &Pair, warm_up: u32, counted: u32) -> anyhow::Result<Outcome> {
    let mut time = match (pair.ready)(lab)? {
        Ready::Yes(run) => run,
        Ready::NotThere(why) => return Ok(Outcome::NotThere(why)),
    };
    let mut runs = Runs::default();
    for n in 0..warm_up + counted {
        let mut times = [0.0; 2];
        for side in order(n) {
            times[side as usize] = time(side)?.as_secs_f64();
        }
        if n >= warm_up {
            runs.0.push((times[0], times[1]));
            lab.say_run(pair.name, n - warm_up + 1, counted, times[0], times[1]);
        }
    }
    Ok(Outcome::Measured(runs))
}

fn order(n: u32) -> [Side; 2] {
    if n.is_multiple_of(2) {
        [Side::Ours, Side::Theirs]
    } else {
        [Side::Theirs, Side::Ours]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_judged_by_medians() {
        let runs = Runs(vec![(1.0, 4.0), (1.0, 2.0), (9.0, 3.0)]);
        assert_eq!(Goal::Ratio(0.5).met(&runs), Some(true));
        assert_eq!(Goal::Ratio(0.49).met(&runs), Some(false));
        assert_eq!(Goal::MoreBy(0.0).met(&runs), Some(true));
        assert_eq!(Goal::MoreBy(-1.0).met(&runs), Some(false));
        assert_eq!(Goal::Report.met(&runs), None);
        // What was not measured is neither met nor missed.
        assert_eq!(Goal::Ratio(1.0).met(&Runs::default()), None);
    }

    #[test]
    fn no_side_is_always_first() {
        assert_eq!(order(0)[0], Side::Ours);
        assert_eq!(order(1)[0], Side::Theirs);
    }
}
