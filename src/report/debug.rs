//! A debug run as text and as CSV.

use super::table::{Table, shorten};
use crate::debug::{AtOutput, ErrorStats, LOSS, Level, OpReport, Report, Waterfall};

/// Rows of the table on a terminal.
const MOST_ROWS: usize = 10;
/// Cells of a bar.
const BAR: usize = 12;

/// The verdict, the worst operators with bars, and what stands out; in colour if wanted.
pub fn debug(r: &Report, colour: bool) -> String {
    let paint = |text: &str, code: &str| match colour {
        true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    };
    let mut text = String::new();
    for (i, sentence) in r.verdict.iter().enumerate() {
        let sentence = clean(sentence);
        text += &match i {
            0 => paint(&sentence, "1"),
            _ => sentence,
        };
        text.push('\n');
    }
    for m in &r.metrics {
        text += &format!(
            "{}: {} (float {})\n",
            clean(&m.name),
            number(m.quantized, 4),
            number(m.float, 4)
        );
    }
    let by_output = r.at_output.is_some();
    let mut ops: Vec<&OpReport> = r.ops.iter().collect();
    ops.sort_by(|a, b| harm(b, by_output).total_cmp(&harm(a, by_output)));
    let most = ops.first().map_or(0.0, |op| harm(op, by_output));
    let mut table = Table::new(&[
        ">op",
        "operator",
        "tensor",
        "scheme",
        ">rmse/scale",
        ">local dB",
        ">so far dB",
        ">equal",
        ">alone",
        ">left float",
        "harm",
    ]);
    for op in ops.iter().take(MOST_ROWS) {
        let local = op.local.as_ref();
        let at = op.at_output;
        table.row(vec![
            op.op_index.to_string(),
            op.op_name.clone(),
            shorten(op.tensor_name.split(';').next().unwrap_or(""), 36),
            op.scheme.into(),
            number(local.and_then(|l| l.rmse_over_scale), 3),
            decibel(local),
            decibel(Some(&op.cumulative)),
            percent(op.cumulative.equal_codes),
            number(at.map(|a| a.alone_loss), 4),
            number(at.and_then(|a| a.left_float_gain), 4),
            bar(harm(op, by_output), most),
        ]);
    }
    text += &match ops.len() {
        n if n > MOST_ROWS => format!("\nthe {MOST_ROWS} worst of {n}:\n"),
        _ => "\nall, the worst first:\n".into(),
    };
    text += &match colour {
        true => table.text().replace('█', "\u{1b}[31m█\u{1b}[0m"),
        false => table.text(),
    };
    if let Some(answers) = &r.at_output {
        let (float, quantized) = (&answers.float, &answers.quantized);
        text += &format!(
            "\nat the outputs, over {} samples ({} models): loss {:.4}{}\n",
            answers.samples,
            answers.models,
            quantized.loss,
            match (quantized.agreeing, quantized.correct, float.correct) {
                (Some(a), Some(c), Some(f)) =>
                    format!(", {a} decide as float, {c} right (float {f})"),
                (Some(a), ..) => format!(", {a} decide as float"),
                _ => String::new(),
            }
        );
        if !answers.groups.is_empty() {
            text += &groups(&answers.groups);
        }
    }
    text += &details(r);
    text
}

/// What several operators do together.
fn groups(groups: &[AtOutput]) -> String {
    let mut table = Table::new(&[
        "together",
        ">work",
        ">loss alone",
        ">loss left float",
        ">gain",
        ">agree",
        ">right",
    ]);
    for g in groups {
        let left = g.left_float.as_ref();
        let count = |n: Option<usize>| n.map_or("·".into(), |n| n.to_string());
        table.row(vec![
            g.name.clone(),
            percent(Some(g.work)),
            number(Some(g.alone_loss), 4),
            number(left.map(|l| l.loss), 4),
            number(g.left_float_gain, 4),
            count(left.and_then(|l| l.agreeing)),
            count(left.and_then(|l| l.correct)),
        ]);
    }
    table.text()
}

fn details(r: &Report) -> String {
    let mut text = String::new();
    text += &sources(&r.waterfalls);
    if !r.hybrid.is_empty() {
        let mut table = Table::new(&[
            ">op",
            "operator",
            ">rows",
            ">smallest scale",
            ">median",
            ">largest",
        ]);
        for h in &r.hybrid {
            table.row(vec![
                h.op_index.to_string(),
                h.op_name.clone(),
                h.rows.to_string(),
                format!("{:.4e}", h.smallest),
                format!("{:.4e}", h.median),
                format!("{:.4e}", h.largest),
            ]);
        }
        text += "\nscales that were made as the model ran:\n";
        text += &table.text();
    }
    let wide = r.ops.iter().filter_map(|op| {
        let (factor, sample) = op.extremes?.widening();
        (factor >= 1.5).then_some((factor, sample, op))
    });
    let mut wide: Vec<_> = wide.collect();
    wide.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.op_index.cmp(&b.2.op_index)));
    for (factor, sample, op) in wide.into_iter().take(3) {
        text += &format!(
            "sample {sample} alone widens '{}' by {factor:.1}x\n",
            shorten(op.tensor_name.split(';').next().unwrap_or(""), 60)
        );
    }
    if let Some(d) = &r.decisions {
        let flips = d.flips.iter().take(3).map(|f| {
            let place = f.parts_at.and_then(|i| r.ops.get(i));
            let place =
                place.map(|op| format!(", parts at {} (operator {})", op.op_name, op.op_index));
            format!(
                "sample {}: {} ({:.2} ahead) becomes {}{}\n",
                f.sample,
                f.float_class,
                f.float_margin,
                f.quantized_class,
                place.unwrap_or_default()
            )
        });
        text += &flips.collect::<String>();
    }
    if let Some(n) = &r.numerics {
        text += &format!(
            "with {} numerics {} of {} codes differ{}\n",
            n.numerics,
            n.differing_codes,
            n.codes,
            match n.differing_predictions {
                Some(p) => format!(", and {p} of {} predictions", n.samples),
                None => String::new(),
            }
        );
    }
    text
}

/// Where errors come from: of the whole model, then of single operators.
fn sources(waterfalls: &[Waterfall]) -> String {
    let mut text = String::new();
    let (models, ops): (Vec<_>, Vec<_>) = waterfalls.iter().partition(|w| w.op_index.is_none());
    let share = |x: f64, w: &Waterfall| match w.whole > 0.0 {
        true => format!("{:.0} %", 100.0 * x / w.whole),
        false => "·".into(),
    };
    for (what, some) in [
        ("of the loss", models),
        ("of an operator's mean squared error", ops),
    ] {
        let Some(first) = some.first() else { continue };
        let mut heading = vec![format!("where it comes from, {what}"), ">whole".into()];
        heading.extend(first.parts.iter().map(|p| format!(">{}", p.source)));
        heading.push(">interaction".into());
        let mut table = Table::new(&heading);
        for w in some {
            let name = match w.op_index {
                None if w.measure == LOSS => "less without it",
                None => "made by it alone",
                Some(_) => &w.name,
            };
            let mut row = vec![name.to_owned(), format!("{:.2e}", w.whole)];
            row.extend(w.parts.iter().map(|p| share(p.error, w)));
            row.push(share(w.interaction, w));
            table.row(row);
        }
        text += "\n";
        text += &table.text();
    }
    text
}

/// By what the worst are found: the outputs, or else the local error.
fn harm(op: &OpReport, by_output: bool) -> f64 {
    match (&op.at_output, &op.local) {
        (Some(o), _) => o.alone_loss.max(o.left_float_gain.unwrap_or(0.0)),
        (None, Some(l)) if !by_output => l.sqnr_db.map_or(0.0, |db| 10f64.powf(-db / 10.0)),
        _ => 0.0,
    }
}

fn bar(x: f64, most: f64) -> String {
    let cells = if most > 0.0 {
        (x / most * BAR as f64).round() as usize
    } else {
        0
    };
    "█".repeat(cells.min(BAR))
}

fn number(x: Option<f64>, digits: usize) -> String {
    x.map_or("·".into(), |x| format!("{x:.digits$}"))
}

fn percent(x: Option<f64>) -> String {
    x.map_or("·".into(), |x| format!("{:.1} %", 100.0 * x))
}

/// Nothing where there is no error.
fn decibel(stats: Option<&ErrorStats>) -> String {
    match stats {
        None => "·".into(),
        Some(s) if s.mean_squared_error == 0.0 => "exact".into(),
        Some(s) => number(s.sqnr_db, 1),
    }
}

fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// Headings of the CSV file: those of TensorFlow's QuantizationDebugger with its definitions, then ours.
const COLUMNS: [&str; 34] = [
    "op_name",
    "tensor_idx",
    "num_elements",
    "stddev",
    "mean_error",
    "max_abs_error",
    "mean_squared_error",
    "scale",
    "zero_point",
    "tensor_name",
    "range",
    "rmse/scale",
    "op_index",
    "scheme",
    "dtype",
    "float_tensor_idx",
    "local_largest_error",
    "local_sqnr_db",
    "local_cosine",
    "local_equal_codes",
    "cumulative_stddev",
    "cumulative_mean_error",
    "cumulative_max_abs_error",
    "cumulative_mean_squared_error",
    "cumulative_rmse/scale",
    "cumulative_sqnr_db",
    "cumulative_cosine",
    "cumulative_equal_codes",
    "share_at_lowest",
    "share_at_highest",
    "codes_used",
    "alone_loss",
    "left_float_gain",
    "health",
];

/// A row a tensor. An empty cell is a figure that does not exist.
pub fn debug_csv(r: &Report) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for op in &r.ops {
        let local = op.local.as_ref();
        let of = |f: fn(&ErrorStats) -> Option<f64>| local.and_then(f);
        let far = &op.cumulative;
        let scale = op.affine.map(|a| f64::from(a.scale));
        // 8 and 16 bits have so many steps.
        let steps = if op.dtype.size() == 2 { 65535.0 } else { 255.0 };
        let findings = op.health.iter().filter(|h| h.level >= Level::Warning);
        let health: Vec<&str> = findings.map(|h| h.rule).collect();
        let used = op.codes.iter().filter(|&&n| n > 0).count();
        let cells = [
            quoted(&op.op_name),
            op.tensor.to_string(),
            far.num_elements.to_string(),
            cell(of(|s| Some(s.stddev))),
            cell(of(|s| Some(s.mean_error))),
            cell(of(|s| Some(s.max_abs_error))),
            cell(of(|s| Some(s.mean_squared_error))),
            cell(scale),
            op.affine
                .map_or(String::new(), |a| a.zero_point.to_string()),
            quoted(&op.tensor_name),
            cell(scale.map(|s| s * steps)),
            cell(of(|s| s.rmse_over_scale)),
            op.op_index.to_string(),
            op.scheme.to_owned(),
            op.dtype.name().to_owned(),
            op.float_tensor.to_string(),
            cell(of(|s| Some(s.largest_error))),
            cell(of(|s| s.sqnr_db)),
            cell(of(|s| s.cosine)),
            cell(of(|s| s.equal_codes)),
            cell(Some(far.stddev)),
            cell(Some(far.mean_error)),
            cell(Some(far.max_abs_error)),
            cell(Some(far.mean_squared_error)),
            cell(far.rmse_over_scale),
            cell(far.sqnr_db),
            cell(far.cosine),
            cell(far.equal_codes),
            cell(Some(op.at_ends[0])),
            cell(Some(op.at_ends[1])),
            if op.codes.is_empty() {
                String::new()
            } else {
                used.to_string()
            },
            cell(op.at_output.map(|a| a.alone_loss)),
            cell(op.at_output.and_then(|a| a.left_float_gain)),
            health.join(" "),
        ];
        text += &(cells.join(",") + "\n");
    }
    text
}

fn cell(x: Option<f64>) -> String {
    x.map_or(String::new(), |x| x.to_string())
}

fn quoted(text: &str) -> String {
    let text = clean(text);
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}
