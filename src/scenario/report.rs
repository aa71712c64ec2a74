//! The page of one scenario.

use super::record::Record;

/// The record as a page.
#[must_use]
pub fn page(record: &Record) -> String {
    record.to_json()
}
