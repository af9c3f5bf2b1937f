//! The status page: one self-contained document for people, in their language.
//!
//! It does not: run a script or load anything.
//!
//! Invariants: every text that comes from data is escaped.

use crate::i18n::{Lang, format_int, format_stamp, format_time, t};
use crate::link::LinkState;
use crate::replica::StatusReport;
use sampan_core::time::Millis;
use std::fmt::Write as _;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #ddd}\
th{width:40%}.yes{color:#0a6b2d}.no{color:#a02020}h1{font-size:1.4rem}h2{font-size:1.1rem}";

/// The page.
pub fn page(lang: Lang, r: &StatusReport, value: &serde_json::Value, link: &LinkState) -> String {
    let mut rows = String::new();
    let mut row = |name: &str, text: &str, class: &str| {
        // Writing into a String cannot fail.
        let _ = write!(rows, "<tr><th scope=row>{}</th><td class={class}>{}</td></tr>", escape(name), escape(text));
    };
    row(&t(lang, "status.records", &[]), &format_int(lang, r.records as i64), "plain");
    let unsent = format_int(lang, r.unsent_changes as i64);
    row(&t(lang, "status.unsent", &[]), &unsent, if r.unsent_changes == 0 { "yes" } else { "no" });
    row(&t(lang, "status.pending", &[]), &format_int(lang, r.pending as i64), "plain");
    row(&t(lang, "status.blocked", &[]), &format_int(lang, r.blocked as i64), "plain");
    row(&t(lang, "status.quarantined", &[]), &format_int(lang, r.quarantined as i64), "plain");
    let when = |at: Millis| format_time(lang, at);
    for d in &r.delivered {
        let (mark, class) = if d.complete { ("✓", "yes") } else { ("·", "no") };
        row(&d.name, &format!("{mark} {}", d.at.map(when).unwrap_or_default()), class);
    }
    let never = t(lang, "status.never_verified", &[]);
    row(&t(lang, "status.verified", &[]), &r.verified_at.map(when).unwrap_or(never), "plain");
    let word = |connected| t(lang, if connected { "status.connected" } else { "status.not_connected" }, &[]);
    row("QUIC", &word(link.is_connected()), "plain");
    if r.ways.len() > 1 {
        for way in &r.ways {
            let link = link.ways.iter().any(|w| w.unit == Some(way.unit) && w.connected.is_some());
            let verified = way.verified_at.map_or_else(|| t(lang, "status.never_verified", &[]), when);
            row(&format!("↑ {}", way.name), &format!("{} · {verified}", word(link)), if link { "yes" } else { "no" });
        }
    }
    let last = link.last_error();
    if let Some(error) = r.last_error.as_deref().or(Some(last.as_str())).filter(|e| !e.is_empty()) {
        row(&t(lang, "status.last_error", &[]), error, "no");
    }
    let children = children(lang, value);
    let title = escape(&r.organisation);
    format!(
        "<!doctype html><html lang={}><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta http-equiv=refresh content=10><title>Sampan — {title}</title><style>{STYLE}</style>\
         <h1>Sampan — {title}</h1><table>{rows}</table>{children}</html>\n",
        lang.code()
    )
}

fn children(lang: Lang, value: &serde_json::Value) -> String {
    let Some(list) = value.get("children").and_then(|c| c.as_array()).filter(|c| !c.is_empty()) else {
        return String::new();
    };
    let mut out = format!("<h2>{}</h2><table>", escape(&t(lang, "status.device", &[])));
    for child in list {
        let text = |name: &str| child.get(name).and_then(|v| v.as_str()).unwrap_or("–").to_owned();
        let connected = child.get("connected").and_then(serde_json::Value::as_bool).unwrap_or(false);
        let class = if connected { "yes" } else { "no" };
        let word = t(lang, if connected { "status.connected" } else { "status.not_connected" }, &[]);
        let device = text("device");
        let _ = write!(
            out,
            "<tr><th scope=row>{} <small>{}</small></th><td class={class}>{}</td><td>{}</td></tr>",
            escape(&text("unit_name")),
            escape(&device[..device.len().min(12)]),
            escape(&word),
            escape(&format_stamp(lang, &text("verified_at")))
        );
    }
    out.push_str("</table>");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_cannot_write_markup() {
        assert_eq!(super::escape("<b>&\"x"), "&lt;b&gt;&amp;&quot;x");
    }
}
