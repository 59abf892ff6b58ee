//! The embedded WGSL and its preprocessor. Directives stand on lines of their own:
//!
//! - `#import shared/name` is replaced by the named file, once in each shader; imported files may import.
//! - `#for i in COUNT` … `#end` is repeated for i = 0 … COUNT − 1, a name or a number: matrices of the matrix units can
//!   only be named.
//! - `#if NAME` … `#end` is kept where NAME is defined and not 0.
//!
//! `${NAME}` is replaced by the value of a definition or of a `#for`. Definitions come with the launch, for what WGSL's
//! `override` cannot say: type names and numbers of variables.

use super::{
    batch_matmul, binary, cast, conv, copy, distance, fully_connected, hybrid, int16, lstm, norm,
    place, pool, quantize, ranges, recurrent, reduce, resize, rfft, roofline, row, select, softmax,
    take, unary,
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
    embed!("shared/wide"),
    embed!("shared/windows"),
    embed!("shared/windows_f32"),
    embed!("shared/windows_i8"),
    embed!("shared/product_f32"),
    embed!("shared/bins"),
    embed!("shared/bounds"),
    embed!("shared/order_key"),
    embed!("shared/double"),
    embed!("shared/recurrence"),
    embed!("shared/row_parameters"),
    embed!("shared/range"),
    embed!("shared/broadcast"),
    embed!("shared/compare"),
    embed!("shared/functions"),
    embed!("shared/matmul"),
    embed!("shared/norm"),
    embed!("shared/pool"),
    embed!("shared/resize"),
    embed!("shared/reduce"),
    embed!("shared/clamp"),
    embed!("shared/sum"),
    embed!("shared/window"),
];

/// Every shader that can be launched.
pub(super) const KERNELS: &[&[Source]] = &[
    batch_matmul::SHADERS,
    binary::SHADERS,
    cast::SHADERS,
    conv::SHADERS,
    copy::SHADERS,
    distance::SHADERS,
    fully_connected::SHADERS,
    hybrid::SHADERS,
    int16::SHADERS,
    lstm::SHADERS,
    norm::SHADERS,
    place::SHADERS,
    pool::SHADERS,
    quantize::SHADERS,
    ranges::SHADERS,
    recurrent::SHADERS,
    reduce::SHADERS,
    resize::SHADERS,
    rfft::SHADERS,
    roofline::SHADERS,
    row::SHADERS,
    select::SHADERS,
    softmax::SHADERS,
    take::SHADERS,
    unary::SHADERS,
];

/// A name and its value.
pub(super) type Define = (&'static str, u32);

/// The full text of a kernel's shader.
///
/// # Errors
/// What is not embedded, not defined or not closed.
pub(super) fn source(name: &str, defines: &[Define]) -> Result<String, String> {
    let text = find(KERNELS.iter().copied().flatten(), name)?;
    expand(text, defines)
}

/// Carries out the directives of a text.
///
/// # Errors
/// What is not embedded, not defined or not closed.
pub(super) fn expand(text: &str, defines: &[Define]) -> Result<String, String> {
    let mut names = defines.iter().map(|&(n, v)| (n.to_owned(), v)).collect();
    let mut out = String::new();
    append(text, &mut names, &mut BTreeSet::new(), &mut out)?;
    Ok(out)
}

fn find<'a>(mut sources: impl Iterator<Item = &'a Source>, name: &str) -> Result<&'a str, String> {
    sources
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
        .ok_or_else(|| format!("the shader {name} is not embedded"))
}

/// Definitions and the variables of the loops around, the innermost last.
type Names = Vec<(String, u32)>;

fn append(
    text: &str,
    names: &mut Names,
    seen: &mut BTreeSet<String>,
    out: &mut String,
) -> Result<(), String> {
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        rest = after;
        let directive = line.trim();
        if let Some(name) = directive.strip_prefix("#import ") {
            if seen.insert(name.trim().to_owned()) {
                append(find(SHARED.iter(), name.trim())?, names, seen, out)?;
            }
        } else if let Some(condition) = directive.strip_prefix("#if ") {
            let (body, after) = block(rest, directive)?;
            rest = after;
            if value(names, condition.trim()).unwrap_or(0) != 0 {
                append(body, names, seen, out)?;
            }
        } else if let Some(head) = directive.strip_prefix("#for ") {
            let (body, after) = block(rest, directive)?;
            rest = after;
            let (variable, count) = head
                .split_once(" in ")
                .ok_or_else(|| format!("'{directive}' has no 'in'"))?;
            for i in 0..value(names, count.trim())? {
                names.push((variable.trim().to_owned(), i));
                append(body, names, seen, out)?;
                names.pop();
            }
        } else {
            substitute(line, names, out)?;
            out.push('\n');
        }
    }
    Ok(())
}

/// The first line, and what follows it.
fn split_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// The lines up to the `#end` that closes a directive, and what follows it.
fn block<'a>(text: &'a str, directive: &str) -> Result<(&'a str, &'a str), String> {
    let (mut depth, mut rest) = (1, text);
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let (line, after) = split_line(rest);
        rest = after;
        let line = line.trim();
        if line.starts_with("#if ") || line.starts_with("#for ") {
            depth += 1;
        } else if line == "#end" {
            depth -= 1;
            if depth == 0 {
                return Ok((&text[..at], rest));
            }
        }
    }
    Err(format!("'{directive}' has no #end"))
}

fn substitute(line: &str, names: &Names, out: &mut String) -> Result<(), String> {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| format!("'{line}' has no }}"))?;
        out.push_str(before);
        out.push_str(&value(names, name)?.to_string());
        rest = after;
    }
    out.push_str(rest);
    Ok(())
}

fn value(names: &Names, name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let known = names.iter().rev().find(|(n, _)| n == name);
    known
        .map(|&(_, v)| v)
        .ok_or_else(|| format!("{name} is not defined"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{matrix, product};

    /// naga reads WGSL without a device: no shader that is shipped can fail to parse or to type-check.
    #[test]
    fn every_shader_is_valid() {
        for (name, defines) in variants() {
            let text = source(name, &defines).unwrap();
            let matrix = name.ends_with("_matrix");
            let subgroups = defines.contains(&("SUBGROUPS", 1));
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
            let mut capabilities = naga::valid::Capabilities::default();
            if subgroups {
                capabilities |= naga::valid::Capabilities::SUBGROUP;
            }
            if matrix {
                capabilities |= naga::valid::Capabilities::SHADER_FLOAT16
                    | naga::valid::Capabilities::COOPERATIVE_MATRIX
                    | naga::valid::Capabilities::SUBGROUP;
            }
            let flags = naga::valid::ValidationFlags::all();
            let info = naga::valid::Validator::new(flags, capabilities)
                .validate(&module)
                .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
            // What the writer refuses it refuses by a panic.
            if matrix {
                let options = naga::back::spv::Options {
                    lang_version: (1, 6),
                    ..Default::default()
                };
                let overrides = Default::default();
                let (module, info) = naga::back::pipeline_constants::process_overrides(
                    &module,
                    &info,
                    Some((naga::ShaderStage::Compute, "main")),
                    &overrides,
                )
                .unwrap();
                naga::back::spv::write_vec(&module, &info, &options, None).unwrap();
            }
        }
    }

    const INPUTS: [&str; 2] = ["QUADS", "SCALARS"];
    const OUTPUTS: [&str; 2] = ["OUTPUT_QUADS", "OUTPUT_SCALARS"];

    /// Every kernel with every set of definitions that a launch may come with.
    /// Of every shader, the ways it can be compiled; those that gather ranges with and without that, and in both ways; those
    /// that can write a clamp or a sum with and without them.
    fn variants() -> Vec<(&'static str, Vec<Define>)> {
        let mut all = Vec::new();
        for (name, defines) in shapes() {
            let text = find(KERNELS.iter().copied().flatten(), name).unwrap();
            let always = ["stats/min_max", "stats/rebin"].contains(&name);
            let product = text.contains("_f32");
            let never = !always && !text.contains("shared/range") && !product;
            let mut ways = vec![Vec::new(); usize::from(!always)];
            if !never {
                let reductions = ["SUBGROUPS", "NO_SUBGROUPS"];
                ways.extend(reductions.map(|reduction| vec![("RANGE", 10), (reduction, 1)]));
            }
            let sums = product || text.contains("sum_output");
            let clamps = product || text.contains("clamped_output");
            for way in ways {
                let plain = [&defines[..], &way].concat();
                for sum in [0, 11].into_iter().filter(|&sum| sum == 0 || sums) {
                    for clamped in [0, 9].into_iter().filter(|&to| to == 0 || clamps) {
                        let more = [("SUM", sum), ("RESIDUAL", 12), ("CLAMPED", clamped)];
                        all.push((name, [&plain[..], &more].concat()));
                    }
                }
            }
        }
        all
    }

    fn shapes() -> Vec<(&'static str, Vec<Define>)> {
        let mut all = Vec::new();
        for (name, _) in KERNELS.iter().copied().flatten() {
            match *name {
                "int8/conv_2d_matrix" => {
                    let defines = matrix::all_defines(matrix::Numbers::Int8);
                    all.extend(defines.map(|defines| (*name, defines)));
                }
                "f32/conv_2d_matrix" => {
                    for defines in matrix::all_defines(matrix::Numbers::Float) {
                        for (input, output) in INPUTS.into_iter().zip(OUTPUTS) {
                            for pieces in [0, 1] {
                                let more = vec![(input, 1), (output, 1), ("PIECES", pieces)];
                                all.push((*name, [defines.clone(), more].concat()));
                            }
                        }
                    }
                }
                "int8/conv_2d" => {
                    all.extend(product::TILES.map(|tile| (*name, tile.defines())));
                }
                "f32/conv_2d" | "f32/conv_2d_scalar" => {
                    for tile in product::TILES {
                        for output in OUTPUTS {
                            for guarded in [0, 1] {
                                let more = vec![(output, 1), ("GUARDED", guarded)];
                                all.push((*name, [tile.defines(), more].concat()));
                            }
                        }
                    }
                }
                _ => all.push((*name, Vec::new())),
            }
        }
        all
    }

    #[test]
    fn directives_nest_and_what_is_missing_is_named() {
        let text =
            "#for i in N\n#for j in 2\n#if YES\na${i}_${j}\n#end\n#if NO\nb\n#end\n#end\n#end\nc";
        let done = expand(text, &[("N", 2), ("YES", 1), ("NO", 0)]).unwrap();
        assert_eq!(done, "a0_0\na0_1\na1_0\na1_1\nc\n");
        assert_eq!(expand("#if ANY\nx\n#end\n", &[]).unwrap(), "");
        for (bad, what) in [
            ("${N}", "N is not defined"),
            ("#for i in N\n#end", "N is not defined"),
            ("#if N\n", "no #end"),
            ("#for i\n#end", "no 'in'"),
            ("${N", "no }"),
        ] {
            let error = expand(bad, &[]).unwrap_err();
            assert!(error.contains(what), "{bad}: {error}");
        }
    }

    #[test]
    fn an_import_is_taken_once_and_an_unknown_one_is_named() {
        let text = expand("#import shared/run\n#import shared/run\n", &[]).unwrap();
        assert_eq!(text.matches("struct Run").count(), 1);
        assert!(
            expand("#import shared/nothing\n", &[])
                .unwrap_err()
                .contains("shared/nothing")
        );
        assert!(source("f32/nothing", &[]).is_err());
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
