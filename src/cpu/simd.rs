//! The vectors of this processor, found once. Loops that the compiler vectorises by itself use `multiversion` instead.

pub use pulp::Arch;
use std::sync::OnceLock;

/// The widest instructions there are: AVX-512, AVX2 with FMA, NEON, or plain code.
pub fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(Arch::new)
}
