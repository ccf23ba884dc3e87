//! Tables: columns as wide as their widest cell.

use super::colour::{Style, Tone};

/// A cell: text and what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Returns a cell that is more than plain text.
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// A table that is being filled.
#[derive(Clone, Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[Cell; COLUMNS]>,
    numeric: [bool; COLUMNS],
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Returns a table with these headings. A heading that starts with `#` stands over numbers, which are set flush right.
    pub(crate) fn new(headings: [&str; COLUMNS]) -> Self {
        let heading = |text: &str| Cell::new(Tone::Dim, text.strip_prefix('#').unwrap_or(text));
        Self { numeric: headings.map(|text| text.starts_with('#')), rows: vec![headings.map(heading)] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [Cell; COLUMNS]) {
        self.rows.push(cells);
    }

    /// Returns the table as lines, two spaces between columns and none at the end of a line.
    pub(crate) fn render(&self, style: Style) -> String {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(width_of(&cell.text));
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
            for (column, cell) in row.iter().enumerate().take(last + 1) {
                let blank = " ".repeat(widths[column] - width_of(&cell.text));
                let painted = style.paint(cell.tone, &cell.text);
                text.push_str(if column == 0 { "" } else { "  " });
                match (self.numeric[column], column == last) {
                    (true, _) => text.extend([blank.as_str(), &painted]),
                    (false, true) => text.push_str(&painted),
                    (false, false) => text.extend([painted.as_str(), &blank]),
                }
            }
            text.push('\n');
        }
        text
    }
}

/// Cells hold what this program prints: ASCII and a few signs of width one.
fn width_of(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_flush_right() {
        let mut table = Table::new(["step", "#seq", "outcome"]);
        table.row(["ingestion".into(), "9".into(), Cell::new(Tone::Good, "✓")]);
        table.row(["quarantine".into(), "10".into(), "".into()]);
        assert_eq!(table.render(Style::PLAIN), "step        seq  outcome\ningestion     9  ✓\nquarantine   10\n");
    }
}
