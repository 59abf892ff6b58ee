//! What `calibrate` saw, and where its time went.

use super::detail::{self, TensorDetail, number, percent};
use super::table::{Table, shorten};
use crate::kernel::{Floor, Floors, Profile, Range, Roofline};
use crate::num::histogram::Moments;

/// Statistics as a report shows them.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CalibrateReport {
    /// The run that gathered some of them just now; none if all are from files.
    #[serde(flatten)]
    pub run: Option<CalibrateRun>,
    /// Samples of all sources.
    pub samples: u64,
    /// Where they come from.
    pub sources: Vec<String>,
    /// Statistics of the tensors.
    pub tensors: Vec<SeenTensor>,
    /// Whether the samples were enough, if they were looked at one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The tensor that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<TensorDetail>,
}

/// Samples that were run just now.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CalibrateRun {
    /// Device and how it computes.
    pub device: String,
    /// Samples that it ran.
    pub gathered: usize,
    /// Seconds of the calibration.
    pub seconds: f64,
    /// Bytes of data that travel to the device for a sample.
    pub upload_bytes: u64,
    /// What the model cannot do without, a sample.
    pub floor: Floor,
    /// Where the time went, if that was asked for.
    pub profile: Option<ProfileReport>,
}

/// What was seen of one tensor.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SeenTensor {
    /// Number in the file.
    pub tensor: usize,
    /// Name in the file.
    pub name: String,
    /// Smallest and largest value.
    pub range: Range,
    /// Below which 0.1 %, 50 % and 99.9 % of the values lie, to the width of a bin; none without histograms.
    pub quantiles: Option<[f64; 3]>,
    /// How many values there were; none without histograms.
    pub values: Option<u64>,
    /// How many of them are 0; none where that was not counted.
    pub zeros: Option<u64>,
    /// Mean and standard deviation; none without histograms.
    pub moments: Option<Moments>,
    /// Each index of its last dimension, if that was asked for; empty of states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<SeenChannel>>,
}

/// What was seen of one channel of a tensor.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct SeenChannel {
    /// Smallest value.
    pub min: f32,
    /// Largest value.
    pub max: f32,
    /// Mean of its values.
    pub mean: f64,
}

/// Where the time went.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ProfileReport {
    /// Times, measured by the device.
    pub profile: Profile,
    /// Floors of the steps.
    pub floors: Floors,
    /// Operator and first output of each step.
    pub steps: Vec<String>,
    /// Limits of the device, if it can tell.
    pub roofline: Option<Roofline>,
}

/// The report as text.
pub fn calibrate(report: &CalibrateReport) -> String {
    let mut text = report.run.as_ref().map_or(String::new(), run);
    if report.run.is_none() || report.sources.len() > 1 {
        text += &format!("statistics of {} samples:\n", report.samples);
        for source in &report.sources {
            text += &format!("  {}\n", shorten(source, 200));
        }
    }
    match &report.detail {
        Some(detail) => text += &format!("\n{}", detail::detail(detail)),
        None => text += &format!("\n{}", tensors(&report.tensors)),
    }
    let detail = report.detail.as_ref();
    let shown = |t: &&SeenTensor| detail.is_none_or(|d| d.tensor == t.tensor);
    for t in report.tensors.iter().filter(shown) {
        if let Some(channels) = &t.channels {
            text += &format!("\n{}", by_channel(t, channels));
        }
    }
    if let Some(verdict) = &report.verdict {
        text += &format!("\n{verdict}\n");
    }
    if let Some((run, profile)) = report
        .run
        .as_ref()
        .and_then(|r| Some((r, r.profile.as_ref()?)))
    {
        text += &format!("\n{}", steps(profile, run.gathered));
    }
    text
}

fn run(run: &CalibrateRun) -> String {
    let rate = run.gathered as f64 / run.seconds.max(1e-9);
    let operations = run.floor.operations as f64;
    format!(
        "calibrated on {} samples in {:.2} s ({rate:.0} samples/s) on {}\n\
         a sample: {}, {}B of activations, {}B of data; {}/s\n",
        run.gathered,
        run.seconds,
        run.device,
        scaled(operations, "operation", "s"),
        si(run.floor.bytes as f64),
        si(run.upload_bytes as f64),
        scaled(operations * rate, "operation", "s"),
    )
}

fn tensors(tensors: &[SeenTensor]) -> String {
    let mut table = Table::new(&[
        ">tensor", "name", ">min", ">0.1 %", ">median", ">99.9 %", ">max", ">mean", ">std",
        ">zeros",
    ]);
    let moment = |x: Option<f64>| x.map_or("–".into(), number);
    let share = |t: &SeenTensor| match t.zeros.zip(t.values) {
        Some((zeros, values)) => percent(zeros, values),
        None => "–".into(),
    };
    for t in tensors {
        let quantile = |i: usize| t.quantiles.map_or("–".into(), |q| number(q[i]));
        table.row(vec![
            t.tensor.to_string(),
            shorten(&t.name, 48),
            number(f64::from(t.range.min)),
            quantile(0),
            quantile(1),
            quantile(2),
            number(f64::from(t.range.max)),
            moment(t.moments.map(|m| m.mean)),
            moment(t.moments.map(|m| m.deviation)),
            share(t),
        ]);
    }
    table.text()
}

fn by_channel(t: &SeenTensor, channels: &[SeenChannel]) -> String {
    let title = format!("tensor {} '{}'", t.tensor, shorten(&t.name, 80));
    if channels.is_empty() {
        return format!("{title}: a state, not looked at by channel\n");
    }
    let mut table = Table::new(&[">channel", ">min", ">mean", ">max"]);
    for (i, c) in channels.iter().enumerate() {
        table.row(vec![
            i.to_string(),
            number(c.min.into()),
            number(c.mean),
            number(c.max.into()),
        ]);
    }
    format!("{title}\n{}", table.text())
}

/// One line of the profile.
struct Line {
    what: String,
    seconds: f64,
    floor: Floor,
}

fn steps(report: &ProfileReport, samples: usize) -> String {
    let ProfileReport {
        profile,
        floors,
        steps,
        roofline,
    } = report;
    let (n, workers) = (samples.max(1) as f64, profile.workers.max(1) as f64);
    let line = |what: String, seconds, floor| Line {
        what,
        seconds,
        floor,
    };
    let mut lines = vec![line("data → inputs".into(), profile.feed, Floor::default())];
    for ((step, &seconds), &floor) in steps.iter().zip(&profile.steps).zip(&floors.steps) {
        lines.push(line(step.clone(), seconds, floor));
    }
    let statistics: f64 = profile.statistics.iter().sum();
    lines.push(line("statistics".into(), statistics, Floor::default()));
    let total: f64 = lines.iter().map(|l| l.seconds).sum();
    // Seconds that the work takes at the device's limits, and which of them it is.
    let limit = |floor: &Floor| {
        let r = roofline.as_ref()?;
        let compute = floor.operations as f64 / r.operations_per_second;
        let memory = floor.bytes as f64 / r.bytes_per_second;
        Some((
            compute.max(memory),
            if compute >= memory {
                "compute"
            } else {
                "memory"
            },
        ))
    };
    let mut table = Table::new(&[
        "operator → output",
        ">µs/sample",
        ">share",
        ">Gop/s",
        ">GB/s",
        ">floor µs",
        ">of floor",
        "bound by",
    ]);
    let dash = || "–".to_owned();
    let mut row = |what: String, seconds: f64, floor: &Floor| {
        // Threads work side by side: a sample takes its share of their time.
        let each = seconds / n / workers;
        let rate = |amount: u64| {
            let known = amount > 0 && each > 0.0;
            known.then(|| format!("{:.1}", amount as f64 / each / 1e9))
        };
        let (floor_time, bound) = match limit(floor) {
            Some((time, bound)) if time > 0.0 => (Some(time), bound.to_owned()),
            _ => (None, dash()),
        };
        table.row(vec![
            what,
            format!("{:.1}", 1e6 * each),
            format!("{:.1} %", 100.0 * seconds / total.max(1e-12)),
            rate(floor.operations).unwrap_or_else(dash),
            rate(floor.bytes).unwrap_or_else(dash),
            floor_time.map_or_else(dash, |t| format!("{:.1}", 1e6 * t)),
            // What another step's kernel computes takes no time of its own.
            floor_time
                .filter(|_| each > 0.0)
                .map_or_else(dash, |t| format!("{:.0} %", 100.0 * t / each)),
            bound,
        ]);
    };
    for l in &lines {
        row(l.what.clone(), l.seconds, &l.floor);
    }
    row("all".into(), total, &floors.total);
    let mut text = match roofline {
        Some(r) => format!(
            "where the time went; the limits of this device, measured now: {}/s, {}B/s through memory\n\
             (caches are faster than memory, so an operator can beat a floor of memory)\n\n",
            scaled(r.operations_per_second, "operation", "s"),
            si(r.bytes_per_second)
        ),
        None => "where the time went; this device does not tell its limits\n\n".to_owned(),
    };
    text += &table.text();
    text + &gap(&lines, &limit, n * workers)
}

/// A sentence about the largest distances to the floor.
fn gap(
    lines: &[Line],
    limit: &dyn Fn(&Floor) -> Option<(f64, &'static str)>,
    share: f64,
) -> String {
    let lost = |l: &Line| l.seconds / share - limit(&l.floor).map_or(0.0, |(time, _)| time);
    let mut order: Vec<&Line> = lines.iter().collect();
    order.sort_by(|a, b| lost(b).total_cmp(&lost(a)));
    let worst: Vec<String> = order
        .iter()
        .take(3)
        .map(|l| format!("{} ({:.1} µs)", l.what, 1e6 * lost(l)))
        .collect();
    format!(
        "\nmost time above the floor, a sample: {}\n",
        worst.join(", ")
    )
}

/// 1234567 as `1.23 M`.
fn si(x: f64) -> String {
    let units = ["", "k", "M", "G", "T", "P"];
    let mut at = 0;
    let mut x = x;
    while x >= 1000.0 && at + 1 < units.len() {
        x /= 1000.0;
        at += 1;
    }
    let digits = if at == 0 || x >= 100.0 { 0 } else { 2 };
    format!("{x:.digits$} {}", units[at])
}

fn scaled(x: f64, what: &str, plural: &str) -> String {
    format!("{}{what}{plural}", si(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_names_the_operator_and_what_bounds_it() {
        let floor = Floor {
            operations: 2_000_000,
            bytes: 1000,
            constant_bytes: 0,
        };
        let profile = ProfileReport {
            profile: Profile {
                workers: 2,
                feed: 0.0,
                steps: vec![0.04],
                statistics: vec![0.01],
            },
            floors: Floors {
                steps: vec![floor],
                total: floor,
            },
            steps: vec!["CONV_2D → relu".into()],
            roofline: Some(Roofline {
                operations_per_second: 2e9,
                bytes_per_second: 1e9,
            }),
        };
        let report = CalibrateReport {
            run: Some(CalibrateRun {
                device: "CPU".into(),
                gathered: 10,
                seconds: 0.5,
                upload_bytes: 4,
                floor,
                profile: Some(profile),
            }),
            samples: 10,
            sources: vec!["10 samples".into()],
            tensors: vec![SeenTensor {
                tensor: 3,
                name: "relu".into(),
                range: Range { min: 0.0, max: 6.0 },
                quantiles: Some([0.0, 0.5, 5.5]),
                values: Some(8),
                zeros: Some(2),
                moments: None,
                channels: Some(vec![SeenChannel {
                    min: 0.0,
                    max: 6.0,
                    mean: 1.25,
                }]),
            }],
            verdict: None,
            detail: None,
        };
        let text = calibrate(&report);
        // 0.04 s of two threads for ten samples: 2 ms each; the floor is 1 ms.
        assert!(text.contains("CONV_2D → relu"), "{text}");
        let line = text.lines().find(|l| l.contains("CONV_2D")).unwrap();
        let tensor = text.lines().find(|l| l.contains("relu ")).unwrap();
        assert!(
            tensor.contains("5.5000") && tensor.contains("25.000 %"),
            "{tensor}"
        );
        assert!(text.contains("0    0  1.2500  6.0000"), "{text}");
        for cell in ["2000.0", "80.0 %", "1000.0", "50 %", "compute"] {
            assert!(line.contains(cell), "{cell}: {line}");
        }
        assert!(text.contains("CONV_2D → relu (1000.0 µs)"), "{text}");
        assert!(text.contains("2.00 Moperations"), "{text}");
    }
}
