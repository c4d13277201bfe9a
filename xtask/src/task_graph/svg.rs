//! A graph as a picture that needs nothing else: no script, no font, no address; for light and dark.

use super::layout::{Layout, layout};
use super::{Graph, Kind, label};
use crate::makefile::Via;

/// Of one character of the names and the words below, in pixels: 0.6 of the size in a monospace font.
/// `textLength` holds every font to it.
const NAME_CHAR: f64 = 7.8;
const TEXT_CHAR: f64 = 6.6;
const PADDING: f64 = 12.0;
/// How far a loop at one box bulges.
const MARGIN_LOOP: f64 = 28.0;
/// Longer words are cut; the whole is the box's title.
const TEXT_MOST: usize = 44;
const NAME_MOST: usize = 48;

const STYLE: &str = "
.page { fill: #ffffff }
.box { fill: #f6f8fa; stroke: #6e7781; stroke-width: 1 }
.asked { stroke: #0969da; stroke-width: 2 }
.elsewhere { stroke-dasharray: 4 3 }
.missing { fill: #ffebe9; stroke: #cf222e; stroke-dasharray: 4 3 }
.name { fill: #1f2328; font: bold 13px ui-monospace, 'DejaVu Sans Mono', monospace }
.text { fill: #59636e; font: 11px ui-monospace, 'DejaVu Sans Mono', monospace }
.line { fill: none; stroke: #6e7781; stroke-width: 1.3 }
.run { stroke-dasharray: 5 4 }
.circle { stroke: #cf222e }
.head { fill: #6e7781 }
.red { fill: #cf222e }
.word { fill: #59636e; font: 10px ui-monospace, 'DejaVu Sans Mono', monospace }
.back { fill: #ffffff }
@media (prefers-color-scheme: dark) {
.page, .back { fill: #0d1117 }
.box { fill: #161b22; stroke: #8b949e }
.asked { stroke: #58a6ff }
.missing { fill: #3c1618; stroke: #f85149 }
.name { fill: #e6edf3 }
.text, .word { fill: #9198a1 }
.line { stroke: #8b949e }
.head { fill: #8b949e }
.circle { stroke: #f85149 }
.red { fill: #f85149 }
}
";

/// Wide characters take two places, as in a terminal.
fn columns(text: &str) -> usize {
    let wide = |char: char| {
        matches!(u32::from(char), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3
            | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6
            | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD)
    };
    text.chars().map(|it| if wide(it) { 2 } else { 1 }).sum()
}

/// One line, cut to a width with `…`.
fn cut(text: &str, most: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if columns(&text) <= most {
        return text;
    }
    let mut short = String::new();
    let mut width = 1;
    for char in text.chars() {
        width += columns(char.encode_utf8(&mut [0; 4]));
        if width > most {
            break;
        }
        short.push(char);
    }
    format!("{}…", short.trim_end())
}

fn escape(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            // XML has no place for these.
            char if char.is_control() && char != '\n' && char != '\t' => "\u{FFFD}".to_owned(),
            char => char.to_string(),
        })
        .collect()
}

/// A number with one digit after the point: enough for a pixel.
fn at(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// As a self-contained SVG.
#[must_use]
pub fn svg(graph: &Graph) -> String {
    let sizes: Vec<(f64, f64)> = graph
        .nodes
        .iter()
        .map(|node| {
            let name = columns(&cut(&node.name, NAME_MOST)) as f64 * NAME_CHAR;
            let text = columns(&cut(&node.text, TEXT_MOST)) as f64 * TEXT_CHAR;
            let height = if node.text.is_empty() { 32.0 } else { 46.0 };
            (name.max(text) + 2.0 * PADDING, height)
        })
        .collect();
    let layout = layout(graph, &sizes);
    let (width, height) = (at(layout.width), at(layout.height));
    let title = graph
        .nodes
        .first()
        .map_or_else(String::new, |node| format!("What {} starts", node.name));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         <defs>\n{}{}</defs>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
        escape(&title),
        marker("head", "head"),
        marker("red", "red"),
    );
    lines(graph, &layout, &mut out);
    for (index, (node, place)) in graph.nodes.iter().zip(&layout.boxes).enumerate() {
        let kind = match node.kind {
            Kind::Task => "",
            Kind::Elsewhere => " elsewhere",
            Kind::Missing => " missing",
        };
        let asked = if index == 0 { " asked" } else { "" };
        let full = format!("{}\n{}", node.name, node.text);
        out.push_str(&format!(
            "<g><title>{}</title><rect class=\"box{kind}{asked}\" x=\"{}\" y=\"{}\" width=\"{}\" \
             height=\"{}\" rx=\"6\"/>",
            escape(full.trim_end()),
            at(place.x),
            at(place.y),
            at(place.width),
            at(place.height)
        ));
        let words = [
            ("name", cut(&node.name, NAME_MOST), NAME_CHAR, 20.0),
            ("text", cut(&node.text, TEXT_MOST), TEXT_CHAR, 36.0),
        ];
        for (class, words, char, below) in words {
            if !words.is_empty() {
                out.push_str(&format!(
                    "<text class=\"{class}\" x=\"{}\" y=\"{}\" textLength=\"{}\" \
                     lengthAdjust=\"spacingAndGlyphs\">{}</text>",
                    at(place.x + PADDING),
                    at(place.y + below),
                    at(columns(&words) as f64 * char),
                    escape(&words)
                ));
            }
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn marker(id: &str, class: &str) -> String {
    format!(
        "<marker id=\"{id}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\"><path class=\"{class}\" d=\"M0 0 10 5 0 10z\"/></marker>\n"
    )
}

fn lines(graph: &Graph, layout: &Layout, out: &mut String) {
    let mut words = String::new();
    for ((edge, points), closing) in graph.edges.iter().zip(&layout.lines).zip(graph.closing()) {
        let run = if edge.via == Via::Dependency {
            ""
        } else {
            " run"
        };
        let (circle, head) = if closing {
            (" circle", "red")
        } else {
            ("", "head")
        };
        out.push_str(&format!(
            "<path class=\"line{run}{circle}\" marker-end=\"url(#{head})\" d=\"{}\"/>\n",
            path(points)
        ));
        let own = match edge.via {
            // What most dashed lines are needs no words.
            Via::Command => "",
            Via::RunParallel => "parallel",
            via => label(via),
        };
        if edge.from == edge.to {
            continue;
        }
        let label = match (own, closing) {
            ("", false) => continue,
            ("", true) => "circle".to_owned(),
            (label, false) => label.to_owned(),
            (label, true) => format!("{label}, circle"),
        };
        // In the gap before the end of the line, where lines to one box are apart.
        let [.., from, to] = points.as_slice() else {
            continue;
        };
        let (x, y) = (
            from.0 + (to.0 - from.0) * 0.5,
            from.1 + (to.1 - from.1) * 0.5,
        );
        let width = columns(&label) as f64 * 6.0;
        words.push_str(&format!(
            "<rect class=\"back\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"12\" opacity=\"0.8\"/>\
             <text class=\"word\" x=\"{}\" y=\"{}\" textLength=\"{}\" \
             lengthAdjust=\"spacingAndGlyphs\">{label}</text>\n",
            at(x - width / 2.0 - 1.0),
            at(y - 7.0),
            at(width + 2.0),
            at(x - width / 2.0),
            at(y + 2.5),
            at(width)
        ));
    }
    out.push_str(&words);
}

/// Level through the columns, curved in the gaps between them.
fn path(points: &[(f64, f64)]) -> String {
    let Some((start, rest)) = points.split_first() else {
        return String::new();
    };
    let mut text = format!("M{} {}", at(start.0), at(start.1));
    let mut last = *start;
    for point in rest {
        let level = (point.1 - last.1).abs() < 0.05;
        if level {
            text.push_str(&format!(" L{} {}", at(point.0), at(point.1)));
        } else if (point.0 - last.0).abs() < 0.05 {
            // A loop at one box.
            let x = at(last.0 + MARGIN_LOOP);
            let (from, to) = (at(last.1), at(point.1));
            text.push_str(&format!(" C{x} {from} {x} {to} {} {to}", at(point.0)));
        } else {
            let middle = f64::midpoint(last.0, point.0);
            text.push_str(&format!(
                " C{} {} {} {} {} {}",
                at(middle),
                at(last.1),
                at(middle),
                at(point.1),
                at(point.0),
                at(point.1)
            ));
        }
        last = *point;
    }
    text
}

/// As a self-contained page: the picture, and the same as a list.
#[must_use]
pub fn html(graph: &Graph) -> String {
    let name = graph.nodes.first().map_or("", |node| node.name.as_str());
    let mut rows = String::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let starts: Vec<String> = graph
            .edges
            .iter()
            .filter(|edge| edge.from == index)
            .map(|edge| {
                let how = match label(edge.via) {
                    "" => String::new(),
                    label => format!(" ({label})"),
                };
                format!(
                    "<a href=\"#t{}\">{}</a>{how}",
                    edge.to,
                    escape(&graph.nodes[edge.to].name)
                )
            })
            .collect();
        rows.push_str(&format!(
            "<tr id=\"t{index}\"><td><code>{}</code></td><td>{}</td><td>{}</td></tr>\n",
            escape(&node.name),
            escape(&node.text),
            starts.join(", ")
        ));
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}: tasks</title>\n\
         <style>\nbody {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; \
         background: Canvas; color: CanvasText }}\n\
         .graph {{ overflow: auto; max-height: 80vh; border: 1px solid GrayText; border-radius: 6px }}\n\
         .graph svg {{ display: block }}\n\
         table {{ border-collapse: collapse; margin-top: 1.5rem }}\n\
         th, td {{ text-align: left; vertical-align: top; padding: .3rem .8rem; \
         border-bottom: 1px solid GrayText }}\ntr:target {{ outline: 2px solid Highlight }}\n\
         a {{ color: LinkText }}\n</style>\n</head>\n<body>\n<h1><code>{name}</code></h1>\n\
         <p>A line leads from a task to one that has to be done before it. A dashed one is a task that it \
         runs or calls itself. What is red closes a circle, or is not there.</p>\n\
         <div class=\"graph\">\n{svg}</div>\n\
         <table>\n<tr><th>task</th><th>what it does</th><th>starts</th></tr>\n{rows}</table>\n\
         </body>\n</html>\n",
        name = escape(name),
        svg = svg(graph),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Edge, Node};
    use super::*;

    fn graph(names: Vec<(String, String)>, edges: Vec<(usize, usize)>) -> Graph {
        let count = names.len();
        let nodes = names.into_iter().map(|(name, text)| Node {
            name,
            text,
            kind: Kind::Task,
        });
        let ends = edges
            .into_iter()
            .map(|(from, to)| (from % count, to % count));
        Graph {
            nodes: nodes.collect(),
            edges: ends
                .map(|(from, to)| Edge {
                    from,
                    to,
                    via: Via::Dependency,
                })
                .collect(),
        }
    }

    /// The value of an attribute of an element.
    fn number(element: &str, name: &str) -> f64 {
        let (_, rest) = element.split_once(&format!(" {name}=\"")).unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    }

    proptest! {
        /// Whatever the tasks are called and however they lead to each other: well-formed, within the
        /// page, no box over another, and every text within its box.
        #[test]
        fn a_picture_holds_what_is_in_it(
            names in prop::collection::vec(("\\PC{0,60}", "\\PC{0,80}"), 1..12),
            edges in prop::collection::vec((0usize..12, 0usize..12), 0..24),
        ) {
            let graph = graph(names, edges);
            let text = svg(&graph);
            let mut reader = quick_xml::Reader::from_str(&text);
            loop {
                match reader.read_event() {
                    Ok(quick_xml::events::Event::Eof) => break,
                    Ok(_) => {}
                    Err(error) => prop_assert!(false, "{error}\n{text}"),
                }
            }
            let (width, height) = (number(&text, "width"), number(&text, "height"));
            let mut boxes: Vec<(f64, f64, f64, f64)> = Vec::new();
            for group in text.split("<g>").skip(1) {
                let group = group.split("</g>").next().unwrap();
                let rect = &group[group.find("<rect").unwrap()..];
                let (x, y) = (number(rect, "x"), number(rect, "y"));
                let (w, h) = (number(rect, "width"), number(rect, "height"));
                prop_assert!(x >= 0.0 && y >= 0.0 && x + w <= width && y + h <= height);
                for other in &boxes {
                    let apart = x >= other.0 + other.2 || other.0 >= x + w
                        || y >= other.1 + other.3 || other.1 >= y + h;
                    prop_assert!(apart, "{text}");
                }
                boxes.push((x, y, w, h));
                for words in group.split("<text").skip(1) {
                    let words = format!("<text{words}");
                    let end = number(&words, "x") + number(&words, "textLength");
                    prop_assert!(end <= x + w && number(&words, "y") < y + h, "{group}");
                }
            }
            prop_assert_eq!(boxes.len(), graph.nodes.len());
            prop_assert_eq!(text.matches("<path class=\"line").count(), graph.edges.len());
            prop_assert!(!text.contains("NaN") && !text.contains("inf"));
        }
    }

    #[test]
    fn a_line_leads_to_its_box_around_the_others() {
        // a -> b -> c -> d, and a -> d past b and c.
        let names = ["a", "b", "c", "d"].map(|name| (name.to_owned(), String::new()));
        let graph = graph(names.to_vec(), vec![(0, 1), (1, 2), (2, 3), (0, 3)]);
        let sizes = [(50.0, 32.0); 4];
        let drawn = layout(&graph, &sizes);
        let long = &drawn.lines[3];
        assert_eq!(long.len(), 6, "{long:?}");
        for (x, y) in &long[1..5] {
            for own in &drawn.boxes[1..3] {
                let inside = (own.x..=own.x + own.width).contains(x)
                    && (own.y..=own.y + own.height).contains(y);
                assert!(!inside, "{long:?} {:?}", drawn.boxes);
            }
        }
        let last = drawn.boxes[3];
        assert_eq!(long[5], (last.x, last.y + last.height / 2.0));
    }

    #[test]
    fn circles_are_drawn_to_where_they_lead() {
        let names = ["a", "b", "c"].map(|name| (name.to_owned(), String::new()));
        let graph = graph(names.to_vec(), vec![(0, 1), (1, 2), (2, 0), (1, 1)]);
        assert_eq!(graph.closing(), [false, false, true, true]);
        let drawn = layout(&graph, &[(50.0, 32.0); 3]);
        let (first, last) = (drawn.boxes[0], drawn.boxes[2]);
        assert!(first.x < last.x);
        assert_eq!(drawn.lines[2].first().unwrap().0, last.x);
        assert_eq!(drawn.lines[2].last().unwrap().0, first.x + first.width);
        assert_eq!(svg(&graph).matches("line circle").count(), 2);
    }

    #[test]
    fn long_words_are_cut_with_a_mark() {
        assert_eq!(cut("one  two\nthree", 20), "one two three");
        assert_eq!(cut("one two three", 8), "one two…");
        assert_eq!(columns(&cut("日本語のタスク", 8)), 7);
    }
}
