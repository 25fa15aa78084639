//! The grid of a sweep: every combination of some values of some keys.

use anyhow::{Result, bail};

/// Values of one key: `section.key=value,value,…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimension {
    key: String,
    values: Vec<String>,
}

impl Dimension {
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text.split_once('=').filter(|(key, _)| key.contains('.'));
        let Some((key, values)) = parts else {
            bail!(
                "--grid {text}: expected SECTION.KEY=VALUE,VALUE,…\nhint: for instance `--grid optimizer.learning_rate=1e-3,3e-4`"
            );
        };
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        for (index, value) in values.iter().enumerate() {
            if value.is_empty() {
                bail!("--grid {text}: a value is empty");
            }
            if let Some(same) = values[..index].iter().find(|other| are_equal(other, value)) {
                bail!("--grid {text}: {same} and {value} are the same value");
            }
        }
        Ok(Self { key: key.trim().to_owned(), values })
    }
}

/// Whether two values are the same text or the same number.
fn are_equal(a: &str, b: &str) -> bool {
    let number = |text: &str| text.replace('_', "").parse::<f64>().ok();
    a == b || number(a).is_some_and(|a| number(b) == Some(a))
}

/// One combination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point(Vec<(String, String)>);

impl Point {
    /// `section.key=value` for each key.
    pub fn changes(&self) -> Vec<String> {
        self.0.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// A directory name that tells the combinations apart: `learning_rate=1e-3 dropout=0.1`, fit for a file system.
    pub fn name(&self) -> String {
        let part = |(key, value): &(String, String)| {
            let key = key.split_once('.').map_or(key.as_str(), |(_, key)| key);
            let harmless = |c: char| if c.is_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
            format!("{key}={}", value.chars().map(harmless).collect::<String>())
        };
        self.0.iter().map(part).collect::<Vec<_>>().join(",")
    }
}

/// All combinations; the last key changes fastest.
pub fn combinations(grid: &[Dimension]) -> Result<Vec<Point>> {
    for (index, dimension) in grid.iter().enumerate() {
        if grid[..index].iter().any(|other| other.key == dimension.key) {
            bail!("--grid {}: the key is there twice", dimension.key);
        }
    }
    let mut points = vec![Point(Vec::new())];
    for Dimension { key, values } in grid {
        points = points
            .iter()
            .flat_map(|point| {
                values.iter().map(|value| {
                    let mut longer = point.clone();
                    longer.0.push((key.clone(), value.clone()));
                    longer
                })
            })
            .collect();
    }
    let mut names: Vec<String> = points.iter().map(Point::name).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("two combinations would both be called {}", pair[0]);
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_once_with_a_name_of_its_own() {
        let grid = ["optimizer.learning_rate=1e-3,3e-4", "data.path=a/b.txt", "model.n_layers=2, 4"];
        let grid: Vec<Dimension> = grid.iter().map(|text| Dimension::parse(text).expect("valid")).collect();
        let points = combinations(&grid).expect("no key twice");
        let names: Vec<String> = points.iter().map(Point::name).collect();
        assert_eq!(
            names,
            [
                "learning_rate=1e-3,path=a_b.txt,n_layers=2",
                "learning_rate=1e-3,path=a_b.txt,n_layers=4",
                "learning_rate=3e-4,path=a_b.txt,n_layers=2",
                "learning_rate=3e-4,path=a_b.txt,n_layers=4",
            ]
        );
        assert_eq!(points[1].changes()[1..], ["data.path=a/b.txt", "model.n_layers=4"]);
    }

    #[test]
    fn mistakes_are_refused() {
        for text in ["learning_rate=1", "optimizer.learning_rate", "a.b=1,,2", "a.b=1,1", "a.b=1e-3,0.001"] {
            assert!(Dimension::parse(text).is_err(), "{text}");
        }
        let twice = ["a.b=1", "a.b=2"].map(|text| Dimension::parse(text).expect("valid"));
        assert!(combinations(&twice).is_err());
    }
}
