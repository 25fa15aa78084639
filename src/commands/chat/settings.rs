//! Settings by their names.

use anyhow::{Context, Result, bail};
use kiln_inference::ChatSettings;
use serde_json::{Map, Value};

use crate::nearest::nearest;

/// Names and values, as they are shown.
pub fn list(settings: &ChatSettings) -> Result<Vec<(String, Value)>> {
    let (mut own, sampling) = parts(settings)?;
    own.remove("sampling");
    Ok(own.into_iter().chain(sampling).collect())
}

/// The same settings with one changed.
pub fn changed(settings: &ChatSettings, key: &str, text: &str) -> Result<ChatSettings> {
    let (mut own, mut sampling) = parts(settings)?;
    let value = match (key, text) {
        ("max_tokens", "-1" | "none") => Value::Null,
        ("repeat_last_n", "-1") => usize::MAX.into(),
        ("top_k", "-1") => 0.into(),
        // What is no JSON is a text without quotes.
        _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    };
    let place = match own.get_mut(key).filter(|_| key != "sampling") {
        Some(place) => place,
        None => match sampling.get_mut(key) {
            Some(place) => place,
            None => return unknown_key(settings, key),
        },
    };
    *place = value;
    own.insert("sampling".to_owned(), sampling.into());
    let changed: ChatSettings =
        serde_json::from_value(own.into()).with_context(|| format!("{key} = {text}"))?;
    changed.validate()?;
    Ok(changed)
}

/// The settings, and those of sampling among them.
fn parts(settings: &ChatSettings) -> Result<(Map<String, Value>, Map<String, Value>)> {
    let object = |value| match value {
        Value::Object(object) => object,
        _ => unreachable!("a structure is an object"),
    };
    Ok((object(serde_json::to_value(settings)?), object(serde_json::to_value(&settings.sampling)?)))
}

fn unknown_key(settings: &ChatSettings, key: &str) -> Result<ChatSettings> {
    let names: Vec<String> = list(settings)?.into_iter().map(|(name, _)| name).collect();
    match nearest(key, names.iter().map(String::as_str)) {
        Some(meant) => bail!("{key}: there is no such setting\nhint: did you mean {meant}?"),
        None => bail!("{key}: there is no such setting\nhint: there are {}, verbose", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_changes_alone() {
        let before = ChatSettings::default();
        let set = |key: &str, text: &str| changed(&before, key, text).expect("a value of its kind");
        let mut expected = before.clone();
        expected.sampling.temperature = 1.0;
        assert_eq!(set("temperature", "1"), expected);
        assert_eq!(set("max_tokens", "20").max_tokens, Some(20));
        assert_eq!(changed(&set("max_tokens", "20"), "max_tokens", "-1").expect("none"), before);
        assert_eq!(set("repeat_last_n", "-1").sampling.repeat_last_n, usize::MAX);
        assert_eq!(set("stop", r#"["\n", "x"]"#).stop, ["\n", "x"]);
        assert_eq!(set("logit_bias", "[[198, -5]]").sampling.logit_bias, [(198, -5.0)]);
    }

    #[test]
    fn a_value_of_another_kind_and_an_unknown_key_are_named() {
        for (key, text, named) in [
            ("temperature", "hot", "temperature = hot"),
            ("temperature", "-1", "temperature = -1"),
            ("top_k", "1.5", "top_k = 1.5"),
            ("seed", "-1", "seed = -1"),
            ("topk", "1", "did you mean top_k?"),
            ("sampling", "{}", "there is no such setting"),
            ("colour", "1", "presence_penalty"),
        ] {
            let error = changed(&ChatSettings::default(), key, text).expect_err("refused");
            assert!(format!("{error:#}").contains(named), "{error:#}");
        }
    }
}
