//! Charts of the page, drawn by plotters. Their colours are names for the style sheet, which has others for dark pages.

use crate::debug::{Channel, ErrorStats, OpReport};
use crate::report::detail::number;
use crate::report::picture::{svg_of, unit};
use plotters::prelude::*;
use std::ops::Range;

/// Pixels of a small chart.
const SMALL: (u32, u32) = (450, 200);
/// Pixels of the chart over all operators.
const WIDE: (u32, u32) = (1240, 250);
/// What an operator itself adds.
const LOCAL: RGBColor = RGBColor(42, 120, 214);
/// What has come together.
const CUMULATIVE: RGBColor = RGBColor(235, 104, 52);
/// Counts.
const COUNTS: RGBColor = RGBColor(134, 182, 239);
/// What is at an end or beyond.
const ENDS: RGBColor = RGBColor(227, 73, 72);
/// Lines that help to read.
const HELP: RGBColor = RGBColor(150, 150, 150);
/// Errors in steps beyond this are counted together.
const MOST_STEPS: i32 = 16;

/// Local and cumulative SQNR over the operators.
pub(super) fn along(values: &[(Option<f64>, Option<f64>)]) -> String {
    let all = values.iter().flat_map(|&(a, b)| [a, b]).flatten();
    let all: Vec<f64> = all.filter(|v| v.is_finite()).collect();
    if all.is_empty() {
        return String::new();
    }
    let high = all.iter().copied().fold(f64::MIN, f64::max) + 3.0;
    let low = all.iter().copied().fold(0.0, f64::min);
    svg_of(WIDE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(22)
            .y_label_area_size(48)
            .build_cartesian_2d(-0.5..values.len() as f64 - 0.5, low..high)?;
        let label = |x: &f64| match x.fract() == 0.0 {
            true => format!("{x:.0}"),
            false => String::new(),
        };
        let decibel = |y: &f64| format!("{y:.0} dB");
        let mesh = &mut chart.configure_mesh();
        let mesh = mesh
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(HELP.mix(0.3));
        mesh.x_labels(24)
            .y_labels(6)
            .x_label_formatter(&label)
            .y_label_formatter(&decibel)
            .draw()?;
        // A line ends where a figure is missing.
        let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
        for (i, value) in values.iter().enumerate() {
            match (value.1.filter(|v| v.is_finite()), runs.last_mut()) {
                (Some(v), Some(run)) => run.push((i as f64, v)),
                _ => runs.push(Vec::new()),
            }
        }
        for run in runs {
            chart.draw_series(LineSeries::new(
                run.iter().copied(),
                CUMULATIVE.stroke_width(2),
            ))?;
            chart.draw_series(
                run.iter()
                    .map(|&at| Circle::new(at, 3, CUMULATIVE.filled())),
            )?;
        }
        let dots = values.iter().enumerate();
        let dots = dots.filter_map(|(i, v)| Some((i as f64, v.0.filter(|v| v.is_finite())?)));
        chart.draw_series(dots.map(|at| Circle::new(at, 4, LOCAL.filled())))?;
        Ok(())
    })
}

/// Elements by code; an end stands out where something is cut off.
pub(super) fn codes(op: &OpReport, clamped: [f64; 2]) -> String {
    let most = op.codes.iter().copied().max().unwrap_or(0).max(1) as f64;
    let last = op.codes.len().saturating_sub(1);
    svg_of(SMALL, |area| {
        const GROUND: f64 = 0.5;
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(52)
            .build_cartesian_2d(-130.0..130.0, (GROUND..most * 2.0).log_scale())?;
        let count = |y: &f64| match *y {
            y if y >= 1e4 => format!("{y:.0e}"),
            y => format!("{y:.0}"),
        };
        let label = |x: &f64| format!("{x:.0}");
        let mesh = &mut chart.configure_mesh();
        mesh.disable_mesh()
            .x_labels(9)
            .y_labels(5)
            .x_label_formatter(&label)
            .y_label_formatter(&count)
            .draw()?;
        let steps = op.codes.iter().enumerate().flat_map(|(i, &n)| {
            let (x, y) = (i as f64 - 128.0, (n as f64).max(GROUND));
            [(x - 0.5, y), (x + 0.5, y)]
        });
        chart.draw_series(AreaSeries::new(steps, GROUND, COUNTS.filled()))?;
        for (i, share) in [0, last].into_iter().zip(clamped) {
            if let Some(&n) = op.codes.get(i).filter(|&&n| n > 0 && share > 0.0) {
                let x = i as f64 - 128.0;
                let corners = [(x - 1.0, GROUND), (x + 1.0, n as f64)];
                chart.draw_series([Rectangle::new(corners, ENDS.filled())])?;
            }
        }
        Ok(())
    })
}

/// Shares of elements by their error in steps.
pub(super) fn steps(local: Option<&ErrorStats>, cumulative: &ErrorStats) -> String {
    let shares = |s: &ErrorStats| -> Vec<f64> {
        let all = s.steps.iter().sum::<u64>().max(1) as f64;
        s.steps.iter().map(|&n| n as f64 / all).collect()
    };
    let of_local = local.map(shares).filter(|s| !s.is_empty());
    let of_cumulative = shares(cumulative);
    if of_local.is_none() && of_cumulative.is_empty() {
        return String::new();
    }
    let end = f64::from(MOST_STEPS);
    svg_of(SMALL, |area| {
        const GROUND: f64 = 1e-6;
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(52)
            .build_cartesian_2d(-end - 1.0..end + 1.0, (GROUND..2.0).log_scale())?;
        let label = |x: &f64| match *x {
            x if x <= -end => format!("≤ {x:.0}"),
            x if x >= end => format!("≥ {x:.0}"),
            x => format!("{x:.0}"),
        };
        let part = |y: &f64| format!("{} %", 100.0 * y);
        let mesh = &mut chart.configure_mesh();
        mesh.disable_mesh()
            .x_labels(9)
            .y_labels(5)
            .x_label_formatter(&label)
            .y_label_formatter(&part)
            .draw()?;
        let points = |shares: &[f64]| -> Vec<(f64, f64)> {
            let bars = shares.iter().enumerate();
            let bars = bars.flat_map(|(i, &s)| {
                let x = i as f64 - end;
                [(x - 0.5, s.max(GROUND)), (x + 0.5, s.max(GROUND))]
            });
            bars.collect()
        };
        if let Some(shares) = &of_local {
            chart.draw_series(AreaSeries::new(
                points(shares),
                GROUND,
                LOCAL.mix(0.35).filled(),
            ))?;
        }
        chart.draw_series(LineSeries::new(
            points(&of_cumulative),
            CUMULATIVE.stroke_width(2),
        ))?;
        Ok(())
    })
}

/// Root of the mean squared error of channels, in the order in which they come.
pub(super) fn errors(channels: &[(usize, Channel)]) -> String {
    let roots: Vec<f64> = channels
        .iter()
        .map(|(_, c)| c.mean_squared_error.sqrt())
        .collect();
    let names: Vec<usize> = channels.iter().map(|c| c.0).collect();
    bars(&roots, LOCAL, &|i| {
        names.get(i).map_or(String::new(), ToString::to_string)
    })
}

/// Root of the mean squared error by time step.
pub(super) fn by_time(squares: &[f64]) -> String {
    let roots: Vec<f64> = squares.iter().map(|s| s.sqrt()).collect();
    let (axis, unit) = axis(&roots);
    let last = roots.len().saturating_sub(1).max(1) as f64;
    svg_of(SMALL, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(58)
            .build_cartesian_2d(0.0..last, axis.clone())?;
        let label = |y: &f64| number(y * unit);
        let time = |x: &f64| format!("{x:.0}");
        let mesh = &mut chart.configure_mesh();
        mesh.disable_mesh()
            .x_labels(9)
            .y_labels(5)
            .x_label_formatter(&time)
            .y_label_formatter(&label)
            .draw()?;
        let points = roots.iter().enumerate().filter(|(_, y)| y.is_finite());
        let points = points.map(|(i, y)| (i as f64, y / unit));
        chart.draw_series(LineSeries::new(points, LOCAL.stroke_width(2)))?;
        Ok(())
    })
}

fn bars(heights: &[f64], colour: RGBColor, name: &dyn Fn(usize) -> String) -> String {
    let (axis, unit) = axis(heights);
    svg_of(SMALL, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(58)
            .build_cartesian_2d(-0.5..heights.len() as f64 - 0.5, axis.clone())?;
        let label = |y: &f64| number(y * unit);
        let x_label = |x: &f64| match x.fract() == 0.0 && *x >= 0.0 {
            true => name(*x as usize),
            false => String::new(),
        };
        let mesh = &mut chart.configure_mesh();
        mesh.disable_mesh()
            .x_labels(16)
            .y_labels(5)
            .x_label_formatter(&x_label)
            .y_label_formatter(&label)
            .draw()?;
        let bar = |(i, h): (usize, &f64)| {
            let corners = [(i as f64 - 0.4, 0.0), (i as f64 + 0.4, h / unit)];
            Rectangle::new(corners, colour.filled())
        };
        let finite = heights.iter().enumerate().filter(|(_, h)| h.is_finite());
        chart.draw_series(finite.map(bar))?;
        Ok(())
    })
}

/// From 0 to above the largest, in units of a power of ten.
fn axis(values: &[f64]) -> (Range<f64>, f64) {
    let most = values
        .iter()
        .copied()
        .filter(|v| v.is_finite())
        .fold(0.0, f64::max);
    let unit = unit(most);
    (0.0..(1.1 * most / unit).max(1e-3), unit)
}

/// Ranges of channels inside the range of their tensor, which is shaded.
pub(super) fn ranges(channels: &[(usize, Channel)], whole: (f64, f64)) -> String {
    let lows = channels.iter().map(|(_, c)| c.min);
    let highs = channels.iter().map(|(_, c)| c.max);
    let low = lows.fold(whole.0, f64::min).min(0.0);
    let high = highs.fold(whole.1, f64::max).max(0.0);
    if !(low.is_finite() && high.is_finite()) {
        return String::new();
    }
    let unit = unit(high.max(-low));
    let room = (0.04 * (high - low) / unit).max(1e-3);
    svg_of(SMALL, |area| {
        let ends = low / unit - room..high / unit + room;
        let right = channels.len() as f64 - 0.5;
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(58)
            .build_cartesian_2d(-0.5..right, ends)?;
        let label = |y: &f64| number(y * unit);
        let x_label = |x: &f64| match x.fract() == 0.0 && *x >= 0.0 {
            true => channels
                .get(*x as usize)
                .map_or(String::new(), |c| c.0.to_string()),
            false => String::new(),
        };
        let mesh = &mut chart.configure_mesh();
        mesh.disable_mesh()
            .x_labels(16)
            .y_labels(5)
            .x_label_formatter(&x_label)
            .y_label_formatter(&label)
            .draw()?;
        let shared = [(-0.5, whole.0 / unit), (right, whole.1 / unit)];
        chart.draw_series([Rectangle::new(shared, HELP.mix(0.18).filled())])?;
        let bar = |(i, (_, c)): (usize, &(usize, Channel))| {
            let corners = [
                (i as f64 - 0.4, c.min / unit),
                (i as f64 + 0.4, c.max / unit),
            ];
            Rectangle::new(corners, LOCAL.filled())
        };
        chart.draw_series(channels.iter().enumerate().map(bar))?;
        Ok(())
    })
}
