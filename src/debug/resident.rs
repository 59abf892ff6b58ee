//! Some samples that stay in memory, and graphs run over them that begin like one that is known.
//!
//! What is alive at a few places of the known graph is kept for all samples; a graph that is the same up to such a place begins
//! there.

use super::Error;
use crate::graph::{Graph, Tensor, TensorId};
use crate::kernel::prefix::{self, Place};
use crate::kernel::{Device, Feed, Keep, SessionConfig, Statistics, prepare};
use crate::num::Values;
use crate::stream;
use std::collections::HashMap;

/// Shares of the work behind which a graph may begin.
const SHARES: [f64; 7] = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875];
/// Bytes that are kept at one place at most.
const KEPT_BYTES: usize = 64 << 20;

/// Where graphs run.
#[derive(Clone, Copy)]
pub(super) struct Seat<'a> {
    pub device: &'a dyn Device,
    pub batch: Option<usize>,
    pub feeds: &'a [Feed],
}

/// A known graph over some samples.
pub(super) struct Resident<'a> {
    at: Seat<'a>,
    known: Graph,
    samples: usize,
    inputs: Vec<Values>,
    starts: Vec<(Place, Vec<Values>)>,
}

impl<'a> Resident<'a> {
    /// Runs a graph over samples, given as the data set delivers them, and keeps what others may have in common with it.
    /// Returns its results, too.
    pub fn new(
        at: Seat<'a>,
        known: Graph,
        samples: usize,
        inputs: Vec<Values>,
    ) -> Result<(Resident<'a>, Vec<Vec<f32>>), Error> {
        let mut resident = Resident {
            at,
            known: known.clone(),
            samples,
            inputs,
            starts: Vec::new(),
        };
        let program = prepare(known.clone())?;
        for place in prefix::places(&program, samples, &SHARES, KEPT_BYTES) {
            // From the place before, if there is one.
            let before = resident.starts.last();
            let head = prefix::head(&known, before.map(|(place, _)| place), &place);
            let ids = head.outputs.clone();
            let values = resident.compute(head, before)?;
            let mut computed: HashMap<TensorId, Values> = ids.into_iter().zip(values).collect();
            if let Some((before, values)) = before {
                for (id, values) in before.alive.iter().zip(values) {
                    computed.entry(*id).or_insert_with(|| values.clone());
                }
            }
            let alive = place.alive.iter().filter_map(|id| computed.remove(id));
            let alive = alive.collect();
            resident.starts.push((place, alive));
        }
        let results = resident.results(known)?;
        Ok((resident, results))
    }

    /// Keeps samples alone, for graphs that have nothing in common.
    pub fn alone(at: Seat<'a>, samples: usize, inputs: Vec<Values>) -> Resident<'a> {
        Resident {
            at,
            known: Graph {
                file: String::new(),
                tensors: Vec::new(),
                nodes: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
            },
            samples,
            inputs,
            starts: Vec::new(),
        }
    }

    /// The results of a graph, real, one array each.
    pub fn results(&self, graph: Graph) -> Result<Vec<Vec<f32>>, Error> {
        let common = prefix::common(&self.known, &graph);
        let starts = self.starts.iter().rev();
        let start = starts
            .clone()
            .find(|(place, _)| place.nodes <= common && prefix::begins(&graph, place));
        let tensors: Vec<Tensor> = graph
            .outputs
            .iter()
            .map(|&id| graph.tensors[id].clone())
            .collect();
        let graph = match start {
            Some((place, _)) => prefix::tail(graph, place),
            None => graph,
        };
        let values = self.compute(graph, start)?;
        let real = values.iter().zip(&tensors);
        let real = real.map(|(values, tensor)| tensor.real(values));
        Ok(real.collect())
    }

    /// Runs a graph that is fed with what is alive at a place, or with the samples themselves; its outputs.
    fn compute(
        &self,
        graph: Graph,
        start: Option<&(Place, Vec<Values>)>,
    ) -> Result<Vec<Values>, Error> {
        let (inputs, feeds) = match start {
            Some((place, values)) => (values, vec![Feed::Direct; place.alive.len()]),
            None => (&self.inputs, self.at.feeds.to_vec()),
        };
        let program = prepare(graph)?;
        let config = SessionConfig {
            batch: Some(self.at.batch.unwrap_or(self.samples).min(self.samples)),
            keep: Keep::Outputs,
            statistics: Statistics::Nothing,
            profile: false,
            feeds: feeds.clone(),
        };
        let mut session = self.at.device.session(&program, &config)?;
        let mut all: Vec<Values> = Vec::new();
        let most = session.batch().max(1);
        for first in (0..self.samples).step_by(most) {
            let count = most.min(self.samples - first);
            let part = inputs.iter().map(|values| {
                let n = values.len() / self.samples;
                slice(values, first * n, count * n)
            });
            session.run(count, &stream::feed(&feeds, part.collect()))?;
            for (i, &id) in program.graph.outputs.iter().enumerate() {
                let values = session.read(id)?;
                match all.get_mut(i) {
                    Some(all) => all.append(values),
                    None => all.push(values),
                }
            }
        }
        Ok(all)
    }
}

fn slice(values: &Values, first: usize, n: usize) -> Values {
    let size = values.dtype().size();
    let bytes = &values.bytes()[first * size..][..n * size];
    Values::from_bytes(values.dtype(), bytes).expect("whole elements of a type that data can have")
}
