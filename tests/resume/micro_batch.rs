//! Steps in parts.

use crate::common::train;
use crate::run::{begin, lines, wait};

/// `batch_size` is the meaning of a step, however many windows are computed at a time.
#[test]
fn micro_batches_change_nothing_but_rounding() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let run = |name: &str, micro_batch: &str| {
        let mut command = begin(path, name);
        command.args([
            "--set",
            "training.batch_size=6",
            "--set",
            "model.dropout=0.0",
            "--set",
            "training.steps=20",
        ]);
        command.args(["--set", &format!("training.micro_batch_size={micro_batch}")]);
        assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
        lines(&path.join(name))
    };
    let whole = run("whole", "6");
    for (name, micro_batch) in [("single", "1"), ("uneven", "4")] {
        let parts = run(name, micro_batch);
        assert_eq!(parts.len(), whole.len());
        for (a, b) in parts.iter().zip(&whole) {
            let (a, b) = (a["loss"].as_f64().expect("a loss"), b["loss"].as_f64().expect("a loss"));
            assert!((a - b).abs() / b <= 1e-5, "{name}: {a} and {b}");
        }
    }
    let sizes = ["training.batch_size=10000000", "training.micro_batch_size=10000000"];
    let refused = train(path, sizes.into_iter().flat_map(|change| ["--set", change]));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("is the largest that fits"), "{message}");
}
