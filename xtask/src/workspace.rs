//! Where the workspace is.

use std::path::{Path, PathBuf};

use crate::error::Fault;

/// The configuration's path under a workspace root.
#[must_use]
pub fn config_path(root: &Path) -> PathBuf {
    root.join(".config").join("xtask.toml")
}

/// The root of the workspace that `start` lies in: the nearest directory upwards that has
/// `.config/xtask.toml`, else the outermost with a `Cargo.toml` that says `[workspace]`.
///
/// # Errors
/// When neither is found.
pub fn find_root(start: &Path) -> anyhow::Result<PathBuf> {
    if let Some(root) = start.ancestors().find(|dir| config_path(dir).is_file()) {
        return Ok(root.to_path_buf());
    }
    start
        .ancestors()
        .filter(|dir| is_workspace_manifest(&dir.join("Cargo.toml")))
        .last()
        .map(Path::to_path_buf)
        .ok_or_else(|| {
            Fault::usage(format!(
                "no workspace found: neither `.config/xtask.toml` nor a Cargo.toml with \
                 `[workspace]` in `{}` or above",
                start.display()
            ))
            .hint("change into the workspace, or name it with `-C DIR`")
            .into()
        })
}

fn is_workspace_manifest(manifest: &Path) -> bool {
    std::fs::read_to_string(manifest).is_ok_and(|text| {
        text.parse::<toml_edit::DocumentMut>()
            .is_ok_and(|doc| doc.contains_key("workspace"))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_configuration_wins_then_the_outermost_workspace() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let inner = root.join("a").join("b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(root.join("Cargo.toml"), "[workspace]").unwrap();
        fs::write(root.join("a").join("Cargo.toml"), "[package]\nname='a'").unwrap();
        assert_eq!(find_root(&inner).unwrap(), root);
        fs::create_dir_all(root.join("a").join(".config")).unwrap();
        fs::write(config_path(&root.join("a")), "").unwrap();
        assert_eq!(find_root(&inner).unwrap(), root.join("a"));
    }
}
