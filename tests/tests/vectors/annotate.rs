//! Bytes with a comment on every part, for new vector files.
//!
//! It does not: judge the bytes: what is no CBOR is printed in rows.
//!
//! A shape is a name, with its parts in parentheses for a record, or the part of each item in brackets
//! for a list: `group(headers[signed(bytes signature)] pack)`.

use std::fmt::Write as _;

#[derive(Debug, Clone, Default)]
struct Shape {
    name: String,
    parts: Vec<Shape>,
    each: bool,
}

fn parse(text: &mut &str) -> Shape {
    let end = text.find(['(', '[', ' ', ')', ']']).unwrap_or(text.len());
    let mut shape = Shape { name: text[..end].to_owned(), ..Shape::default() };
    *text = &text[end..];
    let close = match text.chars().next() {
        Some('(') => ')',
        Some('[') => ']',
        _ => return shape,
    };
    shape.each = close == ']';
    *text = &text[1..];
    loop {
        *text = text.trim_start();
        if let Some(rest) = text.strip_prefix(close) {
            *text = rest;
            return shape;
        }
        assert!(!text.is_empty(), "a shape that is not closed");
        shape.parts.push(parse(text));
    }
}

/// The lines of a vector file.
pub fn annotate(title: &str, bytes: &[u8], shape: &str) -> String {
    let mut out = format!("# {}\n", title.replace('_', " "));
    if let Some(rows) = shape.strip_prefix("raw ") {
        let _ = writeln!(out, "# {rows}");
        for row in bytes.chunks(32) {
            let _ = writeln!(out, "{}", data_encoding::HEXLOWER.encode(row));
        }
        return out;
    }
    let mut rest = bytes;
    item(&mut out, &mut rest, &parse(&mut &*shape), 0);
    assert!(rest.is_empty(), "bytes after the vector {title}");
    out
}

fn item(out: &mut String, rest: &mut &[u8], shape: &Shape, depth: usize) {
    let all = *rest;
    let (major, head, n) = head(all);
    *rest = &all[head..];
    let pad = "  ".repeat(depth);
    let hex = data_encoding::HEXLOWER.encode(&all[..head]);
    let name = &shape.name;
    match major {
        0 => line(out, &pad, &hex, &format!("{name}: {n}")),
        1 => line(out, &pad, &hex, &format!("{name}: {}", -1 - n as i64)),
        2 | 3 => {
            let n = n as usize;
            let (body, after) = rest.split_at(n);
            *rest = after;
            let what = if major == 2 { format!("{n} bytes") } else { format!("text, {n} bytes") };
            let shown = std::str::from_utf8(body).ok().filter(|_| major == 3).map(|t| format!(" {t:?}"));
            line(out, &pad, &hex, &format!("{name}: {what}{}", shown.unwrap_or_default()));
            for row in body.chunks(32) {
                let _ = writeln!(out, "{pad}  {}", data_encoding::HEXLOWER.encode(row));
            }
        }
        4 => {
            line(out, &pad, &hex, &format!("{name}: array of {n}"));
            for i in 0..n as usize {
                let at = if shape.each { shape.parts.first() } else { shape.parts.get(i) };
                item(out, rest, &at.cloned().unwrap_or_default(), depth + 1);
            }
        }
        _ => {
            let what = match all[0] {
                0xf4 => "false",
                0xf5 => "true",
                0xf6 => "null",
                b => panic!("no CBOR of ours: {b:02x}"),
            };
            line(out, &pad, &hex, &format!("{name}: {what}"));
        }
    }
}

fn line(out: &mut String, pad: &str, hex: &str, comment: &str) {
    let _ = writeln!(out, "{:<40} # {comment}", format!("{pad}{hex}"));
}

/// Major type, length of the head, argument.
pub fn head(bytes: &[u8]) -> (u8, usize, u64) {
    let extra = match bytes[0] & 0x1f {
        n @ 0..=23 => return (bytes[0] >> 5, 1, u64::from(n)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        n => panic!("additional information {n}"),
    };
    let n = bytes[1..=extra].iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    (bytes[0] >> 5, 1 + extra, n)
}
