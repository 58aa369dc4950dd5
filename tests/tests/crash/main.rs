//! The broker is killed, or its power is cut, at any operation on a file; then it starts again, and everything that it
//! acknowledged must be there: once, in order, with the same bytes. With `flush.ms` alone a power cut may take what came
//! after the last sync, but of each log only its end.
//!
//! A run is decided by its seed, which a failure prints: `OTTLA_CRASH_SEED=n cargo test -p ottla-tests --test crash` runs
//! that one alone. `OTTLA_CRASHES=100000` makes it a long night.
//!
//! The broker runs in this process on a file layer that can be killed (`ottla_storage::faults`), so that a crash costs
//! milliseconds; `kill.rs` does the same to a real process.

mod life;
mod model;
mod offsets_log;
mod steps;
mod verify;

use std::panic::AssertUnwindSafe;

use life::{Ending, House};
use model::{Model, Tally};
use ottla_storage::faults::FaultyDisk;
use ottla_tests::random;
use random::Random;

/// Lives of each kind in CI. More than two thousand of all end in a crash; the others reach a clean stop.
const LIVES: u64 = 900;
const LIVES_PER_SEED: u64 = 6;

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    run_seeds(Ending::Kill);
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_cut() {
    if FaultyDisk::CUTS_POWER {
        run_seeds(Ending::PowerCut);
    }
}

/// Each log is held to its own order, so no transactions: a decision and its markers are in several logs, and a cut may
/// take the one and leave the other, as it may with Kafka.
#[test]
fn what_a_power_cut_takes_within_the_flush_interval_is_the_end_of_a_log() {
    if FaultyDisk::CUTS_POWER {
        run_seeds(Ending::PowerCutWithinInterval);
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_full_disk() {
    run_seeds(Ending::DiskFull);
}

fn run_seeds(ending: Ending) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("OTTLA_CRASH_SEED") {
        println!("{}", run(ending, seed));
        return;
    }
    let seeds = number("OTTLA_CRASHES").unwrap_or(LIVES).div_ceil(LIVES_PER_SEED);
    let mut tally = Tally::default();
    for seed in 0..seeds {
        match std::panic::catch_unwind(AssertUnwindSafe(|| run(ending, seed))) {
            Ok(of_seed) => tally.add(of_seed),
            Err(panic) => {
                println!("{ending:?}: seed {seed} fails; run it alone with OTTLA_CRASH_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{ending:?}: {seeds} seeds, {tally}");
    assert!(tally.is_worth_something(ending), "{tally}");
}

/// Several lives of one data directory.
fn run(ending: Ending, seed: u64) -> Tally {
    let mut random = Random::new(seed);
    let mut house = House::new(ending);
    let mut model = Model::default();
    for _ in 0..LIVES_PER_SEED {
        house.live(&mut random, &mut model);
        house.check(&mut model);
    }
    model.tally(LIVES_PER_SEED, house.crashes)
}
