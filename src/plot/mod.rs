//! Pages for people: charts that draw themselves as SVG, and the HTML document around them.
//!
//! A page is a single file that asks for nothing else: style, script and drawings are inside. It can be read without
//! script, by keyboard, in the dark and on paper; the script adds tooltips and pictures to take away. What is drawn is
//! the business of the rooms above.

pub(crate) mod chart;
#[cfg(test)]
pub(crate) mod checker;
pub(crate) mod figure;
pub(crate) mod layers;
pub(crate) mod markup;
pub(crate) mod parts;
pub(crate) mod scale;
pub(crate) mod spectrum;
#[cfg(test)]
mod tests;
pub(crate) mod units;
