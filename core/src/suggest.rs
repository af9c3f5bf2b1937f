//! Suggestions for a mistyped word: the names that are nearest to it.
//!
//! It does not: decide anything; a suggestion only ever ends an error's sentence.
//!
//! Invariants: at most [`SUGGESTIONS_MAX`] names come back, the nearest first, ties in the order of
//! the alphabet; words are compared folded, so `Họ tên` finds `ho_ten`.

use crate::fold::fold;

/// Names in one suggestion: more would be a list to read, not a hint.
pub const SUGGESTIONS_MAX: usize = 3;

/// Characters of a word that are compared: bounds the work on hostile input.
const COMPARED_CHARS_MAX: usize = 64;

/// The candidates nearest to `word`, at most three, nearest first.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = letters(word);
    if word.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(usize, &str)> =
        candidates.into_iter().filter_map(|c| rank(&word, &letters(c)).map(|r| (r, c))).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(SUGGESTIONS_MAX);
    found.into_iter().map(|(_, c)| c).collect()
}

/// The ending of an error's sentence: ` Did you mean 'a' or 'b'?`, or nothing.
#[must_use]
pub fn did_you_mean<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("'{}'", n.as_ref())).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => format!(" Did you mean {last}?"),
        Some((last, rest)) => format!(" Did you mean {} or {last}?", rest.join(", ")),
    }
}

/// Folded, with every separator written as `_`, and cut to a bounded length.
fn letters(word: &str) -> Vec<char> {
    fold(word).chars().map(|c| if c == '-' || c == ' ' { '_' } else { c }).take(COMPARED_CHARS_MAX).collect()
}

/// How far apart two words are, or `None` when too far to be a slip of the fingers.
fn rank(word: &[char], candidate: &[char]) -> Option<usize> {
    let d = distance(word, candidate);
    if d <= (word.len().max(candidate.len()) / 3).max(1) {
        return Some(d);
    }
    // A part of a longer name (`name` for `full_name`) is a hint too, after the near misses.
    let part = word.len() >= 3 && candidate.windows(word.len()).any(|w| w == word);
    part.then(|| COMPARED_CHARS_MAX + candidate.len())
}

/// Edit distance with neighbours swapped counting as one edit (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 6] = ["full_name", "phone", "status", "card_number", "id_number", "address"];

    #[test]
    fn slips_find_their_word() {
        assert_eq!(nearest("phnoe", FIELDS), ["phone"]);
        assert_eq!(nearest("Fullname", FIELDS), ["full_name"]);
        assert_eq!(nearest("adress", FIELDS), ["address"]);
        assert_eq!(nearest("đảng viên", ["dang_vien", "chi_bo"]), ["dang_vien"]);
    }

    #[test]
    fn a_part_of_a_name_is_a_hint_and_noise_is_none() {
        assert_eq!(nearest("number", FIELDS), ["id_number", "card_number"]);
        assert_eq!(nearest("zzz", FIELDS), Vec::<&str>::new());
        assert_eq!(nearest("", FIELDS), Vec::<&str>::new());
    }

    #[test]
    fn at_most_three_and_in_order() {
        assert_eq!(nearest("aa", ["ad", "ab", "ac", "ae"]), ["ab", "ac", "ad"]);
    }

    #[test]
    fn the_sentence_reads_well() {
        assert_eq!(did_you_mean::<&str>(&[]), "");
        assert_eq!(did_you_mean(&["a"]), " Did you mean 'a'?");
        assert_eq!(did_you_mean(&["a", "b", "c"]), " Did you mean 'a', 'b' or 'c'?");
    }
}
