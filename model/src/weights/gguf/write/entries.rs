//! Typed keys and values, as they stand in the file. All numbers are little-endian; a string is its length
//! and its bytes.

/// Keys and values in bytes.
#[derive(Default)]
pub(in crate::weights::gguf) struct Entries {
    pub(in crate::weights::gguf) bytes: Vec<u8>,
    pub(in crate::weights::gguf) count: u64,
}

impl Entries {
    const U32: u32 = 4;
    const I32: u32 = 5;
    const F32: u32 = 6;
    const BOOL: u32 = 7;
    const STRING: u32 = 8;
    const ARRAY: u32 = 9;

    fn key(&mut self, key: &str, kind: u32) {
        put_string(key, &mut self.bytes);
        self.bytes.extend(kind.to_le_bytes());
        self.count += 1;
    }

    fn array(&mut self, key: &str, kind: u32, length: usize) {
        self.key(key, Self::ARRAY);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((length as u64).to_le_bytes());
    }

    pub(in crate::weights::gguf) fn u32(&mut self, key: &str, value: u32) {
        self.key(key, Self::U32);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(in crate::weights::gguf) fn f32(&mut self, key: &str, value: f32) {
        self.key(key, Self::F32);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(in crate::weights::gguf) fn bool(&mut self, key: &str, value: bool) {
        self.key(key, Self::BOOL);
        self.bytes.push(u8::from(value));
    }

    pub(in crate::weights::gguf) fn string(&mut self, key: &str, value: &str) {
        self.key(key, Self::STRING);
        put_string(value, &mut self.bytes);
    }

    pub(in crate::weights::gguf) fn strings(&mut self, key: &str, values: &[String]) {
        self.array(key, Self::STRING, values.len());
        values.iter().for_each(|value| put_string(value, &mut self.bytes));
    }

    pub(in crate::weights::gguf) fn i32s(&mut self, key: &str, values: impl ExactSizeIterator<Item = i32>) {
        self.array(key, Self::I32, values.len());
        self.bytes.extend(values.flat_map(i32::to_le_bytes));
    }
}

pub(in crate::weights::gguf) fn put_string(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}
