//! Where the corpus begins: real messages, real files, and words that chance would not find.
//!
//! It does not: overwrite. `SAMPAN_FUZZ_SEEDS=1 cargo test -p sampan-tests --test fuzz seeds` writes those
//! that are not there; what a past crash left stands beside them under its own name.

use super::engine::corpus;
use super::{NAMES, bent, samples, world};
use sampan_core::change::Parsed;
use sampan_core::log::SignedHeader;
use sampan_core::pack::{self, Stored, StoredColumns};
use sampan_core::wire;
use sampan_core::wire::frame::Frame;
use sampan_node::codec::ZstdCodec;
use std::collections::BTreeSet;

type Seeds = Vec<(String, Vec<u8>)>;

/// Words that edits put in.
pub fn words(target: &str) -> Vec<Vec<u8>> {
    let list: &[&str] = match target {
        "ticket" => &["sampan:", " ", "\r\n"],
        "csv" => &["full_name", "Họ và tên", "_unit", "phone", ",", ";", "\t", "\r\n", "\n\n", "\"\"", "bad", "\r"],
        "unit_csv" => &["name", "parent", "code", "kind", "Quận", "phuong", "Phường_code", "a", ",", "\n", "tên", "\r"],
        "schema" => &[
            "[schema]\n",
            "version = 2\n",
            "levels = [\"a\"]\n",
            "[collection.x]\n",
            "[collection.x.field.y]\n",
            "flow = \"up\"\n",
            "reach = \"a\"\n",
            "kind = \"list\"\n",
            "title = \"{y}\"\n",
            "scale = 9\n",
            "choices = []\n",
            "required = true\n",
            "identity = [\"_unit\"]\n",
            "max = 3\n",
            "to = \"x\"\n",
            "label = { vi = \"a\", en = \"b\" }\n",
            "hidden = true\n",
            "match = [\"y\"]\n",
            "unique = [\"y\"]\n",
            "reply_to = \"x\"\n",
            "[metric.m]\n",
            "op = \"count\"\n",
        ],
        "filter" => &[
            " and ",
            "!=",
            "<=",
            ">=",
            "~",
            "=",
            "\"",
            "\\\"",
            "\\\\",
            "_updated",
            "_unit",
            "_conflict",
            "full_name",
            "status",
            "date_of_birth",
            "2025-11",
            "score",
            "1.234,5",
            "keywords",
            "title",
            "official",
            "AND",
        ],
        "assignment" => {
            &["+=", "-=", "=", "[\"a\",\"b\"]", "full_name", "status", "rewards", "_removed", "contacts", "keywords"]
        }
        "config" => &[
            "listen = \"127.0.0.1:0\"\n",
            "log = \"info\"\n",
            "advertise = [\"a:1\"]\n",
            "night = \"22:00-05:00\"\n",
            "[replica]\n",
            "# ",
            "backoff_s = [1, 300]\n",
            "cache_mb = 1\n",
            "lang = \"vi\"\n",
            "'''\n",
            "\"\"\"\n",
            "# Written by Sampan; changes below this line are lost.\n",
            "=",
            "[",
            "]",
        ],
        "values" => &[
            "1.234.567,5",
            "-0",
            "2025-02-29",
            "30/11/2025",
            "[\"a; b\"]",
            "a; b",
            "true",
            "không",
            "\u{1e9e}",
            "\u{130}",
            "9223372036854775807",
            "-9223372036854775808",
            "\u{a0}",
            "\u{345}",
            "1e3",
            "ﬁ",
            "ｱﾞ",
        ],
        _ => &[],
    };
    list.iter().map(|w| w.as_bytes().to_vec()).collect()
}

fn seeds(target: &str) -> Seeds {
    let named = |list: &[(&str, &str)]| list.iter().map(|(n, s)| ((*n).to_owned(), s.as_bytes().to_vec())).collect();
    match target {
        "frames" => {
            let golden = samples::frames().into_iter().map(|(n, f, _)| (n.to_owned(), f.encode()));
            // Of each kind the longest that a real session sent.
            let mut real: std::collections::BTreeMap<&str, Vec<u8>> = Default::default();
            for (_, bytes) in world::worlds().iter().flat_map(|w| w.up.iter().chain(&w.down)) {
                let kept = real.entry(Frame::decode(bytes).unwrap().name()).or_default();
                if bytes.len() > kept.len() && bytes.len() < 3_000 {
                    kept.clone_from(bytes);
                }
            }
            golden.chain(real.into_iter().map(|(n, b)| (format!("real_{n}"), b))).collect()
        }
        "stored" => {
            let header = samples::signed_header();
            let mut out: Seeds = vec![
                ("signed_header".into(), wire::encode::<SignedHeader>(&header)),
                ("header".into(), header.bytes),
                ("signed_register".into(), wire::encode(&samples::ack_register())),
                ("register".into(), wire::encode(&samples::register())),
                ("ack".into(), wire::encode(&samples::ack())),
                ("heartbeat".into(), wire::encode(&samples::heartbeat())),
                ("holder".into(), wire::encode(&samples::holder())),
                ("group".into(), wire::encode(&samples::group())),
                ("ticket".into(), wire::encode(&samples::ticket())),
                ("space".into(), samples::scope().space.key().to_vec()),
                ("id".into(), samples::device(1).to_string().into_bytes()),
            ];
            out.extend(samples::ops().into_iter().map(|(n, op, _)| (n.to_owned(), op.encode())));
            out
        }
        "packs" => {
            let (payloads, columns) = (samples::payloads(), samples::column_payloads());
            let all: Vec<_> = payloads.iter().collect();
            vec![
                ("stored".into(), pack::encode(&samples::scope(), &all, &Stored)),
                ("zstd".into(), pack::encode(&samples::scope(), &all.repeat(3), &ZstdCodec)),
                (
                    "columns".into(),
                    pack::encode(&samples::scope(), &columns.iter().collect::<Vec<_>>(), &StoredColumns),
                ),
                (
                    "columns_zstd".into(),
                    pack::encode(&samples::scope(), &columns.iter().collect::<Vec<_>>(), &ZstdCodec),
                ),
                ("worded".into(), {
                    let whole = pack::encode(&samples::scope(), &[&samples::schema_payload()], &ZstdCodec);
                    pack::encode_worded(&whole, &ZstdCodec).unwrap_or_default()
                }),
                ("none".into(), vec![0, 0]),
            ]
        }
        "changes" => {
            let mut out: Seeds = Vec::new();
            for (h, history) in bent::histories().iter().enumerate() {
                out.extend(history.iter().enumerate().map(|(n, raw)| (format!("history_{h}_{n}"), raw.clone())));
            }
            let mut seen = BTreeSet::new();
            out.retain(|(_, raw)| seen.insert(Parsed::read(raw).map(|p| p.hash())));
            out
        }
        "bundle" => {
            // A flipped bit, a cut, a piece moved; and the file itself, as bytes.
            let mut out: Seeds = named(&[
                ("flip", "\u{9}\u{0}\u{20}\u{0}\u{3}"),
                ("cut", "\u{9}\u{0}\u{60}\u{1}"),
                ("move", "\u{9}\u{0}\u{8}\u{4}\u{20}\u{7}"),
            ]);
            out.push(("whole".into(), samples::bundle().0));
            out
        }
        "bundle_taken" => {
            (0..3u8).flat_map(|w| [0, 1].map(|down| (format!("honest_{w}_{down}"), vec![w, down]))).collect()
        }
        "ticket" => {
            vec![
                ("line".into(), samples::ticket().encode().into_bytes()),
                ("body".into(), wire::encode(&samples::ticket())),
            ]
        }
        "csv" => named(&[
            ("plain", "\u{3}full_name,phone,notes\nAn,0912,\"a\nb\"\nBình,bad,x\n\nChi,1\n"),
            ("mark_and_semicolons", "\u{0}\u{feff}Họ và tên;Điện thoại;_unit\r\nAn;1;Chi bộ 1\r\n;;\r\n"),
            ("tabs", "\u{1}full_name\tphone\rAn\t\"1\"\r"),
        ]),
        "unit_csv" => named(&[
            ("one_a_row", "\u{0}name,parent,code,kind\nB,A,2,branch\nA,,1,district\n"),
            ("levels", "\u{9}Quận,phuong,phuong_code\nQ1,P1,7\nQ1,P2,8\nQ2,,\n"),
            ("one_level", "\u{2}a\nX\nX\n Y \n"),
        ]),
        "schema" => named(&[
            (
                "small",
                "[schema]\nname = \"x\"\nversion = 1\nlevels = [\"a\"]\n\n[collection.c]\nflow = \"up\"\ntitle = \"{n}\"\nlabel = { vi = \"C\", en = \"C\" }\n\n[collection.c.field.n]\nkind = \"string\"\nlabel = { vi = \"N\", en = \"N\" }\n",
            ),
            ("membership", &sampan_core::schema::MEMBERSHIP[..3_900.min(sampan_core::schema::MEMBERSHIP.len())]),
        ]),
        "filter" => named(&[
            ("two", "\u{4}status = official and date_of_birth < 1998"),
            ("quoted", "\u{4}full_name ~ \"An \\\"x\\\" and\" and phone != \"\""),
            ("number", "\u{3}score >= 36,8"),
            ("pseudo", "\u{1}_updated >= 2025-11 AND _unit = \"a\""),
        ]),
        "assignment" => named(&[
            ("set", "\u{4}full_name=Nguyễn Văn An"),
            ("add", "\u{4}rewards+=[\"a\",\"b\"]"),
            ("clear", "\u{4}phone="),
            ("removed", "\u{4}_removed=true"),
            ("date", "\u{4}date_of_birth=30/11/1998"),
        ]),
        "config" => named(&[
            ("words", "\u{1}# our district\nlisten = \"127.0.0.1:0\" # any port\nlog = \"debug\"\n# end\n"),
            ("several_lines", "\u{4}advertise = [\n  \"a:1\",\n  \"b:2\",\n]\n"),
            (
                "replica",
                "\u{2}lang = \"vi\"\nnight = \"22:00-05:00\"\nbackoff_s = [1, 300]\n\n# Written by Sampan; changes below this line are lost.\n[replica]\norg = \"0101010101010101010101010101010101010101010101010101010101010101\"\nunits = [\"02020202020202020202020202020202\"]\ndevice = \"0404040404040404040404040404040404040404040404040404040404040404\"\n\n[[replica.relays]]\ndevice = \"0505050505050505050505050505050505050505050505050505050505050505\"\naddresses = [\"district.example:7447\"]\n",
            ),
        ]),
        "values" => named(&[
            ("number", "1.234.567,5"),
            ("date", "30/11/2025"),
            ("list", "[\"a; b\",\" c\"]"),
            ("cell", "a; b ;c"),
            ("text", " Đặng Thuỷ \n"),
            ("id", "51515151515151515151515151515151"),
        ]),
        // What draws its structure needs only bytes to draw from.
        _ => {
            let noise = |n: u64, len: usize| {
                let mut rng = sampan_core::testing::SeededRng::new(n);
                (0..len).map(|_| rng.next_u64() as u8).collect::<Vec<u8>>()
            };
            let mut out: Seeds = (0..4).map(|n| (format!("noise_{n}"), noise(n, 60 << n))).collect();
            if target.starts_with("session") {
                // The honest session of each world as it was, answered after each frame.
                out.extend((0..3u8).map(|w| (format!("honest_{w}"), [vec![w], [0, 1].repeat(60)].concat())));
                // A few frames of it, and then what a hostile branch signs in its own space and others.
                for w in [0u8, 2] {
                    let forge = |n: u64| [vec![18, 0, 2, 2], noise(90 + n, 24)].concat();
                    let bytes = [vec![w], [0, 1].repeat(9), (0..14).flat_map(forge).collect()].concat();
                    out.push((format!("forged_{w}"), bytes));
                }
            }
            out
        }
    }
}

#[test]
fn seeds_of_every_target_are_there() {
    let write = std::env::var_os("SAMPAN_FUZZ_SEEDS").is_some();
    let mut total = 0;
    for name in NAMES {
        let folder = corpus(name);
        if write {
            std::fs::create_dir_all(&folder).unwrap();
            for (file, bytes) in seeds(name) {
                let path = folder.join(file);
                if !path.exists() {
                    std::fs::write(path, bytes).unwrap();
                }
            }
        }
        let held = super::engine::read_corpus(name);
        assert!(!held.is_empty(), "{} has no corpus; SAMPAN_FUZZ_SEEDS=1 writes one", folder.display());
        total += held.iter().map(|(_, b)| b.len()).sum::<usize>();
    }
    assert!(total < 300_000, "{total} bytes of corpus; keep the small inputs that tell something");
}
