//! Which pipelines a role lists, and the file behind each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::value::{Dict, Value};

use super::{Builder, NAME_FORM, embedded, valid_name};
use crate::dsl::document::{Document, Part};
use crate::dsl::layers::Layer;
use crate::dsl::read::nearest;
use crate::dsl::shipped::{PIPELINES, Shipped};

/// A pipeline's file as a layer of the pipeline of this name.
pub(super) fn layer(file: &Arc<Document>, name: &str) -> Layer {
    let mut values = file.dict();
    // The name it has here is that of the role's table; what is no text is left to be refused.
    if values.get("name").is_some_and(|said| said.as_str().is_some()) {
        values.remove("name");
    }
    Layer::text(file, values, &[], &["pipelines", name])
}

/// What `use` says, and whether it stands in the role itself and not in a profile.
#[derive(Debug)]
struct Use {
    text: String,
    in_role: bool,
}

impl Builder {
    /// Takes `use` out of the role's layers and finds each pipeline's file.
    pub(super) fn pipelines(&mut self, role: &mut [Layer]) -> Vec<(String, Option<Arc<Document>>)> {
        let mut listed: BTreeMap<String, Option<Use>> = BTreeMap::new();
        for (index, layer) in role.iter_mut().enumerate() {
            let Some(pipelines) = layer.values.get_mut("pipelines") else {
                continue;
            };
            self.lengthen(pipelines);
            let Value::Dict(_, pipelines) = pipelines else {
                continue;
            };
            for (name, pipeline) in pipelines {
                let chosen = listed.entry(name.clone()).or_default();
                let Value::Dict(_, pipeline) = pipeline else {
                    continue;
                };
                match pipeline.remove("use") {
                    Some(Value::String(_, text)) => {
                        *chosen = Some(Use {
                            text,
                            in_role: index == 0,
                        });
                    }
                    Some(_) => {
                        let help =
                            "write use = \"upload\", or a path from this file: use = \"../my/upload.toml\"";
                        self.wrong(
                            &["pipelines", name, "use"],
                            Part::Value,
                            "`use` must be a text",
                            help,
                        );
                    }
                    None => {}
                }
            }
        }
        let none = role.iter().all(|layer| {
            layer
                .values
                .get("pipelines")
                .is_none_or(|value| value.as_dict().is_some())
        });
        if listed.is_empty() && none {
            let help =
                "add one, such as [pipelines.upload], or a list: pipelines = [\"upload\", \"receive\"]";
            self.wrong(&["pipelines"], Part::Key, "the role lists no pipelines", help);
        }
        let mut found = Vec::new();
        for (name, chosen) in listed {
            let file = if valid_name(&name) {
                self.file(&name, chosen.as_ref())
            } else {
                let what = format!("a pipeline cannot be named `{name}`");
                self.wrong(&["pipelines", &name], Part::Key, what, NAME_FORM);
                None
            };
            if file.is_none() {
                self.lost.push(vec!["pipelines".into(), name.clone()]);
            }
            found.push((name, file));
        }
        found
    }

    /// `pipelines = ["upload"]` as `[pipelines.upload]`.
    fn lengthen(&mut self, pipelines: &mut Value) {
        let Value::Array(_, listed) = &*pipelines else {
            return;
        };
        let mut long = Dict::new();
        for (index, name) in listed.iter().enumerate() {
            if let Some(name) = name.as_str() {
                long.insert(name.to_owned(), Dict::new().into());
            } else {
                let what = "`pipelines` must list the names of pipelines";
                let help = "write pipelines = [\"upload\", \"receive\"]";
                self.wrong(&["pipelines", &index.to_string()], Part::Value, what, help);
            }
        }
        *pipelines = long.into();
    }

    /// The file behind a pipeline of the role; none after a fault.
    fn file(&mut self, name: &str, chosen: Option<&Use>) -> Option<Arc<Document>> {
        let wanted = chosen.map_or(name, |chosen| chosen.text.as_str());
        let is_path = Path::new(wanted)
            .extension()
            .is_some_and(|extension| extension == "toml");
        let candidates = self.candidates(wanted, is_path);
        for candidate in candidates.iter().filter(|candidate| candidate.is_file()) {
            match Document::read(candidate) {
                // A role may lie beside, or be, a file of the same name.
                Ok(document) if document.is_role() && !is_path => {}
                Ok(document) => return Some(Arc::new(document)),
                Err(fault) => {
                    self.faults.push(fault);
                    return None;
                }
            }
        }
        if let Some(shipped) = Shipped::pipeline(wanted) {
            return embedded(shipped)
                .map_err(|fault| self.faults.push(fault))
                .ok()
                .map(Arc::new);
        }
        let looked: Vec<String> = candidates
            .iter()
            .map(|candidate| candidate.display().to_string())
            .collect();
        let shipped = PIPELINES.iter().map(Shipped::name);
        let mut help = Vec::new();
        help.extend(nearest(wanted, shipped.clone()).map(|near| format!("did you mean `{near}`?")));
        if is_path {
            help.push("`use` is a path from the role file, or the name of a pipeline".into());
        } else {
            help.push(format!("shipped: {}", shipped.collect::<Vec<_>>().join(", ")));
        }
        if !looked.is_empty() {
            help.push(format!("looked for {}", looked.join(", ")));
        }
        let what = format!("there is no pipeline `{wanted}`");
        match chosen {
            Some(Use { in_role: true, .. }) => {
                self.wrong(&["pipelines", name, "use"], Part::Value, what, help.join("\n"));
            }
            Some(_) | None => self.wrong(&["pipelines", name], Part::Key, what, help.join("\n")),
        }
        None
    }

    /// Where a pipeline's file may lie: `../pipelines/`, `./pipelines/` and `./` of the role's folder.
    fn candidates(&self, wanted: &str, is_path: bool) -> Vec<PathBuf> {
        let Some(folder) = self.document.file.as_deref().and_then(Path::parent) else {
            return Vec::new();
        };
        if is_path {
            return vec![folder.join(wanted)];
        }
        let file = format!("{wanted}.toml");
        let beside = match folder.file_name() {
            Some(_) => folder.with_file_name("pipelines"),
            None => folder.join("../pipelines"),
        };
        vec![
            beside.join(&file),
            folder.join("pipelines").join(&file),
            folder.join(&file),
        ]
    }
}
