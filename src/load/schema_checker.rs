//! For tests: whether a JSON schema says all that a document holds, and no more.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

const PLACE: &str = "https://windlass.invalid/schema.json";

/// The schema, or a part of it such as `#/$defs/interval`, ready to hold documents against.
pub(crate) fn compiled(schema: &str, part: &str) -> (Schemas, SchemaIndex) {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(PLACE, serde_json::from_str(schema).expect("the schema is JSON")).unwrap();
    let index = compiler.compile(&format!("{PLACE}{part}"), &mut schemas).expect("the schema is a schema");
    (schemas, index)
}

/// Asserts that each field of `full`, in which everything is there, is required, is not just anything, and that no other
/// is allowed. How many fields and how many objects that were.
pub(crate) fn assert_exact(schema: &str, full: &Value) -> (usize, usize) {
    let (schemas, index) = compiled(schema, "");
    if let Err(error) = schemas.validate(full, index) {
        panic!("{error:#}");
    }
    let mut places = Vec::new();
    objects(full, "", &mut places);
    let mut fields = 0;
    for place in &places {
        let mut more = full.clone();
        more.pointer_mut(place).unwrap()["surplus"] = json!(1);
        assert!(schemas.validate(&more, index).is_err(), "{place} may have more fields");
        let names: Vec<String> = full.pointer(place).unwrap().as_object().unwrap().keys().cloned().collect();
        for name in names {
            let mut less = full.clone();
            less.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(&name);
            assert!(schemas.validate(&less, index).is_err(), "{place}/{name} may be missing");
            let mut other = full.clone();
            other.pointer_mut(place).unwrap()[&name] = json!([[[]]]);
            assert!(schemas.validate(&other, index).is_err(), "{place}/{name} may be anything");
            fields += 1;
        }
    }
    (fields, places.len())
}

/// The pointers of all objects in `value`.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.into());
            fields.iter().for_each(|(name, field)| objects(field, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| objects(item, &format!("{at}/{n}"), found));
        }
        _ => (),
    }
}

/// Asserts that everything in the schema is described, with its unit where its name has one. How many fields that were.
pub(crate) fn assert_described(schema: &str) -> usize {
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    let mut described = 0;
    described_part(&schema, "", &mut described);
    for (name, part) in schema["$defs"].as_object().unwrap() {
        assert!(part["description"].is_string(), "{name}");
        described_part(part, name, &mut described);
    }
    described
}

fn described_part(value: &Value, at: &str, described: &mut usize) {
    let Some(fields) = value.get("properties").and_then(Value::as_object) else { return };
    assert_eq!(value["additionalProperties"], json!(false), "{at}");
    for (name, field) in fields {
        let text = field["description"].as_str().unwrap_or_default();
        assert!(text.len() > 5, "{at}/{name} is not described");
        let units = [("_ns", "nanosecond"), ("_per_s", "econd"), ("_s", "second"), ("_bytes", "ytes")];
        if let Some((_, unit)) = units.iter().find(|(suffix, _)| name.ends_with(suffix)) {
            assert!(text.contains(unit), "{at}/{name} does not name its unit: {text}");
        }
        *described += 1;
    }
}
