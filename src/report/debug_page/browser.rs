//! The page in a browser: what the script does, and that it does it without complaints.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::debug_page;
use super::example::{har, large, report};
use crate::debug::Report;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Chromium, by its usual names.
fn chromium() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let runs = |name: &&&str| {
        Command::new(name)
            .arg("--version")
            .output()
            .is_ok_and(|o| o.status.success())
    };
    let found = names.iter().find(runs).copied();
    if found.is_none() {
        let wanted = std::env::var_os("ZEROPOINT_REQUIRE_CHROMIUM").is_some();
        assert!(
            !wanted,
            "ZEROPOINT_REQUIRE_CHROMIUM is set, but there is no Chromium"
        );
        // `eprintln!` would be captured where the test passes.
        let text = "SKIPPED: no Chromium to open the page of debug with\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    }
    found
}

fn write(folder: &Path, name: &str, report: &Report) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, debug_page(report)).unwrap();
    path
}

/// The page after its script has run, with a part of the address behind `#`.
fn dom(browser: &str, profile: &Path, page: &Path, fragment: &str) -> String {
    let Output { stdout, stderr, .. } = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--v=0",
        ])
        .args(["--virtual-time-budget=4000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}{fragment}", page.display()))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&stderr);
    let complaints: Vec<&str> = log.lines().filter(|l| l.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{fragment}: {complaints:#?}");
    let dom = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        dom.contains("</html>"),
        "{fragment}: no page came back: {log}"
    );
    dom
}

/// Rows of the table of operators in the order in which they stand, and whether they are hidden.
fn rows(dom: &str) -> Vec<(usize, bool)> {
    let parts = dom.split("<tr data-row=\"").skip(1);
    let row = |part: &str| -> (usize, bool) {
        let (tag, _) = part.split_once('>').unwrap();
        let (number, rest) = tag.split_once('"').unwrap();
        (number.parse().unwrap(), rest.contains("hidden"))
    };
    parts.map(row).collect()
}

#[test]
fn a_click_sorts_and_the_console_stays_empty() {
    let Some(browser) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile");
    let of = har();
    let page = write(folder.path(), "page.html", &of);
    let at = |fragment: &str| dom(browser, &profile, &page, fragment);

    let plain = at("");
    let n = of.ops.len();
    let in_order: Vec<(usize, bool)> = (0..n).map(|i| (i, false)).collect();
    assert_eq!(rows(&plain), in_order);
    assert!(
        plain.contains("<ol id=\"rank\"><li>"),
        "the worst are listed"
    );

    // A fragment without a direction is a click: the worst first, and what is missing last.
    let ratio = |i: usize| of.ops[i].local.as_ref().and_then(|l| l.rmse_over_scale);
    let mut wanted: Vec<usize> = (0..n).filter(|&i| ratio(i).is_some()).collect();
    wanted.sort_by(|&a, &b| ratio(b).unwrap().total_cmp(&ratio(a).unwrap()));
    wanted.extend((0..n).filter(|&i| ratio(i).is_none()));
    let order = |dom: &str| -> Vec<usize> { rows(dom).into_iter().map(|r| r.0).collect() };
    assert_eq!(order(&at("#sort=local_rmse")), wanted);
    let measured = wanted.iter().filter(|&&i| ratio(i).is_some()).count();
    wanted[..measured].reverse();
    assert_eq!(order(&at("#sort=local_rmse:asc")), wanted);

    let sifted = at("#filter=conv_2d&metric=alone_loss");
    let kept: Vec<usize> = rows(&sifted).iter().filter(|r| !r.1).map(|r| r.0).collect();
    assert_eq!(kept, [1, 2, 3, 4]);
    let legend = sifted.split("data-legend=\"alone_loss\"").nth(1).unwrap();
    assert!(!legend.split_once('>').unwrap().0.contains("hidden"));

    let opened = at("#o6");
    let detail = opened.split("<details id=\"o6\"").nth(1).unwrap();
    assert!(detail.split_once('>').unwrap().0.contains("open"));
}

#[test]
fn large_and_empty_pages_open() {
    let Some(browser) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile");
    for (name, of) in [
        ("large.html", large(300)),
        ("empty.html", report(Vec::new())),
    ] {
        let page = write(folder.path(), name, &of);
        let dom = dom(browser, &profile, &page, "#sort=op");
        assert_eq!(rows(&dom).len(), of.ops.len());
    }
}
