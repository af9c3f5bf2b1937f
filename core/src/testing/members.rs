//! Generated member records: no real person. Fields and distributions follow the published sample of
//! the figures (19 fields, Vietnamese text, about 660 bytes as JSON).
//!
//! It does not: read files; everything follows from the seed.

use super::SeededRng;
use crate::value::Value;
use std::collections::BTreeMap;

const FAMILY: [&str; 21] = [
    "Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương",
    "Lý", "Đinh", "Trịnh", "Mai", "Lưu", "Tạ",
];
const MIDDLE: [&str; 21] = [
    "Văn", "Thị", "Hữu", "Đức", "Minh", "Ngọc", "Thanh", "Quốc", "Bích", "Xuân", "Quang", "Đình", "Thùy", "Phương",
    "Trọng", "Kim", "Công", "Thành", "Hồng", "Thu", "Mỹ",
];
const GIVEN: [&str; 40] = [
    "Cường", "Tài", "Vinh", "Hiếu", "Oanh", "Trang", "Nga", "Chi", "Bảo", "Hùng", "Dũng", "Mai", "Anh", "Nhung",
    "Phúc", "Thúy", "Toàn", "Hạnh", "Hải", "Long", "Tuyết", "Linh", "Vân", "Kiên", "Yến", "Tuấn", "Thắng", "Ngân",
    "Hà", "Sơn", "Thảo", "Lan", "Hoa", "Hương", "Khánh", "Nam", "Trung", "Đạt", "Quỳnh", "Loan",
];
const ETHNICITY: [&str; 9] = ["Kinh", "Tày", "Thái", "Mường", "Khmer", "Nùng", "Hoa", "Dao", "H'Mông"];
const HAMLET: [&str; 10] = [
    "xóm Chùa",
    "thôn Đông",
    "ấp Bình Hòa",
    "tổ dân phố số 7",
    "thôn Thượng",
    "thôn Hạ",
    "khu phố 3",
    "bản Nà Ngần",
    "thôn Đoài",
    "ấp Tân Lập",
];
const COMMUNE: [&str; 10] = [
    "xã Minh Khai",
    "thị trấn Cẩm Giàng",
    "phường Trần Hưng Đạo",
    "phường Hòa Bình",
    "xã Đồng Tâm",
    "xã Phước Long",
    "xã Tân Phú",
    "xã An Thạnh",
    "xã Quảng Lợi",
    "xã Vĩnh Lộc",
];
const PROVINCE: [&str; 10] = [
    "thành phố Hà Nội",
    "tỉnh Nghệ An",
    "thành phố Cần Thơ",
    "tỉnh Thanh Hóa",
    "tỉnh Thái Bình",
    "thành phố Hải Phòng",
    "tỉnh Cao Bằng",
    "tỉnh Quảng Nam",
    "tỉnh Lâm Đồng",
    "tỉnh Sóc Trăng",
];
const OCCUPATION: [&str; 12] = [
    "Buôn bán",
    "Kế toán",
    "Giáo viên",
    "Nông dân",
    "Công nhân",
    "Y sĩ",
    "Hưu trí",
    "Cán bộ xã",
    "Bộ đội",
    "Lái xe",
    "Sinh viên",
    "Kỹ sư",
];
const EDUCATION: [&str; 6] = ["12/12", "9/12", "Trung cấp", "Cao đẳng", "Đại học", "Thạc sĩ"];
const STATUS: [&str; 4] = ["active", "candidate", "exempt", "transferred_temporary"];
const POSITION: [&str; 4] = ["đảng viên", "bí thư", "phó bí thư", "chi ủy viên"];
const REWARD: [&str; 6] = [
    "Bằng khen Tỉnh ủy 2021",
    "Giấy khen Huyện ủy 2019",
    "Huy hiệu 30 năm tuổi Đảng",
    "Huy hiệu 40 năm tuổi Đảng",
    "Chiến sĩ thi đua cơ sở 2023",
    "Giấy khen Đảng ủy xã 2022",
];
const NOTE: [&str; 7] = [
    "Đã nộp đủ đảng phí năm 2025.",
    "Cần xác minh lại ngày chính thức trong hồ sơ gốc.",
    "Đề nghị bổ sung lý lịch về quá trình công tác từ năm 1998 đến 2004.",
    "Đang điều trị tại bệnh viện huyện, xin miễn họp quý này.",
    "Thường xuyên đi làm ăn xa, liên hệ qua con gái.",
    "Gia đình chính sách, con liệt sĩ.",
    "Tham gia tổ công nghệ số cộng đồng của thôn.",
];

fn pick<'a>(rng: &mut SeededRng, list: &[&'a str]) -> &'a str {
    list[rng.below(list.len() as u64) as usize]
}

/// The first of a list in `percent` of the cases, any other equally often.
fn mostly<'a>(rng: &mut SeededRng, percent: u64, list: &[&'a str]) -> &'a str {
    if rng.below(100) < percent { list[0] } else { pick(rng, &list[1..]) }
}

fn digits(rng: &mut SeededRng, n: usize) -> String {
    (0..n).map(|_| char::from(b'0' + rng.below(10) as u8)).collect()
}

fn date(rng: &mut SeededRng, from: u64, to: u64) -> String {
    format!("{:04}-{:02}-{:02}", from + rng.below(to - from), 1 + rng.below(12), 1 + rng.below(28))
}

/// A random UUID: the identity that a record has in the list it was imported from.
fn uuid(rng: &mut SeededRng) -> String {
    let (a, b) = (rng.next_u64(), rng.next_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48 & 0x3fff),
        b & 0xffff_ffff_ffff
    )
}

/// What an edit may change, with its possible values but for the random ones.
const EDITED: [&str; 5] = ["phone", "address", "occupation", "status", "position"];

/// One edit of the figures: one of five fields, set to a value that differs.
#[must_use]
pub fn edit(rng: &mut SeededRng, before: &BTreeMap<String, Value>) -> (String, Value) {
    loop {
        let name = pick(rng, &EDITED).to_owned();
        let value = member(rng).remove(&name).unwrap_or(Value::Bool(false));
        if before.get(&name) != Some(&value) {
            return (name, value);
        }
    }
}

/// The fields of one generated member.
#[must_use]
pub fn member(rng: &mut SeededRng) -> BTreeMap<String, Value> {
    let s = |text: &str| Value::Str(text.to_owned());
    let mut out = BTreeMap::new();
    let full = format!("{} {} {}", mostly(rng, 27, &FAMILY), pick(rng, &MIDDLE), pick(rng, &GIVEN));
    out.insert("id".into(), s(&uuid(rng)));
    out.insert("full_name".into(), s(&full));
    out.insert("date_of_birth".into(), s(&date(rng, 1945, 2005)));
    out.insert("gender".into(), s(if rng.below(100) < 66 { "nam" } else { "nữ" }));
    out.insert("ethnicity".into(), s(mostly(rng, 51, &ETHNICITY)));
    out.insert("id_number".into(), s(&format!("0{}", digits(rng, 11))));
    let address =
        format!("Số {}, {}, {}, {}", 1 + rng.below(300), pick(rng, &HAMLET), pick(rng, &COMMUNE), pick(rng, &PROVINCE));
    out.insert("address".into(), s(&address));
    out.insert("phone".into(), s(&format!("0{}{}", pick(rng, &["3", "7", "8", "9"]), digits(rng, 8))));
    out.insert("occupation".into(), s(pick(rng, &OCCUPATION)));
    out.insert("education".into(), s(pick(rng, &EDUCATION)));
    out.insert("admission_date".into(), s(&date(rng, 1970, 2025)));
    out.insert("official_date".into(), s(&date(rng, 1970, 2025)));
    out.insert("branch_code".into(), s(&format!("CB{:03}.{:02}", rng.below(400), rng.below(60))));
    out.insert("card_number".into(), s(&digits(rng, 8)));
    out.insert("status".into(), s(mostly(rng, 57, &STATUS)));
    out.insert("position".into(), s(mostly(rng, 58, &POSITION)));
    let rewards = [0, 0, 1, 1, 2, 3][rng.below(6) as usize];
    out.insert("rewards".into(), Value::List((0..rewards).map(|_| pick(rng, &REWARD).to_owned()).collect()));
    let notes = [0, 1, 1, 2, 3][rng.below(5) as usize];
    let text: Vec<&str> = (0..notes).map(|_| pick(rng, &NOTE)).collect();
    out.insert("notes".into(), Value::Text(text.join(" ")));
    out.insert("updated_at".into(), Value::Int(1_735_000_000_000 + rng.below(20_000_000_000) as i64));
    out
}

/// `n` generated members of a seed.
#[must_use]
pub fn members(seed: u64, n: usize) -> Vec<BTreeMap<String, Value>> {
    let mut rng = SeededRng::new(seed);
    let mut home = String::new();
    let one = |i: usize| {
        let mut m = member(&mut rng);
        // About thirty members a branch, as in the sample: neighbours share code, commune and province.
        m.insert("branch_code".into(), Value::Str(format!("CB{:03}.{:02}", i / 1_020, i / 30 % 34)));
        if let Some(Value::Str(address)) = m.get_mut("address") {
            let parts: Vec<&str> = address.splitn(3, ", ").collect();
            if let [number, hamlet, place] = parts.as_slice() {
                if i.is_multiple_of(30) {
                    home = (*place).to_owned();
                }
                *address = format!("{number}, {hamlet}, {home}");
            }
        }
        m
    };
    (0..n).map(one).collect()
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
