//! A ticket as a QR picture: for a printed page or a screen that a phone reads.
//!
//! It does not: know what a ticket says, or write files.
//!
//! Invariants: the picture holds the very line, byte for byte, so that what a phone reads is what `join`
//! takes; a line of `TICKET_CHARS_MAX` fits the largest picture at the level of correction used here.

use fast_qr::convert::Builder;
use fast_qr::convert::svg::SvgBuilder;
use fast_qr::{ECL, Mode, QRBuilder, QRCode};

/// Modules of white around the picture, as ISO/IEC 18004 asks for.
const QUIET: usize = 4;

/// A line that no QR picture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} characters are more than a QR picture holds")]
pub struct TooLong(pub usize);

/// The picture of a line.
#[derive(Clone)]
pub struct Picture(QRCode);

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it shows is a secret.
        f.debug_struct("Picture").field("modules", &self.0.size).finish_non_exhaustive()
    }
}

impl Picture {
    /// Draws a line: bytes as they are (a ticket is in small letters, which the denser mode lacks), with
    /// a correction that survives 15 % of a page folded or smeared.
    ///
    /// # Errors
    /// [`TooLong`]: more than 2,331 bytes.
    pub fn of(line: &str) -> Result<Self, TooLong> {
        QRBuilder::new(line).mode(Mode::Byte).ecl(ECL::M).build().map(Self).map_err(|_| TooLong(line.len()))
    }

    /// An SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        SvgBuilder::default().margin(QUIET).to_str(&self.0)
    }

    /// Whether a module is dark; outside the picture none is.
    #[must_use]
    pub fn dark(&self, x: usize, y: usize) -> bool {
        x < self.0.size && y < self.0.size && self.0[y][x].value()
    }

    /// Modules a side, the white around included.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.size + 2 * QUIET
    }

    /// The picture in half blocks, two modules a character, for a dark terminal: what is light is drawn.
    #[must_use]
    pub fn blocks(&self) -> String {
        let light = |x: usize, y: usize| match (x.checked_sub(QUIET), y.checked_sub(QUIET)) {
            (Some(x), Some(y)) => !self.dark(x, y),
            (None, _) | (_, None) => true,
        };
        let mut out = String::new();
        for y in (0..self.width()).step_by(2) {
            for x in 0..self.width() {
                // The side is odd: below the last row there is nothing.
                out.push(match (light(x, y), y + 1 < self.width() && light(x, y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_core::limits::TICKET_CHARS_MAX;

    /// What a camera makes of a picture: `dark` by point, `scale` points a module.
    fn read(side: usize, scale: usize, dark: &dyn Fn(usize, usize) -> bool) -> String {
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(side * scale, side * scale, |x, y| {
            if dark(x / scale, y / scale) { 0 } else { 255 }
        });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "one picture");
        grids[0].decode().unwrap().1
    }

    fn ticket_like(len: usize) -> String {
        let digits = b"abcdefghijklmnopqrstuvwxyz234567";
        let body = (0..len - 7).map(|n| char::from(digits[(n * n + 7 * n) % 31]));
        "sampan:".chars().chain(body).collect()
    }

    #[test]
    fn a_picture_holds_the_very_line() {
        for len in [60, 700, TICKET_CHARS_MAX] {
            let line = ticket_like(len);
            let picture = Picture::of(&line).unwrap();
            let at = |x: usize, y: usize| x >= QUIET && y >= QUIET && picture.dark(x - QUIET, y - QUIET);
            assert_eq!(read(picture.width(), 3, &at), line, "{len}");
        }
    }

    #[test]
    fn the_blocks_show_the_same_picture() {
        let line = ticket_like(500);
        let picture = Picture::of(&line).unwrap();
        let rows: Vec<Vec<char>> = picture.blocks().lines().map(|l| l.chars().collect()).collect();
        assert!(rows.iter().all(|r| r.len() == picture.width()));
        let dark = |x: usize, y: usize| match rows[y / 2][x] {
            '█' => false,
            '▀' => !y.is_multiple_of(2),
            '▄' => y.is_multiple_of(2),
            ' ' => true,
            other => panic!("'{other}'"),
        };
        assert_eq!(read(picture.width(), 3, &dark), line);
    }

    #[test]
    fn what_no_picture_holds_is_refused() {
        assert_eq!(Picture::of(&ticket_like(2_332)).unwrap_err(), TooLong(2_332));
        assert!(Picture::of(&ticket_like(2_331)).is_ok());
    }

    #[test]
    fn the_svg_shows_the_same_picture() {
        let line = ticket_like(300);
        let picture = Picture::of(&line).unwrap();
        let svg = picture.svg();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains(&format!("viewBox=\"0 0 {0} {0}\"", picture.width())), "{}", &svg[..200]);
        // Every dark module is a square of one, said by its corner.
        let (_, path) = svg.split_once(" d=\"").unwrap();
        let corner = |m: &str| -> Option<(usize, usize)> {
            let (x, rest) = m.split_once(',')?;
            Some((x.parse().ok()?, rest.split_once('h')?.0.parse().ok()?))
        };
        let dark: std::collections::BTreeSet<_> = path.split('M').filter_map(corner).collect();
        assert_eq!(read(picture.width(), 3, &|x, y| dark.contains(&(x, y))), line);
    }
}
