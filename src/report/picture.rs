//! Small pictures as SVG: a histogram with the ranges of methods, and the growth of a range.

use super::detail::{MethodRange, columns, number};
use crate::evaluate::Growth;
use crate::num::Histogram;
use plotters::coord::Shift;
use plotters::prelude::*;

/// Pixels of a picture.
const SIZE: (u32, u32) = (620, 220);
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
    svg(SIZE, |area| {
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
    svg(SIZE, |area| {
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

/// The power of ten that brings a magnitude to 1 … 10: axes are not made for the smallest and largest floats.
pub(super) fn unit(magnitude: f64) -> f64 {
    if magnitude > 0.0 {
        10f64.powi(magnitude.log10().floor() as i32)
    } else {
        1.0
    }
}

/// A picture; what went wrong where it could not be drawn.
pub(super) fn svg(size: (u32, u32), draw: impl Fn(&Area<'_>) -> Drawn) -> String {
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
