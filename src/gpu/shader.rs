//! The embedded WGSL and a preprocessor that knows one directive, `#import shared/name` on a line of its own.
//!
//! An import is replaced by the named file, once in each shader; imported files may import.

use super::{
    add, conv, copy, fully_connected, lstm, mean, quantize, ranges, softmax, strided_slice,
};
use std::collections::BTreeSet;

/// Path below `shaders/` without the extension, and the text.
pub(super) type Source = (&'static str, &'static str);

/// Embeds a shader by its path below `shaders/`.
macro_rules! embed {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/shaders/",
                $name,
                ".wgsl"
            )),
        )
    };
}
pub(super) use embed;

const SHARED: &[Source] = &[
    embed!("shared/run"),
    embed!("shared/fixed"),
    embed!("shared/gemmlowp"),
    embed!("shared/product_f32"),
    embed!("shared/bins"),
    embed!("shared/bounds"),
    embed!("shared/order_key"),
    embed!("shared/broadcast"),
    embed!("shared/reduce"),
    embed!("shared/window"),
];

/// Every shader that can be launched.
pub(super) const KERNELS: &[&[Source]] = &[
    add::SHADERS,
    conv::SHADERS,
    copy::SHADERS,
    fully_connected::SHADERS,
    lstm::SHADERS,
    mean::SHADERS,
    quantize::SHADERS,
    ranges::SHADERS,
    softmax::SHADERS,
    strided_slice::SHADERS,
];

/// The full text of a kernel's shader, imports resolved.
///
/// # Errors
/// The name of what is not embedded.
pub(super) fn source(name: &str) -> Result<String, String> {
    let text = find(KERNELS.iter().copied().flatten(), name)?;
    expand(text)
}

/// Resolves the imports of a text.
///
/// # Errors
/// The name of what is not embedded.
pub(super) fn expand(text: &str) -> Result<String, String> {
    let mut out = String::new();
    append(text, &mut BTreeSet::new(), &mut out)?;
    Ok(out)
}

fn find<'a>(mut sources: impl Iterator<Item = &'a Source>, name: &str) -> Result<&'a str, String> {
    sources
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
        .ok_or_else(|| format!("the shader {name} is not embedded"))
}

fn append(text: &str, seen: &mut BTreeSet<String>, out: &mut String) -> Result<(), String> {
    for line in text.lines() {
        match line.trim().strip_prefix("#import ") {
            Some(name) => {
                if seen.insert(name.trim().to_owned()) {
                    append(find(SHARED.iter(), name.trim())?, seen, out)?;
                }
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// naga reads WGSL without a device: no shader that is shipped can fail to parse or to type-check.
    #[test]
    fn every_shader_is_valid() {
        for (name, _) in KERNELS.iter().copied().flatten() {
            let text = source(name).unwrap();
            let module = naga::front::wgsl::parse_str(&text)
                .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
            assert_eq!(
                module
                    .entry_points
                    .iter()
                    .filter(|e| e.name == "main")
                    .count(),
                1,
                "{name} has one entry point `main`"
            );
            naga::valid::Validator::new(
                naga::valid::ValidationFlags::all(),
                naga::valid::Capabilities::default(),
            )
            .validate(&module)
            .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
        }
    }

    #[test]
    fn an_import_is_taken_once_and_an_unknown_one_is_named() {
        let text = expand("#import shared/run\n#import shared/run\n").unwrap();
        assert_eq!(text.matches("struct Run").count(), 1);
        assert!(
            expand("#import shared/nothing\n")
                .unwrap_err()
                .contains("shared/nothing")
        );
        assert!(source("f32/nothing").is_err());
    }

    /// A file that nobody embeds would be dead, and would not be validated.
    #[test]
    fn every_file_is_embedded() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
        for folder in std::fs::read_dir(&root).unwrap() {
            let folder = folder.unwrap().path();
            for file in std::fs::read_dir(&folder).unwrap() {
                let path = file.unwrap().path().with_extension("");
                let parts: Vec<_> = path
                    .iter()
                    .rev()
                    .take(2)
                    .filter_map(|p| p.to_str())
                    .collect();
                let name = format!("{}/{}", parts[1], parts[0]);
                let known = KERNELS.iter().copied().flatten().chain(SHARED);
                assert!(known.into_iter().any(|(k, _)| *k == name), "{name}");
            }
        }
    }
}
