//! `zeropoint devices`

use super::{Failure, output};
use clap::Args;
use zeropoint::cpu::Cpu;
use zeropoint::kernel::Device;
use zeropoint::{gpu, report};

/// Arguments of `zeropoint devices`.
#[derive(Args)]
pub struct Arguments {
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (cpu, adapters) = (Cpu::new().name(), gpu::adapters());
    if arguments.json {
        return output::print_json(&serde_json::json!({ "cpu": cpu, "adapters": adapters }));
    }
    let adapters = serde_json::to_value(&adapters).map_err(|e| Failure::Input(e.to_string()))?;
    output::print(&report::devices(&cpu, &adapters));
    Ok(())
}
