//! Memory of a thread that is used again, whatever it held: fresh memory costs page faults and zeros.

use super::counting::Tables;
use super::strip::Alive;
use crate::num::{DType, Values};

/// A line of the cache.
#[cfg(target_arch = "x86_64")]
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Line(pub [u8; 64]);

/// What kernels need beside their operands.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A float image with its padding.
    pub padded: Vec<f32>,
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
    /// Operands in the shape of the output.
    pub spread: [Vec<i8>; 2],
    /// Inputs as VNNI takes them.
    #[cfg(target_arch = "x86_64")]
    pub flipped: Vec<[u8; 4]>,
    /// An image with its padding.
    #[cfg(target_arch = "x86_64")]
    pub frame: Vec<Line>,
}

/// Memory for the next chunk of samples.
#[derive(Default)]
pub struct Memory {
    /// For float tensors.
    pub floats: Pool<f32>,
    /// For int8 tensors.
    pub bytes: Pool<i8>,
    /// For kernels.
    pub scratch: Scratch,
    /// For histograms.
    pub tables: Tables,
    /// For the tensors between the steps of a chain.
    pub strips: Vec<Alive>,
}

impl Memory {
    /// Keeps the memory of a dead tensor.
    pub fn give(&mut self, values: Option<Values>) {
        match values {
            Some(Values::F32(v)) => self.floats.give(v),
            Some(Values::I8(v)) => self.bytes.give(v),
            _ => {}
        }
    }

    /// A new float tensor of `n` elements.
    pub fn new_f32(&mut self, n: usize, fill: impl FnOnce(&mut [f32], &mut Scratch)) -> Values {
        let mut y = self.floats.take(n);
        fill(&mut y[..n], &mut self.scratch);
        Values::F32(y)
    }

    /// A new tensor of any type but float16, made as bytes.
    pub fn new_any(&mut self, dtype: DType, n: usize, fill: impl FnOnce(&mut [u8])) -> Values {
        macro_rules! typed {
            ($variant:ident) => {{
                let mut y = vec![0; n];
                fill(bytemuck::cast_slice_mut(&mut y));
                Values::$variant(y)
            }};
        }
        match dtype {
            DType::F32 => self.new_f32(n, |y, _| fill(bytemuck::cast_slice_mut(y))),
            DType::I8 => self.new_i8(n, |y, _| fill(bytemuck::cast_slice_mut(y))),
            DType::U8 => typed!(U8),
            DType::Bool => typed!(Bool),
            DType::I16 => typed!(I16),
            DType::U16 | DType::F16 => typed!(U16),
            DType::I32 => typed!(I32),
            DType::U32 => typed!(U32),
            DType::I64 => typed!(I64),
            DType::C64 => {
                let mut y = vec![[0.0; 2]; n];
                fill(bytemuck::cast_slice_mut(&mut y));
                Values::C64(y)
            }
        }
    }

    /// A new int8 tensor of `n` elements.
    pub fn new_i8(&mut self, n: usize, fill: impl FnOnce(&mut [i8], &mut Scratch)) -> Values {
        let mut y = self.bytes.take(n);
        fill(&mut y[..n], &mut self.scratch);
        Values::I8(y)
    }
}

/// Memory of tensors that are dead, for those that come.
#[derive(Default)]
pub struct Pool<T> {
    free: Vec<Vec<T>>,
}

impl<T: Copy + Default> Pool<T> {
    /// Most pieces of free memory. Few tensors are alive at once; inputs are given and never taken.
    const MOST: usize = 6;

    /// `n` elements of any value, and perhaps more behind them: they need not be cleared.
    pub fn take(&mut self, n: usize) -> Vec<T> {
        let fitting = (0..self.free.len()).filter(|&i| self.free[i].len() >= n);
        match fitting.min_by_key(|&i| self.free[i].len()) {
            Some(best) => self.free.swap_remove(best),
            None => vec![T::default(); n],
        }
    }

    /// Keeps memory that nobody needs any more, the largest pieces of it.
    pub fn give(&mut self, v: Vec<T>) {
        self.free.push(v);
        if self.free.len() > Self::MOST {
            let smallest = (0..self.free.len()).min_by_key(|&i| self.free[i].len());
            smallest.map(|i| self.free.swap_remove(i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;

    #[test]
    fn free_memory_is_used_again_and_does_not_pile_up() {
        let mut pool = Pool::default();
        for _ in 0..1000 {
            pool.give(vec![1.0; 10]);
            pool.give(vec![1.0; 100]);
            let v = pool.take(20);
            assert_eq!(v.len(), 100);
            pool.give(v);
        }
        assert_eq!(pool.free.len(), Pool::<f32>::MOST);
        assert_eq!(pool.take(101).len(), 101);
    }
}
