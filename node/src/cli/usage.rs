//! Reading the command line: language before anything else, help in it, and clap's refusals turned
//! into our errors.
//!
//! It does not: define commands (see [`super::args`]) or run them.
//!
//! Invariants: a refusal is exit 2 with clap's suggestion; help goes to stdout with exit 0.

use super::convert::did_you_mean;
use super::exit::CliError;
use super::{App, codes};
use crate::i18n::{Lang, find, t};
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};
use std::ffi::OsString;

/// What must be known before the command line is read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Early {
    /// The language.
    pub lang: Lang,
    /// The language of the flag, if it was given.
    pub flag: Option<Lang>,
    /// Whether errors are JSON.
    pub json: bool,
}

/// Looks for `--lang` and `--json` among the arguments; a wrong `--lang` is refused later.
#[must_use]
pub fn peek(arguments: &[OsString], env: &dyn Fn(&str) -> Option<String>) -> Early {
    let mut flag = None;
    let mut json = false;
    let mut words = arguments.iter().skip(1).map(|a| a.to_string_lossy());
    while let Some(word) = words.next() {
        match &*word {
            "--" => break,
            "--json" => json = true,
            "--lang" => flag = words.next().and_then(|w| w.parse().ok()).or(flag),
            w => flag = w.strip_prefix("--lang=").and_then(|l| l.parse().ok()).or(flag),
        }
    }
    Early { lang: Lang::choose(flag, None, env), flag, json }
}

/// Reads the command line; `None` = help or the version was asked for and is printed.
///
/// # Errors
/// `usage`, with clap's suggestion; output errors.
pub fn parse<C: CommandFactory + FromArgMatches>(
    arguments: Vec<OsString>,
    app: &mut App,
) -> Result<Option<C>, CliError> {
    let mut command = localize(C::command(), app.lang);
    let read = command.try_get_matches_from_mut(arguments).and_then(|m| C::from_arg_matches(&m));
    match read {
        Ok(cli) => Ok(Some(cli)),
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            app.out.line(e.to_string().trim_end())?;
            Ok(None)
        }
        Err(e) => Err(refusal(&e, app)),
    }
}

/// The command with the words of a language.
#[must_use]
pub fn localize(command: Command, lang: Lang) -> Command {
    let word = |id: &str| t(lang, id, &[]);
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).global(true);
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    let command = command
        .disable_help_flag(true)
        .disable_version_flag(true)
        .about(word("help.about"))
        .arg(help.help(word("help.help")))
        .arg(version.help(word("help.version")));
    translate(command, lang, "cmd")
}

/// `path` is where the words of the command stand: `cmd` for the program, `cmd.unit.add` for `unit add`.
fn translate(command: Command, lang: Lang, path: &str) -> Command {
    let word = |id: &str| t(lang, id, &[]);
    let about = find(path).map(|m| word(m.id));
    let template = format!("{{about-with-newline}}\n{}: {{usage}}\n\n{{all-args}}", word("help.usage"));
    let mut order = 0;
    let mut command = command
        .help_template(StyledStr::from(template))
        .subcommand_help_heading(heading("help.commands", lang))
        .mut_args(|mut arg| {
            let positional = arg.is_positional();
            if positional {
                // Else those under a heading of ours are sorted by the alphabet.
                arg = arg.display_order(order);
                order += 1;
            }
            let kind = if positional { "help.arguments" } else { "help.options" };
            let text = find(&format!("arg.{}", arg.get_id())).map(|m| word(m.id));
            let arg = arg.help_heading(heading(kind, lang));
            match text {
                Some(text) => arg.help(text),
                None => arg,
            }
        })
        .mut_subcommands(|sub| {
            let path = format!("{path}.{}", sub.get_name());
            translate(sub, lang, &path)
        });
    if let Some(about) = about {
        command = command.about(about);
    }
    command
}

/// clap keeps headings by reference to the program's own text.
fn heading(id: &'static str, lang: Lang) -> &'static str {
    find(id).map_or(id, |m| m.text(lang))
}

fn refusal(error: &clap::Error, app: &App) -> CliError {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(s)) => Some(s.clone()),
        Some(ContextValue::Strings(list)) => Some(list.join(", ")),
        Some(ContextValue::StyledStr(s)) => Some(s.to_string()),
        _ => None,
    };
    let list = |kind| match error.get(kind) {
        Some(ContextValue::String(s)) => vec![s.clone()],
        Some(ContextValue::Strings(list)) => list.clone(),
        _ => Vec::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    let given = context(ContextKind::InvalidValue);
    let subcommand = context(ContextKind::InvalidSubcommand);
    let place = given.clone().or(subcommand.clone()).or(argument.clone());
    let what: String = match (error.kind(), &argument, &given, &subcommand) {
        (ErrorKind::InvalidSubcommand, _, _, Some(s)) => app.t("usage.unknown_command", &[("what", s)]),
        (ErrorKind::UnknownArgument, Some(a), _, _) => app.t("usage.unknown_option", &[("what", a)]),
        (ErrorKind::MissingRequiredArgument, Some(a), _, _) => {
            app.t("usage.missing", &[("what", a.trim_end_matches("..."))])
        }
        (ErrorKind::ArgumentConflict, Some(a), _, _) => app.t("usage.conflict", &[("what", a)]),
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, Some(a), Some(v), _) => {
            app.t("usage.value", &[("what", a), ("given", v)])
        }
        // What has no words of ours is told in clap's.
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").trim_end_matches('.').to_owned()
        }
    };
    // clap puts the best one last.
    let mut suggested = list(ContextKind::SuggestedSubcommand);
    suggested.reverse();
    suggested.extend(list(ContextKind::SuggestedArg));
    suggested.extend(list(ContextKind::SuggestedValue));
    let help = format!("{} --help", app.program);
    let mut shown = app.error(&codes::USAGE, &[("what", &what), ("help", &help)]);
    shown.hint.insert_str(0, &did_you_mean(app.lang, &suggested));
    shown.where_ = place;
    shown
}
