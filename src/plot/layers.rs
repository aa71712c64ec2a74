//! What a chart shows inside of its axes: lines, bands, bars, cells, levels and marks.

use super::chart::{Area, fitted, text_width};
use super::markup::{Markup, Px};
use super::scale::Scale;
use std::fmt::Write;

/// Shades of a heat map, the palest first; the style sheet has a colour for each.
pub(crate) const SHADES: usize = 9;

/// Marks along a line that tell it from the others without colour.
const MARKS_PER_LINE: usize = 9;

/// Up to so many points each gets its mark.
const MARK_ALL_MAX: usize = 30;

/// Half the size of a mark, in SVG units.
const MARK: f64 = 3.6;

/// One thing that is drawn.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    /// A line through points.
    Line(Line),
    /// An area between two lines.
    Band { name: String, points: Vec<(f64, f64, f64)> },
    /// Bars from the bottom: from, to, height.
    Bars { name: String, series: usize, bars: Vec<(f64, f64, f64)> },
    /// A horizontal rule, with a point on it where the rule is about one.
    Level { label: String, y: f64, point: Option<f64> },
    /// A vertical rule.
    Upright { label: String, x: f64 },
    /// Everything right of `from`, where figures are weak.
    Shade { label: String, from: f64 },
    /// A heat map.
    Cells(Cells),
    /// Points on their own.
    Marks { name: String, series: usize, shape: Shape, points: Vec<(f64, f64)> },
    /// Horizontal spans with a centre: low, centre, high, row.
    Spans { name: String, series: usize, spans: Vec<(f64, f64, f64, f64)> },
}

/// A line through points; where a value is absent, it is interrupted.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Which colour, dash and mark.
    pub series: usize,
    /// Its points, from the left.
    pub points: Vec<(f64, Option<f64>)>,
    /// How it is drawn.
    pub style: Style,
}

/// How a line is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// With marks.
    Marked,
    /// Without.
    Plain,
    /// Broad and pale, to lie beneath others that cover it when all is well.
    Broad,
    /// Hairlines, of which there are very many.
    #[cfg_attr(not(feature = "scenario"), expect(dead_code, reason = "only topologies have so many lines"))]
    Thin,
    /// Grey and dotted: too few samples. It has no entry in the legend.
    Weak,
}

/// The shape of a mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    Disc,
    Square,
    Triangle,
    Diamond,
    Cross,
    Ring,
}

/// The cells of a heat map.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    /// What is counted.
    pub name: String,
    /// From and to on the x axis, from and to on the y axis, and the shade from 0.
    pub cells: Vec<(f64, f64, f64, f64, usize)>,
    /// The lowest and the highest count that is shown.
    pub extremes: (u64, u64),
}

/// Turns values into coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The x axis.
    pub x: Scale,
    /// The y axis.
    pub y: Scale,
    /// The panel.
    pub area: Area,
}

impl Place {
    /// The x coordinate.
    pub fn x(&self, value: f64) -> f64 {
        self.area.left + self.x.position(value) * self.area.width
    }

    /// The y coordinate; it grows downwards, values grow upwards.
    pub fn y(&self, value: f64) -> f64 {
        self.area.top + (1.0 - self.y.position(value)) * self.area.height
    }
}

/// An entry of the legend.
#[derive(Debug)]
pub(crate) struct Key<'a> {
    /// What stands behind the sample.
    pub name: &'a str,
    layer: &'a Layer,
}

impl Key<'_> {
    /// How much room the sample takes.
    pub fn sample_width(&self) -> f64 {
        match self.layer {
            Layer::Cells(cells) => {
                let (low, high) = self.ends(cells);
                SHADES as f64 * 16.0 + text_width(&low) + text_width(&high) + 16.0
            }
            Layer::Marks { .. } => 20.0,
            Layer::Bars { .. } | Layer::Band { .. } => 16.0,
            _ => 30.0,
        }
    }

    /// Draws the sample, centred on the height `y`.
    pub fn draw_sample(&self, out: &mut Markup, x: f64, y: f64) {
        match self.layer {
            Layer::Cells(cells) => self.draw_ramp(out, cells, x, y),
            Layer::Band { .. } => draw_box(out, "band", x, y),
            Layer::Bars { series, .. } => draw_box(out, &format!("bars s{series}"), x, y),
            Layer::Marks { series, shape, .. } => draw_marks(out, *series, *shape, &[(x + 10.0, y)]),
            Layer::Line(line) => {
                draw_path(out, &line.class(), &format!("M{} {}h30", Px(x), Px(y)));
                if line.style == Style::Marked {
                    draw_marks(out, line.series, shape_of(line.series), &[(x + 15.0, y)]);
                }
            }
            Layer::Spans { series, .. } => {
                draw_path(
                    out,
                    &format!("line plain s{series}"),
                    &format!("M{} {}h30m0 -4v8m-30 0v-8", Px(x), Px(y)),
                );
                draw_marks(out, *series, shape_of(*series), &[(x + 15.0, y)]);
            }
            Layer::Level { .. } | Layer::Upright { .. } | Layer::Shade { .. } => {}
        }
    }

    fn ends(&self, cells: &Cells) -> (String, String) {
        (super::units::count(cells.extremes.0), super::units::count(cells.extremes.1))
    }

    fn draw_ramp(&self, out: &mut Markup, cells: &Cells, x: f64, y: f64) {
        let (low, high) = self.ends(cells);
        let from = x + text_width(&low) + 6.0;
        out.element("text", &[("x", &Px(x)), ("y", &Px(y + 4.0))], low);
        for shade in 0..SHADES {
            let class = format!("h{shade}");
            let x = from + 16.0 * shade as f64;
            out.leaf(
                "rect",
                &[("class", &class), ("x", &Px(x)), ("y", &Px(y - 6.0)), ("width", &16), ("height", &12)],
            );
        }
        let x = from + 16.0 * SHADES as f64 + 6.0;
        out.element("text", &[("x", &Px(x)), ("y", &Px(y + 4.0))], high);
    }
}

impl Line {
    fn class(&self) -> String {
        let style = match self.style {
            Style::Marked | Style::Plain => "plain",
            Style::Broad => "broad",
            Style::Thin => "thin",
            Style::Weak => "weak",
        };
        format!("line {style} s{}", self.series)
    }

    fn draw(&self, out: &mut Markup, place: Place) {
        let mut path = String::new();
        let mut marks = Vec::new();
        let stride = if self.points.len() <= MARK_ALL_MAX { 1 } else { self.points.len() / MARKS_PER_LINE };
        let mut fresh = true;
        for (index, (x, y)) in self.points.iter().enumerate() {
            let Some(y) = y.filter(|y| y.is_finite()) else {
                fresh = true;
                continue;
            };
            let (left, top) = (place.x(*x), place.y(y));
            let _ = write!(path, "{}{} {}", if fresh { "M" } else { " " }, Px(left), Px(top));
            let lone = fresh && self.points.get(index + 1).is_none_or(|(_, y)| y.is_none());
            // Different series put their marks at different places, so that marks do not cover each other.
            if lone
                || (self.style == Style::Marked && (index + self.series * stride / 4).is_multiple_of(stride))
            {
                marks.push((left, top));
            }
            fresh = false;
        }
        draw_path(out, &self.class(), &path);
        draw_marks(out, self.series, shape_of(self.series), &marks);
    }
}

impl Layer {
    /// Whether it belongs behind the grid.
    pub fn is_backdrop(&self) -> bool {
        matches!(self, Layer::Shade { .. } | Layer::Band { .. })
    }

    /// Its entry in the legend, if it has one.
    pub fn key(&self) -> Option<Key<'_>> {
        let name = match self {
            Layer::Line(line) if line.style == Style::Weak => return None,
            Layer::Line(line) => &line.name,
            Layer::Cells(cells) => &cells.name,
            Layer::Band { name, .. }
            | Layer::Bars { name, .. }
            | Layer::Marks { name, .. }
            | Layer::Spans { name, .. } => name,
            Layer::Level { .. } | Layer::Upright { .. } | Layer::Shade { .. } => return None,
        };
        (!name.is_empty()).then_some(Key { name, layer: self })
    }

    /// Draws it, except for words: those come last, from [`draw_notes`].
    pub fn draw(&self, out: &mut Markup, place: Place) {
        let Area { left, top, width, height, .. } = place.area;
        match self {
            Layer::Line(line) => line.draw(out, place),
            Layer::Band { points, .. } => draw_band(out, points, place),
            Layer::Bars { series, bars, .. } => draw_bars(out, *series, bars, place),
            Layer::Cells(cells) => cells.draw(out, place),
            Layer::Marks { series, shape, points, .. } => {
                let points: Vec<_> = points.iter().map(|(x, y)| (place.x(*x), place.y(*y))).collect();
                draw_marks(out, *series, *shape, &points);
            }
            Layer::Spans { series, spans, .. } => draw_spans(out, *series, spans, place),
            Layer::Level { y, point, .. } => {
                let y = place.y(*y);
                draw_path(out, "rule", &format!("M{} {}h{}", Px(left), Px(y), Px(width)));
                if let Some(x) = point {
                    let x = place.x(*x);
                    draw_path(out, "rule point", &format!("M{0} {1}m-5 0h10m-5 -5v10", Px(x), Px(y)));
                }
            }
            Layer::Upright { x, .. } => {
                draw_path(out, "rule", &format!("M{} {}v{}", Px(place.x(*x)), Px(top), Px(height)));
            }
            Layer::Shade { from, .. } => {
                let x = place.x(*from);
                let width = (left + width - x).max(0.0);
                out.leaf(
                    "rect",
                    &[
                        ("class", &"shade"),
                        ("x", &Px(x)),
                        ("y", &Px(top)),
                        ("width", &Px(width)),
                        ("height", &Px(height)),
                    ],
                );
            }
        }
    }
}

impl Cells {
    /// One path for each shade: a rectangle of its own for each cell would make the page many times larger.
    fn draw(&self, out: &mut Markup, place: Place) {
        let mut paths = vec![String::new(); SHADES];
        for (x0, x1, y0, y1, shade) in &self.cells {
            let (left, right) = (Px(place.x(*x0)), Px(place.x(*x1)));
            let (top, bottom) = (Px(place.y(*y1)), Px(place.y(*y0)));
            // Absolute coordinates: rounded widths would leave seams between neighbours.
            let path = &mut paths[(*shade).min(SHADES - 1)];
            let _ = write!(path, "M{left} {top}H{right}V{bottom}H{left}z");
        }
        for (shade, path) in paths.iter().enumerate() {
            draw_path(out, &format!("h{shade}"), path);
        }
    }
}

/// The shade of a count: equal steps of its logarithm from 1 to the largest.
pub(crate) fn shade(count: u64, most: u64) -> usize {
    if most <= 1 {
        return SHADES - 1;
    }
    let place = (count as f64).ln() / (most as f64).ln();
    ((place * SHADES as f64) as usize).min(SHADES - 1)
}

/// The room that the words of levels take at the right of a panel.
pub(crate) fn level_width(layers: &[Layer]) -> f64 {
    let labels = layers.iter().filter_map(|layer| match layer {
        Layer::Level { label, .. } => Some(text_width(label) + 8.0),
        _ => None,
    });
    labels.fold(0.0, f64::max)
}

/// The words of levels, uprights and shades, above everything else and not on top of each other. Those of levels
/// stand right of the panel if there is room for them.
pub(crate) fn draw_notes(out: &mut Markup, layers: &[Layer], place: Place) {
    let Area { left, top, width, height, margin } = place.area;
    let mut levels: Vec<_> = layers
        .iter()
        .filter_map(|layer| match layer {
            Layer::Level { label, y, .. } => Some((place.y(*y), label)),
            _ => None,
        })
        .collect();
    levels.sort_by(|a, b| b.0.total_cmp(&a.0));
    let beside = margin >= level_width(layers);
    let (x, lift) = if beside { (left + width + 6.0, -4.0) } else { (left + 8.0, 5.0) };
    let mut above = f64::MAX;
    for (y, label) in levels {
        let y = (y - lift).min(above - 14.0).max(top + 12.0);
        above = y;
        out.element("text", &[("class", &"note"), ("x", &Px(x)), ("y", &Px(y))], fitted(label, width));
    }
    for layer in layers {
        match layer {
            Layer::Upright { label, x } => {
                let x = place.x(*x);
                let fits_right = x + 6.0 + text_width(label) < left + width;
                let (class, x) = if fits_right { ("note", x + 6.0) } else { ("note end", x - 6.0) };
                out.element(
                    "text",
                    &[("class", &class), ("x", &Px(x)), ("y", &Px(top + height - 8.0))],
                    label,
                );
            }
            Layer::Shade { label, from } => {
                let room = left + width - place.x(*from);
                if room > 30.0 {
                    let (x, y) = (Px(left + width - 6.0), Px(top + height - 8.0));
                    out.element("text", &[("class", &"note weak end"), ("x", &x), ("y", &y)], label);
                }
            }
            _ => {}
        }
    }
}

fn draw_path(out: &mut Markup, class: &str, path: &str) {
    if !path.is_empty() {
        out.leaf("path", &[("class", &class), ("d", &path)]);
    }
}

fn draw_box(out: &mut Markup, class: &str, x: f64, y: f64) {
    out.leaf(
        "rect",
        &[("class", &class), ("x", &Px(x)), ("y", &Px(y - 6.0)), ("width", &16), ("height", &12)],
    );
}

fn draw_band(out: &mut Markup, points: &[(f64, f64, f64)], place: Place) {
    let mut path = String::new();
    let lower = points.iter().rev().map(|(x, low, _)| (*x, *low));
    for (index, (x, y)) in points.iter().map(|(x, _, high)| (*x, *high)).chain(lower).enumerate() {
        let _ = write!(path, "{}{} {}", if index == 0 { "M" } else { " " }, Px(place.x(x)), Px(place.y(y)));
    }
    draw_path(out, "band", &path);
}

/// One outline around all bars, interrupted where there are none.
fn draw_bars(out: &mut Markup, series: usize, bars: &[(f64, f64, f64)], place: Place) {
    let bottom = place.area.top + place.area.height;
    let mut path = String::new();
    let mut reached = f64::MIN;
    for (x0, x1, y) in bars {
        let (left, right, top) = (place.x(*x0), place.x(*x1), place.y(*y));
        if (left - reached).abs() > 0.05 {
            if !path.is_empty() {
                let _ = write!(path, "V{}z", Px(bottom));
            }
            let _ = write!(path, "M{} {}", Px(left), Px(bottom));
        }
        let _ = write!(path, "V{}H{}", Px(top), Px(right));
        reached = right;
    }
    if !path.is_empty() {
        let _ = write!(path, "V{}z", Px(bottom));
    }
    draw_path(out, &format!("bars s{series}"), &path);
}

fn draw_spans(out: &mut Markup, series: usize, spans: &[(f64, f64, f64, f64)], place: Place) {
    let mut path = String::new();
    let mut marks = Vec::new();
    for (low, centre, high, row) in spans {
        let (left, right, y) = (place.x(*low), place.x(*high), place.y(*row));
        let _ = write!(path, "M{} {}H{}m0 -5v10M{0} {}v10", Px(left), Px(y), Px(right), Px(y - 5.0));
        marks.push((place.x(*centre), y));
    }
    draw_path(out, &format!("line plain s{series}"), &path);
    draw_marks(out, series, shape_of(series), &marks);
}

/// The mark of a series.
fn shape_of(series: usize) -> Shape {
    [Shape::Disc, Shape::Square, Shape::Triangle, Shape::Diamond, Shape::Cross][series % 5]
}

fn draw_marks(out: &mut Markup, series: usize, shape: Shape, points: &[(f64, f64)]) {
    let mut path = String::new();
    let m = MARK;
    for (x, y) in points {
        let _ = match shape {
            Shape::Disc | Shape::Ring => {
                let r = if shape == Shape::Ring { 2.0 * m } else { m };
                write!(
                    path,
                    "M{} {}a{2} {2} 0 1 0 {3} 0a{2} {2} 0 1 0 -{3} 0",
                    Px(x - r),
                    Px(*y),
                    Px(r),
                    Px(2.0 * r)
                )
            }
            Shape::Square => write!(path, "M{} {}h{2}v{2}h-{2}z", Px(x - m), Px(y - m), Px(2.0 * m)),
            Shape::Triangle => {
                write!(
                    path,
                    "M{} {}l{} {}h-{}z",
                    Px(*x),
                    Px(y - 1.2 * m),
                    Px(1.2 * m),
                    Px(2.1 * m),
                    Px(2.4 * m)
                )
            }
            Shape::Diamond => {
                let d = 1.3 * m;
                write!(path, "M{} {}l{2} {2}l-{2} {2}l-{2} -{2}z", Px(*x), Px(y - d), Px(d))
            }
            Shape::Cross => write!(path, "M{} {}l{2} {2}m0 -{2}l-{2} {2}", Px(x - m), Px(y - m), Px(2.0 * m)),
        };
    }
    let kind = if matches!(shape, Shape::Cross | Shape::Ring) { "open" } else { "mark" };
    draw_path(out, &format!("{kind} s{series}"), &path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_span_the_counts() {
        assert_eq!((shade(1, 1_000), shade(1_000, 1_000), shade(1, 1)), (0, SHADES - 1, SHADES - 1));
        assert!(shade(30, 1_000) > shade(3, 1_000));
    }
}
