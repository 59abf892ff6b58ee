//! Figures of an operator that the page colours by: what they are, and how bad a value is.
//!
//! *Severity* is 0 for a value that is as good as it gets and 1 for the worst; it decides colours and the length of bars.
//! Its scale is that of the report, but never so narrow that harmless differences look bad.

use crate::debug::{ErrorStats, Health, Level, OpReport, Report};
use crate::report::detail::number;

/// Colours from harmless to worst on a light page.
pub(super) const LIGHT: [&str; STEPS] = [
    "#e9eef3", "#fdf3d0", "#fde4a3", "#fccc71", "#f9ab4f", "#f3823d", "#e2552f", "#bf2b2b",
    "#86122a",
];
/// The same on a dark page.
pub(super) const DARK: [&str; STEPS] = [
    "#262d36", "#37332a", "#4f4126", "#6d4e20", "#8c581d", "#ae5a1f", "#cd5529", "#e9573a",
    "#ff7d6b",
];
/// Colours of a scale.
pub(super) const STEPS: usize = 9;
/// √(1/12): what rounding alone gives in steps of the scale.
const ROUNDING: f64 = 0.288_675;

/// What the graph can be coloured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    LocalSqnr,
    CumulativeSqnr,
    RmseOverScale,
    AloneLoss,
    LeftFloatGain,
    Health,
}

impl Metric {
    /// All, the first one is shown first.
    pub const ALL: [Metric; 6] = [
        Metric::LocalSqnr,
        Metric::CumulativeSqnr,
        Metric::RmseOverScale,
        Metric::AloneLoss,
        Metric::LeftFloatGain,
        Metric::Health,
    ];

    /// Its name in addresses and files.
    pub fn key(self) -> &'static str {
        match self {
            Metric::LocalSqnr => "local_sqnr",
            Metric::CumulativeSqnr => "cumulative_sqnr",
            Metric::RmseOverScale => "local_rmse",
            Metric::AloneLoss => "alone_loss",
            Metric::LeftFloatGain => "left_float_gain",
            Metric::Health => "health",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Metric::LocalSqnr => "local SQNR: what the operator itself adds",
            Metric::CumulativeSqnr => "cumulative SQNR: what has come together up to here",
            Metric::RmseOverScale => "local RMSE / scale: 0.289 is pure rounding",
            Metric::AloneLoss => "loss at the outputs where only this is quantized",
            Metric::LeftFloatGain => "loss won back where only this is left float",
            Metric::Health => "health: rules that it breaks",
        }
    }

    /// The value; infinite where there is no error at all.
    pub fn value(self, op: &OpReport) -> Option<f64> {
        let value = match self {
            Metric::LocalSqnr => op.local.as_ref().and_then(sqnr),
            Metric::CumulativeSqnr => sqnr(&op.cumulative),
            Metric::RmseOverScale => op.local.as_ref().and_then(|l| l.rmse_over_scale),
            Metric::AloneLoss => op.at_output.map(|a| a.alone_loss),
            Metric::LeftFloatGain => op.at_output.and_then(|a| a.left_float_gain),
            Metric::Health => Some(worst(op).map_or(0.0, weight)),
        };
        value.filter(|v| !v.is_nan())
    }

    /// The value with its unit; a dash where there is none.
    pub fn text(self, op: &OpReport) -> String {
        let Some(value) = self.value(op) else {
            return "–".into();
        };
        match self {
            Metric::Health => match worst(op) {
                Some(level) => word(level).into(),
                None => "fine".into(),
            },
            _ => self.figure(value),
        }
    }

    /// A value of it with its unit.
    pub fn figure(self, value: f64) -> String {
        match self {
            Metric::LocalSqnr | Metric::CumulativeSqnr => decibel(value),
            Metric::RmseOverScale => format!("{value:.3}"),
            Metric::AloneLoss | Metric::LeftFloatGain => number(value),
            Metric::Health => match value {
                v if v >= 1.0 => "bad".into(),
                v if v >= 0.5 => "warning".into(),
                v if v > 0.0 => "note".into(),
                _ => "fine".into(),
            },
        }
    }
}

/// dB; `exact` where there is no error.
pub(super) fn decibel(value: f64) -> String {
    match value {
        v if v == f64::INFINITY => "exact".into(),
        v => format!("{v:.1} dB"),
    }
}

/// SQNR, infinite where nothing differs.
pub(super) fn sqnr(stats: &ErrorStats) -> Option<f64> {
    match stats.sqnr_db {
        None if stats.mean_squared_error == 0.0 => Some(f64::INFINITY),
        other => other,
    }
}

/// What rules found fault with.
pub(super) fn faults(op: &OpReport) -> impl Iterator<Item = &Health> {
    op.health.iter().filter(|h| h.level > Level::Fine)
}

/// The worst level of what was found; none where everything is fine.
pub(super) fn worst(op: &OpReport) -> Option<Level> {
    faults(op).map(|h| h.level).max()
}

fn weight(level: Level) -> f64 {
    match level {
        Level::Fine => 0.0,
        Level::Note => 0.2,
        Level::Warning => 0.6,
        Level::Bad => 1.0,
    }
}

/// A level in a word.
pub(super) fn word(level: Level) -> &'static str {
    match level {
        Level::Fine => "fine",
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Bad => "bad",
    }
}

/// How bad values of a metric are in this report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub metric: Metric,
    good: f64,
    bad: f64,
    logarithmic: bool,
}

impl Scale {
    /// The scale of a report.
    pub fn new(metric: Metric, report: &Report) -> Scale {
        let values = report.ops.iter().filter_map(|op| metric.value(op));
        let values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        let most = values.iter().copied().fold(f64::MIN, f64::max);
        let least = values.iter().copied().fold(f64::MAX, f64::min);
        let (good, bad, logarithmic) = match metric {
            Metric::LocalSqnr | Metric::CumulativeSqnr => {
                (most.clamp(40.0, 60.0), least.min(20.0), false)
            }
            Metric::RmseOverScale => (ROUNDING, most.max(2.0), true),
            Metric::AloneLoss | Metric::LeftFloatGain => {
                // A share of the whole loss is bad even where no operator has more.
                let whole = report.at_output.as_ref().map_or(0.0, |a| a.quantized.loss);
                let bad = most.max(whole / 4.0).clamp(1e-12, f64::MAX);
                (bad / 1000.0, bad, true)
            }
            Metric::Health => (0.0, 1.0, false),
        };
        Scale {
            metric,
            good,
            bad,
            logarithmic,
        }
    }

    /// 0 is harmless, 1 the worst.
    pub fn severity(&self, value: f64) -> f64 {
        let (good, bad, value) = match self.logarithmic {
            true => (self.good.ln(), self.bad.ln(), value.max(self.good).ln()),
            false => (self.good, self.bad, value),
        };
        let part = (value - good) / (bad - good);
        // An infinite SQNR is harmless, an infinite error is not.
        if part.is_nan() {
            0.0
        } else {
            part.clamp(0.0, 1.0)
        }
    }

    /// The severity of an operator; none without a value.
    pub fn of(&self, op: &OpReport) -> Option<f64> {
        self.metric.value(op).map(|v| self.severity(v))
    }

    /// The value with this severity.
    pub fn at(&self, severity: f64) -> f64 {
        match self.logarithmic {
            true => self.good * (self.bad / self.good).powf(severity),
            false => self.good + severity * (self.bad - self.good),
        }
    }
}

/// The colour of a severity.
pub(super) fn step(severity: f64) -> usize {
    (severity * (STEPS - 1) as f64).round() as usize
}

/// How bad an operator is by everything that is known of it: the worst of all severities, but for what it inherits.
pub(super) fn overall(scales: &[Scale], op: &OpReport) -> f64 {
    let own = scales.iter().filter(|s| s.metric != Metric::CumulativeSqnr);
    own.filter_map(|s| s.of(op)).fold(0.0, f64::max)
}

/// The scales of all metrics of which the report has a value.
pub(super) fn scales(report: &Report) -> Vec<Scale> {
    let known = |m: &Metric| report.ops.iter().any(|op| m.value(op).is_some());
    let metrics = Metric::ALL.into_iter().filter(known);
    metrics.map(|m| Scale::new(m, report)).collect()
}
