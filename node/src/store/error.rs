//! What SQLite says, in the words of the store.
//!
//! It does not: recover from anything.

use rusqlite::ErrorCode;
use sampan_core::store::StoreError;

/// An error on the way out of the store: SQLite's turn into sentences at the `?`.
#[derive(Debug)]
pub(super) struct Fault(pub StoreError);

impl From<StoreError> for Fault {
    fn from(e: StoreError) -> Self {
        Self(e)
    }
}

impl From<Fault> for StoreError {
    fn from(f: Fault) -> Self {
        f.0
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        Self(sentence(&e))
    }
}

/// What is stored contradicts itself.
pub(super) fn damaged(why: impl std::fmt::Display) -> Fault {
    Fault(StoreError::Damaged(why.to_string()))
}

fn sentence(e: &rusqlite::Error) -> StoreError {
    let text = e.to_string();
    match e {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => StoreError::Full(text),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Damaged(text),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                StoreError::Busy(text)
            }
            ErrorCode::ReadOnly => {
                StoreError::Io(format!("it is read-only ({text}); check who owns the file and how the disk is mounted"))
            }
            ErrorCode::ConstraintViolation => {
                StoreError::Damaged(format!("what is to be stored is already there ({text})"))
            }
            // SQLCipher's word for a page whose seal does not hold, with no text of its own.
            ErrorCode::Unknown if cfg!(feature = "encryption") && says_nothing(e) => {
                StoreError::Damaged("a page is not as it was written".to_owned())
            }
            _ => StoreError::Io(text),
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::QueryReturnedNoRows => StoreError::Damaged(text),
        _ => StoreError::Io(text),
    }
}

/// Whether an error of a statement names nothing in it.
fn says_nothing(e: &rusqlite::Error) -> bool {
    match e {
        rusqlite::Error::SqliteFailure(failure, text) => {
            failure.extended_code == rusqlite::ffi::SQLITE_ERROR
                && text.as_deref().is_none_or(|t| t == "SQL logic error")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn every_kind_of_trouble_has_its_word() {
        let said = |code| sentence(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(matches!(said(ffi::SQLITE_FULL), StoreError::Full(_)));
        assert!(matches!(said(ffi::SQLITE_CORRUPT), StoreError::Damaged(_)));
        assert!(matches!(said(ffi::SQLITE_NOTADB), StoreError::Damaged(_)));
        assert!(matches!(said(ffi::SQLITE_BUSY), StoreError::Busy(_)));
        assert!(matches!(said(ffi::SQLITE_IOERR), StoreError::Io(_)));
        let StoreError::Io(text) = said(ffi::SQLITE_READONLY) else {
            panic!("a read-only file is a matter of the disk");
        };
        assert!(text.contains("check who owns the file"), "{text}");
    }
}
