//! `zeropoint compare`
//!
//! All models run over one reading of the data, in turns, batch by batch: what disturbs the machine disturbs all of them.
//! The first batch runs once more beforehand, and only its second run is timed, so every sample counts once. Nothing is
//! kept but tallies.

use super::evaluate::read_names;
use super::target::{DataArguments, DeviceArguments};
use super::verify::check_outputs;
use super::{Failure, detail, output, progress};
use clap::Args;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;
use zeropoint::data::{DataSet, Labels};
use zeropoint::evaluate::{self, Classification, Distance, Flips, Known, METRICS, Metric};
use zeropoint::graph::TensorId;
use zeropoint::kernel::{Feed, Keep, Program, Session, SessionConfig, Statistics};
use zeropoint::num::Values;
use zeropoint::report::{
    self, COMPARISON_VERSION, Compared, Comparison, MOST_CLASSES, MetricColumn, OutputDistance,
    SampleTime, Scores, TIMES, Timing,
};
use zeropoint::stream::{self, Batch};

/// Arguments of `zeropoint compare`.
#[derive(Args)]
#[command(after_help = help())]
pub struct Arguments {
    /// The float model
    float: PathBuf,
    /// Quantized models of it
    #[arg(required = true, value_name = "QUANTIZED")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// What to measure, in this order; by the first one files are judged. May be repeated
    #[arg(long = "metric", value_name = "NAME,…", value_delimiter = ',', value_parser = metric)]
    metrics: Vec<&'static Known>,
    /// Which output the metrics are of
    #[arg(long, value_name = "N", default_value_t = 0)]
    scores: usize,
    /// Write a page with pictures, which needs nothing but itself; a folder gets a file with the float model's name
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Names of the classes, one a line, for the page
    #[arg(long, value_name = "FILE", requires = "html")]
    class_names: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArguments,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Memory for the tensors of a batch in all models.
const BATCH_BYTES: usize = 512 << 20;
/// Most samples of a batch, where nobody asks for more.
const BATCH: usize = 128;

fn metric(name: &str) -> Result<&'static Known, evaluate::Error> {
    evaluate::known(name)
}

/// The list of metrics.
fn help() -> String {
    let line = |known: &Known| {
        let needs = if known.labels { "; needs labels" } else { "" };
        format!("\n  {:10} {}{needs}", known.name, known.about)
    };
    let list: String = METRICS.iter().map(line).collect();
    format!(
        "Metrics:{list}\n\nWithout --metric: accuracy, f1 (with labels), agreement (of two elements and more), sqnr, cosine.\n\n  \
         zeropoint compare model.tflite a.tflite b.tflite --data eval.npz --html compare.html"
    )
}

/// A model that is ready to run.
struct Loaded<'a> {
    path: &'a Path,
    bytes: u64,
    program: Program,
    feeds: Vec<Feed>,
    /// The place of each of its inputs among the arrays that are read, which are those of the float model.
    places: Vec<usize>,
}

/// A model that runs, and what is measured of it.
struct Running<'a> {
    loaded: &'a Loaded<'a>,
    session: Box<dyn Session + 'a>,
    seconds: f64,
    metrics: Vec<Box<dyn Metric>>,
    flips: Option<Flips>,
    classes: Option<Classification>,
    distances: Vec<Distance>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let page = arguments.html.as_ref();
    let page = page.map(|to| detail::place(to, &arguments.float));
    if let Some(page) = &page {
        let models = arguments.models.iter().map(PathBuf::as_path);
        let inputs = [arguments.float.as_path(), &arguments.data.data];
        let inputs: Vec<&Path> = inputs.into_iter().chain(models).collect();
        output::check_place_of("--html", page, &inputs)?;
    }
    let names = arguments.class_names.as_deref().map(read_names);
    let names = names.transpose()?;
    let loaded = load(arguments)?;
    let float = &loaded[0];
    let (mut data, _) = arguments.data.open(&float.program.graph)?;
    let labels = data.labels().cloned();
    let scores = scores(arguments, &float.program, names.as_deref())?;
    let chosen = chosen(arguments, labels.is_some(), scores.elements)?;
    let device = arguments.device.open()?;
    let needs: usize = loaded.iter().map(|l| l.program.bytes_per_sample()).sum();
    let batch = (BATCH_BYTES / needs.max(1)).clamp(1, BATCH).min(data.len());
    let config = |feeds: &[Feed]| SessionConfig {
        batch: Some(arguments.device.batch.unwrap_or(batch)),
        keep: Keep::Outputs,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: feeds.to_vec(),
    };
    let classify = labels.is_some()
        && (2..=MOST_CLASSES).contains(&scores.elements)
        && chosen.iter().any(|known| known.labels && known.classes);
    // With a metric of other labels than classes, nobody is right or wrong by these.
    let judged = chosen.iter().all(|known| known.classes || !known.labels);
    let mut running = Vec::new();
    for (i, loaded) in loaded.iter().enumerate() {
        running.push(Running {
            loaded,
            session: device.session(&loaded.program, &config(&loaded.feeds))?,
            seconds: 0.0,
            metrics: chosen.iter().map(|known| known.start()).collect(),
            flips: (i > 0 && scores.elements >= 2).then(Flips::default),
            classes: match classify {
                true => Some(Classification::new(scores.elements)?),
                false => None,
            },
            distances: match i {
                0 => Vec::new(),
                _ => vec![Distance::new(); loaded.program.graph.results().len()],
            },
        });
    }
    let size = measure(
        &mut running,
        &mut data,
        labels.as_ref(),
        (scores.output, judged),
    )?;
    let comparison = Comparison {
        schema_version: COMPARISON_VERSION,
        device: device.name(),
        data: arguments.data.data.display().to_string(),
        samples: data.len(),
        labels: labels.is_some(),
        scores,
        metrics: chosen.iter().map(column).collect(),
        float: compared(&running[0], &running[0], data.len())?,
        models: running[1..]
            .iter()
            .map(|model| compared(model, &running[0], data.len()))
            .collect::<Result<_, _>>()?,
        time: Timing {
            batch: size,
            about: TIMES,
        },
    };
    if let Some(page) = &page {
        output::write_whole(page, &report::compare_page(&comparison, names.as_deref()))?;
        output::note(&format!("the page is {}", page.display()));
    }
    if arguments.json {
        return output::print_json(&comparison);
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    output::print(&report::compare(&comparison, colour));
    Ok(())
}

/// All models, the float one first; none must differ from it in what it reads or writes.
fn load(arguments: &Arguments) -> Result<Vec<Loaded<'_>>, Failure> {
    let paths = std::iter::once(&arguments.float).chain(&arguments.models);
    let mut all: Vec<Loaded<'_>> = Vec::new();
    let mut arrays = Vec::new();
    for path in paths {
        let (_, program) = arguments.data.program(path)?;
        if let Some(float) = all.first() {
            check_outputs(&float.program.graph, &program.graph)?;
        }
        let (data, feeds) = arguments.data.open(&program.graph)?;
        let own: Vec<_> = data
            .arrays()
            .map(|a| (a.array.clone(), a.delivered))
            .collect();
        if all.is_empty() {
            arrays.clone_from(&own);
        }
        let place = |array: &_| {
            let found = arrays.iter().position(|other| other == array);
            found.ok_or_else(|| {
                Failure::Input(format!(
                    "{} reads array '{}' in another way than {}; are these two forms of one model?",
                    path.display(),
                    array.0,
                    arguments.float.display()
                ))
            })
        };
        all.push(Loaded {
            path,
            bytes: std::fs::metadata(path).map_or(0, |m| m.len()),
            places: own.iter().map(place).collect::<Result<_, _>>()?,
            program,
            feeds,
        });
    }
    Ok(all)
}

/// The output that the metrics are of.
fn scores(
    arguments: &Arguments,
    float: &Program,
    names: Option<&[String]>,
) -> Result<Scores, Failure> {
    let (graph, path) = (&float.graph, arguments.float.display());
    let results = graph.results();
    let &id = results.get(arguments.scores).ok_or_else(|| {
        Failure::Input(format!(
            "{path}: no output {}, the model has {}; choose another --scores",
            arguments.scores,
            results.len()
        ))
    })?;
    let elements = graph.elements(id);
    if let Some(names) = names.filter(|names| names.len() != elements) {
        return Err(Failure::Input(format!(
            "{path}: {elements} classes, but --class-names has {} names",
            names.len()
        )));
    }
    Ok(Scores {
        output: arguments.scores,
        name: graph.tensors[id].name.clone(),
        elements,
    })
}

/// The metrics that were asked for, each once, or the usual ones.
fn chosen(
    arguments: &Arguments,
    labels: bool,
    elements: usize,
) -> Result<Vec<&'static Known>, Failure> {
    if arguments.metrics.is_empty() {
        return Ok(evaluate::usual(labels, elements));
    }
    let mut chosen: Vec<&'static Known> = Vec::new();
    for &known in &arguments.metrics {
        if known.labels && !labels {
            return Err(Failure::Input(format!(
                "{}: no array 'labels'; --metric {} needs one class number a sample",
                arguments.data.data.display(),
                known.name
            )));
        }
        if !chosen.iter().any(|other| other.name == known.name) {
            chosen.push(known);
        }
    }
    Ok(chosen)
}

/// Runs all samples through all models; gives the size of the batches. `output` is the one that is scored, and whether
/// labels are its classes.
fn measure(
    running: &mut [Running<'_>],
    data: &mut DataSet,
    labels: Option<&Labels>,
    output: (usize, bool),
) -> Result<usize, Failure> {
    let sizes = running.iter().map(|model| model.session.batch());
    let size = sizes.min().unwrap_or(1).max(1);
    let bar = progress::bar("compare", data.len());
    let mut turn = 0;
    stream::each(data, size, |batch| {
        let n = running.len();
        if turn == 0 {
            for model in running.iter_mut() {
                model.run(&batch)?;
                model.seconds = 0.0;
            }
        }
        // Every model follows every other one as often.
        let mut results: Vec<Vec<Vec<f32>>> = vec![Vec::new(); n];
        for i in (0..n).map(|i| (i + turn) % n) {
            results[i] = running[i].run(&batch)?;
        }
        turn += 1;
        for (model, outputs) in running.iter_mut().zip(&results) {
            for i in 0..batch.samples {
                let labels = labels.map_or(&[][..], |l| l.accepted(batch.first + i));
                model.tally(labels, &results[0], outputs, (i, batch.samples), output)?;
            }
        }
        bar.inc(batch.samples as u64);
        Ok::<(), Failure>(())
    })?;
    bar.finish_and_clear();
    Ok(size)
}

impl Running<'_> {
    /// Runs a batch and gives all outputs as real numbers, sample after sample. Time is that of the run until its results
    /// are read.
    fn run(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>, Failure> {
        let graph = &self.loaded.program.graph;
        let inputs = self.loaded.places.iter().map(|&i| batch.inputs[i].clone());
        let inputs = stream::feed(&self.loaded.feeds, inputs.collect());
        let ids = graph.results();
        let start = Instant::now();
        self.session.run(batch.samples, &inputs)?;
        // A tensor that is several outputs can be read once.
        let mut read: Vec<(TensorId, Values)> = Vec::new();
        for &id in &ids {
            if !read.iter().any(|(other, _)| *other == id) {
                read.push((id, self.session.read(id)?));
            }
        }
        self.seconds += start.elapsed().as_secs_f64();
        let outputs = ids.iter().map(|id| {
            let value = read.iter().find(|(other, _)| other == id);
            value.map_or_else(Vec::new, |(id, values)| graph.tensors[*id].real(values))
        });
        Ok(outputs.collect())
    }

    /// Measures sample i of n.
    fn tally(
        &mut self,
        labels: &[i64],
        float: &[Vec<f32>],
        test: &[Vec<f32>],
        (i, n): (usize, usize),
        (scores, judged): (usize, bool),
    ) -> Result<(), Failure> {
        let sample = |output: &Vec<f32>| {
            let elements = output.len() / n.max(1);
            i * elements..(i + 1) * elements
        };
        let path = self.loaded.path.display();
        let named = |output: usize, e: evaluate::Error| {
            let graph = &self.loaded.program.graph;
            let name = graph.describe(graph.results()[output]);
            Failure::Input(format!("{path}: {name}: {e}"))
        };
        for (output, distance) in self.distances.iter_mut().enumerate() {
            let (x, y) = (&float[output], &test[output]);
            distance
                .add(&x[sample(x)], &y[sample(y)])
                .map_err(|e| named(output, e))?;
        }
        let (x, y) = (&float[scores], &test[scores]);
        let (x, y) = (&x[sample(x)], &y[sample(y)]);
        for metric in &mut self.metrics {
            metric.add(labels, x, y).map_err(|e| {
                let text = named(scores, e);
                Failure::Input(format!("{text} (--metric {})", metric.name()))
            })?;
        }
        if let Some(flips) = &mut self.flips {
            let labels = if judged { labels } else { &[] };
            flips.add(labels, x, y).map_err(|e| named(scores, e))?;
        }
        if let Some(classes) = &mut self.classes {
            classes.add(y, labels).map_err(|e| named(scores, e))?;
        }
        Ok(())
    }
}

fn column(known: &&Known) -> MetricColumn {
    let metric = known.start();
    MetricColumn {
        name: metric.name().to_owned(),
        unit: metric.unit(),
        larger_is_better: metric.larger_is_better(),
        labels: known.labels,
    }
}

/// What was measured of a model.
fn compared(model: &Running<'_>, float: &Running<'_>, samples: usize) -> Result<Compared, Failure> {
    let Loaded {
        path,
        bytes,
        program,
        ..
    } = model.loaded;
    let graph = &program.graph;
    let distance = |(&id, distance): (&TensorId, &Distance)| {
        Ok(OutputDistance {
            tensor: id,
            name: graph.tensors[id].name.clone(),
            distance: distance.figures()?,
        })
    };
    let outputs = graph.results();
    let outputs = outputs.iter().zip(&model.distances).map(distance);
    let values = model.metrics.iter();
    let values = values.map(|metric| (metric.name().to_owned(), metric.value()));
    let confusion = model.classes.as_ref().map(Classification::metrics);
    Ok(Compared {
        file: path.display().to_string(),
        bytes: *bytes,
        bytes_of_float: *bytes as f64 / float.loaded.bytes.max(1) as f64,
        multiply_adds: program.multiply_adds(),
        metrics: values.collect(),
        flips: model.flips.clone(),
        outputs: outputs.collect::<Result<_, Failure>>()?,
        confusion: confusion.transpose()?.map(|metrics| metrics.confusion),
        time: SampleTime {
            seconds_per_sample: model.seconds / samples.max(1) as f64,
            of_float: model.seconds / float.seconds.max(1e-12),
        },
    })
}
