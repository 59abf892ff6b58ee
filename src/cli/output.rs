//! Writing to stdout: a closed pipe ends the program quietly, as `zeropoint inspect m.tflite | head` expects.

use super::Failure;
use std::io::Write;

/// Prints text as it is.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}

/// Prints a result for machines.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Failure::Input(format!("cannot write JSON: {e}")))?;
    print(&(text + "\n"));
    Ok(())
}

/// A remark for people, on stderr.
pub fn note(text: &str) {
    eprintln!("{text}");
}
