//! Words of files that records carry.
//!
//! It does not: hold help (`help`).

use super::Message;
use super::catalogue::m;

#[rustfmt::skip]
pub(super) const FILES: &[Message] = &[
    m("file.attached", "Đã đính kèm {name} ({size}); tệp đi cùng hồ sơ.", "{name} ({size}) is attached; it travels with its record."),
    m("file.fetched", "Đã ghi {name} ({size}) ra {file}.", "{name} ({size}) is written to {file}."),
    m("file.received", "Đã nhận {count} tệp đính kèm.", "{count} attached files have come."),
    m("file.waiting", "Còn {count} tệp đang chờ về ({size}).", "{count} files are still to come ({size})."),
    m("bundle.files", "Đã nhận {count} tệp đính kèm.", "{count} attached files came with it."),
    m("error.file_not_here", "{name} chưa về đủ: có {here} trong {size}.", "{name} is not all here yet: {here} of {size}."),
    m("hint.file_not_here", "Đã ghi là cần; lần đồng bộ tới sẽ lấy về: {program} sync DIR, rồi chạy lại lệnh này.", "It is marked as wanted, and the next sync brings it: {program} sync DIR, then run this again."),
    m("error.file_none", "Trường '{field}' của hồ sơ này chưa có tệp.", "No file is attached to the field '{field}' of this record."),
    m("hint.file_none", "Đính kèm một tệp: {program} attach DIR HỒ_SƠ {field} TỆP", "Attach one: {program} attach DIR RECORD {field} FILE"),
    m("error.field_not_file", "Trường '{field}' không phải trường tệp.", "The field '{field}' does not hold files."),
    m("hint.field_not_file", "Trường tệp của loại hồ sơ này: {known}", "Fields of this collection that do: {known}"),
    m("error.file_name", "'{name}' không dùng làm tên tệp được: nhiều nhất 255 byte, không có ký tự điều khiển.", "'{name}' cannot name a file: at most 255 bytes, and no control characters."),
    m("hint.file_name", "Đổi tên tệp rồi chạy lại; chưa có gì thay đổi.", "Give the file another name and run this again; nothing was changed."),
    m("error.file_form", "Trường này không ghi tên và địa chỉ của một tệp: {what}.", "The field does not name a file: {what}."),
    m("hint.file_form", "Đính kèm tệp bằng lệnh attach, đừng gõ giá trị.", "Attach a file with 'attach' instead of typing a value."),
    m("error.file_damaged", "Không ghi ra được: {what}.", "It was not written: {what}."),
    m("hint.file_damaged", "Bỏ phần hỏng rồi lấy lại từ nơi khác: {program} verify DIR --repair, rồi {program} sync DIR", "Drop what is damaged and fetch it again: {program} verify DIR --repair, then {program} sync DIR"),
];
