//! `zeropoint ops`

use super::{Failure, output};
use clap::Args;
use zeropoint::{graph, report};

/// Arguments of `zeropoint ops`.
#[derive(Args)]
pub struct Arguments {
    /// For machines
    #[arg(long)]
    json: bool,
}

/// What `--json` prints of an operator.
#[derive(serde::Serialize)]
struct Row {
    #[serde(flatten)]
    row: &'static graph::OpSupport,
    int16x8: graph::Kernels,
    dynamic: graph::Kernels,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.json {
        let rows = graph::SUPPORT.iter().map(|row| Row {
            row,
            int16x8: row.int16(),
            dynamic: row.dynamic(),
        });
        return output::print_json(&rows.collect::<Vec<_>>());
    }
    output::print(&report::ops(&graph::SUPPORT));
    Ok(())
}
