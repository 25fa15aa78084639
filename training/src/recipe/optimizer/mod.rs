//! Who is updated by what: a parameter's role decides.

mod adamw;
mod by_role;
mod muon;
mod rule;

pub use self::by_role::{ByRole, ByRoleOptimizer};
pub use self::rule::Moments;
