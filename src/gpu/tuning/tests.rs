//! What is kept and when it is measured; that no tile changes a bit, on whatever adapter is there.

use super::*;
use crate::gpu::launch::Op;
use crate::gpu::product::plain;
use crate::gpu::tests::{Random, config, gpu};
use crate::gpu::{FloatPath, Int8Path, Options, launches};
use crate::graph::{Graph, Move, Node, Op as Operator, Tensor};
use crate::kernel::{
    ConvF32, ConvI8, ConvShape, Device, FullyConnected, FullyConnectedF32, FullyConnectedI8, Keep,
    Kernel, Statistics, Step,
};
use crate::num::{DType, Multiplier, Rounding, Values};
use std::path::Path;

const LONG: Duration = Duration::from_secs(600);
const SAMPLES: usize = 5;

/// A convolution over 6 × 6 pixels, padded so that the size stays.
fn conv(in_c: u32, out_c: u32, k: u32, groups: u32) -> ConvShape {
    ConvShape {
        in_h: 6,
        in_w: 6,
        in_c,
        out_h: 6,
        out_w: 6,
        out_c,
        k_h: k,
        k_w: k,
        pad_top: k / 2,
        pad_left: k / 2,
        group_in: in_c / groups,
        group_out: out_c / groups,
        ..plain(1, 1, 1)
    }
}

/// A model in float or int8: four channels at once and one by one, in groups, and one row by all elements.
fn model(dtype: DType) -> Program {
    let shapes = [conv(8, 24, 3, 1), conv(24, 70, 1, 2), plain(1, 36 * 70, 10)];
    let mut random = Random(11);
    let mut bytes = |n: usize| -> Vec<i8> { (0..n).map(|_| random.u32() as i8 / 8).collect() };
    let kernels = shapes.iter().enumerate().map(|(i, shape)| {
        let channels = shape.out_c as usize;
        let weights = bytes(channels * shape.depth());
        let floats = weights.iter().map(|&w| f32::from(w) / 97.0);
        let size = FullyConnected {
            rows: 1,
            depth: shape.depth(),
            units: channels,
        };
        match (dtype, i) {
            (DType::F32, 2) => Kernel::FullyConnectedF32(FullyConnectedF32 {
                shape: size,
                weights: floats.collect(),
                bias: vec![0.3; channels],
                bounds: (f32::NEG_INFINITY, 6.0),
            }),
            (DType::F32, _) => Kernel::ConvF32(ConvF32 {
                shape: *shape,
                weights: floats.collect(),
                bias: vec![0.3; channels],
                bounds: (f32::NEG_INFINITY, f32::INFINITY),
            }),
            (_, 2) => Kernel::FullyConnectedI8(FullyConnectedI8 {
                shape: size,
                weights,
                bias: vec![17; channels],
                scales: vec![0.001; channels],
                multipliers: None,
                input_zero_point: 5,
                output_zero_point: -3,
                bounds: (-128, 127),
            }),
            _ => Kernel::ConvI8(ConvI8 {
                shape: *shape,
                weights,
                bias: vec![17; channels],
                multipliers: vec![
                    Multiplier {
                        mantissa: 1 << 30,
                        shift: -6,
                        rounding: Rounding::Double,
                    };
                    channels
                ],
                input_zero_point: 5,
                output_zero_point: -3,
                bounds: (-128, 127),
            }),
        }
    });
    let kernels: Vec<Kernel> = kernels.collect();
    let elements = [6 * 6 * 8, 6 * 6 * 24, 6 * 6 * 70, 10];
    let tensor = |&n: &usize| Tensor {
        name: String::new(),
        shape: vec![n],
        dtype,
        quantization: None,
        constant: None,
        variable: false,
    };
    let node = |i: usize| Node {
        index: i,
        op: Operator::Move(Move::Reshape),
        inputs: vec![Some(i)],
        outputs: vec![i + 1],
        intermediates: Vec::new(),
    };
    let step = |(i, kernel)| Step {
        node: i,
        kernel,
        inputs: vec![i],
        outputs: vec![i + 1],
    };
    Program {
        given: elements.len(),
        graph: Graph {
            file: String::new(),
            tensors: elements.iter().map(tensor).collect(),
            nodes: (0..kernels.len()).map(node).collect(),
            inputs: vec![0],
            outputs: vec![3],
        },
        steps: kernels.into_iter().enumerate().map(step).collect(),
    }
}

/// All tensors that a device computes, and the range of each.
fn results(gpu: &Gpu, program: &Program) -> Vec<Values> {
    let ranges = match program.graph.tensors[0].dtype {
        DType::F32 => Statistics::Ranges,
        _ => Statistics::Nothing,
    };
    let mut session = gpu
        .session(program, &config(Keep::All, ranges, SAMPLES))
        .unwrap();
    let mut random = Random(3);
    let x = match random.i8s(SAMPLES * 6 * 6 * 8) {
        Values::I8(x) if ranges == Statistics::Ranges => {
            Values::F32(x.into_iter().map(|v| f32::from(v) / 3.0).collect())
        }
        x => x,
    };
    session.run(SAMPLES, &[x]).unwrap();
    let mut all: Vec<_> = (1..4).map(|id| session.read(id).unwrap()).collect();
    if ranges == Statistics::Ranges {
        let ends = session.ranges().unwrap().into_iter().flatten();
        all.push(Values::F32(ends.flat_map(|r| [r.min, r.max]).collect()));
    }
    all
}

/// The device on ordinary units, and on matrix units if it has some.
fn devices() -> Vec<Gpu> {
    let matrix = Options {
        int8: Int8Path::Matrix,
        float: FloatPath::Fast,
        tuning: Tuning::Reasoned,
        ..Options::default()
    };
    let plain = Options {
        int8: Int8Path::Dot,
        float: FloatPath::Exact,
        ..matrix.clone()
    };
    let Some(_) = gpu() else { return Vec::new() };
    let all = [Gpu::open_with(&plain), Gpu::open_with(&matrix)];
    all.into_iter().flatten().collect()
}

/// Tiles of a model as its device's tuner answers.
fn tiles(gpu: &Gpu, program: &Program) -> Tiles {
    gpu.tuner.tiles(gpu, program, SAMPLES)
}

/// The products of a model with their tiles.
fn asked(gpu: &Gpu, program: &Program) -> Vec<(String, Vec<Tile>)> {
    let reasoned = Tiles::reasoned(gpu.paths, SAMPLES);
    let all = Wanted::all(program);
    let one = |wanted: &Wanted| {
        let key = reasoned.key(wanted).unwrap();
        (key.to_string(), reasoned.candidates(wanted))
    };
    all.iter().map(one).collect()
}

/// Has a device know these tiles beforehand: the n-th candidate of every product, or the last.
fn plant(gpu: &mut Gpu, program: &Program, n: usize, folder: Option<&Path>) {
    let identity = gpu.identity();
    let mut cache = Cache::open(folder.map(Path::to_owned), identity);
    for (product, candidates) in asked(gpu, program) {
        let tile = candidates.get(n).or(candidates.last()).unwrap();
        cache.set(&product, Some(tile.name()));
    }
    gpu.tuner = Tuner {
        cache: Some(Mutex::new(cache)),
        budget: LONG,
    };
}

/// What tells the launches of a model apart: definitions hold the tile.
fn defines(tiles: &Tiles, program: &Program) -> Vec<Vec<(&'static str, u32)>> {
    let ops = program.steps.iter().map(|step| Op {
        graph: &program.graph,
        step,
        ranges: false,
        tiles,
    });
    ops.map(|op| launches(op).unwrap().swap_remove(0).defines)
        .collect()
}

#[test]
fn no_tile_changes_a_bit() {
    for mut gpu in devices() {
        for dtype in [DType::F32, DType::I8] {
            let program = model(dtype);
            gpu.tuner = Tuner::default();
            let want = results(&gpu, &program);
            let reasoned = defines(&tiles(&gpu, &program), &program);
            let mut seen = vec![reasoned.clone()];
            let most = asked(&gpu, &program).iter().map(|a| a.1.len()).max();
            for n in 0..most.unwrap() {
                plant(&mut gpu, &program, n, None);
                let planted = defines(&tiles(&gpu, &program), &program);
                // The first is what reasoning takes, the others are something else.
                assert_eq!(seen.contains(&planted), n == 0, "{n} of {}", gpu.name());
                seen.push(planted);
                assert!(results(&gpu, &program) == want, "{n} of {}", gpu.name());
            }
            assert!(seen.len() > 2, "there is something to choose");
        }
    }
}

#[test]
fn what_was_measured_is_read_by_the_next_and_changes_no_bit() {
    for mut gpu in devices() {
        let folder = tempfile::tempdir().unwrap();
        for dtype in [DType::F32, DType::I8] {
            let program = model(dtype);
            gpu.tuner = Tuner::default();
            let want = results(&gpu, &program);
            gpu.tuner = Tuner::new(Some(folder.path().into()), &gpu, LONG);
            assert!(results(&gpu, &program) == want);
            let measured = tiles(&gpu, &program);
            for (product, candidates) in asked(&gpu, &program) {
                let cache = Cache::open(Some(folder.path().into()), gpu.identity());
                let name = cache.get(&product);
                let known = candidates.iter().any(|tile| Some(tile.name()) == name);
                assert!(known, "{product} is {name:?}");
            }
            // The next one may not measure, and knows the same.
            gpu.tuner = Tuner::new(Some(folder.path().into()), &gpu, Duration::ZERO);
            let read = tiles(&gpu, &program);
            assert_eq!(defines(&read, &program), defines(&measured, &program));
            // It may, but what the file says is believed, however slow.
            plant(&mut gpu, &program, usize::MAX, Some(folder.path()));
            let slow = defines(&tiles(&gpu, &program), &program);
            gpu.tuner = Tuner::new(Some(folder.path().into()), &gpu, LONG);
            assert_eq!(defines(&tiles(&gpu, &program), &program), slow);
            assert!(results(&gpu, &program) == want);
            // Other adapters and other ways have nothing of it.
            let other = Cache::open(Some(folder.path().into()), gpu.identity() + ", checked");
            assert_eq!(other.get(&asked(&gpu, &program)[0].0), None);
        }
    }
}

#[test]
fn a_session_keeps_to_its_budget_and_the_next_goes_on() {
    let Some(mut gpu) = gpu() else { return };
    let program = model(DType::F32);
    let reasoned = defines(&Tiles::reasoned(gpu.paths, SAMPLES), &program);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made/when/needed");
    gpu.tuner = Tuner::new(Some(folder.clone()), &gpu, Duration::ZERO);
    assert_eq!(defines(&tiles(&gpu, &program), &program), reasoned);
    assert!(!folder.exists());
    // The smallest budget is spent before the first product has an end. It gets a second try, and is done then.
    let settled = |gpu: &Gpu| {
        let cache = Cache::open(Some(folder.clone()), gpu.identity());
        let known = |(product, tiles): (String, Vec<Tile>)| {
            let name = cache.get(&product);
            tiles.iter().any(|tile| Some(tile.name()) == name)
        };
        let all = asked(gpu, &program).into_iter();
        all.map(known).filter(|&known| known).count()
    };
    for sessions in 1..=6 {
        gpu.tuner = Tuner::new(Some(folder.clone()), &gpu, Duration::from_nanos(1));
        assert_eq!(defines(&tiles(&gpu, &program), &program), reasoned);
        assert_eq!(settled(&gpu), sessions / 2, "after {sessions}");
    }
}

#[test]
fn what_the_device_cannot_do_leaves_it_usable() {
    let Some(mut gpu) = gpu() else { return };
    let program = model(DType::I8);
    let want = results(&gpu, &program);
    // More workgroups in a row than there may be; more bytes than a buffer has.
    let mut wide = plain(1, 70_000, 70_000);
    (wide.group_in, wide.group_out) = (1, 1);
    let wide = Wanted::float(wide);
    let other = Wanted::float(plain(40, 8, 24));
    let limits = gpu.limits.clone();
    for trouble in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        gpu.tuner = Tuner::new(Some(folder.path().into()), &gpu, LONG);
        gpu.limits = limits.clone();
        match trouble {
            0 => gpu.limits.max_compute_workgroups_per_dimension = u32::MAX,
            _ => gpu.limits.max_buffer_size = 1 << 10,
        }
        let reasoned = Tiles::reasoned(gpu.paths, 1);
        let wanted = if trouble == 0 { wide } else { other };
        let key = reasoned.key(&wanted).unwrap();
        let candidates = reasoned.candidates(&wanted);
        let until = Instant::now() + LONG;
        assert!(measure::fastest(&gpu, &wanted, key, &candidates, until).is_err());
        gpu.limits = limits.clone();
        gpu.check().unwrap();
        assert!(results(&gpu, &program) == want, "{trouble}");
    }
    // A tuner that meets trouble asks no more of the device, and tries it once more with the next.
    let folder = tempfile::tempdir().unwrap();
    let name = |gpu: &Gpu| {
        let key = Tiles::reasoned(gpu.paths, 1).key(&other).unwrap();
        Cache::open(Some(folder.path().into()), gpu.identity()).get(&key.to_string())
    };
    let first = Tiles::reasoned(gpu.paths, 1).candidates(&other)[0].name();
    for want in [UNFINISHED, &first] {
        gpu.tuner = Tuner::new(Some(folder.path().into()), &gpu, LONG);
        gpu.limits.max_buffer_size = 1 << 10;
        let answer = |gpu: &Gpu| {
            let mut cache = lock(gpu.tuner.cache.as_ref().unwrap());
            gpu.tuner.answer(gpu, &mut cache, &[other], 1);
        };
        answer(&gpu);
        gpu.limits = limits.clone();
        assert_eq!(name(&gpu).as_deref(), Some(want));
        answer(&gpu);
        assert_eq!(name(&gpu).as_deref(), Some(want));
    }
    gpu.check().unwrap();
}

#[test]
fn files_that_are_no_good_count_as_empty_and_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiles.json");
    let open = |adapter: &str| Cache::open(Some(folder.path().into()), adapter.to_owned());
    let mut cache = open("a");
    assert_eq!(cache.get("x"), None);
    cache.set("x", Some("1".into()));
    // Two that write in turns keep each other's.
    let mut other = open("b");
    other.set("x", Some("2".into()));
    cache.set("y", Some("3".into()));
    assert_eq!(open("a").get("x").as_deref(), Some("1"));
    assert_eq!(open("a").get("y").as_deref(), Some("3"));
    assert_eq!(open("b").get("x").as_deref(), Some("2"));
    cache.set("x", None);
    assert_eq!(open("a").get("x"), None);
    let good = std::fs::read_to_string(&file).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let foreign = good.replace(version, "0.0.0-other");
    assert_ne!(foreign, good);
    let large = good.replace('}', &format!("{}}}", " ".repeat(1 << 20)));
    let cut = &good[..good.len() / 2];
    for bad in [
        "",
        "[]",
        "nonsense",
        "{\"version\": 3}",
        cut,
        &foreign,
        &large,
    ] {
        std::fs::write(&file, bad).unwrap();
        let mut cache = open("a");
        assert_eq!(cache.get("y"), None, "{bad:.40}");
        cache.set("z", Some("4".into()));
        assert_eq!(open("a").get("z").as_deref(), Some("4"));
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside it");
    }
    // What cannot be written is known as long as the process lives.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    for mut cache in [open("a"), Cache::open(None, "a".into())] {
        cache.set("z", Some("5".into()));
        assert_eq!(cache.get("z").as_deref(), Some("5"));
    }
    assert_eq!(open("a").get("z"), None);
}

#[test]
fn a_file_does_not_grow_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let open = |adapter: &str| Cache::open(Some(folder.path().into()), adapter.to_owned());
    open("old").set(&"x".repeat(600_000), Some("1".into()));
    open("new").set(&"y".repeat(600_000), Some("2".into()));
    assert_eq!(open("old").get(&"x".repeat(600_000)), None);
    let mut cache = open("new");
    assert_eq!(cache.get(&"y".repeat(600_000)).as_deref(), Some("2"));
    cache.set(&"z".repeat(600_000), Some("3".into()));
    let size = folder.path().join("tiles.json").metadata().unwrap().len();
    assert!(size < 1000, "{size}");
}

#[test]
fn only_a_clearly_faster_tile_replaces_the_reasoned_one() {
    let never = f64::INFINITY;
    for (times, want) in [
        (&[1.0][..], 0),
        (&[1.0, 0.98, 1.2], 0),
        (&[1.0, 0.98, 0.96], 2),
        (&[1.0, 0.5, 0.4], 2),
        (&[1.0, never, 0.9], 2),
        // Not measured at all.
        (&[never, never], 0),
    ] {
        assert_eq!(measure::decide(times), want, "{times:?}");
    }
}

#[test]
fn keys_tell_products_apart_and_batches_by_powers_of_two() {
    let key = |wanted: Wanted, samples| {
        let key = Tiles::reasoned(Default::default(), samples).key(&wanted);
        key.map(|key| (key.samples, key.to_string()))
    };
    let shape = conv(8, 24, 3, 1);
    let float = |samples| key(Wanted::float(shape), samples).unwrap();
    assert_eq!(float(5), float(7));
    assert_eq!(float(8).0, 8);
    assert_eq!(
        float(8).1,
        "float packed 8x36x72x24 groups 1 taps 9".to_owned()
    );
    // Beyond what fills any device nothing changes.
    assert_eq!(float(8192), float(100_000));
    let weights = vec![1; 72 * 24];
    let int8 = |packed| key(Wanted::int8(shape, &weights, packed), 8).unwrap().1;
    let others = [
        float(8).1,
        float(16).1,
        int8(true),
        int8(false),
        key(Wanted::float(conv(8, 24, 1, 1)), 8).unwrap().1,
        key(Wanted::float(conv(8, 24, 3, 2)), 8).unwrap().1,
        key(Wanted::float(conv(8, 28, 3, 1)), 8).unwrap().1,
        key(Wanted::float(plain(36, 72, 24)), 8).unwrap().1,
        key(Wanted::float(plain(35, 72, 24)), 8).unwrap().1,
    ];
    for (i, one) in others.iter().enumerate() {
        assert!(!others[..i].contains(one), "{one}");
    }
    // No buffer is larger than 128 MiB.
    assert_eq!(key(Wanted::float(plain(1 << 16, 300, 8)), 8).unwrap().0, 1);
    assert_eq!(key(Wanted::float(plain(1 << 18, 300, 8)), 8), None);
    assert_eq!(key(Wanted::float(plain(1, 1 << 14, 1 << 12)), 8), None);
}
