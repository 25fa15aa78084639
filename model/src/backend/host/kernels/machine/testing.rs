//! What the kernels' tests share: data, comparison with an f64 reference, and runs with several numbers of
//! threads.

use super::parallel::with_team;
use super::team::Team;

/// `len` numbers in −1 .. 1 that depend on the seed alone.
pub(crate) fn random(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// The same numbers in f64.
pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Asserts that every element is within `tolerance`, relative to the largest expected magnitude (at least 1).
#[track_caller]
pub(crate) fn assert_close(got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(1.0f64, |size, w| size.max(w.abs()));
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        assert!(
            (f64::from(g) - w).abs() <= tolerance * size,
            "element {i}: got {g}, want {w} (largest {size})"
        );
    }
}

/// Runs `f` with 1, 2 and 4 threads, asserts that all bits agree, and returns the result.
#[track_caller]
pub(crate) fn on_all_threads(f: impl Fn() -> Vec<Vec<f32>> + Sync) -> Vec<Vec<f32>> {
    // Each test thread has teams of its own: a busy team would leave a loop to the calling thread.
    thread_local! {
        static TEAMS: [&'static Team; 3] = [1, 2, 4].map(Team::start);
    }
    let teams = TEAMS.with(|teams| *teams);
    let bits = |r: &[Vec<f32>]| r.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
    let first = with_team(teams[0], &f);
    for team in &teams[1..] {
        assert!(bits(&first) == bits(&with_team(team, &f)), "result depends on the number of threads");
    }
    first
}

/// A[m×k]·B[k×n] in f64, with the operands read through index functions.
pub(crate) fn product(
    (m, n, k): (usize, usize, usize),
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f64> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for p in 0..k {
            let x = f64::from(a(i, p));
            for j in 0..n {
                c[i * n + j] += x * f64::from(b(p, j));
            }
        }
    }
    c
}

/// The central difference of `loss` along element `i` of `x`.
pub(crate) fn numerical_gradient(x: &[f32], i: usize, step: f64, loss: impl Fn(&[f64]) -> f64) -> f64 {
    let mut x = wide(x);
    let centre = x[i];
    x[i] = centre + step;
    let above = loss(&x);
    x[i] = centre - step;
    (above - loss(&x)) / (2.0 * step)
}
