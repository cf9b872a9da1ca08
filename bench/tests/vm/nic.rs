//! A NIC of a guest, as the emulator is told of it.

use std::env;

/// What a NIC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// virtio-net. With `dma`, frames go through the platform's address translation: the driver does zero-copy only then.
    Virtio { dma: bool },
    /// virtio-net with two queue pairs; its network is this tap device.
    VirtioPairs { tap: &'static str },
    /// Intel's 82576.
    Igb,
}

/// A NIC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nic {
    /// The name of its link in the guest, and of its network.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) model: Model,
}

impl Nic {
    /// virtio-net that can do zero-copy.
    pub(crate) const fn virtio(name: &'static str) -> Self {
        Self { name, model: Model::Virtio { dma: true } }
    }

    /// virtio-net that cannot.
    pub(crate) const fn copying(name: &'static str) -> Self {
        Self { name, model: Model::Virtio { dma: false } }
    }

    /// igb.
    pub(crate) const fn igb(name: &'static str) -> Self {
        Self { name, model: Model::Igb }
    }

    /// Its hardware address: the guest tells NICs apart by it.
    pub(crate) fn mac(&self, number: usize) -> String {
        format!("52:54:00:00:00:{:02x}", number + 1)
    }

    /// virtio-net with two queue pairs.
    pub(crate) const fn pairs(name: &'static str, tap: &'static str) -> Self {
        Self { name, model: Model::VirtioPairs { tap } }
    }

    /// The tap device that is its network, if it has one.
    pub(crate) const fn tap(&self) -> Option<&'static str> {
        match self.model {
            Model::VirtioPairs { tap } => Some(tap),
            Model::Virtio { .. } | Model::Igb => None,
        }
    }

    /// All arguments of the emulator for this NIC: its network, a port that it can be unplugged from, itself.
    pub(crate) fn arguments(&self, number: usize, network: &str) -> Vec<String> {
        let name = self.name;
        let port = format!("pcie-root-port,id=port-{name},chassis={},slot={0}", number + 1);
        vec![
            "-netdev".into(),
            format!("{network},id={name}"),
            "-device".into(),
            port,
            "-device".into(),
            self.device(number),
        ]
    }

    /// The device itself, as the monitor too is told when it is plugged in again.
    pub(crate) fn device(&self, number: usize) -> String {
        let Self { name, model } = self;
        // The suite must fail when zero-copy is off: this switches it off.
        let on = env::var_os("MCR_VM_WITHOUT_ZERO_COPY").is_none();
        let kind = match model {
            Model::Virtio { dma } if *dma && on => "virtio-net-pci,disable-legacy=on,iommu_platform=on",
            Model::Virtio { .. } => "virtio-net-pci,disable-legacy=on",
            Model::VirtioPairs { .. } if on => "virtio-net-pci,disable-legacy=on,iommu_platform=on,mq=on,vectors=6",
            Model::VirtioPairs { .. } => "virtio-net-pci,disable-legacy=on,mq=on,vectors=6",
            Model::Igb => "igb",
        };
        format!("{kind},netdev={name},id=nic-{name},bus=port-{name},mac={},romfile=", self.mac(number))
    }
}
