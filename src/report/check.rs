//! What `check` found.

use super::table::Table;
use crate::check::{Finding, Severity};

/// What breaks a rule, or that nothing does; then what is worth a note.
pub fn check(file: &str, findings: &[Finding]) -> String {
    let of = |severity| findings.iter().filter(move |f| f.severity == severity);
    let mut text = match of(Severity::Error).next() {
        Some(_) => format!("{file}\n\n{}", table(of(Severity::Error))),
        None => format!("{file}: nothing breaks a rule\n"),
    };
    if of(Severity::Note).next().is_some() {
        text += &format!("\nworth a note\n\n{}", table(of(Severity::Note)));
    }
    text
}

fn table<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let mut table = Table::new(&["operator", "rule", "what is there", "remedy"]);
    for f in findings {
        table.row(vec![
            f.place.clone(),
            f.rule.into(),
            f.what.clone(),
            f.remedy.into(),
        ]);
    }
    table.text()
}
