//! Every key of the configuration with its default and its meaning, as docs/configuration.md lists them.

/// The page, whose first table is the one list of keys.
const PAGE: &str = include_str!("../../docs/configuration.md");

/// A row of the table: one key, or a few that are explained together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub section: String,
    pub keys: Vec<String>,
    pub default: String,
    pub meaning: String,
}

/// The table, row by row.
pub fn table() -> Vec<Row> {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let mut section = String::new();
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(plain);
            let mut cell = || cells.next().unwrap_or_default();
            let (named, keys, default, meaning) = (cell(), cell(), cell(), cell());
            if !named.is_empty() {
                section = named;
            }
            let keys = keys.split(", ").map(str::to_owned).collect();
            Row { section: section.clone(), keys, default, meaning }
        })
        .collect()
}

/// The sections that have a key of this name.
pub fn sections_with(key: &str) -> Vec<String> {
    table().into_iter().filter(|row| row.keys.iter().any(|name| name == key)).map(|row| row.section).collect()
}

/// A cell of a Markdown table without its markup.
fn plain(cell: &str) -> String {
    let mut text = String::new();
    for (index, part) in cell.trim().split('`').enumerate() {
        if index % 2 == 1 {
            text += part;
            continue;
        }
        // `[text](address)`: the text alone.
        for piece in part.split_inclusive(')') {
            match piece.split_once("](") {
                Some((before, _)) if piece.ends_with(')') => text += &before.replacen('[', "", 1),
                _ => text += piece,
            }
        }
    }
    // Emphasis, of which only the page makes something.
    text.replace("*tales*", "tales")
}

#[cfg(test)]
mod tests {
    use kiln_model::{GptConfig, LoraConfig};
    use toml::Table;

    use super::*;
    use crate::settings::{FinetuneSection, ModelSection, SaeSection, Settings};

    #[test]
    fn markup_is_left_out() {
        assert_eq!(plain(" file, or shards ([data.md](data.md)) "), "file, or shards (data.md)");
        assert_eq!(plain("names: `[\"wte\", \"*.bias\"]`, *tales*"), "names: [\"wte\", \"*.bias\"], tales");
    }

    #[test]
    fn every_key_is_listed_with_its_section_and_every_listed_key_exists() {
        let config = GptConfig::new(4, 4, 128);
        let settings = Settings {
            model: ModelSection::resolved(&config),
            finetune: Some(FinetuneSection::default()),
            lora: Some(LoraConfig::default()),
            sae: Some(SaeSection::default()),
            ..Settings::default()
        };
        let mut known: Vec<String> = Table::try_from(&settings)
            .expect("it can be written")
            .into_iter()
            .flat_map(|(section, keys)| {
                let keys: Vec<String> = keys.as_table().expect("a section").keys().cloned().collect();
                keys.into_iter().map(move |key| format!("{section}.{key}"))
            })
            // Left out where there is nothing to say.
            .chain(
                [
                    "model.preset",
                    "model.n_kv_heads",
                    "model.head_dim",
                    "data.path",
                    "data.format",
                    "training.freeze",
                    "lora.rank_pattern",
                    "lora.alpha_pattern",
                    "finetune.valid",
                    "finetune.test",
                ]
                .map(str::to_owned),
            )
            .collect();
        let mut listed: Vec<String> = table()
            .iter()
            .flat_map(|row| row.keys.iter().map(|key| format!("{}.{key}", row.section)))
            .collect();
        known.sort();
        known.dedup();
        listed.sort();
        assert_eq!(listed, known);
    }
}
