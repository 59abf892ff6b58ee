//! Plain text tables: columns as wide as their widest cell, numbers to the right.

use std::collections::BTreeSet;

/// Most characters of a cell: a damaged model may list thousands of tensors.
const WIDEST: usize = 120;

/// A table under construction.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with a heading; a column whose heading begins with `>` is aligned to the right.
    pub(super) fn new<S: AsRef<str>>(heading: &[S]) -> Self {
        let right = heading
            .iter()
            .map(|h| h.as_ref().starts_with('>'))
            .collect();
        let names = heading
            .iter()
            .map(|h| h.as_ref().trim_start_matches('>').to_owned())
            .collect();
        Table {
            rows: vec![names],
            right,
        }
    }

    /// Adds a row of as many cells as the heading has; absurdly long cells are cut in the middle.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        let cells = cells.iter().map(|cell| shorten(cell, WIDEST)).collect();
        self.rows.push(cells);
    }

    /// Whether there is nothing but the heading.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// The text, each line indented by two spaces, a rule below the heading.
    pub(super) fn text(&self) -> String {
        self.painted(|_, _, cell| cell)
    }

    /// As [`Table::text`], with every cell, as wide as its column, changed by what sees its row (0 is the heading) and
    /// column; the change must not be visible as characters.
    pub(super) fn painted(&self, paint: impl Fn(usize, usize, String) -> String) -> String {
        let width = |c: usize| {
            self.rows
                .iter()
                .map(|r| r[c].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let mut text = String::new();
        for (i, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).zip(&self.right).enumerate();
            let cells = cells.map(|(c, ((cell, &w), &right))| {
                let cell = if right {
                    format!("{cell:>w$}")
                } else {
                    format!("{cell:<w$}")
                };
                paint(i, c, cell)
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text += &format!("  {}\n", line.trim_end());
            if i == 0 {
                let rule: usize = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
                text += &format!("  {}\n", "─".repeat(rule));
            }
        }
        text
    }
}

/// A name cut in the middle to at most `width` characters; control characters are made visible.
pub(super) fn shorten(name: &str, width: usize) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    let length = name.chars().count();
    if length <= width {
        return name;
    }
    let head: String = name.chars().take(width / 3).collect();
    let tail: String = name
        .chars()
        .skip(length - (width - width / 3 - 1))
        .collect();
    format!("{head}…{tail}")
}

/// Names of files, with their folders where names alone would not tell them apart.
pub(super) fn file_names(files: &[&str]) -> Vec<String> {
    let name = |file: &&str| {
        let name = std::path::Path::new(file).file_name();
        name.map_or((*file).to_owned(), |n| n.to_string_lossy().into_owned())
    };
    let names: BTreeSet<String> = files.iter().map(name).collect();
    match names.len() == files.len() {
        true => files.iter().map(name).collect(),
        false => files.iter().map(|&file| file.to_owned()).collect(),
    }
}

/// 1836184 as `1 836 184`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let mut t = Table::new(&["name", ">n"]);
        t.row(vec!["a".into(), "1000".into()]);
        assert_eq!(t.text(), "  name     n\n  ──────────\n  a     1000\n");
        assert!(!t.is_empty());
    }

    #[test]
    fn no_cell_is_too_long() {
        let mut t = Table::new(&["list"]);
        t.row(vec!["1 ".repeat(100_000)]);
        assert!(
            t.text()
                .lines()
                .all(|line| line.chars().count() <= WIDEST + 2)
        );
    }

    #[test]
    fn numbers_and_names() {
        assert_eq!(grouped(1_836_184), "1 836 184");
        assert_eq!(grouped(12), "12");
        assert_eq!(shorten("abcdefghij", 7), "ab…ghij");
        assert_eq!(shorten("a\u{1b}b", 7), "a\u{fffd}b");
    }
}
