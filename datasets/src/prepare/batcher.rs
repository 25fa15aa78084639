//! Gathering documents into batches, and where a long one may be cut.

use xxhash_rust::xxh3::Xxh3;

use super::manifest::Skipped;
use super::text_batch::{Document, Fate, Piece, TextBatch};
use crate::error::{Error, Result};
use crate::{Location, ReadEvent};

/// Text of a batch, in bytes. A longer document is encoded in pieces.
const BATCH: usize = 1 << 20;

/// A piece without a better position for a cut is cut here.
const LONGEST_PIECE: usize = 8 << 20;

/// Bytes of text in a part: after a kill, each reader has at most so much to do again.
const PART: u64 = 8 << 20;

/// Turns the events of reading into batches.
pub(super) struct Batcher<'a> {
    batch: TextBatch,
    /// Receives each batch.
    send: &'a mut dyn FnMut(TextBatch) -> Result<()>,
    skip_bad: bool,
    /// Characters until the single text of a corpus is cut.
    cut: Option<u64>,
    part_bytes: u64,
    current: Current,
}

/// The document at hand.
#[derive(Default)]
struct Current {
    file: usize,
    hash: Xxh3,
    bytes: u64,
    /// Where the piece that is being gathered starts in the batch.
    start: usize,
    /// Whether earlier pieces exist.
    has_pieces: bool,
    /// Whether it has a character that is not white space.
    visible: bool,
}

impl<'a> Batcher<'a> {
    pub(super) fn new(
        skip_bad: bool,
        cut: Option<u64>,
        send: &'a mut dyn FnMut(TextBatch) -> Result<()>,
    ) -> Self {
        Self { batch: TextBatch::default(), send, skip_bad, cut, part_bytes: 0, current: Current::default() }
    }

    /// Says which file the next events come from.
    pub(super) fn start_file(&mut self, file: usize) {
        self.current = Current { file, start: self.batch.text.len(), ..Current::default() };
    }

    pub(super) fn take(&mut self, event: ReadEvent<'_>) -> Result<()> {
        match event {
            ReadEvent::Text(text) => self.text(text),
            ReadEvent::End(location) => {
                self.batch.empty += u64::from(!self.current.visible && self.cut.is_none());
                // What follows the cut of a single text is its validation split.
                let fate = if self.cut.is_some() { Fate::Valid } else { Fate::Open };
                self.end(location, fate)
            }
            ReadEvent::Bad(error) if self.skip_bad => {
                self.batch.skipped.push(Skipped::from(&error));
                self.current.visible = false;
                self.end(Location::File, Fate::Dropped)
            }
            ReadEvent::Bad(error) => Err(error),
        }
    }

    /// Sends what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        self.batch.ends_group = true;
        self.batch.ends_part = true;
        self.send()
    }

    fn text(&mut self, text: &str) -> Result<()> {
        if let Some(left) = self.cut.filter(|left| *left > 0) {
            match text.char_indices().nth(left as usize) {
                Some((at, _)) => {
                    self.cut = Some(0);
                    self.add(&text[..at])?;
                    self.end(Location::File, Fate::Train)?;
                    return self.add(&text[at..]);
                }
                None => self.cut = Some(left - text.chars().count() as u64),
            }
            if self.cut == Some(0) {
                self.add(text)?;
                return self.end(Location::File, Fate::Train);
            }
        }
        self.add(text)
    }

    fn add(&mut self, mut text: &str) -> Result<()> {
        while !text.is_empty() {
            let (front, rest) = text.split_at(text.floor_char_boundary(BATCH));
            self.add_some(front)?;
            text = rest;
        }
        Ok(())
    }

    fn add_some(&mut self, text: &str) -> Result<()> {
        self.current.hash.update(text.as_bytes());
        self.current.bytes += text.len() as u64;
        self.current.visible = self.current.visible || !text.trim().is_empty();
        self.batch.text.push_str(text);
        let start = self.current.start;
        let gathered = self.batch.text.len() - start;
        if gathered < BATCH {
            return Ok(());
        }
        let piece = &self.batch.text[start..];
        match safe_cut(piece).or((gathered >= LONGEST_PIECE).then_some(gathered)) {
            Some(length) => {
                let rest = self.batch.text.split_off(start + length);
                self.piece(Location::File, None);
                self.send()?;
                self.batch.text = rest;
                self.current.start = 0;
                self.current.has_pieces = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Completes the document at hand, or forgets it.
    fn end(&mut self, location: Location, fate: Fate) -> Result<()> {
        let fate = if self.current.visible { fate } else { Fate::Dropped };
        if fate == Fate::Dropped {
            self.batch.text.truncate(self.current.start);
        }
        if fate != Fate::Dropped || self.current.has_pieces {
            let Current { bytes, .. } = self.current;
            self.piece(location, Some(Document { hash: self.current.hash.digest128(), bytes, fate }));
            self.part_bytes += bytes;
        }
        let file = self.current.file;
        self.current = Current { file, start: self.batch.text.len(), ..Current::default() };
        if self.part_bytes >= PART {
            self.part_bytes = 0;
            self.batch.ends_part = true;
        }
        if self.batch.ends_part || self.batch.text.len() >= BATCH { self.send() } else { Ok(()) }
    }

    fn piece(&mut self, location: Location, document: Option<Document>) {
        let (end, file, is_first) = (self.batch.text.len(), self.current.file, !self.current.has_pieces);
        self.batch.pieces.push(Piece { end, is_first, document, file, location });
    }

    fn send(&mut self) -> Result<()> {
        let part = self.batch.part + usize::from(self.batch.ends_part);
        let batch = std::mem::replace(&mut self.batch, TextBatch { part, ..TextBatch::default() });
        self.current.start = 0;
        (self.send)(batch)
    }
}

/// The last position where a text can be cut so that its halves have the tokens of the whole: before a space
/// that follows something visible and precedes a letter, or after a line break between such. Every
/// pre-tokenizer of the GPT family splits there, whatever stands around it.
fn safe_cut(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes
        .windows(3)
        .rposition(|window| {
            let [before, at, after] = window else { unreachable!("windows of three") };
            before.is_ascii_alphanumeric() && matches!(at, b' ' | b'\n') && after.is_ascii_alphabetic()
        })
        .map(|position| position + if bytes[position + 1] == b' ' { 1 } else { 2 })
}

impl Skipped {
    fn from(error: &Error) -> Self {
        let message = error.to_string();
        Self { reason: message.lines().next().unwrap_or_default().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokenizer;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_cut_where_it_is_safe_has_the_tokens_of_the_whole(
            words in prop::collection::vec(
                prop_oneof!["[a-zA-Z]{1,5}", "'(s|re|LL)", "\\PC{1,2}", " {1,3}", "\n{1,2}", "[0-9]{1,4}", "[!/.,]"],
                3..30,
            ),
        ) {
            let text = words.concat();
            if let Some(at) = safe_cut(&text) {
                for name in ["byte", "gpt2", "cl100k_base", "o200k_base"] {
                    let tokenizer = Tokenizer::open(name).expect("embedded");
                    let halves = [&text[..at], &text[at..]].map(|half| tokenizer.encode(half).expect("any text"));
                    prop_assert_eq!(halves.concat(), tokenizer.encode(&text).expect("any text"), "{}: {:?}", name, at);
                }
            }
        }
    }

    /// Every batch that `events` give.
    fn batches(skip_bad: bool, cut: Option<u64>, events: Vec<ReadEvent<'_>>) -> Vec<TextBatch> {
        let mut batches = Vec::new();
        let mut send = |batch: TextBatch| {
            batches.push(batch);
            Ok(())
        };
        let mut batcher = Batcher::new(skip_bad, cut, &mut send);
        batcher.start_file(0);
        for event in events {
            batcher.take(event).expect("nothing is refused");
        }
        batcher.finish().expect("nothing is refused");
        batches
    }

    fn fates(batches: &[TextBatch]) -> Vec<(u64, Fate)> {
        let documents = batches.iter().flat_map(|batch| &batch.pieces).filter_map(|piece| piece.document);
        documents.map(|document| (document.bytes, document.fate)).collect()
    }

    #[test]
    fn long_documents_come_in_pieces_and_nothing_is_lost() {
        let words = "some words ".repeat(500_000);
        let wall = "x".repeat(20 << 20);
        for text in [&words, &wall] {
            let events = text.as_bytes().chunks(100_000).map(|chunk| str::from_utf8(chunk).expect("ASCII"));
            let events = events.map(ReadEvent::Text).chain([ReadEvent::End(Location::File)]).collect();
            let batches = batches(false, None, events);
            assert_eq!(batches.iter().map(|batch| batch.text.as_str()).collect::<String>(), *text);
            assert!(batches.iter().all(|batch| batch.text.len() <= LONGEST_PIECE + 100_000));
            assert_eq!(fates(&batches), [(text.len() as u64, Fate::Open)]);
        }
    }

    #[test]
    fn a_single_text_is_cut_by_characters() {
        let events = |parts: &[&'static str]| {
            parts.iter().map(|part| ReadEvent::Text(part)).chain([ReadEvent::End(Location::File)]).collect()
        };
        for parts in [&["añbcdefghijklmn"][..], &["añbcdefg", "hijklmn"], &["añbcdefghijkl", "mn"]] {
            let batches = batches(false, Some(13), events(parts));
            assert_eq!(batches[0].text, "añbcdefghijklmn");
            assert_eq!(fates(&batches), [(14, Fate::Train), (2, Fate::Valid)]);
        }
    }

    #[test]
    fn empty_and_bad_documents_leave_nothing() {
        let bad = || ReadEvent::Bad(Error::UnknownToken { token: 1, vocab_size: 1 });
        let events = vec![
            ReadEvent::Text("one"),
            ReadEvent::End(Location::Line(1)),
            ReadEvent::Text(" \n"),
            ReadEvent::End(Location::Line(2)),
            ReadEvent::Text("half a docu"),
            bad(),
            ReadEvent::Text("two"),
            ReadEvent::End(Location::Line(4)),
        ];
        let batches = batches(true, None, events);
        assert_eq!(batches[0].text, "onetwo");
        assert_eq!((fates(&batches).len(), batches[0].skipped.len(), batches[0].empty), (2, 1, 1));
        let long = "words and ".repeat(200_000);
        let batches = self::batches(true, None, vec![ReadEvent::Text(&long), bad()]);
        assert_eq!(fates(&batches), [(2_000_000, Fate::Dropped)]);
    }
}
