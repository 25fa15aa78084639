//! `steering`: features and control vectors that a request turns up or down; OpenAI's interface has no such field.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::app::Facts;
use super::error::{ApiError, Result};
use super::fields::{Fields, wrong};
use crate::steer::{Steering, SteeringDial, SteeringHandle, SteeringMode, SteeringUnit};

/// The field.
const PARAM: &str = "steering";

/// Dials of a request at most.
const MOST: usize = 64;

/// Largest strength, in any unit.
const STRONGEST: f64 = 1e6;

/// Strength of a dial that does not say it: half of the stream's norm, which is where features begin to be heard.
const STRENGTH: f64 = 0.5;

/// Takes what a request turns: what it comes to, and how to tell it; nothing to tell where nothing was asked for.
pub(super) fn take(fields: &mut Fields, facts: &Facts) -> Result<(Steering, Option<Value>)> {
    let dials = match fields.value(PARAM) {
        None => return Ok((Steering::default(), None)),
        Some(Value::Array(dials)) if dials.len() <= MOST => dials,
        Some(Value::Array(dials)) => {
            let message = format!("`{PARAM}` has {} entries; at most {MOST} are possible.", dials.len());
            return Err(ApiError::invalid(PARAM, message));
        }
        Some(other) => return Err(wrong(PARAM, &other, "a list of objects")),
    };
    let dials = dials.into_iter().enumerate().map(|(index, value)| dial(index, value));
    let dials: Vec<SteeringDial> = dials.collect::<Result<_>>()?;
    let steering = facts.kit.steering(&dials).map_err(|error| ApiError::invalid(PARAM, error.to_string()))?;
    Ok((steering, Some(json!(dials))))
}

fn dial(index: usize, value: Value) -> Result<SteeringDial> {
    let param = format!("{PARAM}[{index}]");
    let Value::Object(dial) = value else { return Err(wrong(&param, &value, "an object")) };
    let mut fields = Fields::new(dial);
    let dial = of_fields(&mut fields).map_err(|error| error.within(&param))?;
    match fields.names().next() {
        // A key that is mistyped would be a strength that nobody asked for.
        Some(name) => {
            let message = format!("`{param}` has no field {name:?}.");
            Err(ApiError::invalid(&param, message))
        }
        None => Ok(dial),
    }
}

fn of_fields(fields: &mut Fields) -> Result<SteeringDial> {
    let most = u32::MAX as usize;
    let handle = match (fields.count("feature", most)?, fields.text("vector")?) {
        (Some(feature), None) => SteeringHandle::Feature(feature),
        (None, Some(vector)) => SteeringHandle::Vector(vector),
        _ => {
            let message = "One of `feature` and `vector` says what is turned.";
            return Err(ApiError::invalid("feature", message));
        }
    };
    let (mode, unit) = match handle {
        SteeringHandle::Feature(_) => (SteeringMode::Clamp, SteeringUnit::Norm),
        SteeringHandle::Vector(_) => (SteeringMode::Add, SteeringUnit::Raw),
    };
    Ok(SteeringDial {
        handle,
        mode: word(fields, "mode", "clamp, add or ablate")?.unwrap_or(mode),
        strength: fields.number("strength", -STRONGEST..=STRONGEST)?.unwrap_or(STRENGTH) as f32,
        unit: word(fields, "unit", "norm, max or raw")?.unwrap_or(unit),
        layer: fields.count("layer", most)?,
        positions: word(fields, "positions", "all, generated or active")?.unwrap_or_default(),
    })
}

/// Takes one of several words.
fn word<T: DeserializeOwned>(fields: &mut Fields, name: &str, expected: &str) -> Result<Option<T>> {
    let Some(value) = fields.value(name) else { return Ok(None) };
    serde_json::from_value(value.clone()).map(Some).map_err(|_| wrong(name, &value, expected))
}
