use std::time::Duration;

use super::*;

fn report(step: usize, loss: f64) -> StepRecord {
    StepRecord { step, loss, tokens: 100 * step as u64, ..StepRecord::default() }
}

fn evaluation(step: usize, loss: f64) -> EvaluationRecord {
    EvaluationRecord { step, loss, ..EvaluationRecord::default() }
}

fn fresh(total_steps: usize) -> Progress {
    Progress::new(RunInfo { total_steps, ..RunInfo::default() })
}

#[test]
fn speed_and_end_leave_evaluations_and_pauses_where_they_belong() {
    let mut progress = fresh(1000);
    let mut now = Instant::now();
    let mut pass = |millis| {
        now += Duration::from_millis(millis);
        now
    };
    progress.on_step_at(pass(60_000), report(1, 4.0));
    for step in 2..=101 {
        progress.on_step_at(pass(100), report(step, 3.0));
    }
    progress.set_status_at(pass(0), Status::Evaluating { done: 0, total: 2 });
    progress.set_status_at(pass(1_000), Status::Evaluating { done: 1, total: 2 });
    progress.on_evaluation_at(pass(1_000), evaluation(101, 3.5));
    progress.set_status_at(pass(0), Status::Training);
    progress.set_status_at(pass(0), Status::Paused);
    progress.set_status_at(pass(3_600_000), Status::Training);
    progress.on_step_at(pass(100), report(102, 3.0));
    assert!((progress.tokens_per_second().unwrap() - 1000.0).abs() < 1e-6);
    let eta = progress.eta().unwrap().as_secs_f64();
    assert!((eta - 89.8 * (1.0 + 2.0 / 10.1)).abs() < 1e-3, "{eta}");
    assert_eq!(progress.tokens(), 10_200);
}

#[test]
fn the_best_evaluation_is_the_lowest_finite_one() {
    let mut progress = fresh(10);
    for (step, loss) in [(1, f64::NAN), (2, 3.0), (3, 2.0), (4, 2.5), (5, f64::INFINITY)] {
        progress.on_evaluation(evaluation(step, loss));
    }
    assert_eq!(progress.best(), Some(evaluation(3, 2.0)));
    assert_eq!(progress.evaluation().map(|e| e.step), Some(5));
    assert_eq!(progress.valid().points().count(), 3);
    assert!((progress.best().unwrap().perplexity() - 2f64.exp()).abs() < 1e-12);
}

#[test]
fn every_change_has_its_own_revision() {
    let mut progress = fresh(10);
    let mut last = progress.revision();
    let changes: [&dyn Fn(&mut Progress); 5] = [
        &|p| p.on_step(report(1, f64::NAN)),
        &|p| p.on_evaluation(evaluation(1, 2.0)),
        &|p| p.on_sample(1, "text"),
        &|p| p.on_checkpoint(),
        &|p| p.set_status(Status::Saving),
    ];
    for change in changes {
        change(&mut progress);
        assert!(progress.revision() > last);
        last = progress.revision();
    }
}

#[test]
fn a_resumed_run_goes_on_where_it_was() {
    let mut progress = fresh(10);
    let steps = (1..=5).map(|step| report(step, 3.0)).collect();
    progress.resume(&History { steps, evaluations: vec![evaluation(5, 2.5)] }, 500, 2);
    assert_eq!((progress.step(), progress.tokens(), progress.fraction()), (5, 500, 0.5));
    assert_eq!(progress.skipped_steps(), 2);
    assert_eq!(progress.best(), Some(evaluation(5, 2.5)));
    progress.on_step(StepRecord { skipped: 3, ..report(6, 2.9) });
    assert_eq!(progress.skipped_steps(), 3);
    assert_eq!((progress.step(), progress.tokens(), progress.steps().loss.points().count()), (6, 600, 6));
}

#[test]
fn utilization_and_speed_are_of_the_same_steps() {
    let mut progress = fresh(1000);
    let mut now = Instant::now();
    progress.on_step_at(now, report(1, 3.0));
    assert_eq!(progress.utilization(), None);
    progress.set_peak(4000.0);
    for (steps, millis) in [(200, 200), (400, 50)] {
        for _ in 0..steps {
            now += Duration::from_millis(millis);
            progress.on_step_at(now, report(progress.step() + 1, 3.0));
            let speed = progress.tokens_per_second().expect("two steps");
            assert!((progress.utilization().expect("a peak") - speed / 4000.0).abs() < 1e-12);
        }
    }
    assert_eq!(progress.step_time(), Some(Duration::from_millis(50)));
}
