//! From the errors of the parts to the error that a person reads.
//!
//! It does not: lose a cause: what has no words of its own is shown as it came.

use super::codes::{self, Code};
use super::exit::CliError;
use crate::backup::BackupError;
use crate::config::ConfigError;
use crate::dir::DirError;
use crate::i18n::{Lang, t};
use crate::keys::KeyError;
use sampan_core::store::StoreError;
use sampan_core::suggest;
use std::path::Path;

/// Names listed in a hint: what fits two lines.
const KNOWN_SHOWN_MAX: usize = 24;

/// An error with words in a language.
pub trait IntoCli {
    /// The error that is shown.
    fn into_cli(self, lang: Lang) -> CliError;
}

impl IntoCli for StoreError {
    fn into_cli(self, lang: Lang) -> CliError {
        let new = |code, values: &[(&str, &str)]| CliError::new(lang, code, values);
        match self {
            Self::Full(what) => new(&codes::DISK_FULL, &[("dir", &what)]),
            Self::Damaged(what) => new(&codes::DATABASE_DAMAGED, &[("what", &what)]),
            Self::Newer { found, known } => {
                new(&codes::DATABASE_NEWER, &[("found", &found.to_string()), ("known", &known.to_string())])
            }
            Self::Encrypted(path) => new(&codes::DATABASE_ENCRYPTED, &[("file", &path)]),
            Self::Busy(what) => new(&codes::DATABASE_BUSY, &[("what", &what)]),
            Self::Io(reason) => new(&codes::IO, &[("dir", "store.db"), ("reason", &reason)]),
        }
    }
}

impl IntoCli for DirError {
    fn into_cli(self, lang: Lang) -> CliError {
        let make = |code: &'static Code, path: &Path, reason: &str| {
            let dir = path.display().to_string();
            CliError::new(lang, code, &[("dir", &dir), ("reason", reason)]).at(dir)
        };
        match self {
            Self::Foreign { path } => make(&codes::DIR_FOREIGN, &path, ""),
            Self::NotOurs { path } => make(&codes::DIR_NOT_OURS, &path, ""),
            Self::NotAFolder { path } => make(&codes::DIR_NOT_A_FOLDER, &path, ""),
            Self::ReadOnly { path, reason } => make(&codes::READ_ONLY, &path, &reason),
            Self::Full { path } => make(&codes::DISK_FULL, &path, ""),
            Self::Busy { path, pid } => {
                let dir = path.display().to_string();
                let process = pid.map(|p| format!(" (pid {p})")).unwrap_or_default();
                CliError::new(lang, &codes::BUSY, &[("dir", &dir), ("process", &process)]).at(dir)
            }
            Self::Io { path, source } => make(&codes::IO, &path, &source.to_string()),
        }
    }
}

impl IntoCli for KeyError {
    fn into_cli(self, lang: Lang) -> CliError {
        let make = |code: &'static Code, path: &Path| {
            let file = path.display().to_string();
            CliError::new(lang, code, &[("file", &file)]).at(file)
        };
        match self {
            Self::Exposed { path, .. } => make(&codes::KEY_EXPOSED, &path),
            Self::Malformed { path, .. } => make(&codes::KEY_DAMAGED, &path),
            Self::Exists { path } => make(&codes::KEY_EXISTS, &path),
            Self::Missing { path } => make(&codes::KEY_MISSING, &path),
            Self::Locked { path } => make(&codes::PASSPHRASE_NEEDED, &path),
            Self::Wrong { path } => make(&codes::PASSPHRASE_WRONG, &path),
            Self::Passphrase { path, reason } => {
                let file = path.display().to_string();
                CliError::new(lang, &codes::PASSPHRASE_UNREADABLE, &[("file", &file), ("reason", &reason)]).at(file)
            }
            Self::Weak => {
                let least = sampan_core::limits::PASSPHRASE_CHARS_MIN.to_string();
                CliError::new(lang, &codes::PASSPHRASE_WEAK, &[("least", &least)])
            }
            Self::Memory { mib } => CliError::new(lang, &codes::KEY_MEMORY, &[("mib", &mib.to_string())]),
            Self::Dir(e) => e.into_cli(lang),
            Self::Io { path, source } => DirError::from_io(&path, source).into_cli(lang),
        }
    }
}

impl IntoCli for BackupError {
    fn into_cli(self, lang: Lang) -> CliError {
        let make = |code: &'static Code, path: &Path, what: &str| {
            let file = path.display().to_string();
            CliError::new(lang, code, &[("file", &file), ("what", what)]).at(file)
        };
        match self {
            Self::Exists { path } => make(&codes::FILE_EXISTS, &path, ""),
            Self::NotABackup { path } => make(&codes::BACKUP_NOT, &path, ""),
            Self::Newer { path } => make(&codes::BACKUP_NEWER, &path, ""),
            Self::Cut { path } => make(&codes::BACKUP_CUT, &path, ""),
            Self::Altered { path, part } => make(&codes::BACKUP_ALTERED, &path, &part),
            Self::Unreadable { path, reason } => {
                let file = path.display().to_string();
                CliError::new(lang, &codes::FILE_UNREADABLE, &[("file", &file), ("reason", &reason)]).at(file)
            }
            Self::Dir(e) => e.into_cli(lang),
            Self::Config(e) => e.into_cli(lang),
            Self::Store(e) => e.into_cli(lang),
            Self::Key(e) => e.into_cli(lang),
        }
    }
}

impl IntoCli for ConfigError {
    fn into_cli(self, lang: Lang) -> CliError {
        match self {
            Self::UnknownKey { file, line, key, nearest } => CliError::new(
                lang,
                &codes::CONFIG_UNKNOWN_KEY,
                &[
                    ("file", &file),
                    ("line", &line.to_string()),
                    ("key", &key),
                    ("nearest", &did_you_mean(lang, &nearest)),
                ],
            )
            .at(format!("{file}:{line}")),
            Self::Syntax { file, line, reason } => CliError::new(
                lang,
                &codes::CONFIG_SYNTAX,
                &[("file", &file), ("line", &line.to_string()), ("reason", &reason)],
            )
            .at(format!("{file}:{line}")),
            Self::Value { key, given, wanted } => {
                CliError::new(lang, &codes::CONFIG_VALUE, &[("key", &key), ("given", &given), ("wanted", wanted)])
                    .at(key.clone())
            }
            Self::Dir(e) => e.into_cli(lang),
        }
    }
}

/// An error about a name that is not known, with the nearest and the known ones.
///
/// `values` are the other placeholders of the code's message.
#[must_use]
pub fn unknown_name(lang: Lang, code: &'static Code, name: &str, known: &[&str], values: &[(&str, &str)]) -> CliError {
    let nearest: Vec<String> = suggest::nearest(name, known.iter().copied()).into_iter().map(str::to_owned).collect();
    let (nearest, known) = (did_you_mean(lang, &nearest), list_of(lang, known));
    let mut all = vec![("name", name), ("given", name), ("nearest", &nearest), ("known", &known)];
    all.extend_from_slice(values);
    CliError::new(lang, code, &all).at(name)
}

/// `Did you mean 'a' or 'b'? `, or nothing.
#[must_use]
pub fn did_you_mean(lang: Lang, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
    t(lang, "names.nearest", &[("names", &quoted.join(&t(lang, "names.or", &[])))])
}

/// The names with commas, the first few of many.
#[must_use]
pub fn list_of(lang: Lang, names: &[&str]) -> String {
    let shown = names.iter().take(KNOWN_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(KNOWN_SHOWN_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} {}", t(lang, "names.more", &[("count", &more.to_string())])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ExitCode;

    #[test]
    fn store_errors_have_the_exits_of_the_contract() {
        let exit = |e: StoreError| e.into_cli(Lang::Vi).exit;
        assert_eq!(exit(StoreError::Full("store.db".into())), ExitCode::Failed);
        assert_eq!(exit(StoreError::Damaged("x".into())), ExitCode::Damaged);
        assert_eq!(exit(StoreError::Newer { found: 9, known: 1 }), ExitCode::Damaged);
    }

    #[test]
    fn a_folder_of_someone_else_is_bad_input_and_a_full_disk_a_failure() {
        let path = Path::new("/x").to_owned();
        let e = DirError::Foreign { path: path.clone() }.into_cli(Lang::En);
        assert_eq!((e.exit, e.code), (ExitCode::BadInput, "dir_foreign"));
        assert!(e.to_words().contains("/x is not empty and not a Sampan folder"), "{e}");
        assert_eq!(DirError::Full { path }.into_cli(Lang::En).exit, ExitCode::Failed);
    }

    #[test]
    fn unknown_names_end_with_the_nearest() {
        let known = ["full_name", "phone", "status"];
        let values = [("collection", "members")];
        let e = unknown_name(Lang::En, &codes::UNKNOWN_FIELD, "phnoe", &known, &values);
        assert_eq!(e.exit, ExitCode::BadInput);
        assert!(e.hint.contains("Did you mean 'phone'?") && e.hint.contains("full_name"), "{e:?}");
        let e = unknown_name(Lang::Vi, &codes::UNKNOWN_FIELD, "phnoe", &known, &values);
        assert!(e.hint.contains("Có phải ý bạn là 'phone'?"), "{e:?}");
    }

    #[test]
    fn no_placeholder_is_left_open() {
        let path = Path::new("/k").to_owned();
        let all = [
            KeyError::Exposed { path: path.clone(), mode: 0o644 }.into_cli(Lang::Vi),
            DirError::Busy { path, pid: Some(3) }.into_cli(Lang::Vi),
            StoreError::Newer { found: 2, known: 1 }.into_cli(Lang::Vi),
            StoreError::Io("x".into()).into_cli(Lang::En),
            unknown_name(Lang::En, &codes::UNKNOWN_CHOICE, "x", &["a"], &[("field", "f")]),
            crate::config::ConfigFile::parse("c", "lagn=1").unwrap_err().into_cli(Lang::En),
        ];
        for e in all {
            assert!(!e.to_words().contains('{'), "{e:?}");
        }
    }
}
