//! The bytes of a file from front to back. Nothing is taken that is not there.

/// A place in a file, and all that follows.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes before this place.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// All that follows.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    /// Bytes that follow.
    pub(super) fn left(&self) -> usize {
        self.rest().len()
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    ///
    /// If the file ends before; so do all the others.
    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        match usize::try_from(length).ok().filter(|length| *length <= self.left()) {
            Some(length) => {
                let start = self.position;
                self.position += length;
                Ok(&self.bytes[start..self.position])
            }
            None => Err(format!(
                "{length} bytes should follow byte {}, but only {} do",
                self.position,
                self.left()
            )),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.try_into().expect("as many as were taken"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    /// A string as it stands in the file: its length and its bytes.
    pub(super) fn string(&mut self) -> Result<&'a [u8], String> {
        let length = self.u64()?;
        self.take(length)
    }

    /// A string that must be UTF-8.
    pub(super) fn text(&mut self) -> Result<&'a str, String> {
        let position = self.position;
        utf8(self.string()?).map_err(|reason| format!("the string at byte {position} {reason}"))
    }
}

/// The text of a string.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 from its byte {} on", error.valid_up_to()))
}
