//! A small raster for phantoms, and a 5 x 7 bitmap font for text that is burned into pixels. Integers only, so the
//! pixels are the same on every machine.

use super::invent::Draw;

/// A grey image, row by row.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    pub(super) columns: u16,
    pub(super) rows: u16,
    grey: Vec<u16>,
}

/// An ellipse whose axes lie along rows and columns; all in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ellipse {
    pub(super) column: i64,
    pub(super) row: i64,
    /// Half of the extent across columns.
    pub(super) half_width: i64,
    /// Half of the extent across rows.
    pub(super) half_height: i64,
}

impl Canvas {
    /// Returns an image filled with one grey value.
    pub(super) fn new(columns: u16, rows: u16, grey: u16) -> Self {
        Self { columns, rows, grey: vec![grey; usize::from(columns) * usize::from(rows)] }
    }

    /// Sets a pixel; one outside of the image is left out.
    pub(super) fn set(&mut self, column: i64, row: i64, grey: u16) {
        if (0..i64::from(self.columns)).contains(&column) && (0..i64::from(self.rows)).contains(&row) {
            self.grey[(row * i64::from(self.columns) + column) as usize] = grey;
        }
    }

    /// Fills an ellipse.
    pub(super) fn fill(&mut self, shape: Ellipse, grey: u16) {
        let Ellipse { column, row, half_width, half_height } = shape;
        let limit = half_width.pow(2) * half_height.pow(2);
        for dy in -half_height..=half_height {
            for dx in -half_width..=half_width {
                if dx.pow(2) * half_height.pow(2) + dy.pow(2) * half_width.pow(2) <= limit {
                    self.set(column + dx, row + dy, grey);
                }
            }
        }
    }

    /// Adds noise of up to `amplitude` to each pixel, which stays at or below `ceiling`.
    pub(super) fn noise(&mut self, draw: &mut Draw, amplitude: u16, ceiling: u16) {
        for pixel in &mut self.grey {
            let step = draw.below(u64::from(amplitude) + 1) as u16;
            *pixel = pixel.saturating_add(step).min(ceiling);
        }
    }

    /// Writes text with its top left corner at `column`, `row`; each dot is `scale` pixels wide and high. Characters that
    /// the font lacks become blanks.
    pub(super) fn write(&mut self, text: &str, (column, row): (i64, i64), scale: i64, grey: u16) {
        for (number, character) in (0i64..).zip(text.chars()) {
            for (y, bits) in (0i64..).zip(glyph(character)) {
                for x in (0..5).filter(|x| bits >> (4 - x) & 1 == 1) {
                    let (left, top) = (column + (number * 6 + x) * scale, row + y * scale);
                    for dot in 0..scale * scale {
                        self.set(left + dot % scale, top + dot / scale, grey);
                    }
                }
            }
        }
    }

    /// Returns the pixels as 16-bit values.
    pub(super) fn words(&self) -> Vec<u16> {
        self.grey.clone()
    }

    /// Returns the pixels as RGB, colour by pixel; values above 255 are cut.
    pub(super) fn rgb(&self) -> Vec<u8> {
        self.grey.iter().flat_map(|&grey| [grey.min(255) as u8; 3]).collect()
    }
}

/// The seven rows of a character, the leftmost dot in bit 4.
const fn glyph(character: char) -> [u8; 7] {
    match character.to_ascii_uppercase() {
        'A' => [14, 17, 17, 31, 17, 17, 17],
        'B' => [30, 17, 17, 30, 17, 17, 30],
        'C' => [14, 17, 16, 16, 16, 17, 14],
        'D' => [30, 17, 17, 17, 17, 17, 30],
        'E' => [31, 16, 16, 30, 16, 16, 31],
        'F' => [31, 16, 16, 30, 16, 16, 16],
        'G' => [14, 17, 16, 23, 17, 17, 15],
        'H' => [17, 17, 17, 31, 17, 17, 17],
        'I' => [14, 4, 4, 4, 4, 4, 14],
        'J' => [7, 2, 2, 2, 2, 18, 12],
        'K' => [17, 18, 20, 24, 20, 18, 17],
        'L' => [16, 16, 16, 16, 16, 16, 31],
        'M' => [17, 27, 21, 21, 17, 17, 17],
        'N' => [17, 17, 25, 21, 19, 17, 17],
        'O' => [14, 17, 17, 17, 17, 17, 14],
        'P' => [30, 17, 17, 30, 16, 16, 16],
        'Q' => [14, 17, 17, 17, 21, 18, 13],
        'R' => [30, 17, 17, 30, 20, 18, 17],
        'S' => [15, 16, 16, 14, 1, 1, 30],
        'T' => [31, 4, 4, 4, 4, 4, 4],
        'U' => [17, 17, 17, 17, 17, 17, 14],
        'V' => [17, 17, 17, 17, 17, 10, 4],
        'W' => [17, 17, 17, 21, 21, 21, 10],
        'X' => [17, 17, 10, 4, 10, 17, 17],
        'Y' => [17, 17, 17, 10, 4, 4, 4],
        'Z' => [31, 1, 2, 4, 8, 16, 31],
        '0' => [14, 17, 19, 21, 25, 17, 14],
        '1' => [4, 12, 4, 4, 4, 4, 14],
        '2' => [14, 17, 1, 2, 4, 8, 31],
        '3' => [31, 2, 4, 2, 1, 17, 14],
        '4' => [2, 6, 10, 18, 31, 2, 2],
        '5' => [31, 16, 30, 1, 1, 17, 14],
        '6' => [6, 8, 16, 30, 17, 17, 14],
        '7' => [31, 1, 2, 4, 8, 8, 8],
        '8' => [14, 17, 17, 14, 17, 17, 14],
        '9' => [14, 17, 17, 15, 1, 2, 12],
        '-' => [0, 0, 0, 31, 0, 0, 0],
        ':' => [0, 12, 12, 0, 12, 12, 0],
        '.' => [0, 0, 0, 0, 0, 12, 12],
        ',' => [0, 0, 0, 0, 12, 4, 8],
        '/' => [0, 1, 2, 4, 8, 16, 0],
        _ => [0; 7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_drawn_dot_by_dot_inside_the_image_only() {
        let mut canvas = Canvas::new(8, 8, 0);
        canvas.write("L", (0, 0), 1, 9);
        let lit: Vec<usize> = (0..64).filter(|&at| canvas.grey[at] == 9).collect();
        assert_eq!(lit, [0, 8, 16, 24, 32, 40, 48, 49, 50, 51, 52]);
        canvas.write("LL", (6, 6), 3, 9);
        assert_eq!(canvas.grey.len(), 64);
    }
}
