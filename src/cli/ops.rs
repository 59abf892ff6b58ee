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

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.json {
        return output::print_json(&graph::SUPPORT.as_slice());
    }
    output::print(&report::ops(&graph::SUPPORT));
    Ok(())
}
