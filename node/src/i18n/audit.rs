//! Messages of `audit` and `verify --audit`.
//!
//! It does not: say what is checked (`sampan_core::audit` does).

use super::Message;
use super::catalogue::m;

#[rustfmt::skip]
pub(super) const AUDIT: &[Message] = &[
    m("cmd.audit", "Ghi ra tệp bằng chứng: ai đã làm gì, lúc nào", "Write a file of evidence: who did what, and when"),
    m("arg.since", "Chỉ những hồ sơ có thay đổi từ ngày này (kèm toàn bộ lịch sử)", "Only records that something was done to since this day (with their whole history)"),
    m("arg.audit", "Kiểm tra một tệp bằng chứng, không cần thư mục Sampan", "Check a file of evidence; no Sampan folder is needed"),
    m("arg.root", "Khoá gốc của tổ chức: 64 chữ số hệ 16", "The organisation's root key: 64 hexadecimal digits"),

    m("audit.done", "Đã ghi {entries} mục của {records} hồ sơ vào {file}. Ai có khoá gốc của tổ chức đều kiểm tra được: sampan verify --audit {file} --root {root}", "{entries} entries of {records} records written to {file}. Whoever has the organisation's root key can check it: sampan verify --audit {file} --root {root}"),
    m("audit.holds", "Bằng chứng đúng: {entries} mục của {records} hồ sơ, tổ chức '{name}'. Tệp do máy {maker} ({unit}) lập lúc {at}; lúc thấy lần đầu và tính đầy đủ là lời của máy đó.", "The evidence holds: {entries} entries of {records} records of '{name}'. The file was made by device {maker} ({unit}) at {at}; when things were first seen, and that nothing was left out, is that device's word."),
    m("audit.author", "{device}: {entries} mục", "{device}: {entries} entries"),
    m("audit.revoked", "đã bị thu hồi: {reason}", "revoked: {reason}"),
    m("audit.outside", "{count} mục nằm ngoài mốc cắt, không tính", "{count} entries lie outside a cut and do not count"),
    m("audit.until", "quyền có hạn đến {at}", "its rights last until {at}"),
    m("audit.cut", "Máy {device} bị cắt ({kind}): {reason} (máy {by}, {at})", "Device {device} is cut ({kind}): {reason} (by {by}, {at})"),
    m("audit.released", "Lần ký {commit} được cho tính lại: {reason} (máy {by}, {at})", "Commit {commit} was released: {reason} (by {by}, {at})"),
    m("audit.rejected", "Lần ký {commit} bị loại: {reason} (máy {by}, {at})", "Commit {commit} was rejected: {reason} (by {by}, {at})"),
    m("audit.new_root", "Khoá kế vị đã nêu khoá gốc mới {root}.", "The succession key has named a new root key, {root}."),
    m("audit.root", "Mọi chữ ký dẫn về khoá gốc {root}.", "Every signature leads to the root key {root}."),
    m("audit.root_named", "Tệp tự nêu khoá gốc {root}: hãy so với khoá bạn được trao, hoặc chạy lại với --root KHOÁ.", "The file itself names the root key {root}: compare it with the one you were given, or run again with --root KEY."),

    m("audit.other_root", "bằng chứng thuộc tổ chức khác, có khoá gốc {found}", "the evidence is of another organisation, with the root key {found}"),
    m("audit.commit", "một lần ký không đúng ({why})", "a commit does not hold ({why})"),
    m("audit.charter_missing", "thiếu phần điều lệ {commit} mà mục này dựa vào", "the charter commit {commit}, on which this rests, is missing"),
    m("audit.no_founding", "điều lệ không bắt đầu từ khoá gốc", "the charter does not begin with a founding by the root key"),
    m("audit.no_right", "không có gì trong điều lệ cho máy {device} quyền ghi ở đơn vị {unit}", "nothing in the charter gives device {device} the right to write in unit {unit}"),
    m("audit.commit_missing", "thiếu lần ký {commit} của mục này", "the commit {commit} of this entry is missing"),
    m("audit.not_signed", "mục này của hồ sơ {record} không phải là điều tác giả đã ký ở chỗ đó", "the entry of record {record} is not what its author signed at this place"),
    m("audit.column", "cột '{column}' nói khác với phần đã ký", "the column '{column}' says something else than the signed bytes"),
    m("audit.twice", "có thứ xuất hiện hai lần ({what})", "the same stands twice ({what})"),
    m("audit.maker", "tệp không còn như khi máy {device} ký", "the file is not what device {device} signed"),
    m("audit.maker_unknown", "máy {device} lập tệp này không có quyền gì trong tổ chức", "device {device}, which made the file, has no right in this organisation"),

    m("error.audit_not", "{file} không phải là tệp bằng chứng.", "{file} is no file of evidence."),
    m("hint.audit_not", "Chọn tệp do lệnh 'audit' ghi ra.", "Choose a file that the command 'audit' has written."),
    m("error.audit_newer", "{file} thuộc dạng mới mà bản này chưa đọc được.", "{file} is of a newer form that this version does not read."),
    m("hint.audit_newer", "Cài bản Sampan mới hơn.", "Install a newer Sampan."),
    m("error.audit_cut", "{file} bị cắt: thiếu dòng cuối.", "{file} is cut: its last line is missing."),
    m("hint.audit_cut", "Chép lại trọn tệp rồi kiểm tra lần nữa.", "Copy the whole file again and check once more."),
    m("error.audit_unreadable", "{file}, dòng {line}: không đọc được ({what}).", "{file}, line {line}: it cannot be read ({what})."),
    m("hint.audit_unreadable", "Tệp đã bị sửa hoặc hỏng khi chép; xin lại tệp gốc.", "The file was edited, or damaged on its way; ask for the original again."),
    m("error.audit_false", "{file}, dòng {line}: {what}.", "{file}, line {line}: {what}."),
    m("hint.audit_false", "Đừng dùng tệp này làm bằng chứng; xin lại từ nơi giữ hồ sơ, hoặc từ cấp trên.", "Do not use this file as evidence; ask for it again where the records are kept, or at the level above."),
    m("error.bad_root_key", "'{given}' không phải là khoá gốc.", "'{given}' is no root key."),
    m("hint.bad_root_key", "Khoá gốc là 64 chữ số hệ 16, in ra khi lập tổ chức ('organisation').", "A root key is 64 hexadecimal digits, printed when the organisation was founded ('organisation')."),
];
