//! The pipelines and roles inside the binary: an installed `roundtrip` needs no checkout.

/// A shipped TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// Where `roundtrip init` writes it: `pipelines/upload.toml`.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Embeds files by their path from the top of the checkout.
macro_rules! shipped {
    ($($path:literal),* $(,)?) => {
        &[$(Shipped { path: $path, text: include_str!(concat!("../../../", $path)) }),*]
    };
}

/// Every shipped pipeline.
pub const PIPELINES: &[Shipped] = shipped![
    "pipelines/upload.toml",
    "pipelines/receive.toml",
    "pipelines/analyse.toml",
    "pipelines/cleanup.toml",
    "pipelines/restart-stalled.toml",
    "pipelines/admit.toml",
    "pipelines/sweep.toml",
    "pipelines/queue-length.toml",
];

/// Every shipped role.
pub const ROLES: &[Shipped] = shipped!["roles/client.toml", "roles/fetcher.toml", "roles/watcher.toml"];

impl Shipped {
    /// The name it is asked for by: `upload`.
    pub fn name(&self) -> &'static str {
        let file = self.path.rsplit('/').next().unwrap_or(self.path);
        file.strip_suffix(".toml").unwrap_or(file)
    }

    /// The shipped pipeline of this name.
    pub fn pipeline(name: &str) -> Option<&'static Self> {
        PIPELINES.iter().find(|shipped| shipped.name() == name)
    }

    /// The shipped role of this name.
    pub fn role(name: &str) -> Option<&'static Self> {
        ROLES.iter().find(|shipped| shipped.name() == name)
    }
}
