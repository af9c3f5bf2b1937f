//! Words of theft, copies and damage: passphrases, backups, what `verify` repairs and `doctor` finds.
//!
//! It does not: hold help (`help`).

use super::Message;
use super::catalogue::m;

#[rustfmt::skip]
pub(super) const REST: &[Message] = &[
    // Passphrases.
    m("passphrase.prompt", "Câu mật khẩu của thư mục này: ", "Passphrase of this folder: "),
    m("passphrase.new", "Câu mật khẩu mới (nên là bốn, năm từ): ", "New passphrase (four or five words are good): "),
    m("passphrase.again", "Gõ lại một lần nữa: ", "Once more: "),
    m("passphrase.done", "Khoá của thư mục này nằm dưới câu mật khẩu. Quên câu này thì không ai mở được khoá: ghi ra giấy, cất nơi an toàn. Hồ sơ trong cơ sở dữ liệu không được mã hoá bởi câu này.", "The keys of this folder are under the passphrase. Forgotten, nobody opens them: write it on paper and keep it safe. It does not encrypt the records in the database."),
    m("passphrase.removed", "Khoá của thư mục này không còn câu mật khẩu.", "The keys of this folder have no passphrase any more."),
    m("error.passphrase_needed", "Khoá ({file}) nằm dưới câu mật khẩu.", "The keys ({file}) are under a passphrase."),
    m("hint.passphrase_needed", "Cho biết tệp có câu mật khẩu: --passphrase-file TỆP, hoặc chạy tại màn hình để được hỏi.", "Name a file that holds it: --passphrase-file FILE, or run this at a terminal to be asked."),
    m("error.passphrase_wrong", "Câu mật khẩu không đúng; chưa có gì thay đổi.", "This is not the passphrase; nothing was changed."),
    m("hint.passphrase_wrong", "Kiểm tra phím Caps Lock và bộ gõ rồi thử lại; sai nhiều lần thì mỗi lần phải chờ lâu hơn (tối đa một phút), không mất gì.", "Check Caps Lock and the keyboard layout, then try again; after several wrong tries each waits longer (a minute at most), and nothing is lost."),
    m("error.passphrase_unreadable", "Không đọc được câu mật khẩu từ {file}: {reason}.", "No passphrase can be read from {file}: {reason}."),
    m("hint.passphrase_unreadable", "Kiểm tra tên tệp và quyền đọc; tệp chỉ có một dòng là câu mật khẩu.", "Check its name and your right to read it; the file holds the passphrase on one line."),
    m("error.passphrase_weak", "Câu mật khẩu cần ít nhất {least} ký tự (và không quá 4096 byte).", "A passphrase has at least {least} characters (and at most 4096 bytes)."),
    m("hint.passphrase_weak", "Bốn hoặc năm từ dễ nhớ là tốt; chưa có gì thay đổi.", "Four or five words that are easy to remember are good; nothing was changed."),
    m("error.passphrase_twice", "Hai lần gõ không giống nhau.", "The two are not the same."),
    m("hint.passphrase_twice", "Chạy lại lệnh; chưa có gì thay đổi.", "Run the command again; nothing was changed."),
    m("error.passphrase_set", "{dir} đã có câu mật khẩu.", "{dir} has a passphrase already."),
    m("hint.passphrase_set", "Đổi câu khác: {program} passphrase DIR change", "Give it another: {program} passphrase DIR change"),
    m("error.passphrase_none", "{dir} không có câu mật khẩu.", "{dir} has no passphrase."),
    m("hint.passphrase_none", "Đặt một câu: {program} passphrase DIR set", "Give it one: {program} passphrase DIR set"),
    m("error.key_memory", "Cần {mib} MiB bộ nhớ để mở khoá mà máy không còn đủ.", "Opening the keys needs {mib} MiB of memory, which are not free."),
    m("hint.key_memory", "Đóng bớt chương trình rồi chạy lại.", "Close other programs, then run again."),

    // Backups.
    m("backup.done", "Đã sao lưu vào {file} ({bytes}).", "Backed up to {file} ({bytes})."),
    m("backup.sealed", "Khoá trong tệp này vẫn nằm dưới câu mật khẩu; hồ sơ thì không được mã hoá. Cất tệp nơi an toàn.", "The keys in it are under the passphrase still; the records are not encrypted. Keep it in a safe place."),
    m("backup.plain", "Tệp này có khoá của máy, không có câu mật khẩu: ai có tệp là viết được dưới tên máy này. Cất như cất chìa khoá, hoặc đặt câu mật khẩu trước: {program} passphrase DIR set", "It holds the keys of this device without a passphrase: who has it can write in its name. Keep it like a key, or set a passphrase first: {program} passphrase DIR set"),
    m("restore.done", "Đã lập {dir} từ bản sao lưu lúc {at}. Đây là kho mới, ghi dưới tên mới; những gì đã gửi sau lúc đó sẽ về khi đồng bộ: {program} sync {dir}. Nếu thư mục cũ vẫn còn, chỉ dùng một trong hai.", "Made {dir} of the backup of {at}. It is another store now and writes under a new name; what was sent since then comes back with a sync: {program} sync {dir}. If the old folder is still there, use only one of the two."),
    m("error.backup_not", "{file} không phải tệp sao lưu của Sampan.", "{file} is not a Sampan backup."),
    m("hint.backup_not", "Tệp sao lưu do 'sampan backup DIR TỆP' ghi ra.", "A backup is what 'sampan backup DIR FILE' writes."),
    m("error.backup_newer", "{file} do bản Sampan mới hơn ghi.", "{file} was written by a newer Sampan."),
    m("hint.backup_newer", "Cài bản mới hơn rồi khôi phục.", "Install the newer version, then restore."),
    m("error.backup_cut", "{file} không đầy đủ: thiếu phần cuối.", "{file} is incomplete: its end is missing."),
    m("hint.backup_cut", "Chép lại tệp từ nơi cất, hoặc dùng bản sao lưu khác; chưa có gì được lập.", "Copy the file again, or take another backup; nothing was made."),
    m("error.backup_altered", "{file} bị hỏng ở {what}.", "{file} is damaged in {what}."),
    m("hint.backup_altered", "Chép lại tệp từ nơi cất, hoặc dùng bản sao lưu khác; chưa có gì được lập.", "Copy the file again, or take another backup; nothing was made."),

    // Repair.
    m("error.repair_sync", "Đã lập lại cơ sở dữ liệu; {lost} gói hỏng phải lấy lại, {waiting} gói chờ theo.", "The database was made anew; {lost} damaged commits are to be fetched again, and {waiting} wait for them."),
    m("hint.repair_sync", "Lấy lại: {program} sync DIR. Cơ sở dữ liệu cũ nằm ở store.db-damaged; khi đồng bộ xong và 'verify' không thấy gì thì xoá nó.", "Fetch them: {program} sync DIR. The old database lies in store.db-damaged; delete it when the sync is done and 'verify' finds nothing."),
    m("error.repair_later", "Cơ sở dữ liệu hỏng và còn thay đổi chưa đóng gói được.", "The database is damaged, and holds edits that cannot be sealed yet."),
    m("hint.repair_later", "Đồng bộ trước: sampan sync DIR; nếu không được, khôi phục bản sao lưu. Chưa có gì thay đổi.", "Sync first: sampan sync DIR; where that fails, restore a backup. Nothing was changed."),
    m("verify.rebuilt", "Đã lập lại cơ sở dữ liệu từ những gì còn nguyên: sửa {count} chỗ. Cơ sở dữ liệu cũ nằm ở store.db-damaged; xoá khi mọi thứ đã đồng bộ.", "The database was made anew of what is whole: {count} places repaired. The old one lies in store.db-damaged; delete it when all is in sync."),
    m("verify.lost_edits", "{count} thay đổi vừa gõ chưa đóng gói đã mất; các hồ sơ đó có tên ở trên, hãy gõ lại.", "{count} edits that were not sealed yet are lost; their records are named above, make them again."),

    // What doctor finds.
    m("doctor.locked", "Khoá nằm dưới câu mật khẩu; để xem tiếp: {program} doctor DIR --passphrase-file TỆP", "The keys are under a passphrase; to look further: {program} doctor DIR --passphrase-file FILE"),
    m("doctor.no_passphrase", "Khoá không có câu mật khẩu: máy mất là người khác viết được dưới tên bạn; đặt một câu: {program} passphrase DIR set", "The keys have no passphrase: who steals this PC can write in your name; set one: {program} passphrase DIR set"),
    m("doctor.half_locked", "Việc đặt câu mật khẩu bị ngắt giữa chừng, còn khoá chưa niêm; làm nốt với đúng câu đó: {program} passphrase DIR set", "Setting the passphrase was cut off, and a key is not sealed yet; finish with the same passphrase: {program} passphrase DIR set"),
    m("doctor.damaged_copy", "Còn cơ sở dữ liệu hỏng cũ (store.db-damaged); xoá nó khi đồng bộ đã xong", "The old damaged database is still there (store.db-damaged); delete it when the sync is done"),
    m("doctor.sound", "Tệp cơ sở dữ liệu lành lặn (xem nhanh)", "The database file is sound (at a quick look)"),
    m("doctor.unsound", "Cơ sở dữ liệu hỏng {count} chỗ ({what}); chạy: {program} verify DIR --repair", "The database is damaged in {count} places ({what}); run: {program} verify DIR --repair"),
    m("doctor.restored", "Từ {at} thư mục này là bản chép hoặc bản khôi phục, ghi dưới tên mới; nếu thư mục kia vẫn còn, chỉ dùng một trong hai", "Since {at} this folder is a copy or a restored backup and writes under a new name; if the other one is still there, use only one of the two"),
    m("doctor.quarantine", "{count} gói bị để riêng, chờ quyền hoặc chờ phần còn thiếu; đồng bộ, rồi hỏi cấp trên nếu vẫn còn", "{count} commits are set aside, for want of a right or of what they build on; sync, and ask the level above if they stay"),
    m("doctor.news_old", "Tin từ cấp trên đã cũ (từ {at}); khi có mạng hãy chạy: {program} sync DIR", "The news from above is old (of {at}); when there is a connection run: {program} sync DIR"),
];
