//! Why a server gives nothing.

use std::fmt;

/// Why a file of the network cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Absence {
    /// It has not been fetched, and nothing may be fetched now.
    Offline,
    /// The server wants to know who asks; its status.
    Denied(String),
    /// Its owner wants to know who uses it; the status of the server.
    Gated(String),
    /// The server does not know it; its status.
    Unknown(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => f.write_str("not here yet"),
            Self::Denied(reason) | Self::Gated(reason) | Self::Unknown(reason) | Self::Other(reason) => {
                f.write_str(reason)
            }
        }
    }
}
