//! Values that are not from files: environment variables and `--set`.

use figment::value::Value;

use super::Builder;
use crate::dsl::Layers;
use crate::dsl::document::plain;
use crate::dsl::layers::Layer;
use crate::dsl::read::nearest;
use crate::dsl::shipped::Shipped;
use crate::dsl::tree::KeyPath;

/// `ROUNDTRIP_BUCKET` and `ROUNDTRIP_TABLE`: stronger than the built-in defaults, weaker than any file.
pub(super) fn store(layers: &Layers) -> Vec<Layer> {
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

/// Whether a key's first name is a part of the role that is no pipeline.
fn is_shared(name: &str) -> bool {
    matches!(name, "store" | "identity" | "stream")
}

/// What can be named in place of a pipeline that is not there.
fn pipelines_help(name: &str, have: &str, pipelines: &[String]) -> String {
    let near = nearest(name, pipelines.iter().map(String::as_str));
    let near = near
        .map(|near| format!("did you mean `{near}`?\n"))
        .unwrap_or_default();
    let all = pipelines.join(", ");
    format!("{near}{have}: {all}; besides them there are store, identity and stream")
}

impl Builder {
    /// `ROUNDTRIP_UPLOAD__SOURCE__DIRECTORY__PATH` and the like.
    pub(super) fn environment(&mut self, layers: &Layers, pipelines: &[String]) -> Vec<Layer> {
        let mut found = Vec::new();
        for (variable, text) in &layers.environment {
            let keys = variable
                .strip_prefix("ROUNDTRIP_")
                .filter(|keys| keys.contains("__"));
            let Some(keys) = keys else { continue };
            let keys: KeyPath = keys
                .split("__")
                .map(|key| key.to_lowercase().replace('_', "-"))
                .collect();
            let first = keys.first().map(String::as_str).unwrap_or_default();
            let known = is_shared(first) || pipelines.iter().any(|name| name == first);
            // The same environment may serve other roles: what speaks of their pipelines is none of ours.
            let near = nearest(first, pipelines.iter().map(String::as_str)).is_some();
            if known || (near && Shipped::pipeline(first).is_none()) {
                found.extend(self.named(&format!("environment variable {variable}"), keys, text, pipelines));
            }
        }
        found
    }

    /// `--set upload.source.directory.path=in` and the like.
    pub(super) fn set(&mut self, layers: &Layers, pipelines: &[String], together: &[String]) -> Vec<Layer> {
        let mut found = Vec::new();
        for assignment in &layers.set {
            let origin = format!("--set {assignment}");
            let Some((keys, text)) = assignment.split_once('=') else {
                let help = "write --set PIPELINE.SECTION.KEY=VALUE, such as --set upload.source.directory.path=inbox";
                self.wrong_named(&origin, "`--set` needs a key and a value", help);
                continue;
            };
            let mut keys: KeyPath = keys.split('.').map(|key| key.trim().to_owned()).collect();
            if keys.first().is_some_and(|first| first == "pipelines") {
                keys.remove(0);
            }
            let first = keys.first().map(String::as_str).unwrap_or_default();
            let is_in = |names: &[String]| names.iter().any(|name| name == first);
            if is_in(together) && !is_in(pipelines) {
                continue;
            }
            if !together.is_empty() && !is_in(together) && !is_shared(first) {
                let what = format!("none of the roles has a pipeline `{first}`");
                self.wrong_named(&origin, what, pipelines_help(first, "they have", together));
                continue;
            }
            found.extend(self.named(&origin, keys, text, pipelines));
        }
        found
    }

    /// One value as a layer; none after a fault.
    fn named(&mut self, origin: &str, keys: KeyPath, text: &str, pipelines: &[String]) -> Option<Layer> {
        let first = keys.first().cloned().unwrap_or_default();
        let shared = is_shared(&first);
        if !shared && !pipelines.contains(&first) {
            let what = format!("the role has no pipeline `{first}`");
            self.wrong_named(origin, what, pipelines_help(&first, "it has", pipelines));
            return None;
        }
        if keys.len() < 2 || keys.iter().any(String::is_empty) {
            let help = "name the value: upload.source.directory.path, retry.attempts-max of a pipeline, store.bucket";
            self.wrong_named(origin, "the key is not complete", help);
            return None;
        }
        let root = if shared {
            None
        } else {
            Some("pipelines".to_owned())
        };
        let path: KeyPath = root.into_iter().chain(keys).collect();
        let parsed = text.trim().parse::<toml_edit::Value>();
        let value = parsed.map_or_else(|_| Value::from(text), |value| plain(&value));
        Some(Layer::named(origin.to_owned(), &path, text, value))
    }
}
