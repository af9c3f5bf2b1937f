//! Every word that the demo says, in both languages.
//!
//! It does not: print, or know what the numbers in the holes mean.

use sampan_node::i18n::Lang;
use std::fmt::Display;

/// One sentence in both languages, with holes `{}`.
pub struct Words {
    vi: &'static str,
    en: &'static str,
}

impl Words {
    /// The sentence with its holes filled in order.
    #[must_use]
    pub fn with(&self, lang: Lang, fill: &[&dyn Display]) -> String {
        let text = match lang {
            Lang::Vi => self.vi,
            Lang::En => self.en,
        };
        let mut parts = text.split("{}");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for (i, part) in parts.enumerate() {
            out.push_str(&fill.get(i).map(ToString::to_string).unwrap_or_default());
            out.push_str(part);
        }
        out
    }
}

macro_rules! words {
    ($($name:ident: $vi:literal, $en:literal;)*) => {
        $(#[doc = $en] pub const $name: Words = Words { vi: $vi, en: $en };)*
        #[cfg(test)]
        const ALL: &[(&str, &Words)] = &[$((stringify!($name), &$name)),*];
    };
}

words! {
    OPENING: "Một thành phố, hai quận, sáu chi bộ: chín bản sao thật trên máy này, nối với nhau bằng QUIC thật.",
        "One city, two districts, six branches: nine real replicas on this machine, joined by real QUIC.";
    FOLDER: "Thư mục: {}", "Folder: {}";
    STEP: "{}/10  {}", "{}/10  {}";

    FOUND: "Lập tổ chức", "Founding";
    FOUND_DONE: "Mỗi nơi có thư mục, khóa và bản sao riêng; mỗi chi bộ là một tiến trình riêng.",
        "Each place has a folder, keys and a replica of its own; each branch is a process of its own.";
    LOAD: "Nạp lần đầu", "First load";
    LOAD_ADDED: "{} hồ sơ đảng viên (dữ liệu sinh ra, không phải người thật) được ghi tại sáu chi bộ.",
        "{} member records (generated, no real person) are written down at the six branches.";
    LOAD_DONE: "Đã lên tới thành phố: {} byte, mỗi chi bộ nhiều nhất {} vòng hỏi đáp. Automerge tự đồng bộ, từng tài liệu: {} byte (chưa tính UDP và mã hóa), {} vòng, {} thông điệp.",
        "All of it is at the city: {} bytes, at most {} round trips a branch. Automerge's own sync, document by document: {} bytes (without UDP and encryption), {} round trips, {} messages.";
    CUT: "Cắt mọi đường truyền", "Every link is cut";
    CUT_DONE: "Chín nơi, mỗi nơi chỉ còn thư mục của mình. Công việc vẫn tiếp tục.",
        "Nine places, each alone with its own folder. Work goes on.";
    EDITS: "Sửa ở mọi phía, hai nơi sửa cùng một ô", "Edits on every side, two of them on one field";
    EDITS_DONE: "Mỗi chi bộ sửa ba hồ sơ và thêm một biên bản; thành phố sửa một ô khác của cùng hồ sơ; {} và {} cùng sửa một số điện thoại mà không biết nhau.",
        "Each branch edits three records and adds a meeting; the city edits another field of one of them; {} and {} change one phone number without knowing of each other.";
    DIRECTIVE: "Thành phố ban hành chỉ đạo", "The city issues a directive";
    DIRECTIVE_DONE: "Chưa chi bộ nào thấy: {} trên 6.", "No branch sees it yet: {} of 6.";
    KILL: "Một chi bộ mất điện giữa lúc đồng bộ", "One branch loses power in the middle of a sync";
    KILL_DONE: "{} đang gửi {} dòng sổ họp cũ qua đường truyền yếu thì tiến trình bị kết liễu. Quận đã lưu {}; chi bộ mở lại và còn đủ {}.",
        "{} was sending {} lines of an old attendance book over a thin wire when its process was killed. The district had stored {}; reopened, the branch still has all {}.";
    BACK: "Nối lại", "Links are back";
    BACK_RESUMED: "{} gửi tiếp {} thay đổi; những gì quận đã có không gửi lại.",
        "{} goes on with {} changes; what the district had is not sent again.";
    BACK_DONE: "Năm chi bộ còn lại: {} byte, nhiều nhất {} vòng hỏi đáp. Automerge tự đồng bộ, từng tài liệu: {} byte (chưa tính UDP và mã hóa), {} vòng, {} thông điệp.",
        "The other five branches: {} bytes, at most {} round trips. Automerge's own sync, document by document: {} bytes (without UDP and encryption), {} round trips, {} messages.";
    CONFLICT: "Xung đột và cách giải quyết", "The conflict and its resolution";
    CONFLICT_SEEN: "Cả ba cấp thấy cùng một xung đột ở ô {}: {}. Không giá trị nào bị mất.",
        "All three levels see the same conflict on {}: {}. No value was lost.";
    CONFLICT_MERGED: "Hai ô khác nhau của cùng một hồ sơ đã tự hợp nhất.",
        "Two different fields of one record merged by themselves.";
    CONFLICT_DONE: "Chi bộ chọn {}; không còn xung đột ở đâu nữa.", "The branch picks {}; no conflict is left anywhere.";
    RECEIPTS: "Phản hồi chỉ đạo", "The receipts";
    RECEIPTS_DONE: "Thành phố có {} trên 6 phản hồi.", "The city has {} of 6 receipts.";
    VERIFY: "Mọi cấp được kiểm chứng, hai lần", "Every level verified, twice";
    VERIFY_SYNC: "{} trên 8 đường truyền lên: hai đầu giữ đúng như nhau.", "{} of 8 links upward: both ends hold the same.";
    VERIFY_DONE: "Lần hai, bằng SQL thuần trên store.db của cả chín nơi: {} dòng giống nhau từng ký tự.",
        "A second time, with plain SQL on store.db of all nine: {} rows are the same to the letter.";

    HERE: "ở đây", "here";
    DISTRICT: "quận", "district";
    CITY: "thành phố", "city";
    RECORDS: "{} hồ sơ", "{} records";

    TABLE: "Kết quả", "What happened";
    ROW_PLACES: "nơi giữ dữ liệu, tiến trình", "replicas, processes";
    ROW_RECORDS: "hồ sơ đảng viên tại thành phố", "member records at the city";
    ROW_LOAD: "nạp lần đầu: byte, vòng", "first load: bytes, round trips";
    ROW_LOAD_PEER: "  cùng việc đó, Automerge", "  the same, Automerge's sync";
    ROW_BACK: "nối lại: byte, vòng", "links back: bytes, round trips";
    ROW_BACK_PEER: "  cùng việc đó, Automerge", "  the same, Automerge's sync";
    ROW_KILL: "bị ngắt: quận đã có, gửi tiếp", "killed: district had, sent after";
    ROW_CONFLICT: "xung đột: đã thấy, còn lại", "conflicts: seen, left";
    ROW_RECEIPTS: "phản hồi chỉ đạo", "receipts of the directive";
    ROW_VERIFIED: "kiểm chứng: đường truyền, dòng SQL", "verified: links, SQL rows";
    TRY_NEXT: "Thử tiếp: sampan-demo --stay  (giữ tất cả chạy), rồi: sampan list {} members --search nguyen",
        "Try next: sampan-demo --stay  (leaves it all running), then: sampan list {} members --search nguyen";
    STAYING: "Tất cả đang chạy. Dán thử; Ctrl-C để dừng và dọn sạch:", "All of it is running. Paste away; Ctrl-C stops it and cleans up:";
    TOOK: "{} giây", "{} seconds";
    INTERRUPTED: "Đã dừng; không để lại gì.", "Stopped; nothing is left behind.";
    FAILED: "Hỏng ở bước '{}': {}", "Failed at step '{}': {}";
    FAILED_LOG: "Nhật ký: {} (các dòng cuối; --stay giữ lại thư mục)", "Log: {} (its last lines; --stay keeps the folder)";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_holes_and_nothing_is_empty() {
        for (name, words) in ALL {
            assert_eq!(words.vi.matches("{}").count(), words.en.matches("{}").count(), "{name}");
            assert!(!words.vi.is_empty() && !words.en.is_empty(), "{name}");
        }
        assert_eq!(RECORDS.with(Lang::En, &[&3]), "3 records");
    }
}
