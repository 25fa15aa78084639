//! The values of the metadata, which lie in the file and are looked at when they are asked for.

use std::fmt;

use super::cursor::{Cursor, utf8};

/// The type of a value, by its number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let number = cursor.u32()?;
        let kind = usize::try_from(number).ok().and_then(|number| Self::ALL.get(number));
        kind.copied().ok_or_else(|| format!("its type is {number}, and the last one there is is 12"))
    }

    /// Fewest bytes that a value of it takes.
    fn width(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::String | Self::Array | Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// A value of the metadata.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    /// Bytes that should be UTF-8.
    String(&'a [u8]),
    Array(Array<'a>),
}

/// Values of one type, one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Array<'a> {
    kind: Kind,
    length: usize,
    bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// The value at the cursor, behind its type.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, String> {
        match Kind::read(cursor)? {
            Kind::Array => Array::read(cursor).map(Self::Array),
            kind => Self::single(kind, cursor),
        }
    }

    fn single(kind: Kind, cursor: &mut Cursor<'a>) -> Result<Self, String> {
        Ok(match kind {
            Kind::U8 => Self::Unsigned(u8::from_le_bytes(cursor.array()?).into()),
            Kind::U16 => Self::Unsigned(u16::from_le_bytes(cursor.array()?).into()),
            Kind::U32 => Self::Unsigned(cursor.u32()?.into()),
            Kind::U64 => Self::Unsigned(cursor.u64()?),
            Kind::I8 => Self::Signed(i8::from_le_bytes(cursor.array()?).into()),
            Kind::I16 => Self::Signed(i16::from_le_bytes(cursor.array()?).into()),
            Kind::I32 => Self::Signed(i32::from_le_bytes(cursor.array()?).into()),
            Kind::I64 => Self::Signed(i64::from_le_bytes(cursor.array()?)),
            Kind::F32 => Self::Float(decimal(f32::from_le_bytes(cursor.array()?))),
            Kind::F64 => Self::Float(f64::from_le_bytes(cursor.array()?)),
            Kind::Bool => match cursor.array()? {
                [0] => Self::Bool(false),
                [1] => Self::Bool(true),
                [other] => return Err(format!("{other} is neither true, 1, nor false, 0")),
            },
            Kind::String => Self::String(cursor.string()?),
            Kind::Array => return Err("it is an array of arrays, which no key has".to_owned()),
        })
    }

    /// A whole number that is not negative.
    pub(super) fn whole(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// Any number.
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(number as f64),
            Self::Signed(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            _ => None,
        }
    }
}

/// The number that was meant: 1e-5, which no f32 is, and not 0.000009999999747378752.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

impl<'a> Array<'a> {
    /// Walks over the array, so that its elements are known to be there.
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, String> {
        let kind = Kind::read(cursor)?;
        let length = cursor.u64()?;
        let fits = length.checked_mul(kind.width() as u64).is_some_and(|bytes| bytes <= cursor.left() as u64);
        if !fits {
            return Err(format!("it should have {length} elements, but only {} bytes follow", cursor.left()));
        }
        let (length, rest) = (length as usize, cursor.rest());
        let start = cursor.position();
        match kind {
            Kind::Array => return Err("it is an array of arrays, which no key has".to_owned()),
            Kind::String => (0..length).try_for_each(|_| cursor.string().map(drop))?,
            kind => drop(cursor.take((length * kind.width()) as u64)?),
        }
        Ok(Self { kind, length, bytes: &rest[..cursor.position() - start] })
    }

    /// Its elements.
    pub(super) fn values(self) -> impl Iterator<Item = Result<Value<'a>, String>> {
        let mut cursor = Cursor::new(self.bytes);
        (0..self.length).map(move |_| Value::single(self.kind, &mut cursor))
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        match self {
            Self::Unsigned(number) => write!(formatter, "{number}"),
            Self::Signed(number) => write!(formatter, "{number}"),
            Self::Float(number) => write!(formatter, "{number}"),
            Self::Bool(value) => write!(formatter, "{value}"),
            Self::Array(array) => write!(formatter, "an array of {}", array.length),
            Self::String(bytes) => match utf8(bytes) {
                Ok(text) if text.chars().count() > SHOWN => {
                    write!(formatter, "{:?}…", text.chars().take(SHOWN).collect::<String>())
                }
                Ok(text) => write!(formatter, "{text:?}"),
                Err(_) => write!(formatter, "{} bytes that are not UTF-8", bytes.len()),
            },
        }
    }
}
