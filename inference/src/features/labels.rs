//! What can be said of each position of a text: the concepts that features are compared with.

use std::collections::HashMap;
use std::ops::Range;

use kiln_datasets::Tokenizer;
use kiln_datasets::tales::Request;

use super::names::Relation;
use super::readings::Readings;

/// Concepts of one kind, of which each position has one at most.
pub(super) struct Labels {
    pub(super) relation: Relation,
    /// The concept of each position; 0 where there is none.
    pub(super) of: Vec<u32>,
    /// What each is called; the first is none.
    pub(super) names: Vec<String>,
}

impl Labels {
    fn new(relation: Relation, positions: usize) -> Self {
        Self { relation, of: vec![0; positions], names: vec![String::new()] }
    }
}

/// A word in a window: its letters, and its tokens from the first to the last.
struct Word {
    text: String,
    first: usize,
    last: usize,
}

/// What the token between two texts is called.
const END: &str = "end of text";

/// Words, before, at and after each position, and in tales who and what the story is about.
pub(super) fn labels(readings: &Readings, tokenizer: &Tokenizer, separator: Option<u32>) -> Vec<Labels> {
    let positions = readings.tokens.len();
    let relations = [Relation::Current, Relation::Next, Relation::Previous];
    let mut labels = relations.map(|relation| Labels::new(relation, positions));
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut pieces: HashMap<u32, Vec<u8>> = HashMap::new();
    for start in (0..positions).step_by(readings.seq.max(1)) {
        let (start, end) = readings.window(start);
        let mut previous: Option<(u32, usize)> = None;
        for word in words(&readings.tokens[start..end], tokenizer, separator, &mut pieces) {
            let next = numbers.len() as u32 + 1;
            let number = *numbers.entry(word.text.clone()).or_insert(next);
            if number == next {
                labels.iter_mut().for_each(|labels| labels.names.push(word.text.clone()));
            }
            let [current, before, after] = &mut labels;
            current.of[start + word.first..=start + word.last].fill(number);
            if word.first > 0 {
                before.of[start + word.first - 1] = number;
            }
            if let Some((number, last)) = previous {
                after.of[start + last + 1..start + word.last + 1].fill(number);
            }
            previous = Some((number, word.last));
        }
    }
    labels.into_iter().chain(slots(readings, tokenizer, separator)).collect()
}

/// The words of a window: runs of letters, and the token between two texts as one.
fn words(
    tokens: &[u32],
    tokenizer: &Tokenizer,
    separator: Option<u32>,
    pieces: &mut HashMap<u32, Vec<u8>>,
) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut bytes: Vec<u8> = Vec::new();
    let (mut first, mut last) = (0, 0);
    let mut finish = |bytes: &mut Vec<u8>, first, last| {
        if let Ok(text) = std::str::from_utf8(bytes)
            && !text.is_empty()
        {
            words.push(Word { text: text.to_owned(), first, last });
        }
        bytes.clear();
    };
    for (place, token) in tokens.iter().enumerate() {
        if Some(*token) == separator {
            finish(&mut bytes, first, last);
            bytes.extend_from_slice(END.as_bytes());
            finish(&mut bytes, place, place);
            continue;
        }
        let piece = pieces.entry(*token).or_insert_with(|| tokenizer.token_bytes(*token).unwrap_or_default());
        for byte in piece.iter() {
            // Letters of other alphabets are of bytes from 128 on.
            if byte.is_ascii_alphabetic() || *byte >= 128 {
                if bytes.is_empty() {
                    first = place;
                }
                last = place;
                bytes.push(*byte);
            } else {
                finish(&mut bytes, first, last);
            }
        }
    }
    finish(&mut bytes, first, last);
    words
}

/// Who and what each tale is about, which its title says: all of its positions have it. And where either is named.
fn slots(readings: &Readings, tokenizer: &Tokenizer, separator: Option<u32>) -> [Labels; 4] {
    let positions = readings.tokens.len();
    let relations = [Relation::Hero, Relation::Thing, Relation::Role, Relation::NextRole];
    let mut labels = relations.map(|relation| Labels::new(relation, positions));
    for roles in &mut labels[2..] {
        roles.names.extend(["hero", "thing"].map(str::to_owned));
    }
    let Some(separator) = separator else { return labels };
    let mut numbers: [HashMap<String, u32>; 2] = Default::default();
    let mut pieces = HashMap::new();
    for start in (0..positions).step_by(readings.seq.max(1)) {
        let (start, end) = readings.window(start);
        for story in stories(start..end, &readings.tokens, separator) {
            let tokens = &readings.tokens[story.clone()];
            let text = tokenizer.decode(tokens).unwrap_or_default();
            // A title ends with its line; half of one says nothing.
            let (true, Some(Request { name, thing })) = (text.contains('\n'), Request::of(&text)) else {
                continue;
            };
            let noun = thing.rsplit(' ').next().unwrap_or_default().to_owned();
            for word in words(tokens, tokenizer, Some(separator), &mut pieces) {
                let role = if word.text == name {
                    1
                } else if word.text == noun {
                    2
                } else {
                    continue;
                };
                labels[2].of[story.start + word.first..=story.start + word.last].fill(role);
                if word.first > 0 {
                    labels[3].of[story.start + word.first - 1] = role;
                }
            }
            for ((labels, numbers), value) in labels.iter_mut().zip(&mut numbers).zip([name, thing]) {
                let next = numbers.len() as u32 + 1;
                let number = *numbers.entry(value.clone()).or_insert(next);
                if number == next {
                    labels.names.push(value);
                }
                labels.of[story.clone()].fill(number);
            }
        }
    }
    labels
}

/// The texts of a window.
fn stories(window: Range<usize>, tokens: &[u32], separator: u32) -> Vec<Range<usize>> {
    let mut stories = Vec::new();
    let mut begin = window.start;
    for place in window.clone() {
        if tokens[place] == separator {
            stories.push(begin..place);
            begin = place + 1;
        }
    }
    stories.push(begin..window.end);
    stories
}
