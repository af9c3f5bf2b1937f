//! Tests of reading csv files.

use super::*;
use crate::cli::ExitCode;

fn columns() -> Vec<Column> {
    let column = |id: &str, label: &str| Column { id: id.to_owned(), labels: vec![label.to_owned()] };
    vec![column("full_name", "Họ và tên"), column("born", "Ngày sinh"), column("status", "Trạng thái")]
}

fn cell(field: &str, text: &str) -> Result<Value, String> {
    match field {
        "born" if text.parse::<u32>().is_err() => Err(format!("'{text}' is not a date")),
        "status" if text != "official" => Err(format!("no choice '{text}'")),
        _ => Ok(Value::Str(text.to_owned())),
    }
}

fn read(text: impl AsRef<[u8]>) -> Result<Import, CliError> {
    read_csv(Lang::En, "m.csv", text.as_ref(), &columns(), &mut cell)
}

#[test]
fn rows_keep_their_lines_units_and_cells() {
    let import = read("\u{feff}full_name,_unit,born\r\n\"Lê,\nAn\",P01,1950\r\n\r\nBùi Bá,,\r\n").unwrap();
    assert!(import.bad.is_empty(), "{import:?}");
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(import.rows.len(), 2);
    assert_eq!(import.rows[0].unit.as_deref(), Some("P01"));
    assert_eq!(import.rows[0].cells, [pair("full_name", "Lê,\nAn"), pair("born", "1950")]);
    assert_eq!((import.rows[1].line, import.rows[1].unit.clone()), (5, None));
    assert_eq!(import.rows[1].cells, [pair("full_name", "Bùi Bá")]);
}

#[test]
fn a_pipe_that_hands_out_single_bytes_reads_as_the_file_does() {
    struct Drops<'a>(&'a [u8]);
    impl Read for Drops<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = buf.len().min(1);
            (&mut self.0).take(n as u64).read(buf)
        }
    }
    let text = "\u{feff}full_name;_unit;born\r\nLê;P01;1950\r\n";
    let drops = read_csv(Lang::En, "m.csv", Drops(text.as_bytes()), &columns(), &mut cell);
    assert_eq!(drops.ok(), read(text).ok());
    assert_eq!(read(text).unwrap().rows[0].cells.len(), 2);
}

#[test]
fn lines_that_end_as_on_an_old_mac_are_counted() {
    let import = read("full_name;born\rLê,a,b,c,d;1950\r\rBùi;x\r").unwrap();
    assert_eq!((import.rows[0].line, import.rows[0].cells[0].1.as_str()), (2, "Lê,a,b,c,d"));
    assert_eq!(import.bad[0].line, 4);
}

#[test]
fn a_quote_without_end_is_no_cell_that_holds_the_rest_of_the_file() {
    let error = read("full_name;born\nAn;1950\n\n\"Bình;1951\nChi;1952\n").unwrap_err();
    assert!(error.to_string().contains("line 4") && error.to_string().contains("never closed"), "{error}");
    let fine = read("full_name;born\n\"\"\"An\"\"\n\";1950\nx\"y;1\n\"a\"b;2\n\"c\n\";3").unwrap();
    assert_eq!(fine.rows.len(), 4, "{fine:?}");
}

#[test]
fn labels_are_headings_and_semicolons_separate() {
    let import = read("ho va ten;NGÀY SINH;Trạng thái;\nA;1950;official;\n");
    assert!(import.is_err(), "a nameless column is unknown");
    let import = read("ho va ten;NGÀY SINH;Trạng thái\nA;1950;official;;\n").unwrap();
    assert_eq!(import.rows[0].cells.len(), 3);
}

#[test]
fn a_wrong_header_names_the_columns_and_the_nearest() {
    let e = read("fulname,born,phone\nA,1950,1\n").unwrap_err();
    assert_eq!((e.code, e.exit), ("csv_header", ExitCode::BadInput));
    assert!(e.message.contains("'fulname'") && e.message.contains("'phone'"), "{e:?}");
    assert!(e.hint.contains("'full_name'") && e.hint.contains("_unit"), "{e:?}");
    assert_eq!(read("born,born\n").unwrap_err().code, "csv_column_twice");
    assert_eq!(read("").unwrap_err().code, "csv_empty");
}

#[test]
fn every_bad_row_is_listed_with_line_and_field() {
    let text = "full_name,born,status\nA,195x,oficial\nB,1950,official\nC,1951\nD,x,official\n";
    let import = read(text).unwrap();
    assert_eq!((import.rows.len(), import.bad.len(), import.bad_rows()), (1, 4, 3));
    let e = import.clone().accept(Lang::En, "m.csv", false).unwrap_err();
    assert_eq!((e.code, e.exit), ("csv_bad_rows", ExitCode::BadInput));
    let words = e.to_words();
    for part in ["line 2, field born: '195x'", "line 2, field status", "line 4: it has 2", "line 5, field born"] {
        assert!(words.contains(part), "{words}");
    }
    assert!(e.to_json().contains("\"details\""));
    assert_eq!(import.accept(Lang::En, "m.csv", true).unwrap()[0].line, 3);
}

#[test]
fn other_encodings_are_refused_with_their_line() {
    let e = read(b"\xff\xfef\0u\0").unwrap_err();
    assert_eq!((e.code, e.where_.as_deref()), ("csv_encoding", Some("m.csv:1")));
    assert_eq!(read(b"H\xe4 t\xean\nA\n").unwrap_err().code, "csv_encoding");
    let import = read(b"full_name\nA\nNguy\xd4n\n").unwrap();
    assert_eq!((import.bad[0].line, import.bad[0].field.as_deref()), (3, Some("full_name")));
    assert!(import.bad[0].reason.contains("CSV UTF-8"), "{import:?}");
}

#[test]
fn a_row_without_end_is_refused_by_its_line() {
    let mut text = b"full_name\nA\n\"".to_vec();
    text.resize(3 * CSV_ROW_BYTES_MAX, b'x');
    let e = read(&text).unwrap_err();
    assert_eq!((e.code, e.where_.as_deref()), ("csv_row_long", Some("m.csv:3")));
    let mut many = b"full_name\n".to_vec();
    for _ in 0..40 {
        many.extend_from_slice(&[b'x'; 100_000]);
        many.push(b'\n');
    }
    assert_eq!(read(&many).unwrap().rows.len(), 40, "a long file of good rows is fine");
}

#[test]
fn spreadsheets_are_to_be_exported_first() {
    let e = CsvFile::open(Lang::En, Path::new("a.XLSX")).unwrap_err();
    assert_eq!(e.code, "xlsx");
    assert!(e.hint.contains("Export it as csv first"), "{e:?}");
    let e = CsvFile::open(Lang::Vi, Path::new("/nowhere.csv")).unwrap_err();
    assert_eq!((e.code, e.exit), ("file_unreadable", ExitCode::BadInput));
}

#[test]
fn a_file_that_changes_between_two_readings_is_refused_once_its_rows_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.csv");
    let rows = |file: &mut CsvFile| {
        let mut n = 0;
        let done = file.each_row(Lang::En, &columns(), &mut cell, &mut |row| {
            n += usize::from(matches!(row, Row::Good(_)));
            Ok::<(), CliError>(())
        });
        (n, done)
    };
    std::fs::write(&path, "full_name,born\nAn,1950\nBùi,1951\n").unwrap();
    let mut file = CsvFile::open(Lang::En, &path).unwrap();
    assert_eq!(rows(&mut file), (2, Ok(())));
    assert_eq!(rows(&mut file), (2, Ok(())), "the same again");
    std::fs::write(&path, "full_name,born\nAn,1950\nBùi,1952\n").unwrap();
    let (n, done) = rows(&mut file);
    let error = done.unwrap_err();
    assert_eq!((n, error.code), (2, "file_unreadable"));
    assert!(error.message.contains("changed while it was read"), "{error:?}");
}
