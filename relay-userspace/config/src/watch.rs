//! How the configuration file is taken, as the user wrote it.

use super::error::Errors;
use super::file::set;
use super::section::{Section, choice};
use super::settings::ConfigFile;
use relay_common::unasked::Watch;

pub(super) const CONFIG: &[&str] = &["watch"];

/// Reads `[config]`.
pub(super) fn read_config(section: &Section<'_>, errors: &mut Errors) -> ConfigFile {
    let mut config = ConfigFile::default();
    let words = Watch::ALL.map(|watch| (watch.name(), watch));
    set(&mut config.watch, section.read("watch", |value| choice(value, &words), errors));
    config
}

#[cfg(test)]
mod tests {
    use crate::parse;
    use relay_common::unasked::Watch;

    fn watch(text: &str) -> Option<Watch> {
        parse("relay.toml", text).ok().map(|read| read.settings.config.watch)
    }

    #[test]
    fn nothing_comes_into_force_by_itself_unless_the_file_says_so() {
        assert_eq!([watch(""), watch("[config]"), watch("[config]\nwatch = 'off'")], [Some(Watch::Off); 3]);
        assert_eq!(watch("[config]\nwatch = 'additions'"), Some(Watch::Additions));
        assert_eq!(watch("[config]\nwatch = 'changes'"), Some(Watch::Changes));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for wrong in ["watch = true", "watch = 'all'", "wacth = 'off'"] {
            assert_eq!(watch(&format!("[config]\n{wrong}")), None, "{wrong}");
        }
        let errors = parse("relay.toml", "[config]\nwatch = 'on'").unwrap_err().to_string();
        assert!(
            errors.contains("config.watch: \"on\" is not known here: use one of \"off\", \"additions\""),
            "{errors}"
        );
    }
}
