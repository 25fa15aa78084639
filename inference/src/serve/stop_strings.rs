//! The strings of a request that end its texts.

use serde_json::Value;

use super::error::{ApiError, Result};
use super::fields::{Fields, wrong};

/// Strings at most.
const MOST: usize = 16;

/// Bytes of one at most: each is looked for after every token.
const LONGEST: usize = 1024;

/// Takes `stop`: a string, or a list of them.
pub(super) fn take(fields: &mut Fields) -> Result<Vec<String>> {
    let expected = format!("a string or a list of at most {MOST} of them, each of 1 to {LONGEST} bytes");
    let strings = match fields.value("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several
            .into_iter()
            .map(|one| match one {
                Value::String(text) => Ok(text),
                other => Err(wrong("stop", &other, &expected)),
            })
            .collect::<Result<Vec<_>>>()?,
        Some(other) => return Err(wrong("stop", &other, &expected)),
    };
    if strings.len() > MOST || strings.iter().any(|one| one.is_empty() || one.len() > LONGEST) {
        return Err(ApiError::invalid("stop", format!("`stop` must be {expected}.")));
    }
    Ok(strings)
}
