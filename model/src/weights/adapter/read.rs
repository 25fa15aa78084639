//! The matrices of an adapter in its file: every name and shape is checked before one is read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{PREFIX, SCORE};
use crate::error::{Error, Result};
use crate::lora::Adapted;
use crate::weights::family::{Family, transposed};
use crate::weights::mapped::MappedFile;
use crate::weights::source::{SourceTensor, Tensors};

/// Names of the matrices `A` and `B` of a map, behind that of the map.
const PARTS: [&str; 2] = ["lora_A.weight", "lora_B.weight"];

/// Those of one adapter, checked.
pub(super) struct Matrices<'a> {
    tensors: Tensors<'a>,
    family: &'static Family,
    path: PathBuf,
    has_score: bool,
}

impl<'a> Matrices<'a> {
    /// Those of `file` for these maps; with a classifier's head, of so many features.
    pub(super) fn of(
        family: &'static Family,
        file: &'a [MappedFile],
        adapted: &[Adapted],
        classes_of: Option<usize>,
    ) -> Result<Self> {
        let path = file[0].path.clone();
        let tensors = Tensors::of(family, file, true)?;
        let matrices = Self { tensors, family, path, has_score: classes_of.is_some() };
        matrices.check(adapted, classes_of)?;
        Ok(matrices)
    }

    /// The name of a matrix as [`Tensors`] has it.
    fn name(&self, adapted: &Adapted, part: &str) -> String {
        let map = &adapted.map.name;
        format!("{}.{part}", map.strip_prefix(self.family.prefix).unwrap_or(map))
    }

    /// Compares what the adapter needs with what the file holds.
    fn check(&self, adapted: &[Adapted], classes_of: Option<usize>) -> Result<()> {
        let shapes = adapted.iter().flat_map(|adapted| {
            let shapes = [[adapted.rank, adapted.map.d_in], [adapted.map.d_out, adapted.rank]];
            PARTS.into_iter().zip(shapes).map(|(part, shape)| (self.name(adapted, part), shape))
        });
        let mut expected: BTreeSet<String> = BTreeSet::new();
        let mut problems = Vec::new();
        for (name, shape) in shapes {
            problems.extend(self.problem(&name, |found| found == shape, || format!("{shape:?}")));
            expected.insert(name);
        }
        if let Some(d_model) = classes_of {
            let fits =
                |found: &[usize]| matches!(found, [classes, width] if *classes > 0 && *width == d_model);
            problems.extend(self.problem(SCORE, fits, || format!("[classes, {d_model}]")));
            expected.insert(SCORE.to_owned());
        }
        let left_over: BTreeSet<&str> =
            self.tensors.names().filter(|name| !expected.contains(*name)).collect();
        problems.extend(left_over.iter().map(|name| format!("`{name}` belongs to nothing that is adapted")));
        refuse(&self.path, problems)
    }

    /// What is wrong with a tensor.
    fn problem(
        &self,
        name: &str,
        fits: impl Fn(&[usize]) -> bool,
        expected: impl Fn() -> String,
    ) -> Option<String> {
        let Some(tensor) = self.tensors.named(name) else { return Some(format!("`{name}` is missing")) };
        if !fits(tensor.shape()) {
            return Some(format!("`{name}` has shape {:?}, expected {}", tensor.shape(), expected()));
        }
        let found = tensor.unreadable()?;
        Some(format!("`{name}` is {found}, expected F64, F32, F16 or BF16"))
    }

    /// `A` and `B` of a map as the model has them: `[d_in, rank]` and `[rank, d_out]`.
    pub(super) fn of_map(&self, adapted: &Adapted) -> Result<(Vec<f32>, Vec<f32>)> {
        let [a, b] = PARTS.map(|part| self.values(&self.name(adapted, part)));
        Ok((transposed(&a?, adapted.map.d_in), transposed(&b?, adapted.rank)))
    }

    /// The head of a classifier, row by row.
    pub(super) fn score(&self) -> Result<Option<Vec<f32>>> {
        self.has_score.then(|| self.values(SCORE)).transpose()
    }

    fn values(&self, name: &str) -> Result<Vec<f32>> {
        let tensor: &SourceTensor<'_> = self.tensors.named(name).expect("its name was checked");
        let values = tensor.values();
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => Err(tensor.wrong(format!("`{PREFIX}…{name}` holds {} at element {at}", values[at]))),
        }
    }
}

/// One error for all problems, of which the first are told.
fn refuse(path: &Path, mut problems: Vec<String>) -> Result<()> {
    const SHOWN: usize = 8;
    if problems.is_empty() {
        return Ok(());
    }
    if problems.len() > SHOWN {
        problems.truncate(SHOWN);
        problems.push("and more".to_owned());
    }
    Err(Error::format(path, problems.join("; ")))
}
