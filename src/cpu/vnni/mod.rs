//! int8 kernels in the processor's own instructions: AVX-512 with VNNI.
//!
//! VNNI multiplies four unsigned bytes by four signed ones and adds the products to an i32 without saturating. Inputs
//! go in as x + 128, which flips their highest bit; 128·Σw is taken off where the sums start. Sums wrap, as those of the
//! definition do, and `scale` brings them to their outputs while they are still in registers.

mod depthwise;
mod pairs;
mod product;
mod scale;

pub use depthwise::Depthwise;
pub use pairs::Pairs;
pub use product::{Outputs, Weights};

/// Whether the processor has what these kernels need.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}
