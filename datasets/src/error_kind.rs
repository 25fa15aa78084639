//! What an error means to a program: whose fault it is.

use std::io::ErrorKind;

use crate::Error;

impl Error {
    /// The class of this error in the standard library's terms: `InvalidInput` for a request that cannot be
    /// met, `InvalidData` for a file's contents, the system's own for a file that could not be read or
    /// written, `Other` for what failed on the way.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } | Self::NoSpace { source, .. } => source.kind(),
            Self::Document { source, .. } => source.kind(),
            Self::NotThere { .. } => ErrorKind::NotFound,
            Self::Busy { .. } => ErrorKind::ResourceBusy,
            Self::Download { .. } | Self::Unreachable { .. } | Self::Cancelled => ErrorKind::Other,
            #[cfg(feature = "prepare")]
            Self::Example { .. } => ErrorKind::InvalidData,
            Self::NotUtf8 { .. }
            | Self::Utf16 { .. }
            | Self::Binary { .. }
            | Self::LoneSurrogate { .. }
            | Self::Record { .. }
            | Self::NoField { .. }
            | Self::CompressedParquet { .. }
            | Self::ShardVersion { .. }
            | Self::DamagedPart { .. }
            | Self::Format { .. } => ErrorKind::InvalidData,
            _ => ErrorKind::InvalidInput,
        }
    }
}
