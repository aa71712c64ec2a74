//! The file that `--config` names: proxies and their toxics in TOML. What is wrong with it is told with its line and its
//! field.

use super::spelling::Wish;
use crate::exit::Failure;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use windlass::proxy::{Plan, Toxic};

/// What a file says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Wanted {
    pub seed: Option<u64>,
    pub control: Option<String>,
    pub proxies: Vec<(Plan, Vec<Toxic>)>,
}

/// An example for `--help`, which is also a test.
pub const EXAMPLE: &str = r#"seed = 7
control = "127.0.0.1:8474"

[[proxy]]
name = "redis"
listen = "127.0.0.1:26379"
upstream = "127.0.0.1:6379"

[[proxy.toxic]]
type = "latency"
latency = "100ms"
jitter = "10ms"
stream = "upstream"
toxicity = 0.5
"#;

/// The longest file, in bytes: the most proxies there may be with a dozen toxics each. A device may have no end.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads the file at `path`.
pub fn read(path: &str) -> Result<Wanted, Failure> {
    let refused = |why: String| Failure::usage(format!("--config {path}: the file could not be read: {why}"));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| refused(error.to_string()))?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| refused(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(refused(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    parse(path, &text)
}

fn parse(path: &str, text: &str) -> Result<Wanted, Failure> {
    let reader = Reader { path, text };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        reader.refuse(at, format!("this is not TOML: {}", error.message().trim_end()))
    })?;
    reader.top(table.get_ref())
}

type Value<'t> = Spanned<DeValue<'t>>;

/// Knows the file, to say where in it something is wrong.
struct Reader<'t> {
    path: &'t str,
    text: &'t str,
}

impl Reader<'_> {
    fn refuse(&self, at: Range<usize>, sentence: impl std::fmt::Display) -> Failure {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        Failure::usage(format!("{}:{line}: {sentence}", self.path))
    }

    fn top(&self, table: &DeTable<'_>) -> Result<Wanted, Failure> {
        let mut wanted = Wanted::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "seed" => wanted.seed = Some(self.seed(value)?),
                "control" => wanted.control = Some(self.text_of("control", value)?),
                "proxy" => wanted.proxies = self.tables("proxy", value, |at, table| self.proxy(at, table))?,
                other => {
                    let sentence =
                        format!("there is no field '{other}': there are seed, control and [[proxy]]");
                    return Err(self.refuse(key.span(), sentence));
                }
            }
        }
        for (number, (plan, _)) in wanted.proxies.iter().enumerate() {
            if wanted.proxies[..number].iter().any(|(earlier, _)| earlier.name == plan.name) {
                let sentence = format!("{}: two proxies are called '{}'", self.path, plan.name);
                return Err(Failure::usage(sentence));
            }
        }
        Ok(wanted)
    }

    fn proxy(&self, at: Range<usize>, table: &DeTable<'_>) -> Result<(Plan, Vec<Toxic>), Failure> {
        let (mut plan, mut toxics) = (Plan::to("", ""), Vec::new());
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => plan.name = self.text_of("name", value)?,
                "listen" => plan.listen = self.text_of("listen", value)?,
                "upstream" => plan.upstream = self.text_of("upstream", value)?,
                "enabled" => {
                    plan.enabled = value
                        .get_ref()
                        .as_bool()
                        .ok_or_else(|| self.refuse(value.span(), "enabled: write true or false"))?;
                }
                "toxic" => toxics = self.tables("proxy.toxic", value, |at, table| self.toxic(at, table))?,
                other => {
                    let sentence = format!(
                        "a proxy has no field '{other}': it has name, listen, upstream, enabled and [[proxy.toxic]]"
                    );
                    return Err(self.refuse(key.span(), sentence));
                }
            }
        }
        for (name, value) in [("name", &plan.name), ("upstream", &plan.upstream)] {
            if value.is_empty() {
                return Err(self.refuse(at, format!("a proxy needs a field '{name}'")));
            }
        }
        Ok((plan, toxics))
    }

    fn toxic(&self, at: Range<usize>, table: &DeTable<'_>) -> Result<Toxic, Failure> {
        let Some((_, type_name)) = table.iter().find(|(key, _)| key.get_ref() == "type") else {
            return Err(self.refuse(at, "a toxic needs a field 'type'"));
        };
        let refuse_type = |why| self.refuse(type_name.span(), format!("type: {why}"));
        let mut wish = Wish::of(&self.text_of("type", type_name)?).map_err(refuse_type)?;
        for (key, value) in table.iter().filter(|(key, _)| key.get_ref() != "type") {
            let name = key.get_ref();
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
                DeValue::Float(number) => number.as_str().to_owned(),
                _ => {
                    let sentence = format!("{name}: write a number, or a text such as \"100ms\"");
                    return Err(self.refuse(value.span(), sentence));
                }
            };
            wish.set(name, &text).map_err(|why| self.refuse(key.span(), format!("{name}: {why}")))?;
        }
        wish.toxic().map_err(|why| self.refuse(at, why))
    }

    fn seed(&self, value: &Value<'_>) -> Result<u64, Failure> {
        let number = value.get_ref().as_integer();
        let seed = number.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        seed.ok_or_else(|| self.refuse(value.span(), "seed: write a whole number from 0 on"))
    }

    fn text_of(&self, field: &str, value: &Value<'_>) -> Result<String, Failure> {
        let text = value.get_ref().as_str();
        text.map(str::to_owned)
            .ok_or_else(|| self.refuse(value.span(), format!("{field}: write a text in quotes")))
    }

    /// Reads each table of `[[field]]`.
    fn tables<T>(
        &self,
        field: &str,
        value: &Value<'_>,
        read: impl Fn(Range<usize>, &DeTable<'_>) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let wrong =
            |at: Range<usize>| self.refuse(at, format!("{field}: write [[{field}]] above its fields"));
        let all = value.get_ref().as_array().ok_or_else(|| wrong(value.span()))?;
        all.iter()
            .map(|one| {
                let table = one.get_ref().as_table().ok_or_else(|| wrong(one.span()))?;
                read(one.span(), table)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass::proxy::{Direction, ToxicKind};

    #[test]
    fn the_example_of_the_help_text_is_read() {
        let wanted = parse("example.toml", EXAMPLE).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((wanted.seed, wanted.control.as_deref()), (Some(7), Some("127.0.0.1:8474")));
        let [(plan, toxics)] = wanted.proxies.as_slice() else { panic!("one proxy: {wanted:?}") };
        let mut expected = Plan::to("redis", "127.0.0.1:6379");
        expected.listen = "127.0.0.1:26379".into();
        assert_eq!(plan, &expected);
        let [toxic] = toxics.as_slice() else { panic!("one toxic: {toxics:?}") };
        assert_eq!(toxic.kind, ToxicKind::Latency { latency_ms: 100, jitter_ms: 10 });
        assert_eq!((toxic.direction, toxic.toxicity), (Direction::Upstream, 0.5));
    }

    #[track_caller]
    fn refuses(text: &str, words: &str) {
        let failure = parse("p.toml", text).expect_err(text).to_string();
        assert!(failure.contains(words), "'{words}' is missing in: {failure}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_its_field() {
        refuses("seed = \n", "p.toml:1: this is not TOML");
        refuses("a = 1\na = 2\n", "p.toml:2: this is not TOML: duplicate key");
        refuses("seed = -1", "p.toml:1: seed: write a whole number");
        refuses("seed = \"x\"", "p.toml:1: seed: write a whole number");
        refuses("\ncontrl = \"x\"", "p.toml:2: there is no field 'contrl'");
        refuses("control = 8474", "p.toml:1: control: write a text in quotes");
        refuses("proxy = 1", "p.toml:1: proxy: write [[proxy]]");
        refuses("[proxy]\nname = \"a\"", "p.toml:1: proxy: write [[proxy]]");
        refuses("seed = 1\n[[proxy]]\nupstream = \"b\"", "p.toml:2: a proxy needs a field 'name'");
        refuses("[[proxy]]\nname = \"a\"", "p.toml:1: a proxy needs a field 'upstream'");
        let proxy = "[[proxy]]\nname = \"a\"\nupstream = \"b\"\n";
        refuses(&format!("{proxy}enabled = 1"), "p.toml:4: enabled: write true or false");
        refuses(&format!("{proxy}port = 1"), "p.toml:4: a proxy has no field 'port'");
        refuses(&format!("{proxy}{proxy}"), "two proxies are called 'a'");
        let toxic = format!("{proxy}[[proxy.toxic]]\n");
        refuses(&toxic, "p.toml:4: a toxic needs a field 'type'");
        refuses(&format!("{toxic}type = \"lag\""), "p.toml:5: type: there is no toxic 'lag'");
        let latency = format!("{toxic}type = \"latency\"\n");
        refuses(&format!("{latency}latency = \"soon\""), "p.toml:6: latency: 'soon' is no time");
        refuses(&format!("{latency}latncy = 5"), "p.toml:6: latncy: latency has no 'latncy'");
        refuses(&format!("{latency}latency = true"), "p.toml:6: latency: write a number");
        refuses(&format!("{latency}latency = 0x10"), "p.toml:6: latency: write a number");
        refuses(&format!("{latency}latency = -5"), "p.toml:6: latency: '-5'");
        refuses(&format!("{latency}toxicity = 1.5"), "p.toml:4: toxicity must be from 0 to 1");
    }
}
