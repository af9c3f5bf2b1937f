//! Messages of help: the five everyday commands, each command (`cmd.NAME`) and argument
//! (`arg.NAME`).
//!
//! It does not: know the shape of the commands (see `cli::args`); a test there checks that each has
//! its words here.

use super::Message;
use super::catalogue::m;

#[rustfmt::skip]
pub(super) const HELP: &[Message] = &[
    m("everyday", "\
Năm lệnh dùng hằng ngày (DIR là thư mục Sampan):

  {program} add DIR LOẠI trường=giá_trị …    thêm hồ sơ (hoặc --from TỆP.csv)
  {program} list DIR LOẠI --search TỪ        tìm và liệt kê, không cần gõ dấu
  {program} set DIR HỒ_SƠ trường=giá_trị …   sửa hồ sơ
  {program} sync DIR                         gửi và nhận với cấp trên
  {program} status DIR                       cái gì đã lưu, đã tới đâu, còn gì chưa gửi

Mọi lệnh khác: {program} --help", "\
The five everyday commands (DIR is the Sampan folder):

  {program} add DIR COLLECTION field=value …   add a record (or --from FILE.csv)
  {program} list DIR COLLECTION --search TEXT  find and list, diacritics not needed
  {program} set DIR RECORD field=value …       edit a record
  {program} sync DIR                           send and receive with the level above
  {program} status DIR                         what is saved, what arrived where, what is unsent

All other commands: {program} --help"),
    m("help.about", "Sampan giữ hồ sơ của đơn vị, có mạng hay không, và đồng bộ với cấp trên.", "Sampan keeps a unit's records, online or not, and syncs them with the level above."),
    m("help.usage", "Cách dùng", "Usage"),
    m("help.commands", "Lệnh", "Commands"),
    m("help.arguments", "Tham số", "Arguments"),
    m("help.options", "Tuỳ chọn", "Options"),
    m("help.help", "Hiện trợ giúp này", "Show this help"),
    m("help.version", "Hiện phiên bản", "Show the version"),

    m("cmd.join", "Tham gia một đơn vị bằng vé mời", "Join a unit with a ticket"),
    m("cmd.run", "Chạy nền: giữ kết nối với cấp trên", "Run in the background: keep the link to the level above"),
    m("cmd.sync", "Đồng bộ một lần với cấp trên", "Sync once with the level above"),
    m("cmd.add", "Thêm hồ sơ, từng cái hoặc từ tệp csv", "Add records, one or from a csv file"),
    m("cmd.set", "Sửa các trường của một hồ sơ", "Edit fields of a record"),
    m("cmd.remove", "Bỏ một hồ sơ (khôi phục được)", "Remove a record (it can be restored)"),
    m("cmd.list", "Tìm và liệt kê hồ sơ", "Find and list records"),
    m("cmd.show", "Xem một hồ sơ và lịch sử của nó", "Show a record and its history"),
    m("cmd.conflicts", "Liệt kê các trường có nhiều giá trị khác nhau", "List fields with several different values"),
    m("cmd.resolve", "Chọn một giá trị cho trường có xung đột", "Pick one value of a field in conflict"),
    m("cmd.due", "Việc gì đến hạn: hết dự bị, huy hiệu, văn bản, báo cáo, bước chậm", "What is due: probation, badges, directives, reports, late steps"),
    m("cmd.attach", "Đính kèm một tệp vào một trường của hồ sơ", "Attach a file to a field of a record"),
    m("cmd.fetch", "Ghi tệp đính kèm của hồ sơ ra đĩa, hoặc yêu cầu lấy về", "Write an attached file to the disk, or have it brought"),
    m("cmd.replies", "Ai đã trả lời một văn bản, ai chưa", "Who has answered a record, and who has not"),
    m("cmd.export", "Ghi hồ sơ ra tệp csv", "Write records to a csv file"),
    m("cmd.status", "Cái gì đã lưu, đã tới đâu, còn gì chưa gửi", "What is saved, what arrived where, what is unsent"),
    m("cmd.verify", "Kiểm tra toàn bộ dữ liệu có nguyên vẹn không", "Check that all data is whole"),
    m("cmd.doctor", "Tìm nguyên nhân khi có gì không ổn", "Find out what is wrong when something is"),

    m("cmd.passphrase", "Đặt, đổi hoặc bỏ câu mật khẩu của khoá", "Set, change or remove the passphrase of the keys"),
    m("cmd.encrypt", "Mã hoá cơ sở dữ liệu của thư mục đã lập từ trước", "Encrypt the database of a folder that was made without"),
    m("cmd.backup", "Ghi một tệp sao lưu: hồ sơ, thiết lập và khoá (đã niêm nếu có câu mật khẩu); giữ tệp như giữ chìa khoá", "Write one backup file: records, settings and keys (sealed if there is a passphrase); keep it like a key"),
    m("cmd.restore", "Lập thư mục mới từ tệp sao lưu; không bao giờ ghi đè", "Make a new folder of a backup file; never over another"),

    m("arg.action", "set đặt, change đổi, remove bỏ", "What to do"),
    m("arg.repair", "Nếu hỏng: lập lại cơ sở dữ liệu từ những gì còn nguyên", "Where damage is found: make the database anew of what is whole"),
    m("arg.backup", "Tệp sao lưu", "The backup file"),
    m("arg.new_dir", "Thư mục mới (chưa có hoặc trống)", "The new folder (missing or empty)"),
    m("arg.passphrase_file", "Tệp có câu mật khẩu của khoá (hoặc SAMPAN_PASSPHRASE_FILE); không có thì hỏi tại màn hình", "A file with the passphrase of the keys (or SAMPAN_PASSPHRASE_FILE); else it is asked for at the terminal"),
    m("arg.new_passphrase_file", "Tệp có câu mật khẩu mới, khi đổi", "A file with the new passphrase of 'change'"),
    m("arg.dir", "Thư mục Sampan", "The Sampan folder"),
    m("arg.ticket", "Vé mời: một dòng bắt đầu bằng 'sampan:', hoặc @TỆP chứa dòng đó", "The ticket: one line that starts with 'sampan:', or @FILE that holds it"),
    m("arg.ticket_from", "Đọc vé mời từ tệp này (cũng viết được @TỆP)", "Read the ticket from this file (@FILE does the same)"),
    m("arg.timeout", "Chờ tối đa bao nhiêu giây", "Wait at most this many seconds"),
    m("arg.relay", "Thử địa chỉ này cho đường lên thứ nhất (khoá phải đúng khoá đã biết)", "Try this address for the first way up (its key must be the known one)"),
    m("arg.web", "Mở trang trạng thái ở địa chỉ này", "Serve the status page at this address"),
    m("arg.listen", "Nhận kết nối ở địa chỉ này", "Accept connections at this address"),
    m("arg.advertise", "Địa chỉ báo cho cấp dưới", "The address that lower levels are told"),
    m("arg.collection", "Loại hồ sơ, ví dụ members", "The collection, such as members"),
    m("arg.assignments", "trường=giá_trị; trường+=, trường-= thêm bớt; trường= xoá trống", "field=value; field+=, field-= add and take away; field= clears"),
    m("arg.assignment", "trường=giá_trị được chọn", "field=value that is picked"),
    m("arg.from", "Nhập từ tệp csv (UTF-8)", "Import a csv file (UTF-8)"),
    m("arg.skip_bad", "Bỏ qua dòng sai, nhập dòng đúng", "Skip bad rows, import the good ones"),
    m("arg.record", "Mã hồ sơ (đủ dài để không nhầm)", "The record's id (enough of it to be sure)"),
    m("arg.filter", "Điều kiện, ví dụ: status = official and joined_on < 1990", "A condition, such as: status = official and joined_on < 1990"),
    m("arg.search", "Tìm chữ, có dấu hay không cũng được", "Find text, with or without diacritics"),
    m("arg.history", "Kèm lịch sử: ai sửa gì, lúc nào", "With its history: who changed what, when"),
    m("arg.days", "Bao nhiêu ngày tới (mặc định 30)", "How many days ahead (30 if not given)"),
    m("arg.on", "Tính theo ngày này thay cho hôm nay", "As seen on this day instead of today"),
    m("arg.units_below", "Cả các đơn vị cấp dưới", "At the units below too"),
    m("arg.unanswered", "Chỉ những đơn vị chưa trả lời", "Only those who have not answered"),
    m("arg.field", "Trường tệp của hồ sơ, ví dụ attachment", "The field that holds the file, such as attachment"),
    m("arg.attached", "Tệp cần đính kèm", "The file to attach"),
    m("arg.file", "Tệp sẽ ghi", "The file to write"),
    m("arg.json", "In kết quả dạng JSON", "Print results as JSON"),
    m("arg.lang", "Ngôn ngữ: vi hoặc en", "Language: vi or en"),
    m("arg.unit", "Đơn vị: mã, đường dẫn hoặc tên", "The unit: code, path or name"),
];
