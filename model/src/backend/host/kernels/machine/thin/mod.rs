//! Products with a handful of rows, as in decoding: every weight is read once, at the speed of memory, and in
//! fewer bits there are fewer bytes to read.

mod by_column;
mod by_row;

pub(crate) use self::by_column::times_columns;
pub(crate) use self::by_row::times_rows;

/// Most rows that count as thin.
pub(crate) const MAX_ROWS: usize = 8;
