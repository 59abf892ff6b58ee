//! What `check` found.

use super::table::Table;
use crate::check::Finding;

/// The findings, or that there are none.
pub fn check(file: &str, findings: &[Finding]) -> String {
    if findings.is_empty() {
        return format!("{file}: nothing breaks a rule\n");
    }
    let mut table = Table::new(&["operator", "rule", "what is there", "remedy"]);
    for f in findings {
        table.row(vec![
            f.place.clone(),
            f.rule.into(),
            f.what.clone(),
            f.remedy.into(),
        ]);
    }
    format!("{file}\n\n{}", table.text())
}
