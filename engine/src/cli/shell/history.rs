//! Where the lines typed before are kept.

use std::path::PathBuf;

/// The history file below the XDG state folder (`~/.local/state/habitue/history`), its folder
/// made; `None` where there is no home.
pub(crate) fn file() -> Option<PathBuf> {
    let folder = state_folder(|name| std::env::var_os(name).map(PathBuf::from))?.join("habitue");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// The specification says to ignore a relative path.
fn state_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .or_else(|| absolute("LOCALAPPDATA"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(variables: &[(&str, &str)]) -> Option<PathBuf> {
        state_folder(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, path)| path.into())
        })
    }

    #[test]
    fn the_xdg_folder_comes_before_the_home() {
        let home = ("HOME", "/home/ada");
        assert_eq!(folder(&[home]), Some("/home/ada/.local/state".into()));
        assert_eq!(folder(&[home, ("XDG_STATE_HOME", "/state")]), Some("/state".into()));
        assert_eq!(
            folder(&[home, ("XDG_STATE_HOME", "here")]),
            Some("/home/ada/.local/state".into())
        );
        assert_eq!(folder(&[]), None);
    }
}
