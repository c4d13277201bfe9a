//! Where the boxes and lines of a graph go: columns from left to right, in each the order that crosses
//! few lines. Pure.
//!
//! The usual four steps: edges that close a circle are turned around; each node stands one column right
//! of the last that starts it; an edge over several columns gets a bend in each; columns are ordered by
//! the middle of their neighbours, to and fro.

use super::Graph;

/// A box, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Box {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A laid out graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// Of each node.
    pub(super) boxes: Vec<Box>,
    /// Of each edge: the points that it goes through, from its start to its end.
    pub(super) lines: Vec<Vec<(f64, f64)>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

const MARGIN: f64 = 24.0;
const COLUMN_GAP: f64 = 72.0;
const ROW_GAP: f64 = 16.0;
/// Of a line that passes a column.
const BEND_HEIGHT: f64 = 10.0;
const SWEEPS: usize = 12;

/// What stands in a column: a node, or a bend of an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Node(usize),
    Bend(usize),
}

/// Lays the graph out. `sizes`: width and height of each node's box.
pub(super) fn layout(graph: &Graph, sizes: &[(f64, f64)]) -> Layout {
    let closing = graph.closing();
    // Along these nothing leads in a circle; loops at one node are drawn by themselves.
    let forward: Vec<(usize, usize)> = graph
        .edges
        .iter()
        .zip(&closing)
        .map(|(edge, closing)| match closing {
            true => (edge.to, edge.from),
            false => (edge.from, edge.to),
        })
        .collect();
    let columns_of = columns_of(graph.nodes.len(), &forward);
    let mut grid = Grid::new(&columns_of, &forward);
    grid.order();
    grid.place(graph, sizes, &columns_of, &closing)
}

/// The column of each node: one more than the greatest of those before it.
fn columns_of(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut incoming = vec![0usize; nodes];
    let mut outgoing = vec![Vec::new(); nodes];
    for (from, to) in edges {
        if from != to {
            incoming[*to] += 1;
            outgoing[*from].push(*to);
        }
    }
    let mut columns = vec![0; nodes];
    let mut ready: Vec<usize> = (0..nodes).filter(|node| incoming[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for to in &outgoing[node] {
            columns[*to] = columns[*to].max(columns[node] + 1);
            incoming[*to] -= 1;
            if incoming[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    columns
}

struct Grid {
    items: Vec<Item>,
    /// Items of each column, from top to bottom.
    columns: Vec<Vec<usize>>,
    /// Items of the column before that each item is connected to, and of the column after.
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    /// The items along each edge, from the left to the right.
    along: Vec<Vec<usize>>,
}

impl Grid {
    fn new(columns_of: &[usize], edges: &[(usize, usize)]) -> Grid {
        let count = columns_of.iter().max().map_or(0, |last| last + 1);
        let mut grid = Grid {
            items: (0..columns_of.len()).map(Item::Node).collect(),
            columns: vec![Vec::new(); count],
            before: Vec::new(),
            after: Vec::new(),
            along: Vec::new(),
        };
        for (node, column) in columns_of.iter().enumerate() {
            grid.columns[*column].push(node);
        }
        for (index, (from, to)) in edges.iter().enumerate() {
            let mut along = vec![*from];
            for column in columns_of[*from] + 1..columns_of[*to] {
                grid.columns[column].push(grid.items.len());
                along.push(grid.items.len());
                grid.items.push(Item::Bend(index));
            }
            along.push(*to);
            grid.along.push(along);
        }
        grid.before = vec![Vec::new(); grid.items.len()];
        grid.after = vec![Vec::new(); grid.items.len()];
        for along in &grid.along {
            for pair in along.windows(2) {
                if pair[0] != pair[1] {
                    grid.after[pair[0]].push(pair[1]);
                    grid.before[pair[1]].push(pair[0]);
                }
            }
        }
        grid
    }

    /// Orders each column by the middle of its neighbours, and keeps the order with the fewest crossings.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.columns.clone());
        for sweep in 0..SWEEPS {
            let right = sweep % 2 == 0;
            let count = self.columns.len();
            for step in 1..count {
                let at = if right { step } else { count - 1 - step };
                let fixed = if right { at - 1 } else { at + 1 };
                let places = self.places(fixed);
                let neighbours = if right { &self.before } else { &self.after };
                let mut keyed: Vec<(f64, usize)> = self.columns[at]
                    .iter()
                    .enumerate()
                    .map(|(place, item)| {
                        let near = &neighbours[*item];
                        let sum: f64 = near.iter().map(|it| places[*it]).sum();
                        let middle = if near.is_empty() {
                            place as f64
                        } else {
                            sum / near.len() as f64
                        };
                        (middle, *item)
                    })
                    .collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.columns[at] = keyed.into_iter().map(|(_, item)| item).collect();
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.columns.clone());
            }
        }
        self.columns = best.1;
    }

    /// The place of each item of a column in it.
    fn places(&self, column: usize) -> Vec<f64> {
        let mut places = vec![0.0; self.items.len()];
        for (place, item) in self.columns[column].iter().enumerate() {
            places[*item] = place as f64;
        }
        places
    }

    fn crossings(&self) -> usize {
        let mut crossings = 0;
        for column in 1..self.columns.len() {
            let (left, right) = (self.places(column - 1), self.places(column));
            let lines: Vec<(f64, f64)> = self.columns[column]
                .iter()
                .flat_map(|item| {
                    let before = self.before[*item].iter();
                    let to = right[*item];
                    before.map(|from| (left[*from], to)).collect::<Vec<_>>()
                })
                .collect();
            for (n, a) in lines.iter().enumerate() {
                crossings += lines[..n]
                    .iter()
                    .filter(|b| (a.0 - b.0) * (a.1 - b.1) < 0.0)
                    .count();
            }
        }
        crossings
    }

    fn place(
        &self,
        graph: &Graph,
        sizes: &[(f64, f64)],
        columns_of: &[usize],
        closing: &[bool],
    ) -> Layout {
        let height_of = |item: usize| match self.items[item] {
            Item::Node(node) => sizes[node].1,
            Item::Bend(_) => BEND_HEIGHT,
        };
        let mut tops = self.stack(&height_of);
        let least = tops.iter().copied().fold(f64::INFINITY, f64::min);
        for top in &mut tops {
            *top += MARGIN - least;
        }
        let mut lefts = Vec::new();
        let mut widths = Vec::new();
        let mut x = MARGIN;
        for column in &self.columns {
            let width = column
                .iter()
                .map(|item| match self.items[*item] {
                    Item::Node(node) => sizes[node].0,
                    Item::Bend(_) => 0.0,
                })
                .fold(0.0, f64::max);
            lefts.push(x);
            widths.push(width);
            x += width + COLUMN_GAP;
        }
        let boxes: Vec<Box> = (0..sizes.len())
            .map(|node| Box {
                x: lefts[columns_of[node]],
                y: tops[node],
                // Boxes of a column are as wide as the widest: their right edges are in line.
                width: widths[columns_of[node]],
                height: sizes[node].1,
            })
            .collect();
        let lines = self.lines(graph, &boxes, &tops, columns_of, &lefts, &widths, closing);
        let bottoms = (0..self.items.len()).map(|item| tops[item] + height_of(item));
        Layout {
            width: (x - COLUMN_GAP + MARGIN).max(2.0 * MARGIN),
            height: bottoms.fold(0.0, f64::max) + MARGIN,
            boxes,
            lines,
        }
    }

    /// The top of each item: near the middle of its neighbours, below the one above it.
    fn stack(&self, height_of: &dyn Fn(usize) -> f64) -> Vec<f64> {
        let mut tops = vec![0.0; self.items.len()];
        for column in &self.columns {
            let mut y = 0.0;
            for item in column {
                tops[*item] = y;
                y += height_of(*item) + ROW_GAP;
            }
        }
        for sweep in 0..SWEEPS {
            let right = sweep % 2 == 0;
            let count = self.columns.len();
            for step in 0..count {
                let at = if right { step } else { count - 1 - step };
                let column = &self.columns[at];
                let wanted: Vec<f64> = column
                    .iter()
                    .map(|item| {
                        let near = if right {
                            &self.before[*item]
                        } else {
                            &self.after[*item]
                        };
                        if near.is_empty() {
                            return tops[*item];
                        }
                        let middles = near.iter().map(|it| tops[*it] + height_of(*it) / 2.0);
                        middles.sum::<f64>() / near.len() as f64 - height_of(*item) / 2.0
                    })
                    .collect();
                // The best places in this order: what would overlap moves together, by its mean.
                let mut groups: Vec<(f64, usize, f64)> = Vec::new();
                let mut offset = 0.0;
                for (item, wish) in column.iter().zip(&wanted) {
                    groups.push((wish - offset, 1, 0.0));
                    offset += height_of(*item) + ROW_GAP;
                    while let [.., above, last] = groups.as_mut_slice()
                        && above.0 > last.0
                    {
                        let count = above.1 + last.1;
                        let sum = above.0 * above.1 as f64 + last.0 * last.1 as f64;
                        *above = (sum / count as f64, count, 0.0);
                        groups.pop();
                    }
                }
                let mut offset = 0.0;
                let bases = groups
                    .iter()
                    .flat_map(|(base, count, _)| std::iter::repeat_n(*base, *count));
                for (item, base) in column.iter().zip(bases) {
                    tops[*item] = base + offset;
                    offset += height_of(*item) + ROW_GAP;
                }
            }
        }
        tops
    }

    #[allow(clippy::too_many_arguments)]
    fn lines(
        &self,
        graph: &Graph,
        boxes: &[Box],
        tops: &[f64],
        columns_of: &[usize],
        lefts: &[f64],
        widths: &[f64],
        closing: &[bool],
    ) -> Vec<Vec<(f64, f64)>> {
        graph
            .edges
            .iter()
            .enumerate()
            .map(|(index, edge)| {
                if edge.from == edge.to {
                    let own = boxes[edge.from];
                    let (right, top) = (own.x + own.width, own.y);
                    return vec![
                        (right, top + own.height / 4.0),
                        (right, top + own.height / 4.0 * 3.0),
                    ];
                }
                let along = &self.along[index];
                let mut points = Vec::new();
                let last = along.len() - 1;
                for (n, item) in along.iter().enumerate() {
                    match self.items[*item] {
                        Item::Node(node) => {
                            let own = boxes[node];
                            let y = own.y + own.height / 2.0;
                            let x = if n == last { own.x } else { own.x + own.width };
                            points.push((x, y));
                        }
                        Item::Bend(_) => {
                            let y = tops[*item] + BEND_HEIGHT / 2.0;
                            let column = columns_of[along[0]] + n;
                            points.push((lefts[column], y));
                            points.push((lefts[column] + widths[column], y));
                        }
                    }
                }
                if closing[index] {
                    points.reverse();
                }
                points
            })
            .collect()
    }
}
