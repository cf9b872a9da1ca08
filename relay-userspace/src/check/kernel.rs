//! `mcr check --kernel`: what this kernel has of what mcr needs, found out by trying, and its known faults.

use anyhow::Context as _;
use relay_control::link::ability::Ability;
use relay_control::link::hint::{Hint, KERNEL_FAULT, Use, hints};
use relay_control::link::netlink::Netlink;
use relay_control::link::release;
use relay_control::link::xdp::Netdev;
use relay_control::preflight;
use relay_control::preflight::features::Features;
use serde_json::json;
use std::io::Write;

/// Looks at the kernel, writes what was found, and says whether mcr runs here.
///
/// # Errors
/// When the rights to try are missing, the kernel does not tell of its links, or `out` cannot be written to.
pub async fn run(json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    preflight::check_own_rights("mcr check --kernel")?;
    let (kernel, features, faults) = (release::name(), preflight::features(), faults().await?);
    let refusal = features.refusal();
    if json {
        let fault = |(link, Hint { text, remedy, .. }): &(String, Hint)| json!({ "link": link, "text": text, "remedy": remedy });
        let value = json!({
            "kernel": kernel,
            "good": refusal.is_none(),
            "refused": refusal,
            "features": features.views(),
            "faults": faults.iter().map(fault).collect::<Vec<_>>(),
        });
        writeln!(out, "{value:#}")?;
    } else {
        write!(out, "{}", text(&kernel, &features, &faults))?;
    }
    Ok(refusal.is_none())
}

fn text(kernel: &str, features: &Features, faults: &[(String, Hint)]) -> String {
    let mut text = format!("Linux {kernel}\n{features}");
    for (link, Hint { text: fault, remedy, .. }) in faults {
        text.push_str(&format!("\n{link}: {fault}\n  remedy: {remedy}\n"));
    }
    let end = match features.refusal() {
        Some(refusal) => format!("mcr does not run here: {refusal}"),
        None if features.missing().next().is_some() => "mcr runs here, but for what is missing above".to_owned(),
        None => "mcr runs here".to_owned(),
    };
    format!("{text}\n{end}.\n")
}

/// The faults that mcr would wake on the links of this machine.
async fn faults() -> anyhow::Result<Vec<(String, Hint)>> {
    let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
    let netdev = Netdev::open().context("cannot ask the kernel what drivers can do")?;
    let usage = Use { release: release::running(), ..Use::default() };
    let readings = netlink.readings(None).await.context("cannot read the links")?;
    let of_link = |reading: relay_control::link::netlink::Reading| {
        let name = reading.link.name.clone();
        let found = hints(&Ability::of(reading, &[], netdev.as_ref()), &usage).into_iter();
        found.filter(|hint| hint.name == KERNEL_FAULT).map(move |hint| (name.clone(), hint)).collect::<Vec<_>>()
    };
    Ok(readings.into_iter().filter(|reading| reading.link.name != "lo").flat_map(of_link).collect())
}

#[cfg(test)]
mod tests {
    use super::text;
    use relay_control::link::hint::Hint;
    use relay_control::preflight::features::{Feature, Features, State};

    #[test]
    fn the_last_line_says_whether_mcr_runs() {
        let features = |state| Features(vec![(Feature::Umem, State::There), (Feature::TransmitBudget, state)]);
        let hint = Hint { name: "kernel-fault", text: "Linux 6.1.9 has CVE-1".into(), remedy: "update it".into() };
        let said = text("6.1.9", &features(State::Missing("EBUSY".into())), &[("e0".to_owned(), hint)]);
        assert!(said.starts_with("Linux 6.1.9\numem "), "{said}");
        assert!(said.contains("\ne0: Linux 6.1.9 has CVE-1\n  remedy: update it\n"), "{said}");
        assert!(said.ends_with("\nmcr runs here, but for what is missing above.\n"), "{said}");
        assert!(text("7.2", &features(State::There), &[]).ends_with("\nmcr runs here.\n"));
        let refused = Features(vec![(Feature::Umem, State::Missing("EINVAL".into()))]);
        assert!(text("4.9", &refused, &[]).contains("mcr does not run here: this kernel lacks frames of our own"));
    }
}
