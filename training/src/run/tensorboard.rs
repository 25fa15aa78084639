//! Event files for TensorBoard: the numbers of `metrics.jsonl` as the protocol buffers that it reads, each in a record
//! with its length and checksums.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::record::Record;
use crate::error::{Error, Result};

/// Appends to the event file of this process.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in `folder` for the steps from `first` on. Events of a run that was interrupted after its last checkpoint
    /// stay in an older file; TensorBoard drops those from `first` on when it reads this one.
    pub(crate) fn create(folder: &Path, first: usize) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let (seconds, process) = (now().floor(), std::process::id());
        // TensorBoard reads them by name, so the name begins with the time.
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.{process}.kiln"));
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        let mut events = Self { path, file };
        events.append(0, |event| event.bytes(field::FILE_VERSION, b"brain.Event:2"))?;
        if first > 1 {
            let started = Message::default().integer(field::STATUS, field::STATUS_START);
            events.append(first, |event| event.bytes(field::SESSION_LOG, &started.0))?;
        }
        Ok(events)
    }

    /// Appends the figures of a record.
    pub(crate) fn write(&mut self, record: &Record) -> Result<()> {
        let summary = record.figures().into_iter().fold(Message::default(), |summary, (tag, value)| {
            // What is not finite is shown as that.
            let value = if value.is_finite() { value as f32 } else { f32::NAN };
            let value =
                Message::default().bytes(field::TAG, tag.as_bytes()).float(field::SIMPLE_VALUE, value);
            summary.bytes(field::VALUE, &value.0)
        });
        self.append(record.step(), |event| event.bytes(field::SUMMARY, &summary.0))
    }

    fn append(&mut self, step: usize, what: impl FnOnce(Message) -> Message) -> Result<()> {
        let event = Message::default().double(field::WALL_TIME, now()).integer(field::STEP, step as u64);
        self.file.write_all(&record(&what(event).0)).map_err(Error::io(&self.path))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Numbers of the fields, of `tensorflow.Event`, `SessionLog`, `Summary` and `Summary.Value`.
mod field {
    pub(super) const WALL_TIME: u64 = 1;
    pub(super) const STEP: u64 = 2;
    pub(super) const FILE_VERSION: u64 = 3;
    pub(super) const SUMMARY: u64 = 5;
    pub(super) const SESSION_LOG: u64 = 7;

    pub(super) const STATUS: u64 = 1;
    pub(super) const STATUS_START: u64 = 1;

    pub(super) const VALUE: u64 = 1;

    pub(super) const TAG: u64 = 1;
    pub(super) const SIMPLE_VALUE: u64 = 2;
}

/// A protocol buffer that is being written: each field is a key, made of its number and its kind, and a value.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn integer(self, field: u64, value: u64) -> Self {
        self.variable(field << 3).variable(value)
    }

    fn double(self, field: u64, value: f64) -> Self {
        self.variable((field << 3) | 1).extend(&value.to_le_bytes())
    }

    fn bytes(self, field: u64, value: &[u8]) -> Self {
        self.variable((field << 3) | 2).variable(value.len() as u64).extend(value)
    }

    fn float(self, field: u64, value: f32) -> Self {
        self.variable((field << 3) | 5).extend(&value.to_le_bytes())
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn variable(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn extend(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// A TFRecord: length, its checksum, the data, and its checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length, &checksum(&length).to_le_bytes()[..], data, &checksum(data).to_le_bytes()].concat()
}

/// CRC-32C, masked as TFRecords do it: a checksum over data that holds checksums is a poor one.
fn checksum(data: &[u8]) -> u32 {
    let crc = data.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 })
    });
    (!crc).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "123456789" has the CRC-32C 0xE3069283 (RFC 3720); masked, that is rotated and shifted.
    #[test]
    fn checksums_are_those_of_tfrecords() {
        assert_eq!(checksum(b"123456789"), 0xE306_9283_u32.rotate_right(15).wrapping_add(0xA282_EAD8));
    }

    #[test]
    fn events_are_protocol_buffers_in_records() {
        let event = Message::default().double(1, 1.5).integer(2, 300).bytes(3, b"ab").float(2, 0.5);
        let expected = b"\x09\0\0\0\0\0\0\xF8\x3F\x10\xAC\x02\x1A\x02ab\x15\0\0\0\x3F";
        assert_eq!(event.0, expected);
        let record = record(&event.0);
        assert_eq!(record.len(), 8 + 4 + expected.len() + 4);
        assert_eq!((record[0], &record[12..12 + expected.len()]), (expected.len() as u8, &expected[..]));
    }
}
