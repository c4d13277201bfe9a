//! Rows, as Markdown and as JSON, and their place in a document.

use serde::{Deserialize, Serialize};
use xtask::error::Fault;

use crate::machine::Machine;
use crate::pair::{Goal, Outcome, Pair};
use crate::stats::Spread;

const BEGIN: &str = "<!-- begin: measured by xtask-bench -->";
const END: &str = "<!-- end: measured by xtask-bench -->";

/// All that is known of a run of the harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// One row a pair.
    pub rows: Vec<Row>,
}

/// One pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The pair's name.
    pub pair: String,
    /// What is ours.
    pub ours: String,
    /// What it is compared with.
    pub theirs: String,
    /// What is asked.
    pub goal: Goal,
    /// Whether that is met; absent where nothing is asked or nothing was measured.
    pub met: Option<bool>,
    /// The figures; absent where nothing was measured.
    pub figures: Option<Figures>,
    /// Why nothing was measured.
    pub not_there: Option<String>,
}

/// What was measured: seconds, and the ratio and difference of ours to theirs, pair by pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many runs were counted.
    pub runs: usize,
    /// Seconds of ours.
    pub ours: Spread,
    /// Seconds of theirs.
    pub theirs: Spread,
    /// Ours divided by theirs.
    pub ratio: Spread,
    /// Ours minus theirs, in seconds.
    pub difference: Spread,
}

impl Row {
    /// The row of a pair.
    #[must_use]
    pub fn new(pair: &Pair, outcome: &Outcome) -> Row {
        let (figures, met, not_there) = match outcome {
            Outcome::NotThere(why) => (None, None, Some(why.clone())),
            Outcome::Measured(runs) => {
                let figures = (|| {
                    Some(Figures {
                        runs: runs.0.len(),
                        ours: runs.ours()?,
                        theirs: runs.theirs()?,
                        ratio: runs.ratio()?,
                        difference: runs.difference()?,
                    })
                })();
                (figures, pair.goal.met(runs), None)
            }
        };
        Row {
            pair: pair.name.to_owned(),
            ours: pair.ours.to_owned(),
            theirs: pair.theirs.to_owned(),
            goal: pair.goal,
            met,
            figures,
            not_there,
        }
    }
}

impl Report {
    /// Fills in the rows of an earlier report for pairs that this one lacks, in the order of `names`. Rows
    /// of another machine are left out: they say nothing of this one.
    #[must_use]
    pub fn over(mut self, earlier: Option<Report>, names: &[&str]) -> Report {
        let mut rows = earlier
            .filter(|earlier| earlier.machine.same_as(&self.machine))
            .map_or(Vec::new(), |earlier| earlier.rows);
        rows.retain(|row| self.rows.iter().all(|new| new.pair != row.pair));
        rows.append(&mut self.rows);
        rows.retain(|row| names.contains(&row.pair.as_str()));
        rows.sort_by_key(|row| names.iter().position(|name| *name == row.pair));
        Report { rows, ..self }
    }

    /// The machine and the table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = self.machine.markdown();
        text.push_str(
            "\n| pair | ours | theirs | ratio | goal | met |\n|---|---:|---:|---:|---|---|\n",
        );
        for row in &self.rows {
            text.push_str(&row.markdown());
        }
        text
    }
}

impl Row {
    fn markdown(&self) -> String {
        let name = format!(
            "`{}`: {} against {}",
            self.pair,
            cell(&self.ours),
            cell(&self.theirs)
        );
        let goal = goal(self.goal);
        let Some(figures) = self.figures else {
            let why = self.not_there.as_deref().unwrap_or("no figures");
            return format!("| {name} | | | {} | {goal} | |\n", cell(why));
        };
        let compared = match self.goal {
            Goal::MoreBy(_) => format!(
                "{} more ({} to {})",
                seconds(figures.difference.median),
                seconds(figures.difference.min),
                seconds(figures.difference.max)
            ),
            _ => format!(
                "{} ({}–{})",
                ratio(figures.ratio.median),
                ratio(figures.ratio.min),
                ratio(figures.ratio.max)
            ),
        };
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        format!(
            "| {name} | {} | {} | {compared} | {goal} | {met} |\n",
            spread(&figures.ours),
            spread(&figures.theirs)
        )
    }
}

/// What is asked, in words.
#[must_use]
pub fn goal(goal: Goal) -> String {
    match goal {
        Goal::Ratio(most) => format!("≤ {most}"),
        Goal::MoreBy(most) => format!("< {} more", seconds(most)),
        Goal::Report => "reported".to_owned(),
    }
}

fn spread(it: &Spread) -> String {
    format!(
        "{} ({}–{})",
        seconds(it.median),
        seconds(it.min),
        seconds(it.max)
    )
}

/// Seconds with three figures, in the unit that suits: 4.12 ms, 28.5 ms, 173 ms, 1.32 s.
#[must_use]
pub fn seconds(value: f64) -> String {
    let (value, unit) = if value.abs() < 0.9995 {
        (value * 1000.0, "ms")
    } else {
        (value, "s")
    };
    format!("{} {unit}", three_figures(value))
}

fn ratio(value: f64) -> String {
    if value < 0.1 {
        format!("{value:.3}")
    } else {
        three_figures(value)
    }
}

fn three_figures(value: f64) -> String {
    let decimals = match value.abs() {
        it if it < 9.995 => 2,
        it if it < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A `|` would end the cell, a line break the row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// The document with what stands between the markers replaced.
///
/// # Errors
/// When the markers are not there exactly once, in order (exit 2).
pub fn replace_block(document: &str, block: &str) -> Result<String, Fault> {
    let parts = document
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)))
        .filter(|(before, after)| {
            [before, after]
                .iter()
                .all(|part| !part.contains(BEGIN) && !part.contains(END))
        });
    match parts {
        Some((before, after)) => Ok(format!("{before}{BEGIN}\n{block}{END}{after}")),
        None => Err(
            Fault::usage("the document does not have both markers exactly once").hint(format!(
                "put `{BEGIN}` and `{END}` around the table's place"
            )),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Ready;
    use crate::stats::Runs;

    const PAIR: Pair = Pair {
        name: "a-b",
        ours: "x | y",
        theirs: "z",
        goal: Goal::Ratio(0.25),
        runs: 3,
        ready: |_| Ok(Ready::NotThere(String::new())),
    };

    fn measured(ours: f64, theirs: f64) -> Row {
        Row::new(&PAIR, &Outcome::Measured(Runs(vec![(ours, theirs)])))
    }

    fn report(model: &str, rows: Vec<Row>) -> Report {
        Report {
            machine: Machine {
                cpu: model.to_owned(),
                ..Machine::default()
            },
            rows,
        }
    }

    #[test]
    fn a_row_says_what_was_measured_and_whether_that_is_enough() {
        assert_eq!(
            measured(0.056, 0.28).markdown(),
            "| `a-b`: x \\| y against z | 56.0 ms (56.0 ms–56.0 ms) | 280 ms (280 ms–280 ms) \
             | 0.20 (0.20–0.20) | ≤ 0.25 | yes |\n"
        );
        assert!(measured(1.0, 2.0).markdown().ends_with("| **no** |\n"));
    }

    #[test]
    fn what_was_not_measured_has_no_figure_and_no_verdict() {
        let row = Row::new(&PAIR, &Outcome::NotThere("not there yet".to_owned()));
        assert_eq!(
            row.markdown(),
            "| `a-b`: x \\| y against z | | | not there yet | ≤ 0.25 | |\n"
        );
        assert_eq!((row.met, row.figures), (None, None));
    }

    #[test]
    fn a_difference_is_shown_where_one_is_asked_for() {
        let pair = Pair {
            goal: Goal::MoreBy(0.3),
            ..PAIR
        };
        let row = Row::new(&pair, &Outcome::Measured(Runs(vec![(1.2, 1.0)])));
        let text = row.markdown();
        assert!(
            text.contains("| 200 ms more (200 ms to 200 ms) | < 300 ms more | yes |"),
            "{text}"
        );
    }

    #[test]
    fn earlier_rows_of_this_machine_fill_the_gaps_and_no_others_do() {
        let row = |pair: &str| Row {
            pair: pair.to_owned(),
            ..measured(1.0, 1.0)
        };
        let now = report("m", vec![measured(9.0, 1.0)]);
        let names = ["c", "a-b", "d"];
        let earlier = |model| Some(report(model, vec![row("a-b"), row("c"), row("gone")]));
        let merged = now.clone().over(earlier("m"), &names);
        let found: Vec<&str> = merged.rows.iter().map(|row| row.pair.as_str()).collect();
        assert_eq!(found, ["c", "a-b"]);
        assert_eq!(merged.rows[1], now.rows[0]);
        assert_eq!(now.clone().over(earlier("other"), &names), now);
    }

    #[test]
    fn a_report_survives_its_json() {
        let report = report("m", vec![measured(0.5, 1.0)]);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    fn figures_have_three_places() {
        for (value, text) in [
            (0.00412, "4.12 ms"),
            (0.173, "173 ms"),
            (0.9999, "1.00 s"),
            (12.34, "12.3 s"),
            (-0.05, "-50.0 ms"),
        ] {
            assert_eq!(seconds(value), text);
        }
        assert_eq!((ratio(0.0123), ratio(1.5)), ("0.012".into(), "1.50".into()));
    }

    #[test]
    fn the_block_is_replaced_and_nothing_else() {
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let replaced = replace_block(&document, "new\n").unwrap();
        assert_eq!(replaced, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        // A second time changes nothing.
        assert_eq!(replace_block(&replaced, "new\n").unwrap(), replaced);
        for wrong in [
            String::new(),
            BEGIN.to_owned(),
            format!("{END}{BEGIN}"),
            format!("{document}{document}"),
        ] {
            assert!(replace_block(&wrong, "x").is_err(), "{wrong}");
        }
    }
}
