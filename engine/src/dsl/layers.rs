//! Layers, weakest first: defaults, pipeline file, role file, profile, environment, `--set`.

use std::sync::Arc;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::document::{Document, Part};
use super::fault::{Fault, Origin};
use super::tree::{KeyPath, extended, find, mounted, names, remove};

/// One source of values, in the shape of a whole role.
#[derive(Debug)]
pub(super) struct Layer {
    /// Its values, as a role would hold them.
    pub(super) values: Dict,
    /// Where they come from.
    pub(super) given: Given,
}

/// Where a layer's values come from.
#[derive(Debug)]
pub(super) enum Given {
    /// A TOML text, or a part of one.
    Text {
        /// The text.
        document: Arc<Document>,
        /// The part of the text: `profile.lab`.
        inside: KeyPath,
        /// Where that part lies in the role: `pipelines.upload`.
        mount: KeyPath,
        /// Whether these are the built-in defaults.
        defaults: bool,
    },
    /// One value that is not from a file.
    Named {
        /// What to call it: `--set upload.chunker.fixed.size=8`.
        name: String,
        /// The value before it was read as TOML.
        text: String,
    },
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        match &self.given {
            Given::Text { document, .. } => Metadata::from("TOML", document.path.as_str()),
            Given::Named { name, .. } => Metadata::named(name.clone()),
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// What the stronger layer names replaces what the weaker ones say.
struct Alternatives {
    /// The table within a pipeline.
    table: &'static [&'static str],
    /// Keys that belong together exclude the others.
    members: &'static [&'static [&'static str]],
}

const ALTERNATIVES: &[Alternatives] = &[
    Alternatives {
        table: &["source"],
        members: &[
            &["directory"],
            &["jobs"],
            &["results"],
            &["foreign"],
            &["lanes"],
            &["objects"],
        ],
    },
    Alternatives {
        table: &["codec"],
        members: &[&["zstd"], &["none"]],
    },
    Alternatives {
        table: &["sink"],
        members: &[
            &["jobs"],
            &["processor"],
            &["directory"],
            &["delete"],
            &["requeue"],
            &["admit"],
            &["metrics"],
            &["sweep"],
        ],
    },
    Alternatives {
        table: &["source", "jobs"],
        members: &[&["every"], &["cron", "timezone"], &["interval", "interval-max"]],
    },
    Alternatives {
        table: &["source", "foreign"],
        members: &[&["every"], &["cron", "timezone"]],
    },
    Alternatives {
        table: &["source", "lanes"],
        members: &[&["every"], &["cron", "timezone"]],
    },
    Alternatives {
        table: &["source", "objects"],
        members: &[&["every"], &["cron", "timezone"]],
    },
    Alternatives {
        table: &["sink", "processor"],
        members: &[&["url"], &["command"], &["builtin"]],
    },
];

/// Who is told of a crossed threshold: the same of each table of `[notify]`.
const NOTIFY_TARGETS: &[&[&str]] = &[&["webhook"], &["webhook-env"], &["command"], &["sns"], &["log"]];

/// Layers, weakest first.
#[derive(Debug, Default)]
pub(super) struct Stack {
    pub(super) layers: Vec<Layer>,
}

impl Stack {
    /// The layers as one, alternatives settled.
    pub(super) fn merged(&self) -> Dict {
        let figment = self
            .layers
            .iter()
            .fold(Figment::new(), |merged, layer| merged.merge(layer));
        let data = figment.data().unwrap_or_default();
        let mut merged = data.into_values().next().unwrap_or_default();
        for name in names(&merged, &["pipelines".to_owned()]) {
            let pipeline: KeyPath = vec!["pipelines".into(), name];
            for alternatives in ALTERNATIVES {
                let below = alternatives.table.iter().map(|&name| name.to_owned());
                let table: KeyPath = pipeline.iter().cloned().chain(below).collect();
                self.settle(&mut merged, &table, alternatives.members);
            }
            let notify = extended(&pipeline, "notify");
            for threshold in names(&merged, &notify) {
                self.settle(&mut merged, &extended(&notify, &threshold), NOTIFY_TARGETS);
            }
        }
        merged
    }

    /// Keeps what the strongest layer that speaks of these alternatives names.
    fn settle(&self, merged: &mut Dict, table: &[String], members: &[&[&str]]) {
        let named = |layer: &&Layer| {
            let here = names(&layer.values, table);
            members
                .iter()
                .any(|member| member.iter().any(|key| here.iter().any(|name| name == key)))
        };
        let Some(strongest) = self.layers.iter().rev().find(named) else {
            return;
        };
        let kept = names(&strongest.values, table);
        for member in members {
            if !member.iter().any(|key| kept.iter().any(|name| name == key)) {
                for key in *member {
                    remove(merged, &extended(table, key));
                }
            }
        }
    }

    /// Where a value comes from: the strongest layer that has it, else the file that has most of its path.
    pub(super) fn origin(&self, path: &[String], part: Part) -> Origin {
        let found = self
            .layers
            .iter()
            .rev()
            .find(|layer| find(&layer.values, path).is_some());
        match found {
            Some(layer) => layer.origin(path, part),
            None => self.origin_of_missing(path),
        }
    }

    fn origin_of_missing(&self, path: &[String]) -> Origin {
        let depth = |layer: &Layer| {
            (0..path.len())
                .rev()
                .find(|&length| length == 0 || find(&layer.values, &path[..length]).is_some())
        };
        let files = self.layers.iter().filter(|layer| layer.is_file());
        files.max_by_key(|layer| depth(layer)).map_or_else(
            || Origin::Named("the built-in defaults".into()),
            |layer| layer.origin(&path[..depth(layer).unwrap_or(0)], Part::Key),
        )
    }

    /// Whether nobody but the built-in defaults gives this value.
    pub(super) fn is_default(&self, path: &[String]) -> bool {
        let found = self
            .layers
            .iter()
            .rev()
            .find(|layer| find(&layer.values, path).is_some());
        found.is_some_and(|layer| matches!(layer.given, Given::Text { defaults: true, .. }))
    }

    /// Whether a file gives this value, be it a pipeline's or the role's own.
    pub(super) fn is_written(&self, path: &[String]) -> bool {
        let mut layers = self.layers.iter().rev();
        let found = layers.find(|layer| find(&layer.values, path).is_some());
        found.is_some_and(|layer| matches!(layer.given, Given::Text { defaults: false, .. }))
    }

    /// The text of a value that was given as text: by the environment or by `--set`.
    pub(super) fn given_as_text(&self, path: &[String]) -> Option<&str> {
        let found = self
            .layers
            .iter()
            .rev()
            .find(|layer| find(&layer.values, path).is_some())?;
        match &found.given {
            Given::Named { text, .. } => Some(text),
            Given::Text { .. } => None,
        }
    }
}

impl Layer {
    /// Part of a text as a layer.
    pub(super) fn text(document: &Arc<Document>, values: Dict, inside: &[&str], mount: &[&str]) -> Self {
        let owned = |path: &[&str]| -> KeyPath { path.iter().map(|&name| name.to_owned()).collect() };
        let (inside, mount) = (owned(inside), owned(mount));
        let values = mounted(values, &mount);
        Self {
            values,
            given: Given::Text {
                document: Arc::clone(document),
                inside,
                mount,
                defaults: false,
            },
        }
    }

    /// The same layer, as the built-in defaults.
    pub(super) fn into_defaults(mut self) -> Self {
        if let Given::Text { defaults, .. } = &mut self.given {
            *defaults = true;
        }
        self
    }

    /// One value that is not from a file.
    pub(super) fn named(name: String, path: &[String], text: &str, value: Value) -> Self {
        let (last, tables) = path
            .split_last()
            .map_or(("", path), |(last, tables)| (last.as_str(), tables));
        let values = mounted(Dict::from([(last.to_owned(), value)]), tables);
        Self {
            values,
            given: Given::Named {
                name,
                text: text.to_owned(),
            },
        }
    }

    fn is_file(&self) -> bool {
        matches!(self.given, Given::Text { defaults: false, .. })
    }

    fn origin(&self, path: &[String], part: Part) -> Origin {
        match &self.given {
            Given::Named { name, .. } => Origin::Named(name.clone()),
            Given::Text {
                document,
                inside,
                mount,
                ..
            } => {
                let rest = path.get(mount.len()..).unwrap_or_default();
                let within: KeyPath = inside.iter().chain(rest).cloned().collect();
                Origin::Text(document.spot(&within, part))
            }
        }
    }
}

/// A fault before anyone has looked where its value comes from.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) path: KeyPath,
    pub(super) part: Part,
    pub(super) what: String,
    pub(super) help: Option<String>,
    pub(super) missing: bool,
    pub(super) secret: bool,
}

impl Draft {
    /// The fault, with its place.
    pub(super) fn placed(self, stack: &Stack) -> Fault {
        let mut origin = stack.origin(&self.path, self.part);
        if let (true, Origin::Named(name)) = (self.secret, &mut origin) {
            name.truncate(name.find('=').unwrap_or(name.len()));
        }
        let Self {
            what,
            help,
            missing,
            secret,
            ..
        } = self;
        Fault {
            what,
            help,
            origin,
            missing,
            secret,
        }
    }
}
