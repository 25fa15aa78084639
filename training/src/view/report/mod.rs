//! Runs side by side on one page: an HTML file that needs nothing else and loads nothing.

mod run;

use std::path::PathBuf;

use serde_json::json;

use self::run::Run;
use crate::error::Result;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page that compares the runs in `directories`: their losses and learning rates by step, tokens and time, their
/// samples through training, and their configurations with the differences marked.
///
/// # Errors
///
/// [`Error::NoRun`](crate::Error::NoRun) if one of them holds no run, [`Error::Io`](crate::Error::Io) if a file cannot be
/// read, [`Error::Format`](crate::Error::Format) if a configuration is not TOML.
pub fn report(directories: &[PathBuf]) -> Result<String> {
    let runs = directories.iter().map(|directory| Run::read(directory)).collect::<Result<Vec<_>>>()?;
    let title = match runs.as_slice() {
        [run] => run.name.clone(),
        runs => format!("{} runs", runs.len()),
    };
    // Inside a script element, only `<` could be taken for markup; JSON has another way to write it.
    let data = json!({ "runs": runs }).to_string().replace('<', "\\u003c");
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + SCRIPT.len() + data.len());
    for (number, part) in PAGE.split("{{").enumerate() {
        let Some((name, rest)) = part.split_once("}}").filter(|_| number > 0) else {
            page += part;
            continue;
        };
        match name {
            "title" => page += &escape(&format!("Kiln: {title}")),
            "style" => page += STYLE,
            "script" => page += SCRIPT,
            _ => page += &data,
        }
        page += rest;
    }
    Ok(page)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_carries_everything_and_cannot_be_broken_by_what_a_model_writes() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let write = |name, text: &str| std::fs::write(folder.path().join(name), text).expect("writable");
        write("config.toml", "[model]\nd_model = 64\n[data]\npath = \"<b>&\"\n");
        let mut lines = String::new();
        for step in 1..=5000 {
            let line = json!({"step": step, "split": "train", "loss": 3.0, "tokens": step * 32, "tokens_per_second": 1.0,
                "learning_rate": 1e-3, "grad_norm": null, "seconds": step});
            lines += &format!("{line}\n");
        }
        write("metrics.jsonl", &lines);
        write("samples.jsonl", "{\"step\":5000,\"text\":\"</script><script>alert(1)</script> {{data}}\"}\n");
        let page = report(&[folder.path().to_owned()]).expect("a run");
        assert!(
            !page.contains("alert(1)</script>") && page.contains("\\u003c/script>"),
            "no markup from a sample"
        );
        assert!(
            !page.contains("http://")
                || page.matches("http://").count() == page.matches("http://www.w3.org").count()
        );
        assert!(!page.contains("https://") && !page.contains("src="), "nothing is loaded");
        assert!(page.contains("\"model.d_model\":\"64\"") && page.len() < 300_000, "{}", page.len());
        assert!(report(&[folder.path().join("none")]).is_err());
    }
}
