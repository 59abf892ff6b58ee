//! Results as text: pure functions of result structs. JSON is their serialisation.

mod calibrate;
mod check;
mod compare;
mod compare_page;
mod debug;
mod debug_page;
mod detail;
mod elements;
mod evaluate;
mod inspect;
mod lists;
mod page;
mod picture;
mod plan;
mod quantize;
mod structure;
mod table;
mod verdict;
mod verify;

pub use calibrate::{
    CalibrateReport, CalibrateRun, ProfileReport, SeenChannel, SeenTensor, calibrate,
};
pub use check::check;
pub use compare::{
    Compared, Comparison, MOST_CLASSES, MetricColumn, SampleTime, Scores, TIMES, Timing,
    VERSION as COMPARISON_VERSION, compare,
};
pub use compare_page::compare_page;
pub use debug::{debug, debug_csv};
pub use debug_page::{debug_page, model_explorer, model_explorer_files};
pub use detail::{DetailReport, MethodRange, TensorDetail, detail};
pub use elements::Element;
pub use evaluate::{Evaluation, evaluate};
pub use inspect::{Inspection, inspect};
pub use lists::{devices, ops};
pub use page::page;
pub use plan::{PlanReport, PlannedOperator, plan};
pub use quantize::{ChosenRange, ModelSize, quantize};
pub use structure::{Cost, Structure, Tensors, structure};
pub use verify::{OutputDistance, TensorEquality, Verification, verify};
