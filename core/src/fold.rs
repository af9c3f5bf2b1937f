//! Folding for search, and the Vietnamese order of words.
//!
//! It does not: change what is stored; both functions make keys beside it.
//!
//! Invariants: folding is idempotent; equal folded forms are what search calls equal (đ = d, uỷ =
//! ủy, no diacritics needed); sort keys compare bytewise and are the same on every machine.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

/// The search form of a text: no diacritics, đ as d, lowercase, whitespace squeezed and trimmed.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_onto(&mut out, text);
    out
}

/// Appends the search form of a text.
pub fn fold_onto(out: &mut String, text: &str) {
    let begin = out.len();
    let mut gap = false;
    let mut put = |c: char| {
        if c.is_whitespace() {
            gap = out.len() > begin;
            return;
        }
        if gap {
            out.push(' ');
            gap = false;
        }
        // Eth looks like đ and stands for it in texts converted from old fonts.
        out.push(if matches!(c, 'đ' | 'ð') { 'd' } else { c });
    };
    for c in text.chars() {
        if c.is_ascii() {
            put(c.to_ascii_lowercase());
            continue;
        }
        // Decomposed before and after lowercasing: each of the two can uncover work for the other. Character by
        // character, because decomposing a whole text would only put its marks into order, and none is kept.
        decompose_canonical(c, |c| {
            if is_combining_mark(c) {
                return;
            }
            for lower in c.to_lowercase() {
                decompose_canonical(lower, |c| {
                    if !is_combining_mark(c) && !is_invisible(c) {
                        put(c);
                    }
                });
            }
        });
    }
}

/// Characters that show nothing and ride along in pasted text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

/// The key of a text in Vietnamese order: word by word, letters (a ă â b c d đ e ê …) before tones
/// (none, huyền, hỏi, ngã, sắc, nặng), numbers by their size, upper and lower case alike.
#[must_use]
pub fn sort_key(text: &str) -> Vec<u8> {
    key_of_words(text.split_whitespace())
}

/// The key of a person's name: the last word (the given name) first, then the rest in order.
#[must_use]
pub fn name_sort_key(name: &str) -> Vec<u8> {
    let words: Vec<&str> = name.split_whitespace().collect();
    match words.split_last() {
        None => Vec::new(),
        Some((given, rest)) => key_of_words(std::iter::once(*given).chain(rest.iter().copied())),
    }
}

// The bytes of a key. A word is its letters, END_LETTERS, one tone a letter, END_WORD; because both
// ends are smaller than any letter, a shorter word comes first.
const END_WORD: u8 = 0x01;
const END_LETTERS: u8 = 0x02;
const TONE_NONE: u8 = 0x03;
const NUMBER: u8 = 0x10;
const OTHER: u8 = 0xe0;

fn key_of_words<'a>(words: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut key = Vec::new();
    for word in words {
        if !key.is_empty() {
            key.push(END_WORD);
        }
        push_word(word, &mut key);
    }
    key
}

fn push_word(word: &str, key: &mut Vec<u8>) {
    let mut tones = Vec::new();
    let mut chars = word.nfd().flat_map(char::to_lowercase).nfd().peekable();
    while let Some(base) = chars.next() {
        if base.is_ascii_digit() {
            let mut digits = vec![base as u8];
            while let Some(d) = chars.next_if(char::is_ascii_digit) {
                digits.push(d as u8);
            }
            push_number(&digits, key);
            tones.push(TONE_NONE);
            continue;
        }
        let (mut shape, mut tone) = (None, TONE_NONE);
        while let Some(mark) = chars.next_if(|c| is_combining_mark(*c)) {
            match mark {
                '\u{300}' => tone = TONE_NONE + 1,
                '\u{309}' => tone = TONE_NONE + 2,
                '\u{303}' => tone = TONE_NONE + 3,
                '\u{301}' => tone = TONE_NONE + 4,
                '\u{323}' => tone = TONE_NONE + 5,
                other => shape = Some(other),
            }
        }
        push_letter(base, shape, key);
        tones.push(tone);
    }
    key.push(END_LETTERS);
    key.extend_from_slice(&tones);
}

/// A number sorts by its count of digits, then by the digits: 2 before 10.
fn push_number(digits: &[u8], key: &mut Vec<u8>) {
    let zeros = digits.iter().take_while(|d| **d == b'0').count();
    let digits = &digits[zeros.min(digits.len() - 1)..];
    // Lengths beyond the byte only share a place; the digits still follow.
    key.extend_from_slice(&[NUMBER, NUMBER + digits.len().min(200) as u8]);
    key.extend_from_slice(digits);
}

fn push_letter(base: char, shape: Option<char>, key: &mut Vec<u8>) {
    // Two places a Latin letter: plain, and up to two Vietnamese letters made from it.
    let offset = match (base, shape) {
        ('a', Some('\u{306}')) | ('o', Some('\u{302}')) | ('e', Some('\u{302}')) => 1,
        ('a', Some('\u{302}')) | ('o', Some('\u{31b}')) => 2,
        ('u', Some('\u{31b}')) | ('đ' | 'ð', _) => 1,
        _ => 0,
    };
    match base {
        'đ' | 'ð' => key.push(letter_place(b'd') + offset),
        'a'..='z' => key.push(letter_place(base as u8) + offset),
        other => {
            key.push(OTHER);
            key.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

fn letter_place(letter: u8) -> u8 {
    0x20 + (letter - b'a') * 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vietnamese_folds_to_plain_letters() {
        assert_eq!(fold("Đặng  Thị\tƯỚC "), "dang thi uoc");
        assert_eq!(fold("uỷ ban"), fold("ủy ban"));
        assert_eq!(fold("Ðảng"), "dang");
        assert_eq!(fold("Nguye\u{302}\u{303}n"), fold("Nguyễn"));
        assert_eq!(fold(" \u{feff} "), "");
    }

    #[test]
    fn different_letters_stay_different() {
        assert_ne!(fold("bà"), fold("ba n"));
        assert_ne!(fold("đ"), fold("t"));
    }

    #[test]
    fn words_sort_as_in_a_vietnamese_dictionary() {
        let ordered =
            ["a", "à", "ả", "ã", "á", "ạ", "ac", "ă", "â", "b", "c", "d", "đ", "e", "ê", "o", "ô", "ơ", "u", "ư", "y"];
        let mut shuffled = ordered;
        shuffled.reverse();
        shuffled.sort_by_key(|w| sort_key(w));
        assert_eq!(shuffled, ordered);
    }

    #[test]
    fn words_come_before_tones_and_numbers_by_size() {
        assert!(sort_key("Ba Vì") < sort_key("Bà Triệu"));
        assert!(sort_key("Chi bộ 2") < sort_key("Chi bộ 10"));
        assert!(sort_key("Chi bộ 09") < sort_key("Chi bộ 10"));
        assert!(sort_key("Chi bộ") < sort_key("Chi bộ 1"));
        assert_eq!(sort_key("HÀ"), sort_key("hà"));
    }

    #[test]
    fn names_sort_by_the_given_name() {
        let mut names = ["Trần Văn An", "Nguyễn Thị Ánh", "Lê Văn Bình", "Bùi Văn An"];
        names.sort_by_key(|n| name_sort_key(n));
        assert_eq!(names, ["Bùi Văn An", "Trần Văn An", "Nguyễn Thị Ánh", "Lê Văn Bình"]);
        assert_eq!(name_sort_key("  "), Vec::<u8>::new());
    }

    /// The definition, by the forms of whole texts.
    fn folded_as_a_whole(text: &str) -> String {
        let lower = text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
        let kept: String = lower.nfd().filter(|c| !is_combining_mark(*c) && !is_invisible(*c)).collect();
        let words: Vec<&str> = kept.split_whitespace().collect();
        words.join(" ").replace(['đ', 'ð'], "d")
    }

    #[test]
    fn every_character_folds_alone_as_it_does_in_a_text() {
        for c in '\0'..=char::MAX {
            let text = format!("a{c}\u{302}\u{323} {c}\u{1dc0}b");
            assert_eq!(fold(&text), folded_as_a_whole(&text), "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn texts_fold_as_a_whole_does(text in "[ \\PCăđễÐÐ\u{300}-\u{330}\u{feff}\t]{0,40}") {
            prop_assert_eq!(fold(&text), folded_as_a_whole(&text));
        }

        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{0,40}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn keys_exist_for_every_text(text in "\\PC{0,40}") {
            let _ = (sort_key(&text), name_sort_key(&text));
        }
    }
}
