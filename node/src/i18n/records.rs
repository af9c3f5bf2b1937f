//! Words of the commands on records: why a value, a filter or a row was refused; ticks, status and
//! findings that need more than a label.
//!
//! It does not: hold the common errors (`errors`) or labels (`words`).

use super::Message;
use super::catalogue::m;

#[rustfmt::skip]
pub(super) const RECORDS: &[Message] = &[
    // Errors of records.
    m("error.required", "Còn thiếu trường bắt buộc: {fields}.", "Required fields are missing: {fields}."),
    m("hint.required", "Thêm trường=giá_trị cho các trường đó rồi chạy lại; chưa có gì được ghi.", "Add field=value for them and run again; nothing was written."),
    m("error.key_field", "Trường '{field}' là định danh của hồ sơ, không bao giờ đổi.", "The field '{field}' is part of the record's identity and never changes."),
    m("hint.key_field", "Bỏ hồ sơ này và thêm hồ sơ mới với định danh đúng.", "Remove this record and add one with the right identity."),
    m("error.ambiguous_record", "Có nhiều hồ sơ với mã bắt đầu bằng '{name}'.", "Several records have an id that starts with '{name}'."),
    m("hint.ambiguous_record", "Viết thêm ký tự của mã: {known}", "Write more of the id: {known}"),
    m("error.record_not_here", "Hồ sơ {name} chưa sửa được: phần tạo ra nó chưa tới máy này.", "The record {name} cannot be opened yet: the change that created it has not arrived."),
    m("hint.record_not_here", "Đồng bộ rồi thử lại: sampan sync DIR", "Sync, then try again: sampan sync DIR"),
    m("error.record_damaged", "Không mở được hồ sơ {name}: {reason}.", "The record {name} cannot be opened: {reason}."),
    m("hint.record_damaged", "Chạy 'sampan verify DIR'; các hồ sơ khác vẫn dùng được.", "Run 'sampan verify DIR'; all other records can be used."),
    m("error.no_schema", "Danh mục hồ sơ chưa tới máy này.", "The schema has not come to this device yet."),
    m("hint.no_schema", "Kết nối một lần: sampan sync DIR", "Connect once: sampan sync DIR"),
    m("error.unfinished", "{dir} chưa được tạo xong.", "{dir} was not finished."),
    m("hint.unfinished", "Xoá thư mục đó rồi tham gia lại bằng vé mời.", "Remove that folder and join again with the ticket."),
    m("error.export_kind", "Không biết ghi tệp kiểu '{kind}'.", "Files that end in '{kind}' cannot be written."),
    m("hint.export_kind", "Đặt tên tệp kết thúc bằng .csv", "Give the file a name that ends in .csv"),
    m("error.file_exists", "Đã có tệp {file}; không ghi đè.", "{file} is there already; it is not overwritten."),
    m("hint.file_exists", "Chọn tên tệp khác, hoặc dời tệp cũ đi. Chưa có gì thay đổi.", "Choose another name, or move the old file away. Nothing was changed."),
    m("error.file_unwritable", "Không ghi được {file}: {reason}.", "{file} cannot be written: {reason}."),
    m("hint.file_unwritable", "Kiểm tra thư mục, quyền ghi và chỗ trống; tệp cũ (nếu có) vẫn nguyên.", "Check its folder, your right to write and the free room; an older file was left as it was."),
    m("error.ticket_newer", "Vé mời thuộc dạng mới mà bản này chưa đọc được.", "The ticket is of a newer form that this version does not read."),
    m("hint.ticket_newer", "Cài bản Sampan mới hơn rồi tham gia lại.", "Install a newer Sampan, then join again."),
    m("right.write", "ghi {collection} của {unit}", "write {collection} of {unit}"),
    m(
        "right.out_of_reach",
        "ghi {collection} của đơn vị {unit} từ cấp này: hồ sơ loại đó không đi lên tới đây nên sẽ không bao giờ về tới đơn vị; hãy ghi tại đơn vị",
        "write {collection} of unit {unit} from this level: such records do not travel up to here, so this one would never reach the unit; write it there",
    ),

    // What is due.
    m("due.none", "Không có việc gì đến hạn trong {days} ngày tới.", "Nothing is due within {days} days."),
    m("due.date", "Hạn", "Due"),
    m("due.when", "Còn", "When"),
    m("due.what", "Việc", "What"),
    m("due.today", "hôm nay", "today"),
    m("due.in_days", "{days} ngày nữa", "in {days} days"),
    m("due.late", "CHẬM {days} ngày", "LATE by {days} days"),
    m("due.span_days", "{n} ngày", "{n} days"),
    m("due.span_working_days", "{n} ngày làm việc", "{n} working days"),
    m("due.span_months", "{n} tháng", "{n} months"),
    m("due.span_years", "{n} năm", "{n} years"),
    m("due.odd_holiday", "Ngày nghỉ {record} không được tính: {reason}. Sửa hồ sơ đó ở cấp đã tạo.", "The holiday {record} was not counted: {reason}. Correct it where it was made."),
    m("due.no_holidays", "Chưa có ngày nghỉ nào của năm {year}; ngày làm việc chỉ trừ các ngày nghỉ trong tuần.", "No holidays of {year} are known; working days leave out the days of rest of the week alone."),

    // Replies.
    m("error.not_answered", "Không loại hồ sơ nào trả lời cho '{collection}'.", "No collection answers '{collection}'."),
    m("hint.not_answered", "Chọn một văn bản, dự thảo, chỉ tiêu hoặc bước công tác; lược đồ ghi 'reply_to' ở loại hồ sơ trả lời.", "Choose a record that is answered (the schema says 'reply_to' at the answering collection)."),
    m("replies.of", "{title}: {answered} / {asked} đơn vị đã trả lời.", "{title}: {answered} of {asked} units have answered."),
    m("replies.early", "Hồ sơ {record} chưa tới đây; các trả lời cho nó thì đã tới.", "The record {record} has not arrived here; answers to it have."),
    m("replies.state", "Trả lời", "Answer"),
    m("replies.answered", "đã trả lời", "answered"),
    m("replies.missing", "CHƯA", "MISSING"),
    m("replies.unasked", "trả lời (không được hỏi)", "answered (not asked)"),

    // Why a value is none.
    m("value.date", "không phải là ngày; viết 26/3/1985, 3/1985 hoặc 1985", "not a date; write YYYY, YYYY-MM or YYYY-MM-DD, or 26/3/1985"),
    m("value.int", "cần một số nguyên, ví dụ 2241 hoặc 2.241", "a whole number is needed, such as 2241 or 2,241"),
    m("value.decimal", "cần một số có nhiều nhất {scale} chữ số thập phân, ví dụ 36,8", "a number with at most {scale} decimals is needed, such as 36.8"),
    m("value.bool", "cần có hoặc không", "true or false is needed"),
    m("value.array", "cần một mảng JSON, ví dụ [\"a\",\"b\"]", "a JSON array is needed, such as [\"a\",\"b\"]"),
    m("value.ref", "cần mã hồ sơ gồm 32 chữ số thập lục phân", "a record's id of 32 hexadecimal digits is needed"),
    m("value.other", "giá trị không hợp với trường", "it does not fit the field"),
    m("value.ambiguous", "có thể hiểu là {one} hoặc {other}; hãy viết rõ", "it could mean {one} or {other}; write the one you mean"),
    m("value.choice", "không có lựa chọn này; các lựa chọn: {known}", "no such choice; its choices: {known}"),
    m("value.too_long", "có {got} {unit}, tối đa {max}", "it has {got} {unit}, at most {max} are allowed"),
    m("value.characters", "ký tự", "characters"),
    m("value.bytes", "byte", "bytes"),
    m("value.entries", "mục", "entries"),
    m("value.not_addable", "chỉ cộng trừ được với bộ đếm, danh sách và tập hợp", "only counters, lists and sets can be added to or taken from"),
    m("value.nothing_to_add", "+= và -= cần một giá trị", "+= and -= need a value"),

    // Why a filter is none.
    m("expr.at", "ở ký tự {at}: {what}", "at character {at}: {what}"),
    m("expr.no_field", "cần tên một trường", "a field's name must stand here"),
    m("expr.no_operator", "cần một trong = != < <= > >= ~", "one of = != < <= > >= ~ must stand here"),
    m("expr.wrong_operator", "'{op}' không so sánh được {field}; dùng {instead}", "'{op}' cannot compare {field}; use {instead}"),
    m("expr.no_value", "cần một giá trị; \"\" nghĩa là trống", "a value must stand here; \"\" stands for empty"),
    m("expr.open_quote", "thiếu dấu ngoặc kép đóng", "this quote has no end"),
    m("expr.no_and", "cần 'and' hoặc hết; để giá trị có 'and' trong \"…\"", "'and' or the end must stand here; put a value that holds 'and' into \"…\""),
    m("expr.too_long", "điều kiện quá dài", "the condition is too long"),

    // Rows of an import.
    m("csv.unit", "không có đơn vị '{name}'", "there is no unit '{name}'"),
    m("csv.unit_needed", "thiếu đơn vị: điền cột _unit hoặc thêm --unit", "no unit: fill the column _unit or add --unit"),
    m("csv.required", "thiếu {fields}", "{fields} is missing"),
    m("csv.other_unit", "hồ sơ {record} thuộc đơn vị khác ({unit})", "the record {record} is of another unit ({unit})"),
    m("csv.other_collection", "mã {record} là của một loại hồ sơ khác ({collection})", "the id {record} is of another collection ({collection})"),
    m("csv.nothing", "dòng này không có giá trị nào", "the row says nothing"),
    m("csv.id", "không phải mã hồ sơ", "not a record's id"),
    m("record.more_warnings", "… và {count} lưu ý nữa.", "… and {count} more notes."),
    m("record.unchanged", "Không có gì khác; chưa ghi gì.", "Nothing differs; nothing was written."),
    m("record.removed_done", "Đã bỏ; khôi phục bằng: {program} set DIR {record} _removed=false", "Removed; restore it with: {program} set DIR {record} _removed=false"),
    m("record.this_device", "máy này", "this device"),
    m("record.computed", "Sampan", "Sampan"),
    m("record.waiting", "{count} thay đổi của hồ sơ này chưa hiện: đang chờ hoặc bị chặn", "{count} changes of this record are not shown: they wait or are blocked"),
    m("record.conflict_note", "Có xung đột ở: {fields}. Xem: {program} conflicts DIR", "In conflict: {fields}. See: {program} conflicts DIR"),

    // Ticks and status.
    m("tick.above", "cấp trên", "the level above"),
    m("status.organisation", "Tổ chức", "Organisation"),
    m("status.pending_count", "{count} thay đổi đang chờ thứ mà chúng dựa vào", "{count} changes wait for what they build on"),
    m("status.blocked_count", "{count} thay đổi bị chặn", "{count} changes are blocked"),
    m("status.quarantined_count", "{count} gói bị cách ly: máy ghi chúng không có quyền", "{count} commits in quarantine: their devices have no right"),
    m("status.cut_anew", "{count} thay đổi của máy này ghi trên những gì nay bị cách ly: đã ghi lại trên những gì còn hiệu lực", "{count} changes of this device were made on top of what is in quarantine now: written anew on what stands"),
    m("status.cut_waits", "{count} thay đổi của máy này ghi trên những gì nay bị cách ly, đang chờ cấp trên quyết định: nhận lại thì được tính, từ chối thì máy này ghi lại", "{count} changes of this device were made on top of what is in quarantine now, and wait for the operator's word: they stand if it is released, and are written anew here if it is rejected"),
    m("status.cut_no_record", "{count} thay đổi của máy này thuộc hồ sơ mà lúc tạo ra nay bị cách ly: vẫn được giữ, chỉ hiện khi hồ sơ được nhận lại", "{count} changes of this device are to records whose creation is in quarantine now: they are kept, and show only if it is released"),
    m("status.root", "Đây là cấp cao nhất.", "This is the highest level."),
    m("status.not_admitted", "cấp trên chưa xác nhận máy này; chạy '{program} sync DIR' khi có mạng", "the level above has not confirmed this device yet; run '{program} sync DIR' when there is a connection"),
    m("status.news_at", "tin gần nhất từ cấp trên lúc {at}", "the newest from above came at {at}"),
    m("status.why_not", "lần liên lạc gần nhất không thành: {why}", "the last contact failed: {why}"),
    m("status.clock_hint", "Đồng hồ máy này chưa được đặt ({at}); hãy chỉnh giờ, việc đã ghi vẫn an toàn.", "The clock of this machine is not set ({at}); set it. What was written is safe."),
    m("status.twins", "Một bản sao khác của ổ đĩa này đã ghi dưới cùng tên ({count} lần): máy này đã đổi tên ghi, không mất gì; hãy hỏi xem ai dùng bản sao kia.", "Another copy of this disk wrote under this name ({count} times): this device goes on under a new one and nothing is lost; find out who uses the other copy."),
    m("status.behind", "Danh sách đang cập nhật: còn {count} gói chưa hiện.", "Lists are catching up: {count} commits are not shown yet."),

    // Doctor.
    m("doctor.charter", "Đã nhận cây đơn vị và quyền từ cấp trên", "The tree of units and the rights have come"),
    m("doctor.no_charter", "Chưa nhận gì từ cấp trên; chạy: {program} sync DIR", "Nothing has come from above yet; run: {program} sync DIR"),
    m("doctor.clock_unset", "Đồng hồ chưa được đặt ({at}); chỉnh lại giờ máy", "The clock is not set ({at}); set it"),
    m("doctor.sent", "Không có gì chờ gửi quá lâu", "Nothing has been waiting for long"),
    m("doctor.link", "Lần liên lạc gần nhất không có lỗi", "The last contact had no error"),
    m("doctor.link_bad", "Lần liên lạc gần nhất không thành ({why}); kiểm tra mạng rồi chạy: {program} sync DIR", "The last contact failed ({why}); check the network, then run: {program} sync DIR"),
    m("doctor.damaged", "Cơ sở dữ liệu: {why}", "The database: {why}"),
    m("doctor.finding", "{why} {hint}", "{why} {hint}"),
];
