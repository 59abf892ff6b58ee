//! A plan as a file: what `quantize` writes beside a model, `plan --json` prints and `--plan` carries out again.

use super::Failure;
use super::choices::Planned;
use serde::{Deserialize, Serialize};
use std::path::Path;
use zeropoint::calibrate::ModelIdentity;
use zeropoint::quantize::Plan;

const FORMAT: &str = "zeropoint plan";
const VERSION: u32 = 1;

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// Always `zeropoint plan`.
    format: String,
    /// Version of the format, 1.
    version: u32,
    /// The float model that it was made for.
    model: ModelIdentity,
    /// Shapes of its inputs, which settle dynamic dimensions.
    pub inputs: Vec<Vec<usize>>,
    /// Whether weights that no hybrid kernel takes become int8 behind DEQUANTIZE.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weight_only: bool,
    /// Convolutions whose columns have a scale each, by their position before the TRANSPOSEs were there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<usize>,
    /// What becomes of it.
    pub plan: Plan,
}

impl PlanFile {
    /// The file of a plan for the model at `path`.
    pub fn of(planned: &Planned, path: &Path) -> Result<PlanFile, Failure> {
        let graph = &planned.graph;
        let inputs = graph.inputs.iter();
        Ok(PlanFile {
            format: FORMAT.into(),
            version: VERSION,
            model: identity(path)?,
            inputs: inputs.map(|&id| graph.tensors[id].shape.clone()).collect(),
            weight_only: planned.weight_only,
            columns: planned.columns.clone(),
            plan: planned.plan.clone(),
        })
    }

    /// As it is written.
    pub fn text(&self) -> Result<String, Failure> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|e| Failure::Input(format!("cannot write the plan: {e}")))?;
        Ok(text + "\n")
    }

    /// Reads a plan for the model at `model`.
    pub fn read(path: &Path, model: &Path) -> Result<PlanFile, Failure> {
        let failed = |what: String| Failure::Input(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let file: PlanFile = serde_json::from_str(&text)
            .map_err(|e| failed(format!("it is not a plan of zeropoint: {e}")))?;
        if file.format != FORMAT || file.version != VERSION {
            return Err(failed(format!(
                "it calls itself '{}', version {}; this program reads '{FORMAT}', version {VERSION}",
                file.format, file.version
            )));
        }
        let this = identity(model)?;
        if (file.model.bytes, file.model.crc32) != (this.bytes, this.crc32) {
            return Err(failed(format!(
                "it was made for another model ('{}', {} bytes) than {}",
                file.model.file,
                file.model.bytes,
                model.display()
            )));
        }
        Ok(file)
    }
}

fn identity(path: &Path) -> Result<ModelIdentity, Failure> {
    let bytes =
        std::fs::read(path).map_err(|e| Failure::Input(format!("{}: {e}", path.display())))?;
    Ok(ModelIdentity::of(path, &bytes))
}
