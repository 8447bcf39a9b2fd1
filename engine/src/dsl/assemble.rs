//! Puts the layers of a role, or of a pipeline alone, on one another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use figment::value::{Dict, Value};

use super::Layers;
use super::chain::RETRYING_SINKS;
use super::document::{Document, Part, plain};
use super::fault::{Fault, Origin};
use super::layers::{KeyPath, Layer, Stack, find, names, table};
use super::read::{STAGES, nearest};
use super::shipped::{PIPELINES, ROLES, Shipped};

static DEFAULTS: LazyLock<Arc<Document>> = LazyLock::new(|| {
    let text = include_str!("defaults.toml").to_owned();
    Arc::new(
        Document::parse("<built-in>/defaults.toml".into(), None, text).expect("a test parses the defaults"),
    )
});

/// The layers on one another, and what was wrong with them.
#[derive(Debug)]
pub(super) struct Assembly {
    /// What to call it in messages.
    pub(super) subject: String,
    pub(super) stack: Stack,
    pub(super) values: Dict,
    pub(super) faults: Vec<Fault>,
}

/// Finds a role: a path, or the name of a shipped one.
pub(super) fn find_role(name_or_path: &str) -> Result<Document, Fault> {
    if let Some(shipped) = Shipped::role(name_or_path) {
        return parse(shipped);
    }
    let file = Path::new(name_or_path);
    if file.is_file() || file.components().count() > 1 || name_or_path.ends_with(".toml") {
        return Document::read(file);
    }
    let names = ROLES.iter().map(Shipped::name);
    let listed = names.clone().collect::<Vec<_>>().join(", ");
    let near = nearest(name_or_path, names)
        .map(|near| format!("did you mean {near}?\n"))
        .unwrap_or_default();
    Err(Fault {
        what: format!("there is no role `{name_or_path}`"),
        help: Some(format!("{near}name a role file, or a shipped role: {listed}")),
        origin: Origin::Named(name_or_path.into()),
        missing: false,
    })
}

fn parse(shipped: &Shipped) -> Result<Document, Fault> {
    Document::parse(
        format!("<shipped>/{}", shipped.path),
        None,
        shipped.text.to_owned(),
    )
}

/// A role under its layers.
pub(super) fn role(document: Document, layers: &Layers) -> Assembly {
    let document = Arc::new(document);
    let mut builder = Builder {
        faults: Vec::new(),
        document: Arc::clone(&document),
    };
    let mut values = document.dict();
    let profiles = values.remove("profile");
    let mut role = vec![Layer::text(&document, values, &[], &[])];
    role.extend(builder.profile(profiles.as_ref(), layers));
    let files = builder.pipelines(&mut role);
    let pipelines: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let mut stack = Stack::default();
    stack.layers.extend(special(layers));
    for (name, file) in files {
        if let Some(file) = file {
            stack.layers.push(builder.pipeline_layer(&file, &name));
        }
    }
    stack.layers.extend(role);
    stack.layers.extend(builder.environment(layers, &pipelines));
    stack.layers.extend(builder.set(layers, &pipelines));
    finish(format!("role {}", document.path), stack, builder.faults)
}

/// A pipeline alone, under a name of its own.
pub(super) fn pipeline(document: Document) -> Assembly {
    let document = Arc::new(document);
    let values = document.dict();
    let name = values
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| valid_name(name));
    let name = name.unwrap_or("pipeline").to_owned();
    let stack = Stack {
        layers: vec![Layer::text(&document, values, &[], &["pipelines", &name])],
    };
    finish(format!("pipeline {}", document.path), stack, Vec::new())
}

/// Puts the defaults below everything, for the stages that are there.
fn finish(subject: String, mut stack: Stack, faults: Vec<Fault>) -> Assembly {
    let given = stack.merged();
    let defaults = DEFAULTS.dict();
    let mut weakest = Vec::new();
    let shared: Dict = defaults
        .iter()
        .filter(|(key, _)| matches!(key.as_str(), "store" | "identity"))
        .map(cloned)
        .collect();
    weakest.push(Layer::text(&DEFAULTS, shared, &[], &[]).as_defaults());
    for pipeline in names(&given, &["pipelines".into()]) {
        let here: KeyPath = vec!["pipelines".into(), pipeline.clone()];
        let Some(stages) = table(&given, &here) else {
            continue;
        };
        weakest.push(
            Layer::text(
                &DEFAULTS,
                defaults_of(stages, &defaults),
                &[],
                &["pipelines", &pipeline],
            )
            .as_defaults(),
        );
    }
    weakest.append(&mut stack.layers);
    stack.layers = weakest;
    let values = stack.merged();
    Assembly {
        subject,
        stack,
        values,
        faults,
    }
}

fn defaults_of(stages: &Dict, defaults: &Dict) -> Dict {
    let mut found = Dict::new();
    for stage in STAGES {
        let kinds: Dict = names(stages, &[stage.into()])
            .into_iter()
            .filter_map(|kind| Some((kind.clone(), find(defaults, &[stage.into(), kind])?.clone())))
            .collect();
        if !kinds.is_empty() {
            found.insert(stage.into(), kinds.into());
        }
    }
    let retries = names(stages, &["sink".into()])
        .iter()
        .any(|kind| RETRYING_SINKS.contains(&kind.as_str()));
    for (policy, wanted) in [("claim", false), ("retry", retries)] {
        if let (true, Some(values)) = (wanted || stages.contains_key(policy), defaults.get(policy)) {
            found.insert(policy.into(), values.clone());
        }
    }
    found
}

fn cloned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// `ROUNDTRIP_BUCKET` and `ROUNDTRIP_TABLE`: stronger than the built-in defaults, weaker than any file.
fn special(layers: &Layers) -> Vec<Layer> {
    let keys = [("ROUNDTRIP_BUCKET", "bucket"), ("ROUNDTRIP_TABLE", "table")];
    let given = layers.environment.iter().filter_map(|(variable, text)| {
        let (_, key) = keys.iter().find(|(known, _)| known == variable)?;
        let path = ["store".to_owned(), (*key).to_owned()];
        Some(Layer::named(
            format!("environment variable {variable}"),
            &path,
            text,
            Value::from(text.as_str()),
        ))
    });
    given.collect()
}

/// Whether a pipeline may have this name: it has to fit into environment variables and keys.
fn valid_name(name: &str) -> bool {
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let reserved = matches!(name, "store" | "identity" | "pipelines" | "profile");
    letters
        && !reserved
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
        && (1..=64).contains(&name.len())
}

struct Builder {
    faults: Vec<Fault>,
    document: Arc<Document>,
}

impl Builder {
    /// A fault at a place in the role file.
    fn wrong(&mut self, path: &[&str], part: Part, what: String, help: String) {
        let path: KeyPath = path.iter().map(|&name| name.to_owned()).collect();
        let origin = Origin::Text(self.document.spot(&path, part));
        self.faults.push(Fault {
            what,
            help: Some(help),
            origin,
            missing: false,
        });
    }

    /// The chosen profile as a layer.
    fn profile(&mut self, profiles: Option<&Value>, layers: &Layers) -> Option<Layer> {
        let profiles = match profiles.map(Value::as_dict) {
            Some(None) => {
                let help = "write [profile.NAME.pipelines.PIPELINE]".to_owned();
                self.wrong(&["profile"], Part::Key, "`profile` must be a table".into(), help);
                return None;
            }
            Some(Some(profiles)) => Some(profiles),
            None => None,
        };
        let (name, origin) = layers.profile()?;
        if let Some(values) = profiles.and_then(|profiles| profiles.get(&name)?.as_dict()) {
            return Some(Layer::text(
                &self.document,
                values.clone(),
                &["profile", &name],
                &[],
            ));
        }
        let known = profiles
            .map(|profiles| profiles.keys().cloned().collect::<Vec<_>>())
            .unwrap_or_default();
        let help = match nearest(&name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => format!(
                "add [profile.{name}...] to {}, or leave the profile out",
                self.document.path
            ),
            None => format!("it has: {}", known.join(", ")),
        };
        self.faults.push(Fault {
            what: format!("the role has no profile `{name}`"),
            help: Some(help),
            origin: Origin::Named(origin),
            missing: false,
        });
        None
    }

    /// Takes `use` out of the role's layers and finds each pipeline's file.
    fn pipelines(&mut self, role: &mut [Layer]) -> Vec<(String, Option<Arc<Document>>)> {
        let mut uses: BTreeMap<String, Option<(String, bool)>> = BTreeMap::new();
        for (index, layer) in role.iter_mut().enumerate() {
            let Some(pipelines) = layer.values.get_mut("pipelines") else {
                continue;
            };
            self.lengthen(pipelines);
            let Value::Dict(_, pipelines) = pipelines else {
                continue;
            };
            for (name, pipeline) in pipelines {
                let chosen = uses.entry(name.clone()).or_default();
                if let Value::Dict(_, pipeline) = pipeline {
                    if let Some(Value::String(_, text)) = pipeline.remove("use") {
                        *chosen = Some((text, index == 0));
                    }
                }
            }
        }
        if uses.is_empty() {
            let help =
                "add one, such as [pipelines.upload], or a list: pipelines = [\"upload\", \"receive\"]"
                    .to_owned();
            self.wrong(
                &["pipelines"],
                Part::Key,
                "the role lists no pipelines".into(),
                help,
            );
        }
        uses.into_iter().filter_map(|(name, chosen)| {
            if !valid_name(&name) {
                let help = "use lower-case letters, digits and single hyphens, such as `upload-2`; not store, identity, \
                            profile or pipelines".to_owned();
                self.wrong(&["pipelines", &name], Part::Key, format!("a pipeline cannot be named `{name}`"), help);
                return None;
            }
            let file = self.pipeline_file(&name, chosen);
            Some((name, file))
        }).collect()
    }

    /// `pipelines = ["upload"]` as `[pipelines.upload]`.
    fn lengthen(&mut self, pipelines: &mut Value) {
        let Value::Array(_, listed) = &*pipelines else {
            return;
        };
        let mut long = Dict::new();
        for name in listed.clone() {
            match name.as_str() {
                Some(name) => {
                    long.insert(name.to_owned(), Dict::new().into());
                }
                None => self.wrong(
                    &["pipelines"],
                    Part::Value,
                    "`pipelines` must list the names of pipelines".into(),
                    "write pipelines = [\"upload\", \"receive\"]".into(),
                ),
            }
        }
        *pipelines = long.into();
    }

    /// The file behind a pipeline of the role; none after a fault.
    fn pipeline_file(&mut self, name: &str, chosen: Option<(String, bool)>) -> Option<Arc<Document>> {
        let wanted = chosen.as_ref().map_or(name, |(text, _)| text.as_str());
        let at: &[&str] = if chosen.as_ref().is_some_and(|(_, in_role)| *in_role) {
            &["pipelines", name, "use"]
        } else {
            &["pipelines", name]
        };
        let folder = self.document.file.as_deref().and_then(Path::parent);
        let is_path = Path::new(wanted)
            .extension()
            .is_some_and(|extension| extension == "toml");
        let candidates: Vec<PathBuf> = match folder {
            Some(folder) if is_path => vec![folder.join(wanted)],
            Some(folder) => {
                let file = format!("{wanted}.toml");
                let beside = if folder.file_name().is_some() {
                    folder.with_file_name("pipelines")
                } else {
                    folder.join("../pipelines")
                };
                vec![
                    beside.join(&file),
                    folder.join("pipelines").join(&file),
                    folder.join(&file),
                ]
            }
            None => Vec::new(),
        };
        for candidate in candidates.iter().filter(|candidate| candidate.is_file()) {
            match Document::read(candidate) {
                // A role may lie beside, or be, a file of the same name.
                Ok(document) if document.has("pipelines") && !is_path => {}
                Ok(document) => return Some(Arc::new(document)),
                Err(fault) => {
                    self.faults.push(fault);
                    return None;
                }
            }
        }
        if let Some(shipped) = Shipped::pipeline(wanted) {
            return match parse(shipped) {
                Ok(document) => Some(Arc::new(document)),
                Err(fault) => {
                    self.faults.push(fault);
                    None
                }
            };
        }
        let looked = candidates
            .iter()
            .map(|candidate| candidate.display().to_string())
            .collect::<Vec<_>>()
            .join(", ");
        let shipped = PIPELINES.iter().map(Shipped::name);
        let near = nearest(wanted, shipped.clone())
            .map(|near| format!("did you mean `{near}`?\n"))
            .unwrap_or_default();
        let listed = shipped.collect::<Vec<_>>().join(", ");
        let looked = if looked.is_empty() {
            String::new()
        } else {
            format!("; looked for {looked}")
        };
        let help = if is_path {
            format!("`use` is a path from the role file, or the name of a pipeline{looked}")
        } else {
            format!("{near}shipped: {listed}{looked}")
        };
        self.wrong(at, Part::Value, format!("there is no pipeline `{wanted}`"), help);
        None
    }

    fn pipeline_layer(&mut self, file: &Arc<Document>, name: &str) -> Layer {
        let mut values = file.dict();
        // The name it has in the role is that of the role's table.
        values.remove("name");
        Layer::text(file, values, &[], &["pipelines", name])
    }

    /// `ROUNDTRIP_UPLOAD__SOURCE__DIRECTORY__PATH` and the like.
    fn environment(&mut self, layers: &Layers, pipelines: &[String]) -> Vec<Layer> {
        let mut found = Vec::new();
        for (variable, text) in &layers.environment {
            let Some(keys) = variable
                .strip_prefix("ROUNDTRIP_")
                .filter(|keys| keys.contains("__"))
            else {
                continue;
            };
            let keys: KeyPath = keys
                .split("__")
                .map(|key| key.to_lowercase().replace('_', "-"))
                .collect();
            let origin = format!("environment variable {variable}");
            let first = keys.first().map(String::as_str).unwrap_or_default();
            let known = pipelines.iter().any(|name| name == first) || matches!(first, "store" | "identity");
            // The same environment may serve other roles: what speaks of their pipelines is none of ours.
            let foreign = Shipped::pipeline(first).is_some()
                || nearest(first, pipelines.iter().map(String::as_str)).is_none();
            if known || !foreign {
                found.extend(self.named(origin, keys, text, pipelines));
            }
        }
        found
    }

    /// `--set upload.source.directory.path=in` and the like.
    fn set(&mut self, layers: &Layers, pipelines: &[String]) -> Vec<Layer> {
        let mut found = Vec::new();
        for assignment in &layers.set {
            let origin = format!("--set {assignment}");
            let Some((keys, text)) = assignment.split_once('=') else {
                self.faults.push(Fault {
                    what: "`--set` needs a key and a value".into(),
                    help: Some("write --set PIPELINE.SECTION.KEY=VALUE, such as --set upload.source.directory.path=inbox".into()),
                    origin: Origin::Named(origin),
                    missing: false,
                });
                continue;
            };
            let mut keys: KeyPath = keys.trim().split('.').map(|key| key.trim().to_owned()).collect();
            if keys.first().is_some_and(|first| first == "pipelines") {
                keys.remove(0);
            }
            found.extend(self.named(origin, keys, text, pipelines));
        }
        found
    }

    fn named(&mut self, origin: String, keys: KeyPath, text: &str, pipelines: &[String]) -> Option<Layer> {
        let first = keys.first().cloned().unwrap_or_default();
        let shared = matches!(first.as_str(), "store" | "identity");
        let known = shared || pipelines.contains(&first);
        if !known || keys.len() < 2 || keys.iter().any(String::is_empty) {
            let listed = pipelines.join(", ");
            let near = nearest(&first, pipelines.iter().map(String::as_str));
            let near = near
                .map(|near| format!("did you mean `{near}`?\n"))
                .unwrap_or_default();
            let (what, help) = if known {
                let form = if shared {
                    format!("{first}.KEY")
                } else {
                    format!("{first}.SECTION.KEY")
                };
                (
                    "the key is not complete".to_owned(),
                    format!("write {form}, such as upload.source.directory.path or store.bucket"),
                )
            } else {
                (
                    format!("the role has no pipeline `{first}`"),
                    format!("{near}it has: {listed}; besides them there are store and identity"),
                )
            };
            self.faults.push(Fault {
                what,
                help: Some(help),
                origin: Origin::Named(origin),
                missing: false,
            });
            return None;
        }
        let path: KeyPath = if shared {
            keys
        } else {
            std::iter::once("pipelines".to_owned()).chain(keys).collect()
        };
        let value = text
            .trim()
            .parse::<toml_edit::Value>()
            .map_or_else(|_| Value::from(text), |value| plain(&value));
        Some(Layer::named(origin, &path, text, value))
    }
}
