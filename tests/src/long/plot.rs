//! Plots as SVG: cost against size, the sizes on a logarithmic axis, the cost on a straight one from 0.
//!
//! It does not: need a library, or draw more than one line of points.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// One plot; `points` are (size, cost), sizes above 0 and in order.
#[must_use]
pub fn svg(title: &str, unit: &str, points: &[(f64, f64)]) -> String {
    let decades = |f: fn(f64) -> f64, pick: fn(f64, f64) -> f64, from: f64| {
        f(points.iter().map(|p| p.0.max(1.0).log10()).fold(from, pick))
    };
    let low = decades(f64::floor, f64::min, f64::MAX).min(17.0);
    let high = decades(f64::ceil, f64::max, 0.0).max(low + 1.0);
    let top = nice(points.iter().map(|p| p.1).fold(0.0, f64::max));
    let x = |size: f64| LEFT + (size.max(1.0).log10() - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let y = |cost: f64| HEIGHT - BOTTOM - cost / top * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    let mut line = |x1: f64, y1: f64, x2: f64, y2: f64, colour: &str| {
        let _ =
            writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>");
    };
    for step in 0..=4 {
        let at = y(top * f64::from(step) / 4.0);
        line(LEFT, at, WIDTH - RIGHT, at, "#ddd");
    }
    for decade in low as i32..=high as i32 {
        let at = x(10f64.powi(decade));
        line(at, TOP, at, HEIGHT - BOTTOM, "#ddd");
    }
    for step in 0..=4 {
        let cost = top * f64::from(step) / 4.0;
        let (at, words) = (y(cost) + 4.0, short(cost));
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{at:.1}\" text-anchor=\"end\">{words}</text>", LEFT - 6.0);
    }
    for decade in low as i32..=high as i32 {
        let size = 10f64.powi(decade);
        let (at, words) = (x(size), short(size));
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{words}</text>",
            HEIGHT - BOTTOM + 18.0
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">records</text>",
        (LEFT + WIDTH) / 2.0,
        HEIGHT - 12.0
    );
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{:.1}\" fill=\"#555\">{}</text>", TOP - 4.0, escaped(unit));
    let path: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
    let _ = writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>", path.join(" "));
    for (size, cost) in points {
        let _ = writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"#06c\"/>", x(*size), y(*cost));
        let at = y(*cost) - 8.0;
        let _ =
            writeln!(out, "<text x=\"{:.1}\" y=\"{at:.1}\" text-anchor=\"middle\">{}</text>", x(*size), short(*cost));
    }
    out + "</svg>\n"
}

/// The next greater number of the form 1, 2 or 5 times a power of ten.
fn nice(most: f64) -> f64 {
    let most = if most > 0.0 { most * 1.05 } else { 1.0 };
    let power = 10f64.powf(most.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|n| *n >= most).unwrap_or(most)
}

fn short(n: f64) -> String {
    match n {
        _ if n >= 10_000.0 => {
            let digits = format!("{n:.0}");
            let from_end = |at: usize| digits.len() - at;
            digits.chars().enumerate().fold(String::new(), |mut out, (at, c)| {
                if at > 0 && from_end(at).is_multiple_of(3) {
                    out.push(',');
                }
                out.push(c);
                out
            })
        }
        _ if n >= 100.0 || n.fract() == 0.0 => format!("{n:.0}"),
        _ if n >= 1.0 => format!("{n:.1}"),
        _ => format!("{n:.3}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::{nice, short, svg};

    #[test]
    fn points_lie_inside_the_frame_in_order() {
        let text = svg("a < b", "µs", &[(100.0, 3.0), (1_000.0, 2.5), (100_000.0, 9.0)]);
        assert!(text.contains("a &lt; b"));
        let line = text.lines().find(|l| l.starts_with("<polyline")).unwrap_or_default();
        let points = line.split('"').nth(1).unwrap_or_default();
        assert_eq!(points, "70.0,229.0 253.3,242.5 620.0,67.0");
        assert_eq!(text.matches("<circle").count(), 3);
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.0, 0.9, 1.0, 4.0, 97.0].map(nice), [1.0, 1.0, 2.0, 5.0, 200.0]);
        assert_eq!([0.25, 2.5, 250.0, 100_000.0].map(short), ["0.250", "2.5", "250", "100,000"]);
    }
}
