//! The model as layers: where operators stand, and how the lines between them run.
//!
//! A layer is the longest path from the sources, so lines only go down. A line that passes layers by has a bend in each of
//! them, one for all readers of a tensor, so that it never crosses a box. Layers are ordered by the mean place of their
//! neighbours; then everything is drawn to where its neighbours are, as far as the order and the widths allow.

use crate::debug::Report;
use std::collections::HashMap;

/// Width of a box.
pub(super) const BOX: f64 = 196.0;
/// Height of a box.
pub(super) const HEIGHT: f64 = 40.0;
/// From the top of a layer to the top of the next.
pub(super) const LAYER: f64 = 60.0;
/// Width of a tensor that comes from outside.
pub(super) const SOURCE: f64 = 86.0;
const BEND: f64 = 12.0;
const GAP: f64 = 14.0;
const MARGIN: f64 = 14.0;
/// A line over more layers than this runs straight: bends for all would make the graph huge.
const MOST_BENDS: usize = 48;
const SWEEPS: usize = 8;
/// Lines give way to boxes: otherwise every shortcut would push the model a little further to a side.
const BOX_WEIGHT: f64 = 1000.0;

/// What stands at a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// An operator, by its rows of the report: one for each output.
    Op(Vec<usize>),
    /// A tensor that no listed operator computes.
    Source(usize),
    /// Where a line passes a layer.
    Bend,
}

/// Places with their coordinates, and lines as lists of places from top to bottom.
#[derive(Debug)]
pub(super) struct Layout {
    pub places: Vec<Place>,
    /// Middle of a place.
    pub x: Vec<f64>,
    /// Layer of a place.
    pub layer: Vec<usize>,
    pub lines: Vec<Vec<usize>>,
    pub width: f64,
    pub height: f64,
}

impl Layout {
    /// Top of a place.
    pub fn top(&self, place: usize) -> f64 {
        MARGIN + LAYER * self.layer[place] as f64
    }
}

fn width(place: &Place) -> f64 {
    match place {
        Place::Op(_) => BOX,
        Place::Source(_) => SOURCE,
        Place::Bend => BEND,
    }
}

/// Lays the report's operators out.
pub(super) fn layout(report: &Report) -> Layout {
    let (mut places, edges) = places(report);
    let mut layer = layers(&places, &edges);
    let lines = bends(&mut places, &mut layer, &edges);
    let count = layer.iter().map(|l| l + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (place, &l) in layer.iter().enumerate() {
        rows[l].push(place);
    }
    let mut above: Vec<Vec<usize>> = vec![Vec::new(); places.len()];
    let mut below = above.clone();
    for pair in lines.iter().flat_map(|line| line.windows(2)) {
        if let [a, b] = *pair
            && layer[a] + 1 == layer[b]
            && !above[b].contains(&a)
        {
            above[b].push(a);
            below[a].push(b);
        }
    }
    order(&mut rows, &above, &below);
    let x = draw_together(&rows, &places, &above, &below);
    let left = ends(&x, &places, |x, w| x - w / 2.0).fold(f64::MAX, f64::min);
    let right = ends(&x, &places, |x, w| x + w / 2.0).fold(f64::MIN, f64::max);
    Layout {
        width: (right - left).max(BOX) + 2.0 * MARGIN,
        height: (count as f64 * LAYER - (LAYER - HEIGHT)).max(0.0) + 2.0 * MARGIN,
        x: x.into_iter().map(|x| x - left + MARGIN).collect(),
        places,
        layer,
        lines,
    }
}

fn ends<'a>(
    x: &'a [f64],
    places: &'a [Place],
    end: impl Fn(f64, f64) -> f64 + 'a,
) -> impl Iterator<Item = f64> + 'a {
    let pairs = x.iter().zip(places);
    pairs.map(move |(&x, place)| end(x, width(place)))
}

/// Operators and sources, and who reads whom. Only what ran before can be read, so there are no circles.
fn places(report: &Report) -> (Vec<Place>, Vec<(usize, usize)>) {
    let mut places: Vec<Place> = Vec::new();
    let mut edges = Vec::new();
    let mut at: HashMap<usize, usize> = HashMap::new();
    let mut of_op: HashMap<usize, usize> = HashMap::new();
    for (i, op) in report.ops.iter().enumerate() {
        let known = of_op.get(&op.op_index).copied();
        if let Some(place) = known
            && let Place::Op(rows) = &mut places[place]
        {
            rows.push(i);
            at.insert(op.tensor, place);
            continue;
        }
        let mut read: Vec<usize> = Vec::new();
        for &tensor in &op.reads {
            let from = *at.entry(tensor).or_insert_with(|| {
                places.push(Place::Source(tensor));
                places.len() - 1
            });
            if !read.contains(&from) {
                read.push(from);
            }
        }
        let place = places.len();
        places.push(Place::Op(vec![i]));
        of_op.insert(op.op_index, place);
        at.insert(op.tensor, place);
        edges.extend(read.into_iter().map(|from| (from, place)));
    }
    (places, edges)
}

/// The longest path from above; what has nothing above it stands right above its first reader.
fn layers(places: &[Place], edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layer = vec![0; places.len()];
    let mut has_above = vec![false; places.len()];
    // Places are in the order of execution, and edges in that of their readers.
    for &(from, to) in edges {
        layer[to] = layer[to].max(layer[from] + 1);
        has_above[to] = true;
    }
    let mut first: Vec<Option<usize>> = vec![None; places.len()];
    for &(from, to) in edges {
        first[from] = Some(first[from].map_or(layer[to], |l: usize| l.min(layer[to])));
    }
    for place in 0..places.len() {
        if let (false, Some(first)) = (has_above[place], first[place]) {
            layer[place] = first.saturating_sub(1);
        }
    }
    layer
}

/// Adds a bend wherever a line passes a layer by.
fn bends(
    places: &mut Vec<Place>,
    layer: &mut Vec<usize>,
    edges: &[(usize, usize)],
) -> Vec<Vec<usize>> {
    let mut of_source: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut lines = Vec::with_capacity(edges.len());
    for &(from, to) in edges {
        let passed = layer[to] - layer[from] - 1;
        let mut line = vec![from];
        if passed <= MOST_BENDS {
            let known = of_source.entry(from).or_default();
            for i in known.len()..passed {
                known.push(places.len());
                places.push(Place::Bend);
                layer.push(layer[from] + 1 + i);
            }
            line.extend(&known[..passed]);
        }
        line.push(to);
        lines.push(line);
    }
    lines
}

fn mean(of: &[usize], at: impl Fn(usize) -> f64) -> Option<f64> {
    let sum: f64 = of.iter().map(|&i| at(i)).sum();
    (!of.is_empty()).then(|| sum / of.len() as f64)
}

/// Orders every layer by the mean place of its neighbours, down and up in turns.
fn order(rows: &mut [Vec<usize>], above: &[Vec<usize>], below: &[Vec<usize>]) {
    let mut at = vec![0.0; above.len()];
    let number = |row: &[usize], at: &mut [f64]| {
        for (i, &place) in row.iter().enumerate() {
            at[place] = i as f64 - row.len() as f64 / 2.0;
        }
    };
    rows.iter().for_each(|row| number(row, &mut at));
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let neighbours = if down { above } else { below };
        for i in 0..rows.len() {
            let i = if down { i } else { rows.len() - 1 - i };
            let wanted = |p: usize| mean(&neighbours[p], |n| at[n]).unwrap_or(at[p]);
            let mut row: Vec<(f64, usize)> = rows[i].iter().map(|&p| (wanted(p), p)).collect();
            row.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[i] = row.into_iter().map(|(_, p)| p).collect();
            number(&rows[i], &mut at);
        }
    }
}

/// Draws everything to its neighbours.
fn draw_together(
    rows: &[Vec<usize>],
    places: &[Place],
    above: &[Vec<usize>],
    below: &[Vec<usize>],
) -> Vec<f64> {
    let mut x = vec![0.0; places.len()];
    let widths = |row: &[usize]| -> Vec<f64> { row.iter().map(|&p| width(&places[p])).collect() };
    for row in rows {
        for (&p, at) in row.iter().zip(settle(&vec![0.0; row.len()], &widths(row))) {
            x[p] = at;
        }
    }
    for sweep in 0..2 * SWEEPS {
        let down = sweep % 2 == 0;
        for i in 0..rows.len() {
            let row = &rows[if down { i } else { rows.len() - 1 - i }];
            let neighbours = if down { above } else { below };
            let wanted = row.iter().map(|&p| {
                // Boxes stand below boxes, and lines go around them.
                let boxes = neighbours[p].iter().copied();
                let boxes: Vec<usize> = boxes.filter(|&n| places[n] != Place::Bend).collect();
                let to = match places[p] == Place::Bend || boxes.is_empty() {
                    true => &neighbours[p],
                    false => &boxes,
                };
                mean(to, |n| x[n]).unwrap_or(x[p])
            });
            let wanted: Vec<f64> = wanted.collect();
            for (&p, at) in row.iter().zip(settle(&wanted, &widths(row))) {
                x[p] = at;
            }
        }
    }
    x
}

/// Places of a layer as near to what is wanted as their widths allow, in squares: neighbours that would overlap become a
/// block, which stands at the mean of what its members want.
fn settle(wanted: &[f64], widths: &[f64]) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(widths.len());
    let mut right = 0.0;
    for &w in widths {
        offsets.push(right + w / 2.0);
        right += w + GAP;
    }
    // Sums of what is wanted, of weights, and the number of members.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for ((x, o), &w) in wanted.iter().zip(&offsets).zip(widths) {
        let weight = if w > BEND { BOX_WEIGHT } else { 1.0 };
        blocks.push((weight * (x - o), weight, 1));
        while let [.., a, b] = blocks[..] {
            if b.0 / b.1 >= a.0 / a.1 {
                break;
            }
            blocks.truncate(blocks.len() - 2);
            blocks.push((a.0 + b.0, a.1 + b.1, a.2 + b.2));
        }
    }
    let starts = blocks
        .iter()
        .flat_map(|&(sum, weight, n)| std::iter::repeat_n(sum / weight, n));
    starts.zip(offsets).map(|(start, o)| start + o).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::debug_page::example::{chain, large, op, report};

    #[test]
    fn a_chain_is_a_strip() {
        let l = layout(&chain(300));
        assert_eq!(l.places.len(), 301, "a source and the operators");
        assert!(l.x.iter().all(|&x| (x - l.x[0]).abs() < 1e-6));
        assert_eq!(l.width, BOX + 2.0 * MARGIN);
        assert_eq!(l.layer, (0..301).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_overlaps_and_lines_go_down() {
        // Diamonds with a long way past all of them, and a constant that is read at the end alone.
        let mut ops = vec![op(0, &[100])];
        for i in 1..60 {
            let reads: &[usize] = match i % 4 {
                1 => &[i - 1],
                2 => &[i - 2],
                3 => &[i - 1, i - 2],
                _ => &[i - 1, 0],
            };
            ops.push(op(i, reads));
        }
        ops.push(op(60, &[59, 200]));
        let l = layout(&report(ops));
        for line in &l.lines {
            for pair in line.windows(2) {
                assert!(l.layer[pair[0]] < l.layer[pair[1]], "{line:?}");
            }
        }
        for (i, a) in l.places.iter().enumerate() {
            for (j, b) in l.places.iter().enumerate().skip(i + 1) {
                let apart = (l.x[i] - l.x[j]).abs() + 1e-6;
                assert!(
                    l.layer[i] != l.layer[j] || apart >= (width(a) + width(b)) / 2.0,
                    "{a:?} {b:?}"
                );
            }
            let (left, right) = (l.x[i] - width(a) / 2.0, l.x[i] + width(a) / 2.0);
            assert!(left >= 0.0 && right <= l.width && l.top(i) + HEIGHT <= l.height);
        }
        let last = l.places.iter().position(|p| *p == Place::Source(200));
        let reader = l.places.iter().position(|p| *p == Place::Op(vec![60]));
        assert_eq!(l.layer[last.unwrap()] + 1, l.layer[reader.unwrap()]);
    }

    #[test]
    fn outputs_of_an_operator_are_one_place_and_nothing_is_laid_out() {
        let mut two = vec![op(0, &[9]), op(1, &[0])];
        two[1].op_index = 0;
        let l = layout(&report(two));
        assert!(l.places.contains(&Place::Op(vec![0, 1])));
        let none = layout(&report(Vec::new()));
        assert!(none.places.is_empty() && none.height.is_finite());
    }

    #[test]
    fn shortcuts_do_not_push_the_model_aside() {
        let l = layout(&large(200));
        assert!(l.width < 2.0 * BOX, "{}", l.width);
    }

    #[test]
    fn what_runs_later_cannot_be_read() {
        let l = layout(&report(vec![op(0, &[1]), op(1, &[0, 1])]));
        // 1 is fed to 0, which is above the operator that writes 1 later.
        assert_eq!(l.places[0], Place::Source(1));
        for line in &l.lines {
            assert!(line.windows(2).all(|w| l.layer[w[0]] < l.layer[w[1]]));
        }
    }
}
