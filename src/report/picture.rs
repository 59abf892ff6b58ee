//! Small pictures as SVG: a histogram with the ranges of methods, the growth of a range, bars, and points.

use super::detail::{MethodRange, columns, number};
use crate::evaluate::Growth;
use crate::num::Histogram;
use plotters::coord::Shift;
use plotters::prelude::*;

/// Pixels of a picture.
const SIZE: (u32, u32) = (620, 220);
/// Pixels of a bar and the room beside it.
const BAR: u32 = 46;
/// Columns of a histogram: what that many pixels can show.
const COLUMNS: usize = 256;
/// Colours of methods, in the order in which they are listed.
const COLOURS: [RGBColor; 9] = [
    RGBColor(0, 0, 0),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(255, 127, 14),
    RGBColor(23, 190, 207),
    RGBColor(227, 119, 194),
    RGBColor(140, 86, 75),
    RGBColor(188, 189, 34),
];
const FILL: RGBColor = RGBColor(173, 199, 232);
const EXPECTED: RGBColor = RGBColor(31, 119, 180);
const IN_ORDER: RGBColor = RGBColor(255, 127, 14);

pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// `#rrggbb` of the method at a place of the list.
pub(super) fn colour(place: usize) -> String {
    let RGBColor(r, g, b) = COLOURS[place % COLOURS.len()];
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Counts on a logarithmic axis, and two lines for the ends of each method's range.
pub(super) fn histogram(h: &Histogram, methods: &[MethodRange]) -> String {
    svg(|area| {
        let columns = columns(h, COLUMNS);
        let ends = (columns.first(), columns.last());
        let (Some(first), Some(last)) = ends else {
            return Ok(());
        };
        let unit = unit(first.from.abs().max(last.to.abs()));
        let (from, to) = (first.from / unit, last.to / unit);
        let room = 0.02 * (to - from);
        let most = columns.iter().map(|c| c.count).max().unwrap_or(1);
        let top = most.max(1) as f64 * 2.0;
        // A count of 1 stands above the ground.
        const GROUND: f64 = 0.5;
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(52)
            .build_cartesian_2d(from - room..to + room, (GROUND..top).log_scale())?;
        let mesh = &mut chart.configure_mesh();
        let mesh = mesh.disable_mesh().x_labels(9).y_labels(6);
        let x_label = |x: &f64| number(x * unit);
        let y_label = |y: &f64| format!("{y:.0}");
        let mesh = mesh.x_label_formatter(&x_label).y_label_formatter(&y_label);
        mesh.draw()?;
        let steps = columns.iter().flat_map(|c| {
            let y = (c.count as f64).max(GROUND);
            [(c.from / unit, y), (c.to / unit, y)]
        });
        chart.draw_series(AreaSeries::new(steps, GROUND, FILL.filled()))?;
        for (i, m) in methods.iter().enumerate() {
            let style = COLOURS[i % COLOURS.len()].stroke_width(1);
            for end in [m.range.min, m.range.max] {
                let x = f64::from(end) / unit;
                chart.draw_series(LineSeries::new([(x, GROUND), (x, top)], style))?;
            }
        }
        Ok(())
    })
}

/// Both ends of a range over the number of samples: on average, and in the order of the data.
pub(super) fn growth(growth: &Growth) -> String {
    svg(|area| {
        let Some(whole) = growth.points.last() else {
            return Ok(());
        };
        let (low, high) = (f64::from(whole.in_order.min), f64::from(whole.in_order.max));
        let unit = unit(high.max(-low));
        let room = 0.05 * ((high - low) / unit).max(1e-3);
        let axis = low / unit - room..high / unit + room;
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..whole.samples as f64, axis)?;
        let mesh = &mut chart.configure_mesh();
        let mesh = mesh.disable_mesh().x_labels(9).y_labels(6);
        let x_label = |x: &f64| format!("{x:.0}");
        let y_label = |y: &f64| number(y * unit);
        let mesh = mesh.x_label_formatter(&x_label).y_label_formatter(&y_label);
        mesh.draw()?;
        type End = fn(&crate::evaluate::growth::Point) -> f32;
        let lines: [(End, RGBColor); 4] = [
            (|p| p.in_order.min, IN_ORDER),
            (|p| p.in_order.max, IN_ORDER),
            (|p| p.expected.min, EXPECTED),
            (|p| p.expected.max, EXPECTED),
        ];
        for (end, colour) in lines {
            let points = growth.points.iter();
            let points = points.map(|p| (p.samples as f64, f64::from(end(p)) / unit));
            chart.draw_series(LineSeries::new(points, colour.stroke_width(1)))?;
        }
        Ok(())
    })
}

/// A bar for each value, in the colours of the list, with its text above it; none where there is no finite value.
pub(super) fn bars(values: &[Option<f64>], texts: &[String]) -> String {
    // Few bars are not to look like walls.
    let width = 64 + BAR * u32::try_from(values.len()).unwrap_or(1).clamp(3, 60);
    svg_of((width, SIZE.1), |area| {
        let finite = |v: &Option<f64>| v.filter(|x| x.is_finite());
        let heights: Vec<Option<f64>> = values.iter().map(finite).collect();
        let known = || heights.iter().flatten().copied();
        let unit = unit(known().fold(0.0, |most: f64, x| most.max(x.abs())));
        let low = known().fold(0.0, f64::min) / unit;
        let high = known().fold(0.0, f64::max) / unit;
        let room = 0.15 * (high - low).max(1e-3);
        let below = if low < 0.0 { room } else { 0.0 };
        let places = -0.6..values.len() as f64 - 0.4;
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .y_label_area_size(52)
            .build_cartesian_2d(places, low - below..high + room)?;
        let y_label = |y: &f64| number(y * unit);
        let mesh = &mut chart.configure_mesh();
        let mesh = mesh.disable_mesh().x_labels(0).y_labels(5);
        mesh.y_label_formatter(&y_label).draw()?;
        for (i, (height, text)) in heights.iter().zip(texts).enumerate() {
            let (x, top) = (i as f64, height.map_or(0.0, |h| h / unit));
            let corners = [(x - 0.35, 0.0), (x + 0.35, top)];
            let style = COLOURS[i % COLOURS.len()].mix(0.75).filled();
            chart.draw_series([Rectangle::new(corners, style)])?;
            let at = (x - 0.35, top.max(0.0) + 0.55 * room);
            let font = ("sans-serif", 11).into_font();
            chart.draw_series([Text::new(text.clone(), at, font)])?;
        }
        Ok(())
    })
}

/// Points in the colours of the list, which starts at `first`, with a number each; and a level line.
pub(super) fn points(points: &[(f64, f64)], first: usize, level: Option<f64>) -> String {
    svg(|area| {
        let ends = |values: &dyn Fn() -> Vec<f64>| {
            let all = values();
            let low = all.iter().copied().fold(f64::INFINITY, f64::min);
            let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (low, high)
        };
        let ys = || points.iter().map(|p| p.1).chain(level).collect();
        let (right, (low, high)) = (ends(&|| points.iter().map(|p| p.0).collect()).1, ends(&ys));
        if !(right.is_finite() && low.is_finite() && high.is_finite()) {
            return Ok(());
        }
        let (x_unit, y_unit) = (unit(right), unit(high.abs().max(low.abs())));
        let (low, high) = (low / y_unit, high / y_unit);
        let room = (0.12 * (high - low)).max(1e-3);
        let right = (1.08 * (right / x_unit)).max(1e-3);
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..right, low - room..high + room)?;
        let mesh = &mut chart.configure_mesh();
        let mesh = mesh.light_line_style(WHITE).x_labels(8).y_labels(6);
        let x_label = |x: &f64| format!("{:.0}", x * x_unit);
        let y_label = |y: &f64| number(y * y_unit);
        let mesh = mesh.x_label_formatter(&x_label).y_label_formatter(&y_label);
        mesh.draw()?;
        if let Some(level) = level {
            let line = [(0.0, level / y_unit), (right, level / y_unit)];
            chart.draw_series(LineSeries::new(line, IN_ORDER.stroke_width(1)))?;
        }
        for (i, &(x, y)) in points.iter().enumerate() {
            let (at, colour) = (
                (x / x_unit, y / y_unit),
                COLOURS[(first + i) % COLOURS.len()],
            );
            chart.draw_series([Circle::new(at, 5, colour.filled())])?;
            let font = ("sans-serif", 12).into_font();
            let beside = EmptyElement::at(at) + Text::new((first + i).to_string(), (8, -14), font);
            chart.draw_series([beside])?;
        }
        Ok(())
    })
}

/// The power of ten that brings a magnitude to 1 … 10: axes are not made for the smallest and largest floats.
pub(super) fn unit(magnitude: f64) -> f64 {
    if magnitude > 0.0 {
        // No power of ten is as small as the smallest double.
        10f64.powi((magnitude.log10().floor() as i32).max(-300))
    } else {
        1.0
    }
}

/// A picture; what went wrong where it could not be drawn.
fn svg(draw: impl Fn(&Area<'_>) -> Drawn) -> String {
    svg_of(SIZE, draw)
}

/// As [`svg`], in another size.
pub(super) fn svg_of(size: (u32, u32), draw: impl Fn(&Area<'_>) -> Drawn) -> String {
    let mut text = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?))
    };
    match drawn {
        Ok(()) => text,
        Err(e) => format!(
            "<p>No picture: {}</p>",
            super::page::escaped(&e.to_string())
        ),
    }
}
