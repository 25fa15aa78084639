//! `response_format`: answers that are JSON, of a schema if one is given.

use std::sync::Arc;

use serde_json::{Value, json};

use super::app::Facts;
use super::error::{ApiError, Result};
use super::fields::{Fields, wrong};
use crate::constraint::Constraint;
use crate::json_schema::JsonSchemas;

/// The field.
const PARAM: &str = "response_format";

/// Bytes of a schema at most: a longer one takes long to make rules of.
const MOST: usize = 1 << 16;

/// Takes the form that answers are to have; text has none.
pub(super) fn take(fields: &mut Fields, facts: &Facts) -> Result<Option<Arc<dyn Constraint>>> {
    let Some(format) = fields.value(PARAM) else { return Ok(None) };
    let schema = match format["type"].as_str() {
        Some("text") => return Ok(None),
        Some("json_object") => json!({ "type": "object" }),
        Some("json_schema") => match format["json_schema"].get("schema") {
            Some(schema) => schema.clone(),
            None => return Err(ApiError::invalid(PARAM, "`response_format.json_schema.schema` is missing.")),
        },
        _ => {
            let expected = "{\"type\": \"text\"}, {\"type\": \"json_object\"} or {\"type\": \"json_schema\", \"json_schema\": …}";
            return Err(wrong(PARAM, &format, expected));
        }
    };
    of_schema(&schema, facts).map(Some)
}

fn of_schema(schema: &Value, facts: &Facts) -> Result<Arc<dyn Constraint>> {
    let length = schema.to_string().len();
    if length > MOST {
        let message = format!("The schema of `{PARAM}` has {length} bytes; at most {MOST} are possible.");
        return Err(ApiError::invalid(PARAM, message));
    }
    let refused = |error: &dyn std::fmt::Display| {
        ApiError::invalid(PARAM, format!("`{PARAM}` cannot be followed: {error}"))
    };
    let schemas = facts.schemas.get_or_init(|| JsonSchemas::new(&facts.tokenizer, &facts.ends_of_turns));
    let schemas = schemas.as_ref().map_err(|error| refused(error))?;
    schemas.constraint(schema).map_err(|error| refused(&error))
}
