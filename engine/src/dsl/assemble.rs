//! Puts the layers of a role, or of a pipeline alone, on one another.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use figment::value::{Dict, Value};

use super::chain::RETRYING_SINKS;
use super::document::{Document, Part};
use super::fault::{Fault, Origin};
use super::layers::{Layer, Stack};
use super::read::{STAGES, nearest};
use super::shipped::{ROLES, Shipped};
use super::tree::{KeyPath, find, names, table};
use super::{Layers, Values};

mod files;
mod given;

static DEFAULTS: LazyLock<Arc<Document>> = LazyLock::new(|| {
    let text = include_str!("defaults.toml").to_owned();
    Arc::new(
        Document::parse("<built-in>/defaults.toml".into(), None, text).expect("a test parses the defaults"),
    )
});

/// The values of every stage and policy.
pub(super) fn defaults() -> Dict {
    DEFAULTS.dict()
}

impl Assembly {
    /// The names of its pipelines.
    pub(super) fn pipelines(&self) -> Vec<String> {
        names(&self.values, &["pipelines".into()])
    }

    /// Its values by their keys, as `--set` names them.
    pub(super) fn by_key(&self) -> Values {
        let mut values = Values::new();
        for (name, value) in &self.values {
            match value.as_dict().filter(|_| name == "pipelines") {
                Some(pipelines) => by_key("", pipelines, &mut values),
                None => by_key("", &Dict::from([(name.clone(), value.clone())]), &mut values),
            }
        }
        values
    }
}

fn by_key(before: &str, values: &Dict, found: &mut Values) {
    for (name, value) in values {
        let key = if before.is_empty() {
            name.clone()
        } else {
            format!("{before}.{name}")
        };
        match value.as_dict().filter(|inner| !inner.is_empty()) {
            Some(inner) => by_key(&key, inner, found),
            None => drop(found.insert(key, value.clone())),
        }
    }
}

const NAME_FORM: &str = "use lower-case letters, digits and single hyphens, such as `upload-2`; not store, identity, stream, \
                         profile or pipelines";

/// The layers on one another, and what was wrong with them.
#[derive(Debug)]
pub(super) struct Assembly {
    /// What to call it in messages.
    pub(super) subject: String,
    /// The name of a role that does not say one.
    pub(super) fallback_name: String,
    pub(super) stack: Stack,
    pub(super) values: Dict,
    pub(super) faults: Vec<Fault>,
    /// Pipelines that have no file behind them.
    pub(super) lost: Vec<KeyPath>,
}

/// Finds a role: a path, or the name of a shipped one.
pub(super) fn find_role(name_or_path: &str) -> Result<Document, Fault> {
    if let Some(shipped) = Shipped::role(name_or_path) {
        return embedded(shipped);
    }
    let file = Path::new(name_or_path);
    let is_toml = file.extension().is_some_and(|extension| extension == "toml");
    if file.is_file() || file.components().count() > 1 || is_toml {
        return Document::read(file);
    }
    let names = ROLES.iter().map(Shipped::name);
    let listed = names.clone().collect::<Vec<_>>().join(", ");
    let near = nearest(name_or_path, names)
        .map(|near| format!("did you mean `{near}`?\n"))
        .unwrap_or_default();
    Err(Fault {
        what: format!("there is no role `{name_or_path}`"),
        help: Some(format!("{near}name a role file, or a shipped role: {listed}")),
        origin: Origin::Named(name_or_path.into()),
        missing: false,
        secret: false,
    })
}

fn embedded(shipped: &Shipped) -> Result<Document, Fault> {
    Document::parse(
        format!("<shipped>/{}", shipped.path),
        None,
        shipped.text.to_owned(),
    )
}

/// A role under its layers. Of the pipelines in `together`, those it does not have are other roles': what is set of
/// them is not for it.
pub(super) fn role(document: Document, layers: &Layers, together: &[String]) -> Assembly {
    let document = Arc::new(document);
    let stem = Path::new(&document.path)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let mut builder = Builder {
        faults: Vec::new(),
        lost: Vec::new(),
        document: Arc::clone(&document),
    };
    let mut values = document.dict();
    let profiles = values.remove("profile");
    let mut role = vec![Layer::text(&document, values, &[], &[])];
    role.extend(builder.profile(profiles.as_ref(), layers));
    let files = builder.pipelines(&mut role);
    let pipelines: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let mut stack = Stack {
        layers: given::store(layers),
    };
    stack.layers.extend(
        files
            .iter()
            .filter_map(|(name, file)| Some(files::layer(file.as_ref()?, name))),
    );
    stack.layers.extend(role);
    stack.layers.extend(builder.environment(layers, &pipelines));
    stack.layers.extend(builder.set(layers, &pipelines, together));
    finish(Assembly {
        subject: format!("role {}", document.path),
        fallback_name: stem.unwrap_or_else(|| "role".into()),
        stack,
        values: Dict::new(),
        faults: builder.faults,
        lost: builder.lost,
    })
}

/// A pipeline alone, under its own name.
pub(super) fn pipeline(document: Document) -> Assembly {
    let document = Arc::new(document);
    let values = document.dict();
    let mut faults = Vec::new();
    let said = values.get("name").and_then(Value::as_str);
    if let Some(wrong) = said.filter(|name| !valid_name(name)) {
        let origin = Origin::Text(document.spot(&["name".into()], Part::Value));
        let what = format!("a pipeline cannot be named `{wrong}`");
        faults.push(Fault {
            what,
            help: Some(NAME_FORM.into()),
            origin,
            missing: false,
            secret: false,
        });
    }
    let name = said
        .filter(|name| valid_name(name))
        .unwrap_or("pipeline")
        .to_owned();
    finish(Assembly {
        subject: format!("pipeline {}", document.path),
        stack: Stack {
            layers: vec![files::layer(&document, &name)],
        },
        fallback_name: name,
        values: Dict::new(),
        faults,
        lost: Vec::new(),
    })
}

/// Puts the defaults below everything, for the stages that are there.
fn finish(mut assembly: Assembly) -> Assembly {
    let stack = &mut assembly.stack;
    let given = stack.merged();
    let mut defaults = DEFAULTS.dict();
    let mut weakest = Vec::new();
    for pipeline in names(&given, &["pipelines".into()]) {
        if let Some(stages) = table(&given, &["pipelines".into(), pipeline.clone()]) {
            let values = defaults_of(stages, &defaults);
            weakest.push(Layer::text(&DEFAULTS, values, &[], &["pipelines", &pipeline]).into_defaults());
        }
    }
    defaults.retain(|key, _| matches!(key.as_str(), "store" | "identity" | "stream"));
    weakest.push(Layer::text(&DEFAULTS, defaults, &[], &[]).into_defaults());
    weakest.append(&mut stack.layers);
    stack.layers = weakest;
    assembly.values = stack.merged();
    assembly
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

/// Whether a pipeline may have this name: it has to fit into environment variables and keys.
fn valid_name(name: &str) -> bool {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let reserved = matches!(name, "store" | "identity" | "stream" | "pipelines" | "profile");
    let hyphens = name.starts_with('-') || name.ends_with('-') || name.contains("--");
    plain && !reserved && !hyphens && (1..=64).contains(&name.len())
}

/// Makes layers of a role and what lies over it.
struct Builder {
    faults: Vec<Fault>,
    lost: Vec<KeyPath>,
    document: Arc<Document>,
}

impl Builder {
    /// Notes a fault at a place in the role file.
    fn wrong(&mut self, path: &[&str], part: Part, what: impl Into<String>, help: impl Into<String>) {
        let path: KeyPath = path.iter().map(|&name| name.to_owned()).collect();
        let origin = Origin::Text(self.document.spot(&path, part));
        self.note(origin, what.into(), help.into());
    }

    /// Notes a fault of a layer that is no file.
    fn wrong_named(&mut self, origin: &str, what: impl Into<String>, help: impl Into<String>) {
        self.note(Origin::Named(origin.to_owned()), what.into(), help.into());
    }

    fn note(&mut self, origin: Origin, what: String, help: String) {
        self.faults.push(Fault {
            what,
            help: Some(help),
            origin,
            missing: false,
            secret: false,
        });
    }

    /// The chosen profile as a layer.
    fn profile(&mut self, profiles: Option<&Value>, layers: &Layers) -> Option<Layer> {
        if profiles.is_some_and(|profiles| profiles.as_dict().is_none()) {
            self.wrong(
                &["profile"],
                Part::Key,
                "`profile` must be a table",
                "write [profile.NAME.pipelines.PIPELINE]",
            );
            return None;
        }
        let profiles = profiles.and_then(Value::as_dict);
        let (name, origin) = layers.profile()?;
        if let Some(values) = profiles.and_then(|profiles| profiles.get(&name)?.as_dict()) {
            return Some(Layer::text(
                &self.document,
                values.clone(),
                &["profile", &name],
                &[],
            ));
        }
        let known: Vec<&str> = profiles
            .map(|profiles| profiles.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let help = match nearest(&name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => {
                format!(
                    "{} has none: leave the profile out, or add [profile.{name}...]",
                    self.document.path
                )
            }
            None => format!("it has: {}", known.join(", ")),
        };
        self.wrong_named(&origin, format!("the role has no profile `{name}`"), help);
        None
    }
}
