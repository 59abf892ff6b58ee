//! Parameters of a row that is quantized while a model runs (dynamic range).

/// How a row of floats becomes integers: q = round(x · inverse) + zero point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowParameters {
    /// What a step of q is worth.
    pub scale: f32,
    /// What x is multiplied with.
    pub inverse: f32,
    /// Where 0 lies.
    pub zero_point: i32,
    /// Smallest q; the largest is 127.
    pub low: i32,
}

impl RowParameters {
    /// For a row of zeros.
    const ZERO: RowParameters = RowParameters {
        scale: 1.0,
        inverse: 0.0,
        zero_point: 0,
        low: -128,
    };

    /// Of a row between `min` and `max`, as LiteRT's `NeonAsymmetricQuantizeFloats` has it, which x86 runs too: the
    /// width of the range is a float, the rest is in double, and the zero point is counted from the end of the range
    /// where it is known more exactly.
    pub fn asymmetric(min: f32, max: f32) -> RowParameters {
        let (min, max) = (min.min(0.0), max.max(0.0));
        if min == max {
            return Self::ZERO;
        }
        let scale = f64::from(max - min) / 255.0;
        let below = (f64::from(min) / scale).abs();
        let above = (f64::from(max) / scale).abs();
        let zero_point = if 128.0 + below < 127.0 + above {
            -128.0 + below
        } else {
            127.0 - above
        };
        let scale = scale as f32;
        RowParameters {
            scale,
            inverse: if scale == 0.0 { 0.0 } else { 1.0 / scale },
            zero_point: zero_point.round().clamp(-128.0, 127.0) as i32,
            low: -128,
        }
    }

    /// The same with the zero point 0, as LiteRT's `NeonSymmetricQuantizeFloats` has it.
    pub fn symmetric(min: f32, max: f32) -> RowParameters {
        let largest = min.abs().max(max.abs());
        if largest == 0.0 {
            return Self::ZERO;
        }
        RowParameters {
            scale: largest / 127.0,
            inverse: 127.0 / largest,
            zero_point: 0,
            low: -127,
        }
    }
}
