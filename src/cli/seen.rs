//! What was seen of a model's tensors, just now or by a file.

use zeropoint::calibrate::StatisticsFile;
use zeropoint::graph::Graph;
use zeropoint::kernel::Range;
use zeropoint::num::Histogram;
use zeropoint::quantize::{ActivationPlan, Plan, Why};
use zeropoint::report::ChosenRange;
use zeropoint::tune::Search;

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
    /// How they were chosen by what they do to the outputs, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
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
            search: None,
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
            search: None,
        }
    }

    /// The ranges of a plan that are not all that was seen.
    pub fn chosen(&self, plan: &Plan) -> Vec<ChosenRange> {
        let one = |a: &ActivationPlan| {
            let Why::Chosen {
                method,
                low,
                high,
                min,
                max,
            } = &a.why
            else {
                return None;
            };
            let kept = Range {
                min: *low,
                max: *high,
            };
            let histogram = self.histograms.get(a.tensor).and_then(Option::as_ref);
            Some(ChosenRange {
                tensor: a.tensor,
                name: a.name.clone(),
                method: method.clone(),
                kept,
                seen: Range {
                    min: *min,
                    max: *max,
                },
                clipped: histogram.map(|h| h.outside(kept)),
            })
        };
        plan.activations.iter().filter_map(one).collect()
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
