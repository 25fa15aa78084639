//! Rotary positions in `config.json`, in both spellings of `transformers`: `rope_parameters` since version 5, `rope_theta` and
//! `rope_scaling` before.

use serde_json::{Map, Value, json};

use crate::{Positions, Rotary, RotaryScaling};

/// A key, and what is wrong with its value.
type Problem = (&'static str, String);

/// The positions that `file` describes.
pub(super) fn read(file: &Value) -> Result<Positions, Problem> {
    let new = file.get("rope_parameters").filter(|value| !value.is_null());
    let old = file.get("rope_scaling").filter(|value| !value.is_null());
    let key = if new.is_some() { "rope_parameters" } else { "rope_scaling" };
    let parameters = new.or(old).cloned().unwrap_or_else(|| json!({}));
    let Value::Object(parameters) = &parameters else {
        return Err((key, format!("{key} = {parameters}, expected an object")));
    };
    let inner = parameters.get("rope_theta");
    let outer = file.get("rope_theta").filter(|value| !value.is_null());
    if let (Some(inner), Some(outer)) = (inner, outer)
        && inner.as_f64() != outer.as_f64()
    {
        return Err(("rope_theta", format!("rope_theta = {outer}, but {key} has {inner}")));
    }
    let theta = match inner.or(outer) {
        None => Rotary::default().theta,
        Some(theta) => {
            theta.as_f64().ok_or(("rope_theta", format!("rope_theta = {theta}, expected a number")))?
        }
    };
    for partial in [parameters.get("partial_rotary_factor"), file.get("partial_rotary_factor")] {
        if partial.is_some_and(|factor| factor.as_f64() != Some(1.0) && !factor.is_null()) {
            let reason = "that only a part of each head turns is not supported";
            return Err(("partial_rotary_factor", format!("partial_rotary_factor: {reason}")));
        }
    }
    Ok(Positions::Rotary(Rotary { theta, scaling: scaling(key, parameters)? }))
}

fn scaling(key: &'static str, parameters: &Map<String, Value>) -> Result<Option<RotaryScaling>, Problem> {
    let number = |name: &str| {
        let value = parameters.get(name);
        let number = value.and_then(Value::as_f64);
        number.ok_or_else(|| {
            let here = value.map_or("left out".to_owned(), Value::to_string);
            (key, format!("{key}.{name} is {here}, expected a number"))
        })
    };
    let kind = parameters.get("rope_type").or(parameters.get("type")).and_then(Value::as_str);
    match kind {
        None if parameters.keys().all(|name| name == "rope_theta") => Ok(None),
        Some("default") => Ok(None),
        Some("linear") => Ok(Some(RotaryScaling::Linear { factor: number("factor")? })),
        Some("llama3") => Ok(Some(RotaryScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_context_length: number("original_max_position_embeddings")? as usize,
        })),
        other => {
            let kind = other.map_or("no rope_type".to_owned(), |kind| format!("rope_type \"{kind}\""));
            Err((key, format!("{key} has {kind}; only \"default\", \"linear\" and \"llama3\" are supported")))
        }
    }
}

/// The keys of these positions, in both spellings.
pub(super) fn written(positions: &Positions) -> Vec<(&'static str, Value)> {
    let Positions::Rotary(rotary) = positions else { return Vec::new() };
    vec![
        ("rope_theta", json!(rotary.theta)),
        ("rope_scaling", json!(rotary.scaling.map(scaling_parameters))),
        ("rope_parameters", parameters(rotary)),
    ]
}

/// The value of `rope_parameters`.
pub(super) fn parameters(rotary: &Rotary) -> Value {
    let plain = || json!({ "rope_type": "default" });
    let mut parameters = rotary.scaling.map_or_else(plain, scaling_parameters);
    parameters["rope_theta"] = json!(rotary.theta);
    parameters
}

fn scaling_parameters(scaling: RotaryScaling) -> Value {
    match scaling {
        RotaryScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RotaryScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context_length } => {
            json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_context_length,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_mean_the_same_and_what_is_written_is_read() {
        let llama3 = r#"{"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192"#;
        for (old, new) in [
            (
                r#"{"rope_theta": 5e5, "rope_scaling": null}"#.to_owned(),
                r#"{"rope_theta": 5e5, "rope_type": "default"}"#.to_owned(),
            ),
            (
                r#"{"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4}}"#.to_owned(),
                r#"{"rope_theta": 5e5, "rope_type": "linear", "factor": 4.0}"#.to_owned(),
            ),
            (
                format!(r#"{{"rope_theta": 5e5, "rope_scaling": {llama3}}}}}"#),
                format!(r#"{llama3}, "rope_theta": 500000}}"#),
            ),
        ] {
            let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            let positions = read(&parse(&old)).expect("supported");
            assert_eq!(read(&json!({ "rope_parameters": parse(&new) })).expect("supported"), positions);
            let written: Map<String, Value> =
                written(&positions).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(read(&Value::Object(written)).expect("our own"), positions);
        }
        assert_eq!(read(&json!({})).expect("the default"), Positions::Rotary(Rotary::default()));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (file, word) in [
            (json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}), "\"yarn\""),
            (json!({"rope_parameters": {"full_attention": {}, "sliding_attention": {}}}), "no rope_type"),
            (json!({"rope_scaling": {"type": "linear"}}), "factor is left out"),
            (
                json!({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 2e4, "rope_type": "default"}}),
                "but",
            ),
            (json!({"partial_rotary_factor": 0.25}), "partial_rotary_factor"),
            (json!({"rope_theta": "many"}), "expected a number"),
        ] {
            let (_, reason) = read(&file).expect_err("not supported");
            assert!(reason.contains(word), "{reason}");
        }
    }
}
