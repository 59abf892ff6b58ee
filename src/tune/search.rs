//! Which candidates are tried, in which order, and which are kept.

use super::gather::{Gathered, Seen};
use super::judge::{Judge, Verdict, ahead};
use super::{Effort, Error, Event, Search, Step, Task};
use crate::graph::{Graph, TensorId};
use crate::num::Range;
use crate::quantize::{self, Chosen, Memo, Options, Weights, Why};
use crate::ranges::{Choice, Statistics};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Methods that are tried for all tensors, from what keeps most to what keeps least.
const METHODS: [&str; 9] = [
    "minmax",
    "percentile:0.001,99.999",
    "percentile:0.01,99.99",
    "percentile:0.05,99.95",
    "percentile:0.2,99.8",
    "mse",
    "histogram-mse-symmetric",
    "histogram-mse-max-frequency",
    "entropy",
];
/// How many of them are tried for groups: those that did best for all.
const FOR_GROUPS: usize = 3;
/// Ranges get narrower and wider by powers of this: a quarter of an octave.
const QUARTER: f32 = 0.840_896_4;
/// By how many quarters the ranges of a group get narrower, each as often as it gains, and then wider again.
const NARROWER: [i32; 4] = [4, 2, 1, -1];
/// A smaller step is tried where the one before gained, or was no further behind than this, in dB.
const NOT_FAR: f64 = 2.0;
/// What a change has to gain to be kept, in dB and in standard errors.
const LEAST_GAIN: f64 = 0.05;
const ERRORS: f64 = 1.5;
/// The same for the few changes of all tensors, among which chance has less to choose from.
const FEW_ERRORS: f64 = 0.5;
/// How much worse ranges from all samples may be to be taken, in dB: more samples have seen more.
const WORSE: f64 = 0.1;
/// How often groups are gone through at most.
const ROUNDS: usize = 4;
/// Samples are run at least so many times the number that judges, whatever the effort.
const LEAST_RUNS: usize = 6;

/// What is chosen for a tensor: a method, and how many quarters of an octave narrower than that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rule {
    method: usize,
    narrower: i32,
}

/// A candidate.
#[derive(Clone, Debug, PartialEq)]
struct State {
    /// For each tensor that may be chosen.
    rules: Vec<Rule>,
    corrected: bool,
    weights: Weights,
}

struct Searcher<'a, 'e> {
    task: Task<'a>,
    gathered: &'a Gathered,
    judge: Judge<'a>,
    event: &'e mut dyn FnMut(Event) -> ControlFlow<()>,
    budget: usize,
    /// Tensors whose ranges may be chosen, in execution order.
    tensors: Vec<TensorId>,
    methods: Vec<Choice>,
    /// What each method proposes for each tensor.
    proposals: Vec<Vec<Range>>,
    best: State,
    scores: Vec<f64>,
    search: Search,
    stopped: bool,
    /// Whether candidates change parts of the model.
    parts: bool,
    memo: Arc<Memo>,
}

/// Finds what is best for the samples that were held back.
pub(super) fn search(
    task: Task<'_>,
    gathered: &Gathered,
    event: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<(Options, Search), Error> {
    let held = gathered.held.samples;
    if held == 0 {
        return Ok((task.options.clone(), Search::default()));
    }
    let tensors = tensors(task, gathered)?;
    let methods: Vec<Choice> = METHODS
        .iter()
        .map(|name| name.parse().expect("a method that a test parses"))
        .collect();
    let proposals = proposals(task, &tensors, &methods, &gathered.proposing);
    let runs = match task.effort {
        Effort::Short => 1.0,
        Effort::Usual => 2.5,
        Effort::Long => 29.0,
    };
    let budget = (runs * gathered.samples as f64) as usize;
    let mut judge = Judge::new(task, gathered);
    let best = State {
        rules: vec![Rule::default(); tensors.len()],
        corrected: false,
        weights: task.options.weights,
    };
    let base = task.options.clone();
    let Verdict::Scores(scores) = judge.score(&base, None)? else {
        return Ok((base, Search::default()));
    };
    let mut searcher = Searcher {
        budget: budget.max(LEAST_RUNS * held),
        search: Search {
            judged_on: held,
            before: mean(&scores),
            ..Search::default()
        },
        task,
        gathered,
        judge,
        event,
        tensors,
        methods,
        proposals,
        best,
        scores,
        stopped: false,
        parts: false,
        memo: Arc::default(),
    };
    searcher.run()?;
    Ok(searcher.result())
}

impl Searcher<'_, '_> {
    fn run(&mut self) -> Result<(), Error> {
        self.correct()?;
        let order = self.uniform()?;
        self.correct()?;
        if self.task.effort > Effort::Short {
            self.weights()?;
            self.groups(&order)?;
        }
        self.anew()
    }

    /// Biases that make up for the rounding of weights.
    fn correct(&mut self) -> Result<(), Error> {
        let corrected = State {
            corrected: true,
            ..self.best.clone()
        };
        self.attempt(corrected, FEW_ERRORS, || {
            "biases make up for rounded weights".into()
        })?;
        Ok(())
    }

    /// Scales of weights by their squared error.
    fn weights(&mut self) -> Result<(), Error> {
        if self.task.fixed_weights {
            return Ok(());
        }
        let weights = State {
            weights: Weights::Mse,
            ..self.best.clone()
        };
        self.attempt(weights, ERRORS, || "weights by mse".into())?;
        Ok(())
    }

    /// One method for all tensors; the methods from the best to the worst.
    fn uniform(&mut self) -> Result<Vec<usize>, Error> {
        let mut gains = vec![(0.0, 0)];
        let start = mean(&self.scores);
        for method in 1..self.methods.len() {
            let rule = Rule {
                method,
                narrower: 0,
            };
            let all = State {
                rules: vec![rule; self.tensors.len()],
                ..self.best.clone()
            };
            let name = self.methods[method].to_string();
            let before = mean(&self.scores) - start;
            let gain = self.attempt(all, FEW_ERRORS, || format!("all tensors by {name}"))?;
            gains.push((before + gain.unwrap_or(f64::NEG_INFINITY), method));
        }
        gains.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(gains.into_iter().map(|(_, method)| method).collect())
    }

    /// Groups of tensors, from all to single ones, as long as it pays and the budget lasts.
    fn groups(&mut self, order: &[usize]) -> Result<(), Error> {
        // What changes all tensors has nothing in common with the best; what changes some may have much.
        self.parts = true;
        let best = self.options(&self.best, &self.proposals);
        self.judge.remember(&best)?;
        let groups = self.all_groups();
        for _ in 0..ROUNDS {
            let before = mean(&self.scores);
            for (name, group) in &groups {
                self.narrow(name, group)?;
                for &method in order.iter().take(FOR_GROUPS) {
                    let what = format!("{name} by {}", self.methods[method]);
                    let rule = Rule {
                        method,
                        narrower: 0,
                    };
                    self.change(what, group, |_| rule)?;
                }
                if self.over() {
                    return Ok(());
                }
            }
            if mean(&self.scores) - before < LEAST_GAIN {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Narrower ranges for a group, and wider ones where they are narrow.
    fn narrow(&mut self, name: &str, group: &[usize]) -> Result<(), Error> {
        let mut promising = true;
        for step in NARROWER {
            if !promising && step > 0 {
                continue;
            }
            let mut gained = false;
            let last = loop {
                let what = format!("{name} × {:.2}", QUARTER.powi(step));
                let gain = self.change(what, group, |rule| Rule {
                    narrower: (rule.narrower + step).max(0),
                    ..rule
                })?;
                match gain {
                    Some(gain) if gain > 0.0 => gained = true,
                    last => break last,
                }
            };
            promising = gained || last.is_some_and(|gain| gain > -NOT_FAR);
        }
        Ok(())
    }

    /// Tries other rules for a group; the gain, which is kept if it is above 0, unless nothing was tried.
    fn change(
        &mut self,
        what: String,
        group: &[usize],
        rule: impl Fn(Rule) -> Rule,
    ) -> Result<Option<f64>, Error> {
        let mut state = self.best.clone();
        for &i in group {
            state.rules[i] = rule(state.rules[i]);
        }
        self.attempt(state, ERRORS, || what)
    }

    /// Tries a candidate and keeps it if it gains enough: the least gain, and so many standard errors.
    /// Its gain, which is 0 or less if it was not kept; none if it was not tried.
    fn attempt(
        &mut self,
        state: State,
        errors: f64,
        what: impl FnOnce() -> String,
    ) -> Result<Option<f64>, Error> {
        if state == self.best || self.over() {
            return Ok(None);
        }
        let options = self.options(&state, &self.proposals);
        let verdict = self
            .judge
            .score(&options, Some((&self.scores, LEAST_GAIN)))?;
        let gain = match verdict {
            Verdict::Behind(gain) => gain.min(0.0),
            Verdict::Scores(scores) => {
                let (gain, error) = ahead(&scores, &self.scores);
                if gain > LEAST_GAIN.max(errors * error) {
                    if self.parts {
                        self.judge.remember(&options)?;
                    }
                    self.best = state;
                    self.scores = scores;
                    self.search.steps.push(Step { what: what(), gain });
                    gain
                } else {
                    gain.min(0.0)
                }
            }
        };
        let gained = mean(&self.scores) - self.search.before;
        let spent = self.judge.spent.min(self.budget);
        if (self.event)(Event::Judged(spent, self.budget, gained)).is_break() {
            self.stopped = true;
        }
        Ok(Some(gain))
    }

    fn over(&self) -> bool {
        self.stopped || self.judge.spent >= self.budget
    }

    /// The same rules for the statistics of all samples, unless that is worse.
    fn anew(&mut self) -> Result<(), Error> {
        if self.best.rules.iter().all(|rule| *rule == Rule::default()) {
            return Ok(());
        }
        let mut proposals = self.proposals.clone();
        let used: BTreeSet<usize> = self.best.rules.iter().map(|rule| rule.method).collect();
        for method in used {
            let (graph, options) = (self.task.graph, self.task.options);
            let (name, seen) = (&self.methods[method], &self.gathered.all);
            proposals[method] = propose(graph, options, &self.tensors, name, seen);
        }
        let options = self.options(&self.best, &proposals);
        if let Verdict::Scores(scores) = self
            .judge
            .score(&options, Some((&self.scores, f64::NEG_INFINITY)))?
        {
            let (gain, _) = ahead(&scores, &self.scores);
            if gain > -WORSE {
                let what = "proposed anew from all samples".into();
                self.search.steps.push(Step { what, gain });
                self.scores = scores;
                self.proposals = proposals;
            }
        }
        Ok(())
    }

    fn result(mut self) -> (Options, Search) {
        self.search.after = mean(&self.scores);
        self.search.candidates = self.judge.candidates;
        self.search.stopped = self.stopped;
        let options = self.options(&self.best, &self.proposals);
        (options, self.search)
    }

    /// What a candidate means for the planner.
    fn options(&self, state: &State, proposals: &[Vec<Range>]) -> Options {
        let rules = self.tensors.iter().zip(&state.rules).enumerate();
        let chosen = rules.filter(|(_, (_, rule))| **rule != Rule::default());
        let chosen = chosen.map(|(i, (&id, rule))| {
            let Range { min, max } = proposals[rule.method][i];
            let factor = QUARTER.powi(rule.narrower);
            let method = match rule.narrower {
                0 => self.methods[rule.method].to_string(),
                _ => format!("{} × {factor:.2}", self.methods[rule.method]),
            };
            let range = Range {
                min: min * factor,
                max: max * factor,
            };
            (id, Chosen { range, method })
        });
        // What was chosen before stays: those tensors are none of these.
        let mut all = self.task.options.chosen.clone();
        all.extend(chosen);
        Options {
            chosen: all,
            weights: state.weights,
            memo: Some(Arc::clone(&self.memo)),
            correction: state
                .corrected
                .then(|| Arc::clone(&self.gathered.correction)),
            ..self.task.options.clone()
        }
    }

    /// Groups of positions in `tensors`: all, halves, kinds of operators, quarters and so on.
    fn all_groups(&self) -> Vec<(String, Vec<usize>)> {
        let n = self.tensors.len();
        let kinds: Vec<String> = self.tensors.iter().map(|&id| self.kind(id)).collect();
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        let mut add = |name: String, group: Vec<usize>| {
            if !group.is_empty() && groups.iter().all(|(_, other)| *other != group) {
                groups.push((name, group));
            }
        };
        add("all tensors".into(), (0..n).collect());
        let mut parts = 2;
        while parts < 2 * n {
            for k in 0..parts {
                let (from, to) = (k * n / parts, (k + 1) * n / parts);
                add(self.span(from, to), (from..to).collect());
            }
            if parts == 2 {
                let mut sorted: Vec<&String> = kinds.iter().collect();
                sorted.sort();
                sorted.dedup();
                for kind in sorted {
                    let group = (0..n).filter(|&i| &kinds[i] == kind).collect();
                    add(kind.clone(), group);
                }
            }
            parts *= 2;
        }
        groups
    }

    /// What computes a tensor.
    fn kind(&self, id: TensorId) -> String {
        let graph = self.task.graph;
        let node = graph.nodes.iter().find(|n| n.outputs.contains(&id));
        node.map_or("inputs".into(), |n| n.op.name().to_owned())
    }

    fn span(&self, from: usize, to: usize) -> String {
        let tensors = &self.tensors[from..to];
        match tensors {
            [one] => format!("tensor {one}"),
            [first, .., last] => format!("tensors {first} to {last}"),
            [] => String::new(),
        }
    }
}

/// Tensors whose ranges may be chosen, in execution order.
fn tensors(task: Task<'_>, gathered: &Gathered) -> Result<Vec<TensorId>, Error> {
    let graph = task.graph;
    let seen = &gathered.all;
    let plan = quantize::plan_by(graph, &seen.ranges, &seen.histograms, task.options)?;
    let mut producers: HashMap<TensorId, usize> = HashMap::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        producers.extend(node.outputs.iter().map(|&id| (id, i)));
    }
    let free = |id: TensorId| {
        let method = producers.get(&id).and_then(|i| task.options.methods.get(i));
        let histogram = gathered
            .proposing
            .histograms
            .get(id)
            .is_some_and(Option::is_some);
        method.is_none() && histogram && !graph.tensors[id].variable
    };
    let own = plan
        .activations
        .iter()
        .filter(|a| matches!(a.why, Why::Range { .. } | Why::Least { .. }));
    let added = plan.tensors.iter().filter(|t| t.affine.is_some());
    let mut all: Vec<TensorId> = own.map(|a| a.tensor).chain(added.map(|t| t.like)).collect();
    all.retain(|&id| free(id));
    // Inputs first, then as they are computed.
    all.sort_by_key(|id| (producers.get(id).map_or(0, |i| i + 1), *id));
    all.dedup();
    Ok(all)
}

/// What each method proposes for each tensor.
fn proposals(
    task: Task<'_>,
    tensors: &[TensorId],
    methods: &[Choice],
    seen: &Seen,
) -> Vec<Vec<Range>> {
    let methods = methods.par_iter();
    let (graph, options) = (task.graph, task.options);
    methods
        .map(|m| propose(graph, options, tensors, m, seen))
        .collect()
}

fn propose(
    graph: &Graph,
    options: &Options,
    tensors: &[TensorId],
    method: &Choice,
    seen: &Seen,
) -> Vec<Range> {
    let wide = |id: TensorId| {
        let node = graph.nodes.iter().position(|n| n.outputs.contains(&id));
        let scheme = node.map_or(options.scheme, |i| options.scheme(i));
        scheme == quantize::NodeScheme::Int16x8
    };
    let one = |&id: &TensorId| {
        let range = seen.ranges[id].unwrap_or(Range::EMPTY);
        match &seen.histograms[id] {
            Some(histogram) if range.min <= range.max => method.range(&Statistics {
                range,
                histogram,
                averaged: None,
                bits: if wide(id) { 16 } else { 8 },
            }),
            _ => range,
        }
    };
    tensors.par_iter().map(one).collect()
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_methods() {
        for name in METHODS {
            assert_eq!(name.parse::<Choice>().unwrap().to_string(), name);
        }
        assert!((QUARTER.powi(4) - 0.5).abs() < 1e-6);
    }
}
