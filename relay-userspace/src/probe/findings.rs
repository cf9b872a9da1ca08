//! What probing a link found, as lines for people and as data for programs.

use relay_control::link::ability::Ability;
use serde::Serialize;
use std::fmt;

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The link.
    pub link: String,
    /// Its driver, or its kind where it has none.
    pub driver: String,
    /// The driver's firmware; empty where it has none.
    pub firmware: String,
    /// The kernel's release.
    pub kernel: String,
    /// Faults that it has, or may have, and that mcr would wake here.
    pub faults: Vec<KernelFault>,
    /// Why `mcr run` would refuse this kernel; null when it would not.
    pub refused: Option<String>,
    /// Receive queues.
    pub rx_queues: u32,
    /// Transmit queues.
    pub tx_queues: u32,
    /// Where the program was attached: native or generic.
    pub xdp: &'static str,
    /// What the driver advertises; null where the kernel does not tell.
    pub advertised: Option<Vec<&'static str>>,
    /// What the driver does with metadata of frames to be sent; null where the kernel does not tell.
    pub transmit_metadata: Option<Vec<&'static str>>,
    /// What each queue's socket became.
    pub queues: Vec<Queue>,
    /// Whether every queue is zero-copy.
    pub zero_copy: bool,
    /// "yes", or what the driver said when it was asked to send nothing.
    pub sends: String,
    /// How long the carrier was away when the program was attached; null when it stayed.
    pub carrier_lost_ms: Option<u64>,
    /// The limits.
    pub limits: Limits,
}

/// A fault of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KernelFault {
    /// What is so, and what follows.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

/// What a queue's socket became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Its number.
    pub number: u32,
    /// "zero-copy", "copy", or why there was none.
    pub bound: String,
}

/// What came of the attempts.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    pub(super) xdp: &'static str,
    pub(super) queues: Vec<Queue>,
    pub(super) sends: String,
    pub(super) carrier_lost_ms: Option<u64>,
}

/// The limits of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Its MTU.
    pub mtu: u32,
    /// The longest MTU of an input in zero-copy with frames of 2048 bytes.
    pub mtu_of_2048: u32,
    /// The same with frames of 4096 bytes.
    pub mtu_of_4096: u32,
    /// The length of its receive rings, where the driver tells.
    pub rx_ring: Option<u32>,
    /// The length of its transmit rings.
    pub tx_ring: Option<u32>,
    /// Buffers that one frame may be spread over in zero-copy.
    pub zero_copy_segments: Option<u32>,
}

impl Findings {
    /// Puts together what was asked and what was tried.
    #[must_use]
    pub(super) fn new(
        ability: &Ability,
        (kernel, faults): (String, Vec<KernelFault>),
        refused: Option<String>,
        tried: Tried,
        limits: Limits,
    ) -> Self {
        let Tried { xdp, queues, sends, carrier_lost_ms } = tried;
        let link = &ability.reading.link;
        Self {
            link: link.name.clone(),
            driver: ability.driver_name().to_owned(),
            firmware: ability.driver.as_ref().map_or_else(String::new, |driver| driver.firmware.clone()),
            kernel,
            faults,
            refused,
            rx_queues: link.n_rx_queues,
            tx_queues: link.n_tx_queues,
            xdp,
            advertised: ability.xdp.map(|xdp| xdp.names()),
            transmit_metadata: ability.xdp.map(|xdp| xdp.transmit_metadata()),
            zero_copy: !queues.is_empty() && queues.iter().all(|queue| queue.bound == "zero-copy"),
            queues,
            sends,
            carrier_lost_ms,
            limits,
        }
    }

    /// The sentence that the rest is read for.
    fn verdict(&self) -> String {
        let Limits { mtu, mtu_of_2048, mtu_of_4096, .. } = self.limits;
        if let Some(refused) = &self.refused {
            return format!("mcr does not run here: {refused}");
        }
        if !self.zero_copy {
            return "mcr relays here, and the kernel copies each frame".to_owned();
        }
        match (mtu <= mtu_of_2048, mtu <= mtu_of_4096) {
            (true, _) => "mcr relays here in zero-copy".to_owned(),
            (false, true) => "mcr relays here in zero-copy with lanes.frame_size = 4096".to_owned(),
            (false, false) => format!("mcr receives here in zero-copy once the MTU is {mtu_of_4096} or less"),
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, driver, firmware, kernel, rx_queues, tx_queues, xdp, sends, limits, .. } = self;
        let known = |names: &Option<Vec<&str>>| match names {
            None => "unknown: this kernel does not tell".to_owned(),
            Some(names) if names.is_empty() => "none".to_owned(),
            Some(names) => names.join(", "),
        };
        let number = |n: Option<u32>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let firmware = if firmware.is_empty() { String::new() } else { format!(", firmware {firmware}") };
        writeln!(f, "link               {link}: {driver}{firmware}, Linux {kernel}")?;
        writeln!(f, "queues             {rx_queues} receive, {tx_queues} transmit")?;
        writeln!(f, "XDP                attached {xdp}; advertised: {}", known(&self.advertised))?;
        for Queue { number, bound } in &self.queues {
            writeln!(f, "{:18} {bound}", format!("queue {number}"))?;
        }
        writeln!(f, "sends              {sends}")?;
        writeln!(f, "transmit metadata  {}", known(&self.transmit_metadata))?;
        let carrier = self.carrier_lost_ms.map_or_else(|| "stayed".to_owned(), |ms| format!("was away for {ms} ms"));
        writeln!(f, "carrier            {carrier} when the program was attached")?;
        let Limits { mtu, mtu_of_2048, mtu_of_4096, .. } = limits;
        writeln!(f, "MTU                {mtu}; frames of 2048 bytes hold {mtu_of_2048}, of 4096 bytes {mtu_of_4096}")?;
        let (rx, tx) = (number(limits.rx_ring), number(limits.tx_ring));
        writeln!(
            f,
            "rings              {rx} receive, {tx} transmit; zero-copy segments {}",
            number(limits.zero_copy_segments)
        )?;
        for KernelFault { text, remedy } in &self.faults {
            writeln!(f, "{:18} {text}\n{:18} remedy: {remedy}", "kernel fault", "")?;
        }
        writeln!(f, "\n{}.", self.verdict())
    }
}

#[cfg(test)]
mod tests {
    use super::{Findings, KernelFault, Limits, Queue};

    fn findings() -> Findings {
        Findings {
            link: "ens1f0".to_owned(),
            driver: "igb".to_owned(),
            firmware: "3.25".to_owned(),
            kernel: "7.3.4".to_owned(),
            faults: Vec::new(),
            refused: None,
            rx_queues: 2,
            tx_queues: 1,
            xdp: "native",
            advertised: Some(vec!["native", "zero-copy"]),
            transmit_metadata: Some(vec!["timestamp"]),
            queues: (0..2).map(|number| Queue { number, bound: "zero-copy".to_owned() }).collect(),
            zero_copy: true,
            sends: "yes".to_owned(),
            carrier_lost_ms: Some(1_480),
            limits: Limits { mtu: 1500, mtu_of_2048: 998, mtu_of_4096: 3046, rx_ring: Some(256), ..Limits::default() },
        }
    }

    #[test]
    fn people_read_lines() {
        insta::assert_snapshot!(findings().to_string(), @r"
        link               ens1f0: igb, firmware 3.25, Linux 7.3.4
        queues             2 receive, 1 transmit
        XDP                attached native; advertised: native, zero-copy
        queue 0            zero-copy
        queue 1            zero-copy
        sends              yes
        transmit metadata  timestamp
        carrier            was away for 1480 ms when the program was attached
        MTU                1500; frames of 2048 bytes hold 998, of 4096 bytes 3046
        rings              256 receive, - transmit; zero-copy segments -

        mcr relays here in zero-copy with lanes.frame_size = 4096.
        ");
    }

    #[test]
    fn a_fault_of_the_kernel_is_told_before_the_verdict() {
        let (text, remedy) = ("Linux 6.18.2 has CVE-1".to_owned(), "update it".to_owned());
        let found = Findings { faults: vec![KernelFault { text, remedy }], ..findings() }.to_string();
        let wanted = "kernel fault       Linux 6.18.2 has CVE-1\n                   remedy: update it\n\nmcr relays";
        assert!(found.contains(wanted), "{found}");
    }

    #[test]
    fn the_verdict_follows_from_what_was_found() {
        let verdict = |change: fn(&mut Findings)| {
            let mut changed = findings();
            change(&mut changed);
            changed.verdict()
        };
        assert_eq!(verdict(|f| f.limits.mtu = 900), "mcr relays here in zero-copy");
        assert!(verdict(|f| f.limits.mtu = 9000).contains("once the MTU is 3046"));
        assert!(verdict(|f| f.zero_copy = false).contains("copies"));
        assert!(
            verdict(|f| f.refused = Some("it lacks AF_XDP".to_owned())).contains("does not run here: it lacks AF_XDP")
        );
    }

    #[test]
    fn programs_read_data() {
        let json = serde_json::to_value(findings()).unwrap();
        assert_eq!((&json["queues"][1]["bound"], &json["zero_copy"]), (&"zero-copy".into(), &true.into()));
        assert!(json["limits"]["tx_ring"].is_null());
    }
}
