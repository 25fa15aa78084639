use super::*;

fn picture(train: &[(u64, f64)], valid: &[(u64, f64)], floor: Option<f64>, rates: &[(u64, f64)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("loss.svg");
    loss_svg(&path, "a < b", train, valid, floor, rates).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file stays");
    fs::read_to_string(path).unwrap()
}

fn curve(n: u64, loss: impl Fn(u64) -> f64) -> Vec<(u64, f64)> {
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
    let directory = tempfile::tempdir().unwrap();
    assert!(loss_svg(&directory.path().join("no/loss.svg"), "", &[], &[], None, &[]).is_err());
    let taken = directory.path().join("taken");
    fs::create_dir_all(taken.join("inside")).unwrap();
    assert!(loss_svg(&taken, "", &[], &[], None, &[]).is_err());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
