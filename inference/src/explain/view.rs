//! The panels by their names.

use std::fmt;
use std::str::FromStr;

/// A panel by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// `tokens`
    Tokens,
    /// `shapes`
    Shapes,
    /// `norm`
    Norm,
    /// `head`
    Head,
    /// `heads`
    Heads,
    /// `dropout`
    Dropout,
    /// `mlp`
    Mlp,
    /// `residual`
    Residual,
    /// `gradients`
    Gradients,
    /// `lens`
    Lens,
    /// `sampling`
    Sampling,
    /// `attribution`
    Attribution,
    /// `patching`
    Patching,
    /// `features`
    Features,
}

impl View {
    /// All of them, in the order in which a book would have them.
    pub const ALL: [Self; 14] = [
        Self::Tokens,
        Self::Shapes,
        Self::Norm,
        Self::Head,
        Self::Heads,
        Self::Dropout,
        Self::Mlp,
        Self::Residual,
        Self::Gradients,
        Self::Lens,
        Self::Sampling,
        Self::Attribution,
        Self::Patching,
        Self::Features,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Shapes => "shapes",
            Self::Norm => "norm",
            Self::Head => "head",
            Self::Heads => "heads",
            Self::Dropout => "dropout",
            Self::Mlp => "mlp",
            Self::Residual => "residual",
            Self::Gradients => "gradients",
            Self::Lens => "lens",
            Self::Sampling => "sampling",
            Self::Attribution => "attribution",
            Self::Patching => "patching",
            Self::Features => "features",
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for View {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|view| view.name() == name)
            .ok_or_else(|| format!("not one of {}", names()))
    }
}
