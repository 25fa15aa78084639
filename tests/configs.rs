//! The recipes of `configs/`, and the page that explains their keys.

mod common;

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn recipes() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("configs")).expect("the repository has recipes");
    let mut recipes: Vec<PathBuf> = folder.map(|entry| entry.expect("readable").path()).collect();
    recipes.push(root().join("Config.toml"));
    recipes
}

/// Whether the recipe is one of `kiln finetune`.
fn tunes(recipe: &Path) -> bool {
    std::fs::read_to_string(recipe).expect("readable").contains("[finetune]")
}

/// A text long enough for a window of every recipe in both splits, in the folder where its run is.
fn write_text(folder: &Path) {
    let text = "Every effort moves you a little further down the quiet road.\n".repeat(2000);
    std::fs::write(folder.join("text.txt"), text).expect("writable");
}

/// Every recipe as it stands, but for its text, the number of its steps and what it prints.
#[test]
fn every_recipe_trains() {
    for recipe in recipes().into_iter().filter(|recipe| !tunes(recipe)) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        write_text(folder.path());
        let recipe = recipe.to_str().expect("UTF-8");
        let output = common::kiln(
            folder.path(),
            ["train", "--plain", "--config", recipe, "--run-dir", "run", "--set", "data.path=text.txt"]
                .into_iter()
                .chain(["--set", "training.steps=1", "--set", "training.eval_batches=1"])
                .chain(["--set", "generation.max_tokens=1", "--set", "schedule.warmup_steps=0"]),
        );
        assert!(output.status.success(), "{recipe}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Recipes that go on from the default run do so from a small one of its kind.
#[test]
fn every_recipe_of_fine_tuning_tunes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let small =
        ["training.steps=1", "training.eval_batches=1", "data.tales_bytes=100000", "model.n_layers=1"];
    let more = ["model.d_model=32", "generation.max_tokens=1", "schedule.warmup_steps=0"];
    let changes = small.into_iter().chain(more).flat_map(|change| ["--set", change]);
    let default = ["train", "--plain", "--run-dir", "runs/tales"];
    common::stdout(&common::kiln(folder.path(), default.into_iter().chain(changes)));
    let recipes: Vec<PathBuf> = recipes().into_iter().filter(|recipe| tunes(recipe)).collect();
    assert!(!recipes.is_empty());
    for recipe in recipes {
        let recipe = recipe.to_str().expect("UTF-8");
        let few = ["--steps", "1", "--set", "data.tales_bytes=100000", "--set", "generation.max_tokens=1"];
        let tune = ["finetune", "instruct", "--plain", "--config", recipe, "--run-dir", "run"];
        common::stdout(&common::kiln(folder.path(), tune.into_iter().chain(few)));
        std::fs::remove_dir_all(folder.path().join("run")).expect("it is there");
    }
}

#[test]
fn every_key_of_a_run_is_documented() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let output = common::train(folder.path(), ["--run-dir", "run", "--set", "training.steps=1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let resolved =
        std::fs::read_to_string(folder.path().join("run/config.toml")).expect("a run has its configuration");
    let resolved: toml::Table = resolved.parse().expect("TOML");
    let page = std::fs::read_to_string(root().join("docs/configuration.md")).expect("the page is there");
    for (section, keys) in &resolved {
        assert!(
            page.contains(&format!("| `{section}` |")),
            "docs/configuration.md has no section `{section}`"
        );
        for key in keys.as_table().expect("a section").keys() {
            assert!(
                page.contains(&format!("`{key}`")),
                "docs/configuration.md does not explain `{section}.{key}`"
            );
        }
    }
}
