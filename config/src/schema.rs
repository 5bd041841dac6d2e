//! The JSON Schema of the policy language (draft 2020-12), made from the table of keys. Editors
//! complete and check by it when a file begins with `#:schema ./pointsman.schema.json`.

use serde_json::{Map, Value, json};

use crate::keys::{Format, Key, Kind, ROOT, Section};

/// A string that holds a variable may be anything.
const VARIABLE: &str = r"\$\{";

/// The schema as indented JSON.
pub fn json() -> String {
    let mut schema = object(&ROOT, |_| true);
    let head = [
        (
            "$schema",
            json!("https://json-schema.org/draft/2020-12/schema"),
        ),
        ("title", json!("Pointsman policy")),
    ];
    let mut document = Map::new();
    for (name, value) in head {
        document.insert(name.to_owned(), value);
    }
    document.append(&mut schema);
    // Strings, numbers and maps of them always serialize.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn object(section: &Section, holds: impl Fn(&Key) -> bool) -> Map<String, Value> {
    let keys = || section.keys.iter().filter(|key| holds(key));
    let properties: Map<_, _> = keys()
        .map(|key| (key.name.to_owned(), Value::Object(property(key))))
        .collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("description".to_owned(), json!(section.doc));
    schema.insert("additionalProperties".to_owned(), json!(false));
    let required: Vec<_> = keys()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema
}

fn property(key: &Key) -> Map<String, Value> {
    let mut schema = of_kind(&key.kind);
    schema.insert("description".to_owned(), json!(key.doc));
    if let Some(default) = key.default.and_then(as_json) {
        schema.insert("default".to_owned(), default);
    }
    if let Some(example) = as_json(key.example) {
        schema.insert("examples".to_owned(), json!([example]));
    }
    schema
}

fn of_kind(kind: &Kind) -> Map<String, Value> {
    let value = match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::False => json!({ "const": false }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Duration { .. } => pattern("^([0-9]+(d|h|m|s|ms))+$"),
        Kind::Size { .. } => pattern("^[0-9]+([KMGT]i)?B$"),
        Kind::Rate => pattern("^[0-9]+/[smh]$"),
        Kind::ByteRate => pattern("^[0-9]+([KMGT]i)?B/s$"),
        Kind::Share => pattern(r"^(100|[0-9]{1,2})(\.[0-9]+)?%$"),
        Kind::Word(words) => {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            json!({ "type": "string", "enum": words })
        }
        Kind::Text(format) => of_format(*format),
        Kind::Table(section) => Value::Object(object(section, |_| true)),
        Kind::Defaults(section) => {
            let mut schema = object(section, |key| key.inherited);
            schema.remove("required");
            Value::Object(schema)
        }
        Kind::Named(section) => json!({
            "type": "object",
            "propertyNames": of_format(Format::Name),
            "additionalProperties": object(section, |_| true),
        }),
        Kind::List(section) => json!({ "type": "array", "items": object(section, |_| true) }),
        Kind::TableOrList(section) => {
            let table = object(section, |_| true);
            json!({ "anyOf": [table, { "type": "array", "items": table }] })
        }
        Kind::Map(name, value) => json!({
            "type": "object",
            "propertyNames": of_format(*name),
            "additionalProperties": of_format(*value),
        }),
        Kind::Numbers { key, min, max } => json!({
            "type": "object",
            "propertyNames": of_format(*key),
            "additionalProperties": { "type": "integer", "minimum": min, "maximum": max },
        }),
        Kind::Many(item) => json!({ "type": "array", "items": of_kind(item) }),
        Kind::OneOrMany(item) => {
            let item = of_kind(item);
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        Kind::AnyOf(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(of_kind).collect();
            json!({ "anyOf": kinds })
        }
    };
    match value {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn of_format(format: Format) -> Value {
    format
        .pattern()
        .map_or_else(|| json!({ "type": "string" }), pattern)
}

/// A string of this pattern, or one that a variable is yet to be put into.
fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!("{pattern}|{VARIABLE}") })
}

/// A TOML literal of the table of keys as JSON.
fn as_json(toml: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("value = {toml}")).ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_schema_with_its_description() {
        let schema: Value = serde_json::from_str(&json()).unwrap();
        let mut count = 0;
        check(&ROOT, &schema, &mut count);
        assert!(count >= 75, "{count}");
    }

    fn check(section: &Section, schema: &Value, count: &mut usize) {
        assert_eq!(schema["additionalProperties"], false, "{}", section.name);
        for key in section.keys {
            *count += 1;
            let property = &schema["properties"][key.name];
            assert_eq!(
                property["description"], key.doc,
                "{}.{}",
                section.name, key.name
            );
            match &key.kind {
                Kind::Table(below) => check(below, property, count),
                Kind::Named(below) => check(below, &property["additionalProperties"], count),
                Kind::List(below) => check(below, &property["items"], count),
                Kind::TableOrList(below) => {
                    check(below, &property["anyOf"][0], count);
                    check(below, &property["anyOf"][1]["items"], count);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn defaults_allow_only_what_is_inherited() {
        let schema: Value = serde_json::from_str(&json()).unwrap();
        let pool = &schema["properties"]["defaults"]["properties"]["pool"];
        assert!(pool["properties"]["health"].is_object());
        assert!(pool["properties"]["backends"].is_null());
        assert!(pool["required"].is_null());
    }
}
