//! `field=value`, `field+=value`, `field-=value`, `field=` of the command line.
//!
//! It does not: know the schema; the value stays the text that was typed.

use super::codes;
use super::exit::CliError;
use crate::i18n::{Lang, t};

/// What is to happen to the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignOp {
    /// `field=value`.
    Set,
    /// `field=`.
    Clear,
    /// `field+=value`.
    Add,
    /// `field-=value`.
    Sub,
}

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The field as typed.
    pub field: String,
    /// What is to happen.
    pub op: AssignOp,
    /// The value as typed; empty for [`AssignOp::Clear`].
    pub text: String,
}

/// Reads one argument.
///
/// # Errors
/// Without `=`, or without a field before it.
pub fn parse_one(lang: Lang, argument: &str) -> Result<Assignment, CliError> {
    let wrong = || {
        let what = t(lang, "usage.assignment", &[("what", argument)]);
        CliError::new(lang, &codes::USAGE, &[("what", &what), ("help", "sampan set --help")]).at(argument)
    };
    let (left, text) = argument.split_once('=').ok_or_else(wrong)?;
    let (field, op) = match left.as_bytes().last() {
        Some(b'+') => (&left[..left.len() - 1], AssignOp::Add),
        Some(b'-') => (&left[..left.len() - 1], AssignOp::Sub),
        _ if text.is_empty() => (left, AssignOp::Clear),
        _ => (left, AssignOp::Set),
    };
    let field = field.trim();
    if field.is_empty() || (text.is_empty() && op != AssignOp::Clear) {
        return Err(wrong());
    }
    Ok(Assignment { field: field.to_owned(), op, text: text.to_owned() })
}

/// Reads all arguments; a field may be set or cleared once, and added to as often as one likes.
///
/// # Errors
/// As [`parse_one`], and for a field that is set twice.
pub fn parse_all(lang: Lang, arguments: &[String]) -> Result<Vec<Assignment>, CliError> {
    let mut all: Vec<Assignment> = Vec::with_capacity(arguments.len());
    let whole = |op| matches!(op, AssignOp::Set | AssignOp::Clear);
    for argument in arguments {
        let new = parse_one(lang, argument)?;
        if all.iter().any(|a| a.field == new.field && (whole(a.op) || whole(new.op))) {
            let what = t(lang, "usage.twice", &[("what", &new.field)]);
            let values = [("what", what.as_str()), ("help", "sampan set --help")];
            return Err(CliError::new(lang, &codes::USAGE, &values).at(new.field));
        }
        all.push(new);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms() {
        let parse = |s: &str| parse_one(Lang::En, s).map(|a| (a.field, a.op, a.text)).ok();
        let is = |f: &str, op, v: &str| Some((f.to_owned(), op, v.to_owned()));
        assert_eq!(parse("name=Lê = Văn"), is("name", AssignOp::Set, "Lê = Văn"));
        assert_eq!(parse("n=-5"), is("n", AssignOp::Set, "-5"));
        assert_eq!(parse("n+=5"), is("n", AssignOp::Add, "5"));
        assert_eq!(parse("tags-=[\"a\"]"), is("tags", AssignOp::Sub, "[\"a\"]"));
        assert_eq!(parse("name="), is("name", AssignOp::Clear, ""));
        for bad in ["name", "=x", "+=x", "n+=", ""] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_field_is_set_once() {
        let all = |list: &[&str]| parse_all(Lang::Vi, &list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(all(&["a=1", "b=2", "c+=1", "c+=2"]).unwrap().len(), 4);
        assert_eq!(all(&["a=1", "a="]).unwrap_err().code, "usage");
        assert_eq!(all(&["a+=1", "a=3"]).unwrap_err().code, "usage");
    }
}
