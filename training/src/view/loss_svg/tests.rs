use super::*;

type Points = [(usize, f64)];

fn picture(train: &Points, valid: &Points, floor: Option<f64>, rates: &Points) -> String {
    let curve = |points: &Points| points.iter().copied().collect::<Curve>();
    let losses =
        Losses { train: curve(train), valid: curve(valid), floor: floor.filter(|floor| floor.is_finite()) };
    super::picture("a < b", &losses, &curve(rates)).expect("it can be drawn")
}

fn curve(n: usize, loss: impl Fn(usize) -> f64) -> Vec<(usize, f64)> {
    (1..=n).map(|step| (step, loss(step))).collect()
}

#[test]
fn says_what_it_shows() {
    let train = curve(2000, |step| 2.0 + 1.0 / step as f64);
    let svg = picture(&train, &[(1000, 2.4), (2000, 2.2)], Some(1.9), &curve(2000, |_| 1e-3));
    assert!(svg.starts_with(r#"<svg width="960" height="600" viewBox="0 0 3840 2400""#), "{}", &svg[..120]);
    for text in ["a &lt; b", "training", "validation", "floor", "learning rate", "2,000", "1e-3"] {
        assert!(svg.contains(text), "no {text}");
    }
    assert!(svg.matches("<circle").count() == 3, "two evaluations and the legend's");
    assert!(svg.contains("loss in nats per token") && !svg.contains("logarithmic"));
    let steep = picture(&curve(2000, |step| 1.0 + 9.0 / step as f64), &[], None, &[]);
    assert!(steep.contains("loss in nats per token, logarithmic scale"));
}

#[test]
fn survives_runs_that_hardly_began_or_went_wrong() {
    assert!(picture(&[], &[], None, &[]).contains("no steps yet"));
    let nothing = [(1, f64::NAN), (2, f64::INFINITY)];
    assert!(picture(&nothing, &nothing, Some(f64::NAN), &nothing).contains("no steps yet"));
    for (train, valid) in
        [(vec![(1, 2.0)], vec![]), (vec![], vec![(5, 2.0)]), (vec![(0, 0.0), (1, -1.0)], vec![])]
    {
        let svg = picture(&train, &valid, None, &[(1, 0.0)]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
    let spikes = curve(500, |step| if step % 100 == 0 { 1e30 } else { 2.0 });
    assert!(!picture(&spikes, &[], Some(0.0), &[]).contains("NaN"));
}

#[test]
fn a_long_run_has_a_small_picture() {
    let long = curve(1_000_000, |step| 10.0 / (step as f64).ln_1p());
    assert!(picture(&long, &[], None, &long).len() < 300_000);
}

#[test]
fn an_unwritable_place_is_an_error_and_harms_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let history = History::default();
    loss_svg(&directory.path().join("loss.svg"), "", &history, None).expect("writable");
    assert!(loss_svg(&directory.path().join("no/loss.svg"), "", &history, None).is_err());
    let taken = directory.path().join("taken");
    std::fs::create_dir_all(taken.join("inside")).expect("writable");
    assert!(loss_svg(&taken, "", &history, None).is_err());
    assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 2, "no temporary file stays");
}
