//! A chart: axes, panels one above the other, a legend, and places that tell their values. It draws itself as SVG
//! at any size; what is inside of a panel is drawn by the layers.

use super::layers::{Layer, Place, draw_notes, level_width};
use super::markup::{Markup, Px};
use super::scale::Scale;
use super::units;

/// Height of a line of labels.
const LINE: f64 = 18.0;

/// Space between panels.
const BETWEEN: f64 = 16.0;

/// Height of the labels below the panels.
const BELOW: f64 = 46.0;

/// Height of those labels and a legend of one line.
const AROUND: f64 = BELOW + 30.0;

/// How large a chart is drawn, in SVG units; text is 12 of them high.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// The class of the drawing, by which the style sheet picks one size.
    pub class: &'static str,
}

/// For screens, windows and paper.
pub(crate) const WIDE: Size = Size { width: 880.0, height: 400.0, class: "wide" };

/// For phones.
pub(crate) const NARROW: Size = Size { width: 390.0, height: 360.0, class: "narrow" };

/// What the figures along an axis are, which decides how its ticks are labelled.
#[derive(Clone, Debug)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Time,
    /// Plain numbers; the title names their unit.
    Number,
    /// Numbers of things that are counted; nothing lies between them.
    Whole,
    /// Shares of a whole.
    Percent,
    /// 1 / (1 - p).
    Nines,
    /// Ratios to 1.
    Ratio,
    /// Numbers of these rows, from 0.
    Names(Vec<String>),
}

impl Unit {
    fn tick(&self, value: f64) -> String {
        match self {
            Unit::Time => units::time(value),
            Unit::Number | Unit::Whole => units::number(value),
            Unit::Percent => units::percent(value),
            Unit::Nines => units::nines(value),
            Unit::Ratio => units::ratio(value),
            Unit::Names(names) => names.get(value.round() as usize).cloned().unwrap_or_default(),
        }
    }
}

/// An axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// What it shows, with the unit where ticks do not tell it.
    pub title: String,
    /// Where values lie.
    pub scale: Scale,
    /// How they are told.
    pub unit: Unit,
}

impl Axis {
    /// An axis with this title.
    pub fn new(title: impl Into<String>, scale: Scale, unit: Unit) -> Axis {
        Axis { title: title.into(), scale, unit }
    }

    fn labels(&self, most: usize) -> Vec<(f64, String)> {
        let ticks = match &self.unit {
            Unit::Names(names) => (0..names.len()).map(|row| row as f64).collect(),
            Unit::Whole => self.scale.ticks(most).into_iter().filter(|value| value.fract() == 0.0).collect(),
            _ => self.scale.ticks(most),
        };
        ticks.into_iter().map(|value| (value, self.unit.tick(value))).collect()
    }
}

/// One of the fields that lie above each other and share the x axis.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// Its y axis.
    pub y: Axis,
    /// Its share of the height.
    pub share: f64,
    /// What is drawn, the hindmost first.
    pub layers: Vec<Layer>,
}

/// A place that tells its values when pointed at.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    /// From and to on the x axis.
    pub x: (f64, f64),
    /// From and to on the y axis of the first panel; the whole height if absent.
    pub y: Option<(f64, f64)>,
    /// What it tells.
    pub text: String,
}

/// Everything that one drawing shows.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// The x axis.
    pub x: Axis,
    /// The panels, from above.
    pub panels: Vec<Panel>,
    /// Places that tell their values, in order.
    pub hits: Vec<Hit>,
    /// The height of its panels, if it is not to be as high as others.
    pub height: Option<f64>,
}

/// A rectangle of the drawing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// Free room right of it.
    pub margin: f64,
}

impl Chart {
    /// A chart with a single panel.
    pub fn single(x: Axis, y: Axis, layers: Vec<Layer>) -> Chart {
        Chart { x, panels: vec![Panel { y, share: 1.0, layers }], hits: Vec::new(), height: None }
    }

    /// Draws it. `id` is unique in the document; `title` and `describe` are for those who cannot see it.
    pub fn draw(&self, out: &mut Markup, size: Size, id: &str, title: &str, describe: &str) {
        let (title_id, describe_id) = (format!("{id}-title"), format!("{id}-desc"));
        let labelled_by = format!("{title_id} {describe_id}");
        let size = Size { height: self.height.map_or(size.height, |height| height + AROUND), ..size };
        let view_box = format!("0 0 {} {}", Px(size.width), Px(size.height));
        out.open(
            "svg",
            &[
                ("class", &size.class),
                ("viewBox", &view_box),
                ("role", &"img"),
                ("tabindex", &"0"),
                ("aria-labelledby", &labelled_by),
            ],
        );
        out.element("title", &[("id", &title_id)], title);
        out.element("desc", &[("id", &describe_id)], describe);
        let areas = self.areas(size, self.legend(out, size));
        for (panel, area) in self.panels.iter().zip(&areas) {
            self.draw_panel(out, panel, *area);
        }
        if let (Some(first), Some(last)) = (areas.first(), areas.last()) {
            self.draw_x_labels(out, *last);
            if size.class == WIDE.class {
                self.draw_hits(out, *first, *last);
            }
        }
        out.close();
        out.line();
    }

    /// Draws the legend in as many rows as it needs and returns how high it is.
    fn legend(&self, out: &mut Markup, size: Size) -> f64 {
        let keys: Vec<_> =
            self.panels.iter().flat_map(|panel| &panel.layers).filter_map(Layer::key).collect();
        if keys.is_empty() {
            return 8.0;
        }
        let (mut x, mut y) = (10.0, 14.0);
        out.open("g", &[("class", &"legend")]);
        for key in keys {
            let name = fitted(key.name, size.width - key.sample_width() - 40.0);
            let width = key.sample_width() + 8.0 + text_width(&name) + 14.0;
            if x > 10.0 && x + width > size.width {
                (x, y) = (10.0, y + LINE);
            }
            key.draw_sample(out, x, y);
            let text_x = x + key.sample_width() + 8.0;
            out.element("text", &[("x", &Px(text_x)), ("y", &Px(y + 4.0))], name);
            x += width;
        }
        out.close();
        y + 16.0
    }

    /// Where the panels lie, below a legend of this height.
    fn areas(&self, size: Size, top: f64) -> Vec<Area> {
        let widest = |panel: &Panel| {
            let labels = panel.y.labels(10);
            labels.iter().map(|(_, label)| text_width(label)).fold(0.0, f64::max)
        };
        let left = 34.0 + self.panels.iter().map(widest).fold(0.0, f64::max).min(size.width / 3.0);
        let words = self.panels.iter().map(|panel| level_width(&panel.layers)).fold(0.0, f64::max);
        // Where there is room, words stand beside the panel and not on top of lines.
        let margin = if words <= size.width / 5.0 { words.max(22.0) } else { 22.0 };
        let gaps = BETWEEN * self.panels.len().saturating_sub(1) as f64;
        let height = (size.height - top - BELOW - gaps).max(40.0);
        let shares: f64 = self.panels.iter().map(|panel| panel.share).sum();
        let mut from = top;
        let place = |panel: &Panel| {
            let area = Area {
                left,
                top: from,
                width: size.width - left - margin,
                height: height * panel.share / shares,
                margin,
            };
            from += area.height + BETWEEN;
            area
        };
        self.panels.iter().map(place).collect()
    }

    fn draw_panel(&self, out: &mut Markup, panel: &Panel, area: Area) {
        let place = Place { x: self.x.scale, y: panel.y.scale, area };
        let whole = [
            ("x", Px(area.left)),
            ("y", Px(area.top)),
            ("width", Px(area.width)),
            ("height", Px(area.height)),
        ];
        let [x, y, width, height] = &whole;
        out.leaf(
            "rect",
            &[("class", &"field"), (x.0, &x.1), (y.0, &y.1), (width.0, &width.1), (height.0, &height.1)],
        );
        for layer in panel.layers.iter().filter(|layer| layer.is_backdrop()) {
            layer.draw(out, place);
        }
        let rows = panel.y.labels((area.height / 26.0) as usize);
        let columns = self.x.labels(self.columns_max(area.width));
        let mut grid = String::new();
        for (value, _) in &rows {
            grid.push_str(&format!("M{} {}h{}", Px(area.left), Px(place.y(*value)), Px(area.width)));
        }
        for (value, _) in columns {
            grid.push_str(&format!("M{} {}v{}", Px(place.x(value)), Px(area.top), Px(area.height)));
        }
        out.leaf("path", &[("class", &"grid"), ("d", &grid)]);
        for layer in panel.layers.iter().filter(|layer| !layer.is_backdrop()) {
            layer.draw(out, place);
        }
        draw_notes(out, &panel.layers, place);
        out.open("g", &[("class", &"ticks y")]);
        for (value, label) in rows {
            let label = fitted(&label, area.left - 28.0);
            out.element("text", &[("x", &Px(area.left - 7.0)), ("y", &Px(place.y(value) + 4.0))], label);
        }
        out.close();
        let middle = area.top + area.height / 2.0;
        let turned = format!("translate(13 {}) rotate(-90)", Px(middle));
        out.element("text", &[("class", &"axis"), ("transform", &turned)], &panel.y.title);
    }

    /// How many labels the x axis has room for.
    fn columns_max(&self, width: f64) -> usize {
        let widest = |most| {
            let labels = self.x.labels(most);
            labels.iter().map(|(_, label)| text_width(label)).fold(0.0, f64::max) + 18.0
        };
        let mut most = 14;
        while most > 2 && widest(most) * self.x.labels(most).len() as f64 > width {
            most -= 1;
        }
        most
    }

    fn draw_x_labels(&self, out: &mut Markup, area: Area) {
        let place = |value| area.left + self.x.scale.position(value) * area.width;
        let bottom = area.top + area.height;
        out.open("g", &[("class", &"ticks x")]);
        for (value, label) in self.x.labels(self.columns_max(area.width)) {
            // A label at the very end is pulled in, so that it is not cut off.
            let half = text_width(&label) / 2.0;
            let x = place(value).min(area.left + area.width + 20.0 - half);
            out.element("text", &[("x", &Px(x)), ("y", &Px(bottom + 17.0))], label);
        }
        out.close();
        let middle = area.left + area.width / 2.0;
        out.element(
            "text",
            &[("class", &"axis"), ("x", &Px(middle)), ("y", &Px(bottom + 37.0))],
            &self.x.title,
        );
    }

    /// Transparent places whose titles browsers show to those who point at them, without any script.
    fn draw_hits(&self, out: &mut Markup, first: Area, last: Area) {
        let Some(panel) = self.panels.first() else { return };
        let place = Place { x: self.x.scale, y: panel.y.scale, area: first };
        out.open("g", &[("class", &"hits")]);
        for hit in &self.hits {
            let (left, right) = (place.x(hit.x.0), place.x(hit.x.1));
            let (top, bottom) = match hit.y {
                Some((low, high)) => (place.y(high).min(place.y(low)), place.y(low).max(place.y(high))),
                None => (first.top, last.top + last.height),
            };
            out.open(
                "rect",
                &[
                    ("x", &Px(left)),
                    ("y", &Px(top)),
                    ("width", &Px((right - left).max(0.5))),
                    ("height", &Px(bottom - top)),
                ],
            );
            out.element("title", &[], &hit.text);
            out.close();
        }
        out.close();
    }
}

/// The text, cut off where it would be wider than that.
pub(crate) fn fitted(text: &str, width: f64) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let mut taken = character_width('…');
    let fits = |character: &char| {
        taken += character_width(*character);
        taken <= width
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// How wide a label is at most.
pub(crate) fn text_width(text: &str) -> f64 {
    text.chars().map(character_width).sum()
}

/// Widths in DejaVu Sans at 12 units, which is as broad as any face that systems use for their pages.
const fn character_width(character: char) -> f64 {
    match character {
        '\u{202f}' => 2.5,
        ' ' | 'i' | 'j' | 'l' | '.' | ',' | ':' | '\'' | '|' => 4.0,
        'f' | 't' | 'r' | 'I' | '-' | '(' | ')' | '/' => 5.2,
        'm' | 'w' | 'M' | 'W' | '%' | '…' => 11.7,
        'A'..='Z' | '=' | '×' | '✓' | '✗' | '–' => 10.0,
        'c' | 's' | 'v' | 'x' | 'y' | 'z' | 'k' => 7.0,
        _ => 7.7,
    }
}
