//! Pictures: columns over time, and a bar in a line of a table.
//!
//! It does not: decide what is drawn; every number of a picture stands in a table beside it.
//!
//! Invariants: whole-number arithmetic; each picture has a title and a description for who cannot see it; nothing is
//! told by colour alone: what is above a hundred percent is hatched.

use super::html::Html;
use super::model::Point;

/// Width of a picture with columns, in its own units.
const WIDTH: u128 = 640;
/// Height of the columns.
const HEIGHT: u128 = 150;
/// Room above for the value of the highest column.
const TOP: u128 = 26;
/// Room below for the names.
const BOTTOM: u128 = 24;
/// Widest column.
const COLUMN_MAX: u128 = 56;
/// Room on the left and right.
const SIDE: u128 = 8;
/// Width of a bar that is a hundred percent, and of the room beyond it.
const BAR: u64 = 100;
/// Width of the picture of a bar: up to 120 percent are drawn.
const BAR_ROOM: u64 = 120;

/// Columns, with a line at the goal where there is one.
pub fn columns(h: &mut Html, id: &str, title: &str, describe: &str, points: &[Point], goal: Option<&Point>) {
    let most = points.iter().map(|p| p.size).chain(goal.map(|g| g.size)).max().unwrap_or(0).max(1);
    let tall = |size: u128| size.saturating_mul(HEIGHT) / most;
    let (title_id, about_id) = (format!("{id}-t"), format!("{id}-d"));
    let all = TOP + HEIGHT + BOTTOM;
    let view = format!("0 0 {WIDTH} {all}");
    let labelled = format!("{title_id} {about_id}");
    let attributes = [
        ("class", "columns"),
        ("role", "img"),
        ("aria-labelledby", labelled.as_str()),
        ("viewBox", view.as_str()),
        ("preserveAspectRatio", "xMinYMid meet"),
    ];
    h.el("svg", &attributes, |h| {
        h.text_el("title", &[("id", &title_id)], title);
        h.text_el("desc", &[("id", &about_id)], describe);
        let slot = (WIDTH - 2 * SIDE) / (points.len().max(1) as u128);
        let slot = slot.min(3 * COLUMN_MAX);
        let wide = (slot * 3 / 5).clamp(2, COLUMN_MAX);
        let left = |i: usize| SIDE + slot * (i as u128) + (slot - wide) / 2;
        for (i, p) in points.iter().enumerate() {
            let up = tall(p.size);
            let at = [left(i), TOP + HEIGHT - up, wide, up].map(|n| n.to_string());
            h.shape("rect", &[("class", "bar"), ("x", &at[0]), ("y", &at[1]), ("width", &at[2]), ("height", &at[3])]);
        }
        let floor = (TOP + HEIGHT).to_string();
        let end = (WIDTH - SIDE).to_string();
        h.shape("line", &[("class", "floor"), ("x1", "8"), ("x2", &end), ("y1", &floor), ("y2", &floor)]);
        if let Some(goal) = goal {
            let y = TOP + HEIGHT - tall(goal.size);
            let at = y.to_string();
            h.shape("line", &[("class", "goal"), ("x1", "8"), ("x2", &end), ("y1", &at), ("y2", &at)]);
            let words = format!("{}: {}", goal.name, goal.value);
            // On the left, where what was reached over time is lowest.
            h.text_el("text", &[("class", "goalname"), ("x", "8"), ("y", &(y - 6).to_string())], &words);
        }
        // Words last, so that no line goes through them.
        for (i, p) in points.iter().enumerate() {
            let (middle, y) = ((left(i) + wide / 2).to_string(), TOP + HEIGHT - tall(p.size) - 6);
            h.text_el("text", &[("class", "num"), ("x", &middle), ("y", &y.to_string())], &p.value);
            h.text_el("text", &[("class", "axis"), ("x", &middle), ("y", &(all - 6).to_string())], &p.short);
        }
    });
}

/// A bar in a line of a table: so many thousandths of the whole; `percent` marks a hundred percent.
pub fn bar(h: &mut Html, title: &str, thousandths: u64, percent: bool, above: bool) {
    let long = (thousandths.min(BAR_ROOM * 10) * BAR / 1_000).max(u64::from(thousandths > 0));
    let room = if percent { BAR_ROOM } else { BAR };
    let view = format!("0 0 {room} 12");
    h.el(
        "svg",
        &[
            ("class", if percent { "line percent" } else { "line" }),
            ("role", "img"),
            ("viewBox", &view),
            ("preserveAspectRatio", "xMinYMid"),
        ],
        |h| {
            h.text_el("title", &[], title);
            let track = BAR.to_string();
            h.shape("rect", &[("class", "track"), ("x", "0"), ("y", "1"), ("width", &track), ("height", "10")]);
            let class = if above { "bar above" } else { "bar" };
            let long = long.to_string();
            h.shape("rect", &[("class", class), ("x", "0"), ("y", "1"), ("width", &long), ("height", "10")]);
            if percent {
                h.shape("line", &[("class", "full"), ("x1", &track), ("x2", &track), ("y1", "0"), ("y2", "12")]);
            }
        },
    );
}

/// The hatching of what is above a hundred percent, once a page.
pub fn patterns(h: &mut Html) {
    let hidden = [("class", "patterns"), ("width", "0"), ("height", "0"), ("aria-hidden", "true")];
    h.el("svg", &hidden, |h| {
        h.el("defs", &[], |h| {
            let attributes = [
                ("id", "hatch"),
                ("width", "5"),
                ("height", "5"),
                ("patternUnits", "userSpaceOnUse"),
                ("patternTransform", "rotate(45)"),
            ];
            h.el("pattern", &attributes, |h| {
                h.shape("rect", &[("width", "5"), ("height", "5"), ("fill", "#fff")]);
                h.shape("rect", &[("width", "3"), ("height", "5"), ("fill", "#8a2b0e")]);
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(size: u128) -> Point {
        Point { short: "Q1".into(), name: "Q1 2026".into(), size, value: size.to_string() }
    }

    #[test]
    fn the_highest_is_as_high_as_the_picture_and_nothing_is_outside() {
        let mut h = Html::default();
        columns(&mut h, "c", "T <b>", "D", &[point(0), point(50), point(100)], None);
        let text = h.finish();
        assert!(text.contains("height=\"150\"") && text.contains("height=\"75\"") && text.contains("height=\"0\""));
        assert!(
            text.contains("role=\"img\"")
                && text.contains(">T &lt;b&gt;</title>")
                && text.contains("<desc id=\"c-d\">D<")
        );
        // A goal that nothing comes near is the top.
        let mut h = Html::default();
        columns(&mut h, "c", "T", "D", &[point(1)], Some(&point(u128::from(u64::MAX))));
        assert!(h.finish().contains("class=\"goal\" x1=\"8\" x2=\"632\" y1=\"26\""));
        let mut h = Html::default();
        columns(&mut h, "c", "T", "D", &[], None);
        assert!(h.finish().contains("</svg>"));
    }

    #[test]
    fn a_bar_above_a_hundred_percent_is_hatched_and_cut() {
        let mut h = Html::default();
        bar(&mut h, "140 %", 1_400, true, true);
        let text = h.finish();
        assert!(text.contains("class=\"bar above\" x=\"0\" y=\"1\" width=\"120\""), "{text}");
        let mut h = Html::default();
        bar(&mut h, "0,1 %", 1, true, false);
        assert!(h.finish().contains("width=\"1\" height=\"10\""), "a little is not nothing");
    }
}
