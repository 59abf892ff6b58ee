//! A progress bar with rate and remaining time; silent where stderr is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `samples`.
pub fn bar(what: &str, samples: usize) -> ProgressBar {
    let bar = ProgressBar::new(samples as u64);
    let style = ProgressStyle::with_template(
        "{msg:>12} [{bar:32}] {pos}/{len} samples  {per_sec}  {eta} left",
    )
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
    }
}
