//! Generated member records: no real person. Fields and distributions follow the published sample of
//! the figures (19 fields, Vietnamese text, about 660 bytes as JSON).
//!
//! It does not: read files; everything follows from the seed.

use super::SeededRng;
use crate::value::Value;
use std::collections::BTreeMap;

const FAMILY: [&str; 12] = ["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ"];
const MIDDLE: [&str; 10] = ["Văn", "Thị", "Hữu", "Đức", "Minh", "Ngọc", "Thanh", "Quốc", "Bích", "Xuân"];
const GIVEN: [&str; 16] = [
    "An", "Bình", "Chi", "Dũng", "Giang", "Hà", "Hạnh", "Hùng", "Khánh", "Lan", "Linh", "Mai", "Nam", "Phương",
    "Quỳnh", "Tuấn",
];
const ETHNICITY: [&str; 6] = ["Kinh", "Tày", "Thái", "Mường", "Khmer", "Nùng"];
const HAMLET: [&str; 8] =
    ["xóm Chùa", "thôn Đông", "ấp Bình Hòa", "tổ dân phố 7", "thôn Thượng", "xóm Mới", "khu 3", "bản Lác"];
const COMMUNE: [&str; 8] = [
    "xã Minh Khai",
    "thị trấn Cẩm Giàng",
    "phường Trúc Bạch",
    "xã Hòa Bình",
    "phường Bến Nghé",
    "xã Tân Lập",
    "xã Yên Sơn",
    "phường Phúc Xá",
];
const PROVINCE: [&str; 8] = [
    "thành phố Hà Nội",
    "tỉnh Nghệ An",
    "thành phố Cần Thơ",
    "tỉnh Thanh Hóa",
    "tỉnh Hải Dương",
    "thành phố Đà Nẵng",
    "tỉnh Sơn La",
    "tỉnh Lào Cai",
];
const OCCUPATION: [&str; 8] =
    ["Buôn bán", "Kế toán", "Giáo viên", "Nông dân", "Công nhân", "Bác sĩ", "Hưu trí", "Cán bộ xã"];
const EDUCATION: [&str; 6] = ["Trung học phổ thông", "Trung cấp", "Cao đẳng", "Đại học", "Thạc sĩ", "Tiến sĩ"];
const STATUS: [&str; 4] = ["active", "candidate", "exempt", "transferred_temporary"];
const POSITION: [&str; 5] = ["đảng viên", "bí thư", "phó bí thư", "chi ủy viên", "tổ trưởng đảng"];
const REWARD: [&str; 6] = [
    "Bằng khen Tỉnh ủy 2021",
    "Giấy khen Huyện ủy 2019",
    "Huy hiệu 30 năm tuổi Đảng",
    "Chiến sĩ thi đua cơ sở 2020",
    "Đảng viên hoàn thành xuất sắc nhiệm vụ 2022",
    "Giấy khen Đảng ủy xã 2018",
];
const NOTE: [&str; 7] = [
    "Đã nộp đủ đảng phí năm 2025.",
    "Cần xác minh lại ngày chính thức trong hồ sơ gốc.",
    "Đang đi công tác xa, sinh hoạt tạm thời tại nơi cư trú.",
    "Hồ sơ bổ sung lý lịch gia đình tháng 3 năm 2024.",
    "Được cử đi học lớp bồi dưỡng đảng viên mới.",
    "Sức khỏe yếu, đề nghị miễn công tác.",
    "Đã đổi thẻ đảng viên đợt 2 tháng 9.",
];

fn pick<'a>(rng: &mut SeededRng, list: &[&'a str]) -> &'a str {
    list[rng.below(list.len() as u64) as usize]
}

fn digits(rng: &mut SeededRng, n: usize) -> String {
    (0..n).map(|_| char::from(b'0' + rng.below(10) as u8)).collect()
}

fn date(rng: &mut SeededRng, from: u64, to: u64) -> String {
    format!("{:04}-{:02}-{:02}", from + rng.below(to - from), 1 + rng.below(12), 1 + rng.below(28))
}

/// The fields of one generated member.
#[must_use]
pub fn member(rng: &mut SeededRng) -> BTreeMap<String, Value> {
    let s = |text: &str| Value::Str(text.to_owned());
    let mut out = BTreeMap::new();
    let full = format!("{} {} {}", pick(rng, &FAMILY), pick(rng, &MIDDLE), pick(rng, &GIVEN));
    out.insert("full_name".into(), s(&full));
    out.insert("date_of_birth".into(), s(&date(rng, 1940, 2005)));
    out.insert("gender".into(), s(if rng.one_in(2) { "nam" } else { "nữ" }));
    out.insert("ethnicity".into(), s(pick(rng, &ETHNICITY)));
    out.insert("id_number".into(), s(&digits(rng, 12)));
    let address =
        format!("Số {}, {}, {}, {}", 1 + rng.below(199), pick(rng, &HAMLET), pick(rng, &COMMUNE), pick(rng, &PROVINCE));
    out.insert("address".into(), s(&address));
    out.insert("phone".into(), s(&format!("0{}", digits(rng, 9))));
    out.insert("occupation".into(), s(pick(rng, &OCCUPATION)));
    out.insert("education".into(), s(pick(rng, &EDUCATION)));
    out.insert("admission_date".into(), s(&date(rng, 1965, 2024)));
    out.insert("official_date".into(), s(&date(rng, 1966, 2025)));
    out.insert("branch_code".into(), s(&format!("CB{:03}.{:02}", rng.below(400), rng.below(60))));
    out.insert("card_number".into(), s(&digits(rng, 8)));
    out.insert("status".into(), s(pick(rng, &STATUS)));
    out.insert("position".into(), s(pick(rng, &POSITION)));
    let rewards = [0, 0, 1, 1, 2, 3][rng.below(6) as usize];
    out.insert("rewards".into(), Value::List((0..rewards).map(|_| pick(rng, &REWARD).to_owned()).collect()));
    let notes = [0, 1, 1, 2, 3][rng.below(5) as usize];
    let text: Vec<&str> = (0..notes).map(|_| pick(rng, &NOTE)).collect();
    out.insert("notes".into(), Value::Text(text.join(" ")));
    out.insert("updated_at".into(), Value::Int(1_700_000_000_000 + rng.below(60_000_000_000) as i64));
    out
}

/// `n` generated members of a seed.
#[must_use]
pub fn members(seed: u64, n: usize) -> Vec<BTreeMap<String, Value>> {
    let mut rng = SeededRng::new(seed);
    (0..n).map(|_| member(&mut rng)).collect()
}

/// The members as a csv file with the columns that `add --from` reads.
#[must_use]
pub fn members_csv(seed: u64, n: usize) -> String {
    let rows = members(seed, n);
    let names: Vec<&String> = rows.first().map(|r| r.keys().collect()).unwrap_or_default();
    let mut out = names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(",") + "\n";
    for row in &rows {
        let cells = names.iter().map(|name| match &row[*name] {
            Value::Str(t) | Value::Text(t) | Value::Other(t) => format!("\"{}\"", t.replace('"', "\"\"")),
            Value::List(l) => format!("\"{}\"", l.join("; ")),
            Value::Int(n) | Value::Counter(n) => n.to_string(),
            Value::Bool(b) => b.to_string(),
            Value::Set(s) => s.iter().cloned().collect::<Vec<_>>().join("; "),
        });
        out.push_str(&cells.collect::<Vec<_>>().join(","));
        out.push('\n');
    }
    out
}
