//! A passphrase that was forgotten: the district opens the branch, by a request, a code and an answer.

use crate::world::{Out, World, relay, sampan};
use std::fs;
use std::path::Path;

const OLD: &str = "con đò nhỏ bến sông";
const NEW: &str = "mưa trên phố cổ";

fn words(w: &World, name: &str, text: &str) -> String {
    let path = w.path(name);
    fs::write(&path, format!("{text}\n")).unwrap();
    path
}

/// Every file below a folder, with its bytes.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    out.sort();
    out
}

fn lock_of(dir: &str) -> Vec<u8> {
    fs::read(Path::new(dir).join("keys/lock")).unwrap()
}

fn answer(w: &World, at: &str, request: &str, to: &str, code: &str) -> Out {
    relay(&["recovery", "answer", &w.path(at), request, to, "--code", code])
}

#[test]
fn the_district_opens_a_branch_whose_secretary_forgot() {
    let w = World::three_levels();
    let dir = w.path("branch");
    let (old, new) = (words(&w, "old", OLD), words(&w, "new", NEW));
    let an = w.add("branch", "members", &["full_name=Nguyễn Văn An"]);
    w.sync("branch");
    let key = fs::read_to_string(Path::new(&dir).join("keys/device.key")).unwrap();
    let key = data_encoding::HEXLOWER.decode(key.lines().nth(1).unwrap().as_bytes()).unwrap();
    let ask = |to: &str| sampan(&["recovery", "ask", &dir, to]);
    ask(&w.path("early")).refused(2, "has no passphrase");
    let set = sampan(&["passphrase", &dir, "set", "--passphrase-file", &old]).ok();
    assert!(set.stderr.contains("sealed to the relay above"), "{set:?}");

    // Asked without any words; twice is the same request.
    let request = w.path("request");
    let code = ask(&request).ok().first();
    assert_eq!(code.len(), 14, "{code}");
    ask(&request).refused(2, "is there already");
    let again = w.path("again");
    assert_eq!(ask(&again).ok().first(), code);
    assert_eq!(fs::read(&again).unwrap(), fs::read(&request).unwrap());

    // Only the district, only with the code.
    let reply = w.path("reply");
    answer(&w, "district", &request, &reply, "AAAA-BBBB-CCCC").refused(3, "code is not that");
    answer(&w, "city", &request, &reply, &code).refused(3, "not sealed to this device");
    assert!(!Path::new(&reply).exists());
    let out = relay(&["recovery", "answer", &w.path("district"), &request, &reply, "--code", &code.to_lowercase()]);
    assert!(out.ok().stderr.contains("Chi bộ 1"), "it says who is answered");

    // No secret lies in clear in what travels.
    for file in [&request, &reply] {
        let text = fs::read_to_string(file).unwrap();
        let body: String = text.lines().skip(1).collect();
        let bytes = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
        assert!(!bytes.windows(32).any(|w| w == key), "{file}");
    }

    // What is wrong changes nothing.
    let before = lock_of(&dir);
    let finish = |file: &str, words: &str| sampan(&["recovery", "finish", &dir, file, "--new-passphrase-file", words]);
    let text = fs::read_to_string(&reply).unwrap();
    fs::write(w.path("cut"), &text[..text.len() / 2]).unwrap();
    finish(&w.path("cut"), &new).refused(2, "incomplete or was altered");
    let mut bent = text.clone().into_bytes();
    let at = text.len() - 20;
    bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
    fs::write(w.path("bent"), bent).unwrap();
    finish(&w.path("bent"), &new).refused(2, "incomplete or was altered");
    finish(&request, &new).refused(2, "not a recovery answer");
    fs::write(w.path("newer"), text.replace("version 1", "version 7")).unwrap();
    finish(&w.path("newer"), &new).refused(2, "newer Sampan");
    finish(&w.path("nowhere"), &new).refused(2, "nowhere");
    finish(&reply, &words(&w, "short", "bảy chữ")).refused(2, "at least 8");
    finish(&reply, &w.path("no words")).refused(2, "no words");
    let vi = sampan(&["--lang", "vi", "recovery", "finish", &dir, &w.path("cut"), "--new-passphrase-file", &new]);
    vi.refused(2, "không đầy đủ");
    assert_eq!(lock_of(&dir), before);

    // The right one sets the new words, once.
    finish(&reply, &new).ok();
    sampan(&["show", &dir, &an, "--passphrase-file", &old]).refused(3, "not the passphrase");
    let shown = sampan(&["show", &dir, &an, "--json", "--passphrase-file", &new]).ok();
    assert_eq!(shown.json()["full_name"], "Nguyễn Văn An");
    sampan(&["add", &dir, "members", "full_name=Bình", "--passphrase-file", &new]).ok();
    sampan(&["sync", &dir, "--passphrase-file", &new]).ok();
    let after = lock_of(&dir);
    finish(&reply, &old).refused(2, "waits for no answer");
    let next = w.path("next");
    assert_ne!(ask(&next).ok().first(), code);
    finish(&reply, &old).refused(2, "does not answer what this folder asked");
    assert_eq!(lock_of(&dir), after);
    for (file, bytes) in files(Path::new(&dir)) {
        assert!(!bytes.windows(32).any(|w| w == key), "{file}");
    }
}

#[test]
fn foreign_and_ended_devices_are_not_answered() {
    let w = World::three_levels();
    let (dir, old, new) = (w.path("branch"), words(&w, "old", OLD), words(&w, "new", NEW));
    // A folder made with a passphrase leaves its key above from the start.
    let ticket = relay(&["invite", &w.path("district"), "--unit", "001.2", "--role", "editor", "--holder", "Bình"]);
    let second = w.path("second");
    sampan(&["join", &second, &ticket.ok().first(), "--passphrase-file", &old]).ok();
    assert!(Path::new(&second).join("keys/recovery").exists());
    let (request, reply) = (w.path("request"), w.path("reply"));
    let code = sampan(&["recovery", "ask", &second, &request]).ok().first();

    // An answer for one folder opens no other.
    answer(&w, "district", &request, &reply, &code).ok();
    sampan(&["passphrase", &dir, "set", "--passphrase-file", &old]).ok();
    let mine = sampan(&["recovery", "ask", &dir, &w.path("mine"), "--json"]).ok().json();
    assert_eq!(mine["code"].as_str().unwrap().len(), 14);
    let before = lock_of(&dir);
    sampan(&["recovery", "finish", &dir, &reply, "--new-passphrase-file", &new]).refused(2, "does not answer");
    assert_eq!(lock_of(&dir), before);

    // Another organisation, a swapped request, a text that is none.
    let other = w.path("other");
    relay(&["init", &other, "--org", "Khác", "--listen", "127.0.0.1:0"]).ok();
    let reply2 = w.path("reply2");
    answer(&w, "other", &request, &reply2, &code).refused(3, "another organisation");
    answer(&w, "district", &w.path("mine"), &reply2, &code).refused(3, "code is not that");
    fs::write(w.path("letter"), "dear").unwrap();
    answer(&w, "district", &w.path("letter"), &reply2, &code).refused(2, "not a recovery request");
    let text = fs::read_to_string(&request).unwrap();
    fs::write(w.path("cut"), &text[..text.len() - 30]).unwrap();
    answer(&w, "district", &w.path("cut"), &reply2, &code).refused(2, "incomplete");

    // A stolen PC: once its right has ended, nobody opens it.
    let device = sampan(&["status", &second, "--json", "--passphrase-file", &old]).ok().json()["device"].clone();
    let lost = ["revoke", &w.path("district"), device.as_str().unwrap(), "--lost", "--reason", "mất máy"];
    relay(&lost).ok();
    answer(&w, "district", &request, &reply2, &code).refused(3, "right of the device has ended");
    assert!(!Path::new(&reply2).exists());

    // Nobody is above the city: its key is left with nobody, and it is said.
    let set = relay(&["passphrase", &other, "set", "--passphrase-file", &old]).ok();
    assert!(set.stderr.contains("none is known"), "{set:?}");
    relay(&["recovery", "ask", &other, &w.path("nobody")]).refused(3, "never sealed");
}
