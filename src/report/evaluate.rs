//! Scores of several models side by side.

use super::quantize::ModelSize;
use super::table::{Table, grouped, shorten};
use crate::evaluate::Metrics;

/// Largest confusion matrix that is worth printing.
const PRINTED_CLASSES: usize = 20;

/// One model's result.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Evaluation {
    /// The model.
    #[serde(flatten)]
    pub size: ModelSize,
    /// Its scores.
    pub metrics: Metrics,
}

/// All tables: scores side by side, then classes and confusion for each model if there are few classes.
pub fn evaluate(device: &str, models: &[Evaluation], names: Option<&[String]>) -> String {
    let samples = models.first().map_or(0, |m| m.metrics.samples);
    let mut text = format!("{samples} samples on {device}\n\n");
    let heading: Vec<String> = std::iter::once(String::new())
        .chain(
            models
                .iter()
                .map(|m| format!(">{}", shorten(&m.size.file, 40))),
        )
        .collect();
    let mut table = Table::new(&heading);
    let mut line = |name: &str, value: &dyn Fn(&Metrics) -> Option<f64>| {
        if models.iter().any(|m| value(&m.metrics).is_some()) {
            let cell = |m: &Evaluation| {
                value(&m.metrics).map_or_else(|| "–".into(), |v| format!("{v:.4}"))
            };
            table.row(
                std::iter::once(name.into())
                    .chain(models.iter().map(cell))
                    .collect(),
            );
        }
    };
    line("accuracy", &|m| Some(m.accuracy));
    line("top-5 accuracy", &|m| m.top5_accuracy);
    line("precision (macro)", &|m| Some(m.macro_precision));
    line("recall (macro)", &|m| Some(m.macro_recall));
    line("F1 (macro)", &|m| Some(m.macro_f1));
    line("balanced accuracy", &|m| Some(m.balanced_accuracy));
    line("Cohen's kappa", &|m| m.kappa);
    let cells = |f: &dyn Fn(&Evaluation) -> String| models.iter().map(f).collect::<Vec<_>>();
    table.row([vec!["bytes".into()], cells(&|m| grouped(m.size.bytes))].concat());
    let mut types: Vec<&String> = models.iter().flat_map(|m| m.size.tensors.keys()).collect();
    types.sort_unstable();
    types.dedup();
    for name in types {
        let count = |m: &Evaluation| m.size.tensors.get(name).copied().unwrap_or(0).to_string();
        table.row([vec![format!("tensors {name}")], cells(&count)].concat());
    }
    text += &table.text();
    for model in models {
        if model.metrics.per_class.len() <= PRINTED_CLASSES {
            text += &format!("\n{}\n", model.size.file);
            text += &classes(&model.metrics, names);
        }
    }
    text
}

/// The classes of one model with their row of the confusion matrix.
fn classes(metrics: &Metrics, names: Option<&[String]>) -> String {
    let name = |class: usize| {
        names
            .and_then(|n| n.get(class))
            .cloned()
            .unwrap_or_else(|| class.to_string())
    };
    let seen: Vec<usize> = metrics.per_class.iter().map(|c| c.class).collect();
    let heading: Vec<String> = [
        "class",
        ">support",
        ">precision",
        ">recall",
        ">F1",
        "  predicted:",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(seen.iter().map(|&c| format!(">{}", name(c))))
    .collect();
    let mut table = Table::new(&heading);
    for class in &metrics.per_class {
        let mut row = vec![
            name(class.class),
            class.support.to_string(),
            format!("{:.3}", class.precision),
            format!("{:.3}", class.recall),
            format!("{:.3}", class.f1),
            String::new(),
        ];
        row.extend(seen.iter().map(|&predicted| {
            let cells = &metrics.confusion.cells;
            let cell = cells
                .iter()
                .find(|c| c.class == class.class && c.predicted == predicted);
            cell.map_or_else(|| "·".into(), |c| c.count.to_string())
        }));
        table.row(row);
    }
    table.text()
}
