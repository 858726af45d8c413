//! The gap's distribution, and its lower bound over several queues.

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::sleep_until;

use super::*;

fn pace(min_ms: u64, max_ms: u64) -> Pace {
    Pace::new(Duration::from_millis(min_ms), Duration::from_millis(max_ms)).unwrap()
}

/// One send as the actor makes it: claim it, be ready after `ready`, leave in time, be answered after `answer`.
async fn send(pacer: &mut Pacer, pace: Pace, rng: &mut StdRng, ready: Duration, answer: Duration) -> Instant {
    if let Some(start) = pacer.start(pace) {
        sleep_until(start).await;
    }
    let claim = pacer.claim(pace, rng, Instant::now());
    tokio::time::sleep(ready).await;
    pacer.ready_after(ready);
    if let Some(not_before) = claim.not_before {
        sleep_until(not_before).await;
    }
    let sent = Instant::now();
    pacer.left(claim, sent);
    tokio::time::sleep(answer).await;
    pacer.answered(pace, Instant::now());
    sent
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_gaps_are_uniform_with_both_ends() {
    const MIN_MS: u64 = 10_000;
    const BINS: usize = 100;
    const DRAWS: usize = 100_000;
    // 99 degrees of freedom, the limit that a fair draw passes in 999 of 1,000 seeds.
    const CHI_SQUARE_LIMIT: f64 = 148.23;
    let pace = pace(MIN_MS, MIN_MS + BINS as u64 - 1);
    let mut rng = StdRng::seed_from_u64(1);
    let mut pacer = Pacer::default();
    let mut bins = [0_u32; BINS];
    let mut last = send(&mut pacer, pace, &mut rng, Duration::ZERO, Duration::ZERO).await;
    for _ in 0..DRAWS {
        let sent = send(&mut pacer, pace, &mut rng, Duration::ZERO, Duration::ZERO).await;
        let gap_ms = (sent - last).as_millis() as u64;
        bins[usize::try_from(gap_ms - MIN_MS).unwrap()] += 1;
        last = sent;
    }
    let expected = DRAWS as f64 / BINS as f64;
    let chi_square: f64 = bins
        .iter()
        .map(|n| (f64::from(*n) - expected).powi(2) / expected)
        .sum();
    assert!(chi_square < CHI_SQUARE_LIMIT, "chi square {chi_square}");
    assert!(bins[0] > 0 && bins[BINS - 1] > 0, "both ends are drawn");
}

#[tokio::test(start_paused = true)]
async fn no_two_sends_of_a_session_are_closer_than_min_whatever_queues_it_runs() {
    let queues = [pace(50, 150), pace(400, 400), pace(0, 30), pace(1000, 2000)];
    let mut rng = StdRng::seed_from_u64(2);
    let mut pacer = Pacer::default();
    let mut last: Option<Instant> = None;
    for _ in 0..20_000 {
        let queue = queues[rng.random_range(0..queues.len())];
        let ready = Duration::from_millis(rng.random_range(0..40));
        let answer = Duration::from_millis(rng.random_range(0..40));
        let sent = send(&mut pacer, queue, &mut rng, ready, answer).await;
        if let Some(last) = last {
            assert!(
                sent - last >= queue.min(),
                "gap {:?} below {:?}",
                sent - last,
                queue.min()
            );
        }
        last = Some(sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_commit_or_answer_never_shortens_the_gap_and_a_usual_one_never_stretches_it() {
    let pace = pace(100, 100);
    let mut rng = StdRng::seed_from_u64(3);
    let mut pacer = Pacer::default();
    let start = Instant::now();
    let first = send(
        &mut pacer,
        pace,
        &mut rng,
        Duration::from_millis(30),
        Duration::ZERO,
    )
    .await;
    assert_eq!(first - start, Duration::from_millis(30));
    let second = send(
        &mut pacer,
        pace,
        &mut rng,
        Duration::ZERO,
        Duration::from_millis(70),
    )
    .await;
    assert_eq!(
        second - first,
        Duration::from_millis(100),
        "counted from the commit"
    );
    let third = send(&mut pacer, pace, &mut rng, Duration::ZERO, Duration::ZERO).await;
    assert_eq!(
        third - second,
        Duration::from_millis(170),
        "the answer came 70 ms late: MIN from there"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_owner_waits_out_the_stored_gap() {
    let pace = pace(10, 20);
    let now = Instant::now();
    let pacer = Pacer::resume(Duration::from_secs(7), now);
    assert_eq!(pacer.due(pace), Some(now + Duration::from_secs(7)));
    assert_eq!(Pacer::default().due(pace), None);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_never_left_takes_no_gap() {
    let pace = pace(100, 100);
    let mut rng = StdRng::seed_from_u64(5);
    let mut pacer = Pacer::default();
    let sent = send(&mut pacer, pace, &mut rng, Duration::ZERO, Duration::ZERO).await;
    sleep_until(pacer.start(pace).unwrap()).await;
    let claim = pacer.claim(pace, &mut rng, Instant::now());
    pacer.unclaim(claim);
    assert_eq!(pacer.due(pace), Some(sent + Duration::from_millis(100)));
}

#[tokio::test(start_paused = true)]
async fn a_send_that_comes_to_nothing_late_takes_no_gap_of_another() {
    const GAP: Duration = Duration::from_millis(100);
    let pace = pace(100, 100);
    let mut rng = StdRng::seed_from_u64(6);
    let mut pacer = Pacer::default();
    let stuck = pacer.claim(pace, &mut rng, Instant::now());
    sleep_until(pacer.due(pace).unwrap()).await;
    let newer = pacer.claim(pace, &mut rng, Instant::now());
    pacer.unclaim(stuck);
    assert_eq!(
        pacer.due(pace),
        Some(Instant::now() + GAP),
        "before the newer one left"
    );
    tokio::time::sleep(Duration::from_millis(30)).await;
    pacer.left(newer, Instant::now());
    assert_eq!(pacer.due(pace), Some(Instant::now() + GAP), "and after");
    pacer.unclaim(stuck);
    assert_eq!(pacer.due(pace), Some(Instant::now() + GAP));
}

#[tokio::test(start_paused = true)]
async fn a_send_that_leaves_late_keeps_its_gap_when_a_newer_one_comes_to_nothing() {
    const GAP: Duration = Duration::from_millis(100);
    let pace = pace(100, 100);
    let mut rng = StdRng::seed_from_u64(7);
    let mut pacer = Pacer::default();
    let late = pacer.claim(pace, &mut rng, Instant::now());
    sleep_until(pacer.due(pace).unwrap()).await;
    let newer = pacer.claim(pace, &mut rng, Instant::now());
    let left = Instant::now();
    pacer.left(late, left);
    pacer.unclaim(newer);
    assert_eq!(pacer.due(pace), Some(left + GAP));
}

#[test]
fn a_pace_with_min_above_max_is_refused() {
    assert_eq!(
        Pace::new(Duration::from_millis(2), Duration::from_millis(1)),
        Err(PaceError)
    );
    let same = pace(5, 5);
    assert_eq!(same.draw(&mut StdRng::seed_from_u64(4)), Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn the_gap_of_a_queue_that_is_gone_is_that_of_the_next_one() {
    let (slow, quick) = (pace(600_000, 600_000), pace(1_000, 3_000));
    let mut rng = StdRng::seed_from_u64(5);
    let mut gaps = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let mut pacer = Pacer::default();
        let last = send(&mut pacer, slow, &mut rng, Duration::ZERO, Duration::ZERO).await;
        assert_eq!(pacer.due(quick), Some(last + Duration::from_secs(600)));
        let due = pacer.release(quick, &mut rng);
        let sent = send(&mut pacer, quick, &mut rng, Duration::ZERO, Duration::ZERO).await;
        assert_eq!(Some(sent), due);
        assert!((quick.min()..=quick.max()).contains(&(sent - last)));
        gaps.insert((sent - last).as_millis());
        assert!(
            pacer.due(quick) >= Some(sent + quick.min()),
            "the next gap is drawn as always"
        );
    }
    assert!(gaps.len() > 100, "drawn, too: {}", gaps.len());
    assert_eq!(
        Pacer::default().release(quick, &mut rng),
        None,
        "nothing to count from"
    );
    let began = Instant::now();
    let mut pacer = Pacer::resume(Duration::from_secs(600), began);
    let due = pacer.release(quick, &mut rng).unwrap();
    assert_eq!(pacer.due(quick), Some(due));
    assert!(
        (quick.min()..=quick.max()).contains(&(due - began)),
        "from when it took over"
    );
}
