//! `calibrate --report`, `--report-tensor` and `--per-channel`: what further passes over the data tell.

use super::target::DataArguments;
use super::{Failure, progress};
use std::path::{Path, PathBuf};
use zeropoint::calibrate::{self, Channel, StatisticsFile, TensorStatistics};
use zeropoint::evaluate::growth;
use zeropoint::kernel::{Device, Program, Range};
use zeropoint::ranges::{Choice, NAMES, Statistics};
use zeropoint::report::{DetailReport, MethodRange, TensorDetail};

/// The place of the page: a folder gets a file with the model's name.
pub fn place(to: &Path, model: &Path) -> PathBuf {
    if !to.is_dir() {
        return to.to_owned();
    }
    let name = model.file_stem().unwrap_or_default();
    to.join(name).with_extension("html")
}

/// Runs the data once more, a sample at a time, and puts what it tells beside the statistics of all samples.
pub fn gather(
    device: &dyn Device,
    program: &Program,
    data: &DataArguments,
    batch: Option<usize>,
    file: &StatisticsFile,
) -> Result<DetailReport, Failure> {
    let (mut set, feeds) = data.open(&program.graph)?;
    let bar = progress::bar("samples", set.len());
    let samples = calibrate::each_sample(device, program, &mut set, &feeds, batch, |n| {
        bar.set_position(n as u64);
    })?;
    bar.finish_and_clear();
    let averages = calibrate::moving_average(&samples);
    let methods = methods();
    let seen = in_order(program).into_iter().filter_map(|(id, operator)| {
        let at = file.tensors.binary_search_by_key(&id, |t| t.tensor);
        let t = &file.tensors[at.ok()?];
        let histogram = t.histogram.as_ref()?;
        Some(TensorDetail {
            tensor: id,
            name: t.name.clone(),
            shape: t.shape.clone(),
            operator,
            range: t.range(),
            histogram: histogram.clone(),
            moments: histogram.moments(),
            methods: kept(&methods, t, averages[id]),
            growth: growth(&samples.ranges[id]),
        })
    });
    let sources: Vec<String> = file.sources.iter().map(ToString::to_string).collect();
    Ok(DetailReport {
        model: file.model.file.clone(),
        source: sources.join("; "),
        samples: samples.samples,
        tensors: seen.collect(),
    })
}

/// Runs the data once more for every channel of every tensor, by tensor number.
pub fn channels(
    device: &dyn Device,
    program: &Program,
    data: &DataArguments,
    batch: Option<usize>,
) -> Result<Vec<Vec<Channel>>, Failure> {
    let (mut set, feeds) = data.open(&program.graph)?;
    let bar = progress::bar("channels", set.len());
    let channels = calibrate::each_channel(device, program, &mut set, &feeds, batch, |n| {
        bar.set_position(n as u64);
    })?;
    bar.finish_and_clear();
    Ok(channels)
}

/// The tensor that a user means by its number or its name.
pub fn find<'a>(report: &'a DetailReport, which: &str) -> Result<&'a TensorDetail, Failure> {
    let number = which.parse::<usize>().ok();
    let tensors = || report.tensors.iter();
    if let Some(found) = tensors().find(|t| Some(t.tensor) == number) {
        return Ok(found);
    }
    let named: Vec<&TensorDetail> = tensors().filter(|t| t.name == which).collect();
    match named[..] {
        [one] => Ok(one),
        [] => Err(Failure::Input(format!(
            "--report-tensor {which}: no float tensor that is fed or computed has this name or number; `zeropoint calibrate` \
             lists them"
        ))),
        _ => Err(Failure::Input(format!(
            "--report-tensor {which}: {} tensors have this name; give a number: {}",
            named.len(),
            named
                .iter()
                .map(|t| t.tensor.to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

/// Tensors in order of execution, with what makes them.
fn in_order(program: &Program) -> Vec<(usize, String)> {
    let graph = &program.graph;
    let inputs = graph.inputs.iter().map(|&id| (id, "input".to_owned()));
    let written = program.steps.iter().flat_map(|step| {
        let name = graph.nodes[step.node].op.name();
        step.outputs.iter().map(move |&id| (id, name.to_owned()))
    });
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut seen = vec![false; graph.tensors.len()];
    for (id, operator) in inputs.chain(written) {
        if !std::mem::replace(&mut seen[id], true) {
            all.push((id, operator));
        }
    }
    all
}

/// All methods with their default parameters.
fn methods() -> Vec<Choice> {
    let names = NAMES
        .iter()
        .map(|name| name.split(':').next().unwrap_or(name));
    names.filter_map(|name| name.parse().ok()).collect()
}

/// What they keep of a tensor; those that look at samples have no answer where these were not looked at.
fn kept(methods: &[Choice], t: &TensorStatistics, averaged: Option<Range>) -> Vec<MethodRange> {
    let Some(histogram) = &t.histogram else {
        return Vec::new();
    };
    let statistics = Statistics {
        range: t.range(),
        histogram,
        averaged,
        bits: 8,
    };
    let able = methods
        .iter()
        .filter(|m| averaged.is_some() || !m.needs_samples());
    let kept = able.map(|method| MethodRange {
        method: method.to_string(),
        range: method.range(&statistics),
    });
    kept.collect()
}
