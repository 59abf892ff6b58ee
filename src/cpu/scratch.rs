//! Memory that the kernels of a thread use again, whatever it held.

/// A line of the cache.
#[cfg(target_arch = "x86_64")]
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Line(pub [u8; 64]);

/// See the module.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Inputs of a product on float units.
    pub floats: Vec<f32>,
    /// Its sums.
    pub sums: Vec<f32>,
    /// The same as integers.
    pub acc: Vec<i32>,
    /// Gates of an LSTM before the recurrent part.
    pub projected: Vec<i16>,
    /// Taps of a convolution, side by side.
    pub gathered: Vec<i8>,
    /// Inputs as VNNI takes them.
    #[cfg(target_arch = "x86_64")]
    pub flipped: Vec<[u8; 4]>,
    /// An image with its padding.
    #[cfg(target_arch = "x86_64")]
    pub frame: Vec<Line>,
}
