//! How health is judged, as the user wrote it.

use super::duration::hold_down;
use super::error::{Errors, Fault};
use super::file::set;
use super::number::describe;
use super::section::Section;
use super::settings::Health;
use super::value::{Kind, Value};
use relay_common::health::Share;

pub(super) const HEALTH: &[&str] = &["hold_down", "ready_min"];

/// Reads `[health]`.
pub(super) fn read_health(section: &Section<'_>, errors: &mut Errors) -> Health {
    let mut health = Health::default();
    set(&mut health.hold_down_ms, section.read("hold_down", hold_down, errors));
    set(&mut health.ready_min, section.read("ready_min", share, errors));
    health
}

fn share(value: &Value) -> Result<Share, Fault> {
    let read = match &value.kind {
        Kind::Text(text) if text.ends_with('%') => Share::parse(text),
        _ => None,
    };
    read.ok_or_else(|| {
        let problem = format!("is {}, not a percentage", describe(value));
        Fault::new(problem, "use \"0%\" to \"100%\", as in \"90%\" or \"99.5%\"")
    })
}

#[cfg(test)]
mod tests {
    use crate::{Health, parse};
    use relay_common::health::Share;

    fn health(text: &str) -> Option<Health> {
        parse("relay.toml", &format!("[health]\n{text}")).ok().map(|read| read.settings.health)
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(
            (health(""), health("hold_down = '10s'\nready_min = '100%'")),
            (Some(Health::default()), Some(Health::default()))
        );
    }

    #[test]
    fn everything_can_be_said() {
        let said = health("hold_down = '1500ms'\nready_min = '99.5%'").unwrap();
        assert_eq!((said.hold_down_ms, said.ready_min), (1500, Share::parse("99.5").unwrap()));
        assert_eq!(health("hold_down = 'off'").unwrap().hold_down_ms, 0);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for wrong in [
            "hold_down = 10",
            "hold_down = '10'",
            "hold_down = '2h'",
            "hold_down = '0s'",
            "ready_min = 90",
            "ready_min = '90'",
            "ready_min = '101%'",
            "ready_min = 0.9",
            "hold = '1s'",
        ] {
            assert_eq!(health(wrong), None, "{wrong}");
        }
        let errors = parse("relay.toml", "[health]\nready_min = '90'").unwrap_err().to_string();
        assert!(errors.contains("health.ready_min: is \"90\", not a percentage: use"), "{errors}");
    }
}
