//! Functions of int16 as LiteRT has them (`LUTPopulateInt16` and `LUTLookup` of `internal/common.h`): 513 values, in whose
//! 512 gaps it interpolates. The values are shifted by half of what the interpolation is off in the middle of their gap.

use crate::num::Affine;

/// Values, of which the last only ends the last gap.
pub type Lut = Vec<i16>;

/// Gaps.
const STEPS: usize = 512;

/// The functions of single and double precision differ in nothing but their type.
macro_rules! populate {
    ($name:ident, $float:ty) => {
        /// The values of `f` for a quantized input and output.
        pub fn $name(
            (in_scale, in_zero): ($float, i32),
            out_scale: $float,
            f: impl Fn($float) -> $float,
        ) -> Lut {
            let real = |q: i32| in_scale * (q - in_zero) as $float;
            let (lowest, highest) = (real(-32768), real(32767));
            let (out_lowest, out_highest) = (out_scale * -32768.0, out_scale * 32767.0);
            let step = (highest - lowest) / STEPS as $float;
            let inverse = 65536.0 / (out_highest - out_lowest);
            let at = |i: usize| lowest + i as $float * step;
            // A function that overflows gives NaN between infinities, of which x86 makes 0, as this cast does.
            let clamp = |x: $float| x.clamp(-32768.0, 32767.0) as i16;
            let value = |i: usize| {
                let value = (f(at(i)) * inverse).round();
                let middle = (f(at(i) + step / 2.0) * inverse).round();
                let interpolated = ((f(at(i + 1)) * inverse + value) / 2.0).round();
                clamp(value - ((interpolated - middle) / 2.0).round())
            };
            let last = clamp((f(highest) * inverse).round());
            (0..STEPS).map(value).chain([last]).collect()
        }
    };
}

populate!(double, f64);
populate!(single, f32);

/// The interpolated value.
pub fn lookup(lut: &[i16], x: i16) -> i16 {
    let index = (256 + (i32::from(x) >> 7)) as usize;
    let slope = lut[index + 1].wrapping_sub(lut[index]);
    let delta = (i32::from(slope) * i32::from(x & 0x7f) + 64) >> 7;
    (i32::from(lut[index]) + delta) as i16
}

/// A float function from one scale to another.
pub fn function(from: Affine, to: Affine, f: impl Fn(f32) -> f32) -> impl Fn(i16) -> i16 {
    let lut = single((from.scale, from.zero_point), to.scale, f);
    move |x| lookup(&lut, x)
}
