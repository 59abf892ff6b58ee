//! Writing to stdout: a closed pipe ends the program quietly, as `zeropoint inspect m.tflite | head` expects.

use super::Failure;
use std::io::Write;
use std::path::Path;

/// Prints text as it is.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}

/// Prints a result for machines.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Failure::Input(format!("cannot write JSON: {e}")))?;
    print(&(text + "\n"));
    Ok(())
}

/// Refuses a place that cannot be written to or holds one of the inputs, before any work is done.
pub fn check_place(to: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    check_place_of("-o", to, inputs)
}

/// As [`check_place`], for an option of another name.
pub fn check_place_of(option: &str, to: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    let refuse = |what: &str| Err(Failure::Input(format!("{}: {what}", to.display())));
    let folder = to.parent().filter(|f| !f.as_os_str().is_empty());
    if to.is_dir() {
        return refuse(&format!("it is a folder; name a file with {option}"));
    }
    if !folder.unwrap_or(Path::new(".")).is_dir() {
        return refuse("its folder does not exist");
    }
    let same = |input: &&&Path| matches!((to.canonicalize(), input.canonicalize()), (Ok(a), Ok(b)) if a == b);
    match inputs.iter().find(same) {
        Some(_) => refuse(&format!(
            "it is an input of this command and would be replaced; choose another {option}"
        )),
        None => Ok(()),
    }
}

/// Writes a file that is there whole or not at all: beside its place first, then renamed.
pub fn write_whole(to: &Path, text: &str) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let folder = to.parent().filter(|f| !f.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".zeropoint-").suffix(".tmp");
        // A temporary file is private by default; the finished one has the usual permissions.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(to)?;
        Ok(())
    };
    write().map_err(|e| Failure::Input(format!("{}: {e}", to.display())))
}

/// A remark for people, on stderr.
pub fn note(text: &str) {
    eprintln!("{text}");
}
