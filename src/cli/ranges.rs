//! How ranges are chosen: by a method, or by a search that looks at the outputs.

use super::seen::Seen;
use super::target::{DataArguments, DeviceArguments};
use super::{Failure, progress};
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;
use zeropoint::graph::Graph;
use zeropoint::kernel::{Program, Range, Statistics};
use zeropoint::model::Model;
use zeropoint::num::Histogram;
use zeropoint::quantize::{Chosen, Options};
use zeropoint::ranges::{Choice, NAMES, UnknownMethod};
use zeropoint::tune::{self, Effort, Event};
use zeropoint::{calibrate, ranges};

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Wanted {
    /// What does best for the outputs.
    #[default]
    Auto,
    /// A method.
    Method(Choice),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Wanted, String> {
        match text {
            "auto" => Ok(Wanted::Auto),
            _ => text
                .parse()
                .map(Wanted::Method)
                .map_err(|e: UnknownMethod| match e {
                    UnknownMethod::Name(name) => {
                        format!(
                            "there is no method '{name}'; the methods are auto, {}",
                            NAMES.join(", ")
                        )
                    }
                    other => other.to_string(),
                }),
        }
    }
}

impl TryFrom<String> for Wanted {
    type Error = String;

    fn try_from(text: String) -> Result<Wanted, String> {
        text.parse()
    }
}

impl Wanted {
    /// The method, where there is no search.
    pub fn method(&self) -> Choice {
        match self {
            Wanted::Auto => Choice::default(),
            Wanted::Method(choice) => choice.clone(),
        }
    }

    /// How long to search; none without a search. `effort` is 0 to 3, if it was given.
    pub fn effort(&self, effort: Option<u8>) -> Result<Option<Effort>, Failure> {
        match (self, effort) {
            (Wanted::Method(method), Some(_)) => Err(Failure::Input(format!(
                "--effort is for the search of --method auto, and the method is {method}"
            ))),
            (Wanted::Method(_), None) | (Wanted::Auto, Some(0)) => Ok(None),
            (Wanted::Auto, Some(1)) => Ok(Some(Effort::Short)),
            (Wanted::Auto, Some(3..)) => Ok(Some(Effort::Long)),
            (Wanted::Auto, _) => Ok(Some(Effort::Usual)),
        }
    }
}

/// Runs the float model over the data.
pub fn calibrate(
    data: &DataArguments,
    device: &DeviceArguments,
    program: &Program,
    statistics: Statistics,
) -> Result<Seen, Failure> {
    let (mut set, feeds) = data.open(&program.graph)?;
    let computes = device.open()?;
    let bar = progress::bar("calibrate", set.len());
    let start = Instant::now();
    let options = calibrate::Options {
        batch: device.batch,
        statistics,
        profile: false,
    };
    let calibration =
        calibrate::gather(computes.as_ref(), program, &mut set, feeds, options, |n| {
            bar.set_position(n as u64);
        })?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    Ok(Seen {
        ranges: calibration.ranges,
        histograms: calibration.histograms,
        samples: calibration.samples as u64,
        seconds,
        device: Some(computes.name()),
        search: None,
    })
}

/// Runs the float model over the data sample by sample; the options with the averages where a method wants them.
pub fn averaged(
    data: &DataArguments,
    device: &DeviceArguments,
    program: &Program,
    options: &Options,
) -> Result<Options, Failure> {
    let graph = &program.graph;
    let (mut set, feeds) = data.open(graph)?;
    let computes = device.open()?;
    let bar = progress::bar("average", set.len());
    let samples = calibrate::each_sample(
        computes.as_ref(),
        program,
        &mut set,
        &feeds,
        device.batch,
        |n| bar.set_position(n as u64),
    )?;
    bar.finish_and_clear();
    let averages = calibrate::moving_average(&samples);
    let mut options = options.clone();
    for (id, averaged) in averages.into_iter().enumerate() {
        let node = graph.nodes.iter().position(|n| n.outputs.contains(&id));
        let method = options.method(node).clone();
        let (Some(averaged), true) = (averaged, method.needs_samples()) else {
            continue;
        };
        let each = samples.ranges[id].iter();
        let range = each.fold(Range::EMPTY, |all, &range| all.merge(range));
        let statistics = ranges::Statistics {
            range,
            // It does not look at it.
            histogram: &Histogram::new(range),
            averaged: Some(averaged),
            bits: 8,
        };
        let chosen = Chosen {
            range: method.range(&statistics),
            method: method.to_string(),
        };
        options.chosen.insert(id, chosen);
    }
    Ok(options)
}

/// Runs the float model over the data, then candidates; gives what was seen, and the options with what was found.
pub fn search(
    data: &DataArguments,
    device: &DeviceArguments,
    (float, graph, program): (&Model, &Graph, &Program),
    options: &Options,
    fixed_weights: bool,
    effort: Effort,
) -> Result<(Seen, Options), Failure> {
    let (mut set, feeds) = data.open(&program.graph)?;
    let computes = device.open()?;
    let bar = progress::bar("calibrate", set.len());
    let start = Instant::now();
    let mut seconds = 0.0;
    let mut judging = None;
    let task = tune::Task {
        float,
        graph,
        program,
        options,
        fixed_weights,
        device: computes.as_ref(),
        batch: device.batch,
        effort,
    };
    let found = tune::tune(task, &mut set, feeds, &mut |event| {
        match event {
            Event::Calibrated(n) => {
                bar.set_position(n as u64);
                seconds = start.elapsed().as_secs_f64();
            }
            Event::Judged(spent, budget, gained) => {
                let judging = judging.get_or_insert_with(|| {
                    bar.finish_and_clear();
                    stop_at_interrupts();
                    progress::bar("judge", budget)
                });
                judging.set_position(spent as u64);
                judging.set_message(format!("{gained:+.2} dB"));
            }
        }
        match INTERRUPTS.load(Ordering::Relaxed) {
            STOP => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })?;
    // Whoever interrupts from here on means it.
    INTERRUPTS.store(NOT_CAUGHT, Ordering::Relaxed);
    if let Some(judging) = judging {
        judging.finish_and_clear();
    }
    bar.finish_and_clear();
    let seen = Seen {
        ranges: found.ranges,
        histograms: found.histograms,
        samples: found.samples as u64,
        seconds,
        device: Some(computes.name()),
        search: Some(found.search),
    };
    Ok((seen, found.options))
}

/// What an interrupt does: ends the program, is waited for, was there.
static INTERRUPTS: AtomicU8 = AtomicU8::new(NOT_CAUGHT);
const NOT_CAUGHT: u8 = 0;
const CAUGHT: u8 = 1;
const STOP: u8 = 2;

/// Exit code of a program that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// The first Ctrl-C from here on ends the search, the second the program.
fn stop_at_interrupts() {
    INTERRUPTS.store(CAUGHT, Ordering::Relaxed);
    // Without a handler an interrupt ends the program, as ever.
    let _ = ctrlc::set_handler(|| {
        let swap = INTERRUPTS.compare_exchange(CAUGHT, STOP, Ordering::Relaxed, Ordering::Relaxed);
        match swap {
            Ok(_) => {
                eprintln!(
                    "stopping: what is best so far will be written; once more to end at once"
                );
            }
            Err(_) => std::process::exit(INTERRUPTED),
        }
    });
}
