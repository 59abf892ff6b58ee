//! What was seen of a model's tensors, just now or by a file.

use zeropoint::calibrate::StatisticsFile;
use zeropoint::graph::Graph;
use zeropoint::kernel::Range;
use zeropoint::num::Histogram;

/// Ranges, and where they come from.
#[derive(serde::Serialize)]
pub struct Seen {
    /// By tensor.
    pub ranges: Vec<Option<Range>>,
    /// By tensor; empty where no method asks for them.
    #[serde(skip)]
    pub histograms: Vec<Option<Histogram>>,
    /// How many.
    pub samples: u64,
    /// How long it took to gather them.
    pub seconds: f64,
    /// The device that gathered them just now; none if they are from a file.
    pub device: Option<String>,
}

impl Seen {
    /// What a file holds.
    pub fn of(file: &StatisticsFile, graph: &Graph) -> Seen {
        Seen {
            ranges: file.ranges(graph.tensors.len()),
            histograms: file.histograms(graph.tensors.len()),
            samples: file.samples,
            seconds: 0.0,
            device: None,
        }
    }

    /// No ranges.
    pub fn nothing(graph: &Graph) -> Seen {
        Seen {
            ranges: vec![None; graph.tensors.len()],
            histograms: Vec::new(),
            samples: 0,
            seconds: 0.0,
            device: None,
        }
    }

    /// In a line.
    pub fn text(&self) -> String {
        let Seen {
            samples, seconds, ..
        } = self;
        match &self.device {
            Some(device) => {
                let rate = *samples as f64 / seconds.max(1e-9);
                format!(
                    "calibrated on {samples} samples in {seconds:.2} s ({rate:.0} samples/s) on {device}"
                )
            }
            None if self.ranges.iter().all(Option::is_none) => "without data".into(),
            None => format!("with the ranges of {samples} samples"),
        }
    }
}
