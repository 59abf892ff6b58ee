//! A progress bar with rate and remaining time; silent where stderr is not a terminal.

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// A bar over `samples`.
pub fn bar(what: &str, samples: usize) -> ProgressBar {
    let bar = ProgressBar::new(samples as u64);
    let style = ProgressStyle::with_template(
        "{msg:>12} [{bar:32}] {pos}/{len} samples  {rate} samples/s  {eta} left",
    )
    .expect("the template is a constant that a test exercises")
    .with_key(
        "rate",
        |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            // A terminal that cannot be written to is not worth an error.
            let _ = write!(text, "{:.0}", state.per_sec());
        },
    )
    .progress_chars("=> ");
    bar.set_style(style);
    bar.set_message(what.to_owned());
    bar
}

/// A bar over models that are run.
pub fn models(what: &str, models: usize) -> ProgressBar {
    let bar = ProgressBar::new(models as u64);
    let style = ProgressStyle::with_template("{msg:>12} [{bar:32}] {pos}/{len} models  {eta} left")
        .expect("the template is a constant that a test exercises")
        .progress_chars("=> ");
    bar.set_style(style);
    bar.set_message(what.to_owned());
    bar
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_valid() {
        super::bar("calibrate", 10).inc(1);
        super::models("at the outputs", 10).inc(1);
    }
}
