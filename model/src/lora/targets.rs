//! Which linear maps of a model an adapter changes.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::GptConfig;
use crate::error::{Error, Result};
use crate::weights::{LinearMap, linear_maps, usually_adapted};

/// What PEFT calls every linear map but the head.
const ALL_LINEAR: &str = "all-linear";
/// What stands for [`Targets::Usual`].
const USUAL: &str = "usual";

/// Which linear maps are adapted, by the names that the model's family has for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum Targets {
    /// Those that PEFT takes where nobody says which: `c_attn` of GPT-2, `q_proj` and `v_proj` of Llama and Qwen.
    #[default]
    Usual,
    /// All but the head.
    AllLinear,
    /// Those with one of these names, or with one that ends in it behind a point: `c_proj` is in attention and in the
    /// feed-forward network, `mlp.c_proj` only there.
    Modules(Vec<String>),
}

/// As a configuration has it: a word or a list.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    Names(Vec<String>),
}

impl From<Written> for Targets {
    fn from(written: Written) -> Self {
        match written {
            Written::Word(word) if word == ALL_LINEAR => Self::AllLinear,
            Written::Word(word) if word == USUAL => Self::Usual,
            Written::Word(name) => Self::Modules(vec![name]),
            Written::Names(names) => Self::Modules(names),
        }
    }
}

impl From<Targets> for Written {
    fn from(targets: Targets) -> Self {
        match targets {
            Targets::Usual => Self::Word(USUAL.to_owned()),
            Targets::AllLinear => Self::Word(ALL_LINEAR.to_owned()),
            Targets::Modules(names) => Self::Names(names),
        }
    }
}

/// `all-linear`, `usual`, or names with commas between them.
impl FromStr for Targets {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let written =
            if names.len() == 1 { Written::Word(names.swap_remove(0)) } else { Written::Names(names) };
        Ok(written.into())
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Written::from(self.clone()) {
            Written::Word(word) => f.write_str(&word),
            Written::Names(names) => f.write_str(&names.join(",")),
        }
    }
}

impl Targets {
    /// The names that are looked for in models of such a configuration; all of them, where it is all.
    pub(crate) fn names(&self, config: &GptConfig) -> Vec<String> {
        match self {
            Self::Usual => usually_adapted(config).iter().map(|name| (*name).to_owned()).collect(),
            Self::AllLinear => short_names(&linear_maps(config)),
            Self::Modules(names) => names.clone(),
        }
    }

    /// The linear maps that are adapted in such a model, in its order.
    ///
    /// # Errors
    ///
    /// [`Error::Lora`] for a name that no linear map has, with those that there are.
    pub(super) fn of(&self, config: &GptConfig) -> Result<Vec<LinearMap>> {
        let maps = linear_maps(config);
        let names = self.names(config);
        if let Some(unknown) = names.iter().find(|name| !maps.iter().any(|map| is_called(map, name))) {
            let reason = match unknown.as_str() {
                "" => "a name is missing".to_owned(),
                _ => {
                    format!("there is no linear map `{unknown}`; there are {}", short_names(&maps).join(", "))
                }
            };
            return Err(Error::Lora { key: "targets", value: self.to_string(), reason });
        }
        if names.is_empty() {
            let reason = "names nothing to adapt".to_owned();
            return Err(Error::Lora { key: "targets", value: "[]".to_owned(), reason });
        }
        Ok(maps.into_iter().filter(|map| names.iter().any(|name| is_called(map, name))).collect())
    }
}

/// Whether PEFT would take the map by this name.
pub(super) fn is_called(map: &LinearMap, name: &str) -> bool {
    map.name.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        && !name.is_empty()
}

/// The last parts of the maps' names, each once.
fn short_names(maps: &[LinearMap]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for map in maps {
        let name = map.name.rsplit('.').next().unwrap_or_default();
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}
