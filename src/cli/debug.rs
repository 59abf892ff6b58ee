//! `zeropoint debug`

use super::target::{DataArguments, DeviceArguments};
use super::{Failure, output, progress};
use clap::Args;
use std::path::PathBuf;
use zeropoint::debug::{self, Task};

/// Arguments of `zeropoint debug`.
#[derive(Args)]
pub struct Arguments {
    /// The float model
    float: PathBuf,
    /// The quantized model
    quantized: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    device: DeviceArguments,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (_, float) = arguments.data.load(&arguments.float)?;
    let (_, quantized) = arguments.data.load(&arguments.quantized)?;
    let (mut data, float_feeds) = arguments.data.open(&float)?;
    let (_, feeds) = arguments.data.open(&quantized)?;
    let device = arguments.device.open()?;
    let matching = debug::matching(&float, &quantized)?;
    let task = Task {
        float: &float,
        quantized: &quantized,
        float_feeds: &float_feeds,
        feeds: &feeds,
        device: device.as_ref(),
        batch: arguments.device.batch,
    };
    let bar = progress::bar("debug", data.len());
    let start = std::time::Instant::now();
    let found = debug::errors(
        task,
        &matching,
        &mut data,
        |_| Ok(()),
        |n| bar.inc(n as u64),
    )?;
    bar.finish_and_clear();
    output::note(&format!("{:.3} s", start.elapsed().as_secs_f64()));
    let questions = debug::Questions::new(task, &matching, &found, debug::Asked::All)?;
    let answers = questions.answer(&mut data, 64, 0, || {})?;
    output::note(&format!("{:.3} s", start.elapsed().as_secs_f64()));
    println!("{:?} {:?}", answers.float, answers.quantized);
    for o in answers.ops.iter().chain(&answers.groups) {
        println!(
            "{:40} {:5.1}% alone {:.4} {:?} left {:?} {:?}",
            o.name,
            o.work * 100.0,
            o.alone_loss,
            o.alone.correct,
            o.left_float_gain,
            o.left_float
        );
    }
    if arguments.json {
        return output::print_json(&found.rows);
    }
    for row in &found.rows {
        let l = row.local.stats();
        println!(
            "{:3} {:30} {:>12.6e} {:>8.4} {:>8.2} {:>8.2} {:.3}",
            row.op_index,
            row.op_name,
            l.map_or(0.0, |l| l.mean_squared_error),
            l.and_then(|l| l.rmse_over_scale).unwrap_or(0.0),
            l.and_then(|l| l.sqnr_db).unwrap_or(f64::INFINITY),
            row.cumulative.sqnr_db.unwrap_or(f64::INFINITY),
            row.cumulative.equal_codes.unwrap_or(0.0),
        );
    }
    Ok(())
}
