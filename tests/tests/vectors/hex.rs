//! The vector files: hexadecimal digits, and after a `#` what they are.
//!
//! It does not: overwrite a file, ever. With `SAMPAN_PRINT_VECTORS=1` a vector whose file does not
//! exist is printed, to make the files of a *new* format version; an existing file is the format, and
//! a test that differs from it means that the code broke what others have already written down.
//!
//! Invariants: white space and comments carry nothing.

use std::path::PathBuf;

/// The folder of the vectors.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// The bytes of `<name>.hex`; in printing mode, of a file that is not there yet, the bytes made now.
pub fn golden(name: &str, made: &[u8], shape: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) if std::env::var_os("SAMPAN_PRINT_VECTORS").is_some() => {
            println!("==> {name}.hex <==\n{}", super::annotate::annotate(name, made, shape));
            return made.to_vec();
        }
        Err(e) => panic!("{}: {e}; SAMPAN_PRINT_VECTORS=1 prints the vectors of a new format", path.display()),
    };
    let digits: String = text.lines().map(|l| l.split('#').next().unwrap_or_default()).collect();
    let digits: String = digits.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Compares, and shows both in hexadecimal when they differ.
pub fn same(name: &str, made: &[u8], file: &[u8]) {
    let hex = |b: &[u8]| data_encoding::HEXLOWER.encode(b);
    assert!(
        made == file,
        "{name}.hex is the format of version 1 and is never edited; the code now makes other bytes\nfile {}\nmade {}",
        hex(file),
        hex(made)
    );
}
