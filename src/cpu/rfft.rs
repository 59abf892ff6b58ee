//! RFFT2D and what is taken of complex numbers.

use crate::graph::Part;
use crate::kernel::Rfft;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// All samples, in double.
pub fn rfft(k: &Rfft, x: &[f32], y: &mut [[f32; 2]]) {
    let [h, w] = k.input.map(|n| n as usize);
    let [fft_h, fft_w] = k.lengths.map(|n| n as usize);
    let columns = k.columns() as usize;
    let mut planner = FftPlanner::<f64>::new();
    let (rows, lines) = (
        planner.plan_fft_forward(fft_w),
        planner.plan_fft_forward(fft_h),
    );
    let mut image = vec![Complex::default(); fft_h * fft_w];
    let mut line = vec![Complex::default(); fft_h];
    for (x, y) in x
        .chunks_exact(h * w)
        .zip(y.chunks_exact_mut(fft_h * columns))
    {
        image.fill(Complex::default());
        for (row, x) in image.chunks_exact_mut(fft_w).zip(x.chunks_exact(w)) {
            for (to, &from) in row.iter_mut().zip(x) {
                to.re = f64::from(from);
            }
        }
        rows.process(&mut image);
        for column in 0..columns {
            for (i, to) in line.iter_mut().enumerate() {
                *to = image[i * fft_w + column];
            }
            lines.process(&mut line);
            for (i, from) in line.iter().enumerate() {
                y[i * columns + column] = [from.re as f32, from.im as f32];
            }
        }
    }
}

/// A real number of each complex one.
pub fn part(part: Part, x: &[[f32; 2]], y: &mut [f32]) {
    let take = |&[re, im]: &[f32; 2]| match part {
        Part::Real => re,
        Part::Imaginary => im,
        Part::Magnitude => re.hypot(im),
    };
    y.iter_mut().zip(x).for_each(|(y, x)| *y = take(x));
}
