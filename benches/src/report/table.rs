//! The tables, in Markdown that reads well as it is.

use core::fmt::Write;

use crate::contest::Who;
use crate::spread::Spread;

use super::{Entry, Row};

/// How many times the throughput of the others ringbolt has, for each case.
pub(super) fn ratios(rows: &[&Row]) -> String {
    compared("Throughput of ringbolt, in times that of …", "time", rows, |e| (e.wall, e.faster))
}

/// How many times ringbolt's CPU time the others take, for each case.
pub(super) fn cpu(rows: &[&Row]) -> String {
    compared("CPU time of …, in times that of ringbolt", "CPU time", rows, |e| (e.cpu, e.cheaper))
}

fn compared(
    title: &str,
    what: &str,
    rows: &[&Row],
    pick: impl Fn(&Entry) -> (Spread, Spread),
) -> String {
    let others: Vec<Who> = Who::ALL
        .into_iter()
        .filter(|who| *who != Who::Ringbolt && rows.iter().any(|row| row.entry(*who).is_some()))
        .collect();
    let mut head = vec!["case".to_owned(), format!("{what} of ringbolt")];
    head.extend(others.iter().map(|who| who.name().to_owned()));
    let mut lines = vec![head];
    for row in rows {
        let ours = row.entry(Who::Ringbolt).map(&pick);
        let mut line = vec![row.name(), ours.map_or(String::new(), |(own, _)| time(own.median))];
        line.extend(others.iter().map(|who| match row.entry(*who).map(&pick) {
            Some((_, Spread { median, deviation })) => format!("{median:.2} ± {deviation:.2}"),
            None => String::new(),
        }));
        lines.push(line);
    }
    layout(title, &lines)
}

/// The latencies of each contender, for the cases that tell any; empty if none does.
pub(super) fn latencies(rows: &[&Row]) -> String {
    let head = ["case", "who", "p50", "p99", "p99.9"].map(str::to_owned).to_vec();
    let mut lines = vec![head];
    for row in rows {
        for entry in &row.entries {
            if let Some(percentiles) = entry.latencies {
                let mut line = vec![row.name(), entry.who.name().to_owned()];
                line.extend(percentiles.map(|ns| time(ns as f64)));
                lines.push(line);
            }
        }
    }
    if lines.len() == 1 { String::new() } else { layout("Latency", &lines) }
}

/// A time in nanoseconds, in the unit that suits it.
pub(super) fn time(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns:.1} ns"),
        ..1e6 => format!("{:.2} µs", ns / 1e3),
        _ => format!("{:.2} ms", ns / 1e6),
    }
}

/// Lines of cells as a table under a title, the first line as its head.
fn layout(title: &str, lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = format!("{title}\n\n");
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Names to the left, numbers to the right. Writing to a string cannot fail.
            let _ = match column {
                0 => write!(text, "| {cell:<width$} "),
                _ => write!(text, "| {cell:>width$} "),
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let rule = "-".repeat(width + 1);
                let _ =
                    if column == 0 { write!(text, "|{rule}-") } else { write!(text, "|{rule}:") };
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{layout, ratios, time};
    use crate::contest::Who;
    use crate::report::{Entry, Row};
    use crate::spread::Spread;

    fn entry(who: Who, wall: f64, faster: f64) -> Entry {
        let spread = |median| Spread { median, deviation: 0.0 };
        let (wall, faster) = (spread(wall), spread(faster));
        Entry { who, wall, cpu: wall, faster, cheaper: faster, latencies: None }
    }

    #[test]
    fn a_case_without_a_contender_leaves_its_cell_empty() {
        let row = |label: &str, entries| Row {
            group: "g",
            label: label.to_owned(),
            entries,
            is_headline: false,
        };
        let one = row("one", vec![entry(Who::Ringbolt, 10.0, 1.0), entry(Who::Floor, 9.0, 0.9)]);
        let two = row("two", vec![entry(Who::Ringbolt, 10.0, 1.0), entry(Who::Calls, 20.0, 2.0)]);
        let text = ratios(&[&one, &two]);
        let cells = |name: &str| {
            let line = text.lines().find(|line| line.contains(name)).expect("the case's line");
            line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cells("case"), ["", "case", "time of ringbolt", "floor", "calls", ""]);
        assert_eq!(cells("g/one"), ["", "g/one", "10.0 ns", "0.90 ± 0.00", "", ""]);
        assert_eq!(cells("g/two"), ["", "g/two", "10.0 ns", "", "2.00 ± 0.00", ""]);
    }

    #[test]
    fn times_are_told_in_the_unit_that_suits_them() {
        assert_eq!([1.26, 1260.0, 1_260_000.0].map(time), ["1.3 ns", "1.26 µs", "1.26 ms"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = [vec!["a".to_owned(), "µ".to_owned()], vec!["long".to_owned(), "1".to_owned()]];
        let text = layout("t", &lines);
        let widths: Vec<_> = text.lines().skip(2).map(|line| line.chars().count()).collect();
        assert_eq!(widths, [14, 14, 14]);
    }
}
