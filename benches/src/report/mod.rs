//! What came out, as tables and pictures.
//!
//! Every ratio says how many times as fast ringbolt is: above 1 it is ahead.

mod chart;
mod table;

use core::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::contest::Who;
use crate::machine;
use crate::spread::Spread;

/// What one contender did in one case.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Who.
    pub who: Who,
    /// Time for an operation, in nanoseconds.
    pub wall: Spread,
    /// CPU time for an operation, in nanoseconds.
    pub cpu: Spread,
    /// The contender's time in terms of ringbolt's: so many times faster is ringbolt.
    pub faster: Spread,
    /// The contender's CPU time in terms of ringbolt's.
    pub cheaper: Spread,
    /// p50, p99 and p99.9 in nanoseconds, if the contender tells latencies.
    pub latencies: Option<[u64; 3]>,
}

/// What came out of one case.
#[derive(Clone, Debug)]
pub struct Row {
    /// The group of the case.
    pub group: &'static str,
    /// Its name within the group.
    pub label: String,
    /// One for each contender, ringbolt first.
    pub entries: Vec<Entry>,
    /// Whether the case is one for the README.
    pub is_headline: bool,
}

impl Row {
    /// The case's name.
    pub fn name(&self) -> String {
        format!("{}/{}", self.group, self.label)
    }

    /// What a contender did, if it took part.
    pub fn entry(&self, who: Who) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.who == who)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            let Entry { who, wall, cpu, faster, .. } = entry;
            let (name, wall, cpu) = (who.name(), wall.median, cpu.median);
            write!(f, "  {name:<9} {wall:>12.1} ns  cpu {cpu:>12.1} ns")?;
            if entry.who != Who::Ringbolt {
                write!(f, "  {:>6.2} ± {:.2} of ringbolt's", faster.median, faster.deviation)?;
            }
            if let Some([p50, p99, p999]) = entry.latencies {
                write!(f, "  p50 {p50} p99 {p99} p99.9 {p999} ns")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Everything that came out.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn note(&mut self, note: String) {
        println!("{note}");
        self.notes.push(note);
    }

    pub(crate) fn fail(&mut self, failure: String) {
        eprintln!("FAILED: {failure}");
        self.failures.push(failure);
    }

    pub(crate) fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Prints the table, and writes it to `folder`: `report.md`, `readme.md` with the cases
    /// for the README, a picture for each group, and `headline.svg` for the README.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        if self.rows.is_empty() && self.notes.is_empty() {
            println!("no case has this name");
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        let machine = machine::describe();
        let all: Vec<&Row> = self.rows.iter().collect();
        let headline: Vec<&Row> = self.rows.iter().filter(|row| row.is_headline).collect();
        let text = self.text(&all, &machine);
        println!("\n{text}");
        fs::write(folder.join("report.md"), text)?;
        if !headline.is_empty() {
            fs::write(folder.join("readme.md"), table::ratios(&headline) + "\n" + &machine + "\n")?;
            chart::draw(&folder.join("headline.svg"), "ringbolt", &headline, &machine)?;
        }
        for group in all.chunk_by(|a, b| a.group == b.group) {
            let name = group.first().map_or("", |row| row.group);
            chart::draw(&folder.join(format!("{name}.svg")), name, group, &machine)?;
        }
        println!("written to {}", folder.display());
        Ok(())
    }

    fn text(&self, rows: &[&Row], machine: &str) -> String {
        let mut parts = vec![table::ratios(rows), table::cpu(rows), table::latencies(rows)];
        parts.extend(self.notes.iter().map(|note| format!("{note}\n")));
        parts.extend(self.failures.iter().map(|failure| format!("FAILED: {failure}\n")));
        parts.push(format!("{machine}\n"));
        parts.retain(|part| !part.is_empty());
        parts.join("\n")
    }
}
