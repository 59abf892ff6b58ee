//! Which tiles are fast on this very adapter: measured once, kept in a file, answered from there ever after.
//!
//! A session asks for the tiles of its products before it makes its launches. What the file does not know is measured,
//! the largest products first, until the session's budget is spent; the rest is reasoned, and left to the next session.
//! What goes wrong here ends no session, unless the device is lost; the file sees to it that this is not tried again.

mod cache;
mod measure;
#[cfg(test)]
mod tests;

use super::device::{Gpu, lock};
use super::tiles::{Key, Tile, Tiles, Wanted};
use crate::kernel::Program;
use cache::Cache;
use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How the tiles of products are chosen. The results have equal bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tuning {
    /// Measured once on a GPU and kept in the user's cache folder; by reasoning in software, which would take minutes.
    #[default]
    Auto,
    /// Measured, also in software.
    Measured,
    /// By reasoning. Nothing is read from the cache folder or written to it.
    Reasoned,
}

/// What a session may spend on measuring. The first batch of a new model shall come within two seconds, and what a
/// session is for takes the rest.
const BUDGET: Duration = Duration::from_millis(500);

/// In place of a tile: it was tried once, without an end.
const UNFINISHED: &str = "unfinished";

/// Knows the tiles of one device.
#[derive(Debug, Default)]
pub(super) struct Tuner {
    /// `None` chooses by reasoning alone.
    cache: Option<Mutex<Cache>>,
    budget: Duration,
}

impl Tuner {
    /// The tuner of a device as it was asked for.
    pub fn of(tuning: Tuning, gpu: &Gpu) -> Tuner {
        let measures = match tuning {
            Tuning::Auto => !gpu.is_software(),
            Tuning::Measured => true,
            Tuning::Reasoned => false,
        };
        if measures {
            return Tuner::new(cache::folder(), gpu, BUDGET);
        }
        Tuner::default()
    }

    /// One that measures for so long a session and keeps what it finds in a folder, or to itself.
    fn new(folder: Option<PathBuf>, gpu: &Gpu, budget: Duration) -> Tuner {
        let cache = Cache::open(folder, gpu.identity());
        Tuner {
            cache: Some(Mutex::new(cache)),
            budget,
        }
    }

    /// The tiles for the products of a program, in batches of about so many samples.
    pub fn tiles(&self, gpu: &Gpu, program: &Program, samples: usize) -> Tiles {
        match &self.cache {
            None => Tiles::reasoned(gpu.paths, samples),
            Some(cache) => self.answer(gpu, &mut lock(cache), &Wanted::all(program), samples),
        }
    }

    fn answer(&self, gpu: &Gpu, cache: &mut Cache, products: &[Wanted], samples: usize) -> Tiles {
        let mut tiles = Tiles::reasoned(gpu.paths, samples);
        let mut unknown: Vec<(Key, &Wanted, Vec<Tile>)> = Vec::new();
        for wanted in products {
            let candidates = tiles.candidates(wanted);
            let Some(key) = tiles.key(wanted).filter(|_| candidates.len() > 1) else {
                continue;
            };
            let known = cache.get(&key.to_string());
            // A name that no tile has, or not one for this product, is as good as none.
            match candidates.iter().find(|tile| Some(tile.name()) == known) {
                Some(&tile) => tiles.choose(key, tile),
                None if unknown.iter().any(|(other, ..)| *other == key) => {}
                None => unknown.push((key, wanted, candidates)),
            }
        }
        // What is not reached should be what matters least.
        unknown.sort_by_key(|(key, wanted, _)| Reverse(key.samples * wanted.multiply_adds()));
        let begin = Instant::now();
        for (i, (key, wanted, candidates)) in unknown.into_iter().enumerate() {
            let spent = begin.elapsed() >= self.budget;
            if self.budget.is_zero() || (i > 0 && spent) || cache.is_closed() {
                break;
            }
            let name = key.to_string();
            let again = cache.get(&name).as_deref() == Some(UNFINISHED);
            let alone = i == 0;
            // Beforehand: a driver that dies of what follows does so once.
            cache.set(&name, Some(candidates[0].name()));
            let found = measure::fastest(gpu, wanted, key, &candidates, begin + self.budget);
            if found.is_err() {
                cache.close();
            }
            match found {
                // What takes more than a session may spend, twice and alone, keeps what was found till then.
                Ok(found) if found.complete || (again && alone) => {
                    cache.set(&name, Some(found.tile.name()));
                    tiles.choose(key, found.tile);
                }
                Ok(_) if !again && !alone => cache.set(&name, None),
                // The device has trouble with it for the second time, or was lost: it stays reasoned.
                Err(_) if again || gpu.check().is_err() => {}
                _ => cache.set(&name, Some(UNFINISHED.to_owned())),
            }
        }
        tiles
    }
}
