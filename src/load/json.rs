//! A run as JSON and back, with sentences for what is no run.

use super::record::{Run, SCHEMA_VERSION};
use crate::error::Error;
use serde::Deserialize;

/// The one field that is read before the others, because what they mean depends on it.
#[derive(Deserialize)]
struct Version {
    schema_version: Option<u64>,
}

impl Run {
    /// The run as one line of JSON, as [`SCHEMA`](super::record::SCHEMA) describes it. Numbers that JSON does not have
    /// (infinite ones) become `null`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a record has only names for keys")
    }

    /// Reads back what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence: not JSON (with line and column), JSON without a version, a version that
    /// this program does not know, or a field that is missing or of the wrong kind (with its place).
    pub fn from_json(text: &str) -> Result<Run, Error> {
        let refuse = |sentence: String| Err(Error::Config(sentence));
        match serde_json::from_str::<Version>(text) {
            Err(error) if error.is_data() => {
                return refuse(format!("this is JSON, but not of a run: {error}"));
            }
            Err(error) => return refuse(format!("this is not JSON: {error}")),
            Ok(Version { schema_version: None }) => {
                return refuse("this is JSON, but not of a run: it has no schema_version".into());
            }
            Ok(Version { schema_version: Some(version) }) if version != u64::from(SCHEMA_VERSION) => {
                return refuse(format!(
                    "this run has schema_version {version} and this program reads {SCHEMA_VERSION}: use the windlass that \
                     wrote it, or measure again"
                ));
            }
            Ok(_) => (),
        }
        serde_json::from_str(text).map_err(|error| Error::Config(format!("this run cannot be read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::record::SCHEMA;
    use super::super::schema_checker::{assert_described, assert_exact, compiled};
    use super::*;
    use crate::thorough::thorough;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn value(run: &Run) -> Value {
        serde_json::from_str(&run.to_json()).unwrap()
    }

    #[test]
    fn the_schema_describes_the_fullest_run_and_the_emptiest() {
        let (schemas, index) = compiled(SCHEMA, "");
        for run in [fixture::full_run(), fixture::empty_run()] {
            if let Err(error) = schemas.validate(&value(&run), index) {
                panic!("{error:#}");
            }
        }
    }

    #[test]
    fn every_field_of_the_types_is_required_and_no_other_is_allowed() {
        let (fields, objects) = assert_exact(SCHEMA, &value(&fixture::full_run()));
        assert!(fields > 150 && objects > 15, "{fields} fields of {objects} objects");
    }

    /// Fails when a field of the full run is absent: then the tests above would not see it.
    #[test]
    fn the_full_run_is_full() {
        fn look(value: &Value, at: &str, absent: &mut Vec<String>) {
            match value {
                Value::Null => absent.push(at.into()),
                Value::Array(items) if items.is_empty() => absent.push(at.into()),
                Value::Array(items) => items.iter().for_each(|item| look(item, at, absent)),
                Value::Object(fields) => {
                    fields.iter().for_each(|(name, field)| look(field, &format!("{at}/{name}"), absent));
                }
                _ => (),
            }
        }
        let mut absent = Vec::new();
        let mut full = value(&fixture::full_run());
        // What has no samples has no figures, and a verdict is either on a time or on a share.
        let generator = full["generator"].take();
        assert!(generator["send_lag"]["count"].is_u64());
        look(&full, "", &mut absent);
        absent.retain(|place| place != "/generator" && !place.starts_with("/slo/"));
        assert_eq!(absent, Vec::<String>::new());
    }

    #[test]
    fn everything_in_the_schema_is_described_with_its_unit() {
        let fields = assert_described(SCHEMA);
        assert!(fields > 100, "{fields} fields");
    }

    #[test]
    fn a_line_of_the_stream_is_an_interval() {
        let (schemas, index) = compiled(SCHEMA, "#/$defs/interval");
        let line = serde_json::to_value(&fixture::full_run().intervals[0]).unwrap();
        assert!(schemas.validate(&line, index).is_ok());
        assert!(schemas.validate(&json!({"start_s": 0.0}), index).is_err());
    }

    #[test]
    fn runs_read_back_as_they_were() {
        for run in [fixture::full_run(), fixture::empty_run()] {
            let back = Run::from_json(&run.to_json()).unwrap();
            assert_eq!(back.to_json(), run.to_json());
        }
        let mut changed = fixture::full_run();
        changed.totals.lost += 1;
        assert_ne!(Run::from_json(&changed.to_json()).unwrap().totals, fixture::full_run().totals);
    }

    #[test]
    fn what_is_no_run_is_refused_with_a_sentence() {
        let run = fixture::empty_run().to_json();
        let newer = run.replacen("\"schema_version\":2", "\"schema_version\":7", 1);
        let huge = run.replacen(
            "\"buckets\":[]",
            "\"buckets\":[[5,18446744073709551615],[9,18446744073709551615]]",
            1,
        );
        let cases = [
            ("", "this is not JSON: EOF"),
            ("{\n  nonsense", "line 2 column 3"),
            ("[]", "not of a run"),
            ("{}", "it has no schema_version"),
            ("{\"schema_version\": \"one\"}", "not of a run"),
            ("{\"schema_version\": 2}", "missing field `windlass_version`"),
            (&newer, "this run has schema_version 7 and this program reads 2"),
            (&huge, "no measurement"),
            (&run[..run.len() / 2], "this is not JSON: EOF"),
        ];
        for (text, words) in cases {
            let sentence = Run::from_json(text).unwrap_err().to_string();
            assert!(sentence.contains(words), "{text:.60}: {sentence}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(thorough(256, 16)))]

        #[test]
        fn no_damage_makes_the_reader_panic(place in 0usize..20_000, byte in 32u8..127) {
            let mut text = fixture::full_run().to_json().into_bytes();
            let place = place % text.len();
            text[place] = byte;
            if let Ok(run) = Run::from_json(std::str::from_utf8(&text).unwrap()) {
                prop_assert!(Run::from_json(&run.to_json()).is_ok());
            }
        }
    }
}
