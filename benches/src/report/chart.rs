//! Pictures: a bar for each ratio, grouped by case, and a line where both are even.

use core::error::Error;
use core::fmt::Display;
use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, Color, DrawingArea, IntoDrawingArea, IntoFont, RGBColor, Rectangle, SVGBackend, Text,
    TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::contest::Who;

use super::Row;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

const WIDTH: i32 = 860;
/// Where bars begin and where they end at the latest.
const BARS: (i32, i32) = (240, 790);
const BAR: i32 = 12;
const GAP: i32 = 9;
const TOP: i32 = 64;
const BOTTOM: i32 = 28;
/// Longer bars are cut: the number beside them says how long they are.
const LONGEST: f64 = 4.0;

/// How ratios become positions.
#[derive(Clone, Copy)]
struct Scale {
    /// The ratio at the right end.
    end: f64,
}

impl Scale {
    /// One on which the ratios of `rows` fit, and 1 stands well inside.
    fn of(rows: &[&Row]) -> Self {
        let ratios = rows.iter().flat_map(|row| others(row)).map(|entry| entry.faster.median);
        Self { end: ratios.fold(1.25, f64::max).min(LONGEST) }
    }

    /// Where a bar of this length ends.
    #[expect(clippy::cast_possible_truncation, reason = "between the ends of the bars")]
    fn x(self, ratio: f64) -> i32 {
        let width = f64::from(BARS.1 - BARS.0);
        BARS.0 + (width * ratio.clamp(0.0, self.end) / self.end) as i32
    }
}

fn colour(who: Who) -> RGBColor {
    match who {
        Who::Ringbolt => BLACK,
        Who::Floor => RGBColor(150, 150, 150),
        Who::IoUring => RGBColor(222, 143, 5),
        Who::Epoll => RGBColor(1, 115, 178),
        Who::Calls => RGBColor(2, 158, 115),
    }
}

/// Draws the ratios of `rows` to an SVG file.
pub(super) fn draw(path: &Path, title: &str, rows: &[&Row], machine: &str) -> io::Result<()> {
    let shown = |error: &dyn Display| io::Error::other(error.to_string());
    picture(path, title, rows, machine).map_err(|error| shown(&error))
}

fn picture(path: &Path, title: &str, rows: &[&Row], machine: &str) -> Drawn {
    // The number of rows is that of the cases in the source.
    let bars: i32 = rows.iter().map(|row| i32::try_from(others(row).count()).unwrap_or(0)).sum();
    let gaps = GAP * i32::try_from(rows.len()).unwrap_or(0);
    let height = TOP + bars * BAR + gaps + BOTTOM;
    let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    let heading = format!("{title}: how many times as fast ringbolt is as …");
    area.draw(&Text::new(heading, (12, 10), ("sans-serif", 17).into_font()))?;
    legend(&area, rows)?;
    let scale = Scale::of(rows);
    let mut y = TOP;
    for row in rows {
        y = draw_row(&area, row, scale, y)?;
    }
    let even = scale.x(1.0);
    area.draw(&Rectangle::new([(even, TOP - 6), (even + 1, height - BOTTOM)], BLACK.filled()))?;
    let below = (12, height - 18);
    area.draw(&Text::new(machine.to_owned(), below, ("sans-serif", 11).into_font()))?;
    area.present()?;
    Ok(())
}

fn others(row: &Row) -> impl Iterator<Item = &super::Entry> {
    row.entries.iter().filter(|entry| entry.who != Who::Ringbolt)
}

fn legend(area: &Area<'_>, rows: &[&Row]) -> Drawn {
    let mut at = BARS.0;
    for who in Who::ALL {
        if rows.iter().any(|row| others(row).any(|entry| entry.who == who)) {
            let (top, bottom) = (38, 38 + BAR);
            area.draw(&Rectangle::new([(at, top), (at + BAR, bottom)], colour(who).filled()))?;
            area.draw(&Text::new(who.name(), (at + BAR + 5, top), ("sans-serif", 13).into_font()))?;
            at += 100;
        }
    }
    Ok(())
}

/// Draws the bars of a case from `y` down, and returns where the next case begins.
fn draw_row(area: &Area<'_>, row: &Row, scale: Scale, mut y: i32) -> Result<i32, Box<dyn Error>> {
    let right =
        TextStyle::from(("sans-serif", 13).into_font()).pos(Pos::new(HPos::Right, VPos::Top));
    area.draw(&Text::new(row.name(), (BARS.0 - 8, y), right))?;
    for entry in others(row) {
        let ratio = entry.faster.median;
        let end = scale.x(ratio);
        let bar = [(BARS.0, y), (end, y + BAR - 2)];
        area.draw(&Rectangle::new(bar, colour(entry.who).filled()))?;
        let number = format!("{ratio:.2}");
        area.draw(&Text::new(number, (end + 5, y - 1), ("sans-serif", 11).into_font()))?;
        y += BAR;
    }
    Ok(y + GAP)
}
