//! Messages of `erase`.
//!
//! It does not: name what was erased but by its id.

use super::Message;
use super::catalogue::m;

#[rustfmt::skip]
pub(super) const ERASE: &[Message] = &[
    m("cmd.erase", "Xoá vĩnh viễn một hồ sơ theo yêu cầu, hoặc tên người giữ máy; xem ai đã xác nhận", "Erase a record on request, or a holder's name, for ever; see who has confirmed"),
    m("arg.erase_reason", "Lý do; giữ mãi trong điều lệ nên đừng ghi tên ai", "Why; it stands in the charter for ever, so name nobody"),
    m("arg.erase_holder", "Xoá tên người giữ máy này (khoá của máy hoặc của vé)", "Erase the name of this device's holder (key of the device or of its ticket)"),
    m("arg.erase_list", "Liệt kê những gì đã xoá, ai đã xác nhận và ai chưa", "List what is erased, who has confirmed and who has not"),
    m("erase.done", "Đã xoá vĩnh viễn {name}. Các máy khác xoá khi đồng bộ; còn {waiting} máy chưa xác nhận: {program} erase DIR --list. Bản sao lưu và tệp bundle cũ còn giữ nó: huỷ chúng, hoặc chỉ khôi phục rồi đồng bộ ngay.", "Erased {name} for ever. Other devices erase it when they sync; {waiting} have not confirmed yet: {program} erase DIR --list. Old backups and bundle files still hold it: destroy them, or sync at once after restoring one."),
    m("erase.known", "{name} đã được xoá từ trước; còn {waiting} máy chưa xác nhận.", "{name} was erased before; {waiting} devices have not confirmed yet."),
    m("erase.busy", "Chương trình khác đang mở cơ sở dữ liệu nên chưa dọn hết dấu vết trên đĩa; sẽ dọn lần sau, và chỉ khi đó máy này mới xác nhận.", "Another program has the database open, so traces on the disk are not cleaned yet; that is done next time, and only then this device confirms."),
    m("erase.copies", "Còn cơ sở dữ liệu cũ có thể giữ những gì đã xoá: {files}. Xoá tệp đó, rồi chạy lại: {program} erase DIR --list", "An old database may still hold what was erased: {files}. Delete it, then run again: {program} erase DIR --list"),
    m("erase.none", "Chưa có gì bị xoá theo yêu cầu.", "Nothing was erased on request."),
    m("erase.confirmed", "đã xác nhận", "confirmed"),
    m("erase.waiting", "chưa xác nhận", "not confirmed"),
    m("right.erase", "xoá vĩnh viễn hồ sơ của {unit} (cần quyền admin)", "erase records of {unit} (an admin's right)"),
    m("error.record_erased", "Hồ sơ {name} đã được xoá vĩnh viễn theo yêu cầu.", "The record {name} was erased on request, for ever."),
    m("hint.record_erased", "Không sửa hay lập lại được; nếu cần, thêm hồ sơ mới.", "It cannot be edited or made again; add a new record if one is needed."),
];
