//! Pages made of nothing but a model: structure, languages, names that mean harm.

use super::model::*;
use super::page;
use crate::i18n::Lang;

const HOSTILE: &str = "</td><script>alert('x')</script>&\"<b onload=\"y\">";

fn figure(name: &str, size: u128, above: bool) -> FigureLine {
    FigureLine {
        name: name.into(),
        short: name.into(),
        size,
        value: Some(size.to_string()),
        over: Some("10".into()),
        percent: Some("140,00".into()),
        above,
        coverage: Some(Reported { reported: 3, expected: 4, oldest: None }),
        closed: None,
    }
}

fn whole(lang: Lang, name: &str) -> Report {
    let line = TargetLine {
        unit: name.into(),
        target: Some("9.810".into()),
        handed_down: Some("9.800".into()),
        value: Some("2.241".into()),
        percent: Some("22,84".into()),
        of_handed_down: false,
        thousandths: 228,
        above: false,
        coverage: Reported { reported: 3, expected: 4, oldest: Some("22/11/2026".into()) },
        problem: None,
    };
    let bare = TargetLine { target: None, percent: None, value: None, problem: Some(name.into()), ..line.clone() };
    let point = Point { short: "Q1/26".into(), name: name.into(), size: 7, value: "7".into() };
    Report {
        lang,
        organisation: name.into(),
        unit: name.into(),
        period: Some(name.into()),
        made_at: "22/11/2026, 19:30".into(),
        projected_to: 7,
        targets: vec![TargetPart {
            title: name.into(),
            period: "năm 2026".into(),
            measured: name.into(),
            lines: vec![line, bare],
            without: 1,
            steps: vec![point.clone()],
            goal: Some(point),
        }],
        metrics: vec![MetricPart {
            title: name.into(),
            period: "quý 3/2026".into(),
            over: Some(name.into()),
            dimensions: name.into(),
            series: vec![figure(name, 0, false), figure("b", 14, true)],
            undated: Some("1".into()),
            by: vec![figure(name, 3, false)],
            units: vec![figure(name, 3, true)],
            zeros: 1,
            notes: vec![name.into()],
        }],
        missing: vec![MissingLine { unit: name.into(), metrics: name.into(), since: "1".into(), heard: None }],
        missing_all: 2,
        silent: Some(SilentPart {
            days: 7,
            with_device: 3,
            without_device: 1,
            lines: vec![SilentLine { unit: name.into(), days: None, unsent: 3, call: name.into() }],
        }),
        questions: vec![QuestionPart {
            title: name.into(),
            what: name.into(),
            answered: 1,
            asked: 2,
            missing: vec![name.into()],
        }],
    }
}

/// Every tag that is opened is closed, in order; the tags.
fn tags(text: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let mut rest = text.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').unwrap() + at;
        let (tag, inside) = (&rest[at + 1..end], &rest[at..end]);
        assert_eq!(inside.matches('"').count() % 2, 0, "an attribute is open: {inside}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed out of order");
        } else {
            let name = tag.split([' ', '/']).next().unwrap().to_owned();
            all.push(name.clone());
            if !tag.ends_with('/') && name != "meta" {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "left open: {open:?}");
    all
}

#[test]
fn a_page_is_whole_in_both_languages_whatever_its_names_are() {
    for lang in [Lang::Vi, Lang::En] {
        let plain = tags(&page(&whole(lang, "Chi bộ 1")));
        let text = page(&whole(lang, HOSTILE));
        assert_eq!(tags(&text), plain, "a name changed the structure");
        assert!(!text.contains("<script") && !text.contains("<b onload"), "a name became markup");
        assert!(text.contains("&lt;script&gt;alert(&#39;x&#39;)"));
        assert!(text.contains(&format!("<html lang=\"{}\">", lang.code())));
        for banned in ["http:", "https:", "url(http", "@import", "src=", "href=", "javascript"] {
            assert!(!text.contains(banned), "{banned}");
        }
        assert_eq!(plain.iter().filter(|t| *t == "table").count(), plain.iter().filter(|t| *t == "caption").count());
        assert!(plain.iter().filter(|t| *t == "title").count() > 4, "pictures have titles");
        assert_eq!(text.matches("role=\"img\"").count(), text.matches("<svg").count() - 1, "all but the hatching");
        assert_eq!(text.matches("<th").count() - text.matches("<thead").count(), text.matches("<th scope=").count());
        assert!(text.contains("class=\"flag\""), "above a hundred percent in words");
    }
}

#[test]
fn an_empty_report_says_so() {
    for (lang, words) in [(Lang::Vi, "Mọi đơn vị đã báo cáo."), (Lang::En, "All units have reported.")] {
        let mut empty = whole(lang, "x");
        (empty.targets, empty.metrics, empty.missing, empty.missing_all) = (vec![], vec![], vec![], 0);
        (empty.silent, empty.questions, empty.period) = (None, vec![], None);
        let text = page(&empty);
        tags(&text);
        assert!(text.contains(words), "{text}");
    }
}
