//! Each fault just before its fix, exactly there, and in other branches; kernels whose numbers do not tell.

use super::{Certainty, Doing, Driver, FAULTS, Fault, Fix, findings, spoils_zero_copy, update};
use crate::release::{Release, Version};

const HEADER: &str = "the header fault of virtio_net";

fn fault(reference: &str) -> &'static Fault {
    FAULTS.iter().find(|fault| fault.reference == reference).unwrap()
}

fn release(name: &str) -> Release {
    Release::parse(name, "", "").unwrap()
}

fn module(name: &str) -> Driver<'_> {
    Driver { name, is_module: true }
}

fn certainty(reference: &str, name: &str) -> Option<Certainty> {
    fault(reference).certainty(&release(name))
}

#[test]
fn upstream_kernels_have_a_fault_from_its_first_version_to_the_fix_of_their_branch() {
    let had = [
        ("CVE-2026-31691", &["6.14.0", "6.17.9", "6.18.0", "6.18.22", "6.19.12"][..]),
        ("CVE-2024-46765", &["5.5.0", "6.1.170", "6.6.50", "6.10.9", "6.9.1"]),
        ("CVE-2025-40290", &["6.16.8", "6.16.12", "6.17.0", "6.17.10"]),
        ("CVE-2026-22981", &["6.18.0", "6.18.5"]),
        ("CVE-2023-53240", &["5.15.33", "5.15.200", "5.18.0", "6.0.9", "6.1.15", "6.2.2"]),
        (HEADER, &["6.13.0", "6.18.44", "7.3.4", "9.0.0"]),
    ];
    let fine = [
        ("CVE-2026-31691", &["6.12.96", "6.13.9", "6.18.23", "6.18.44", "6.19.13", "7.0.0", "7.3.4"][..]),
        ("CVE-2024-46765", &["5.4.200", "6.6.51", "6.10.10", "6.11.0", "6.12.1"]),
        ("CVE-2025-40290", &["6.12.50", "6.16.7", "6.17.11", "6.18.0"]),
        ("CVE-2026-22981", &["6.17.9", "6.18.6", "6.19.0"]),
        ("CVE-2023-53240", &["5.15.32", "5.17.1", "6.1.16", "6.1.170", "6.2.3", "6.3.0", "6.18.44"]),
        (HEADER, &["6.12.96", "5.10.0"]),
    ];
    for (reference, names) in had {
        for name in names {
            assert_eq!(certainty(reference, name), Some(Certainty::Surely), "{reference} in {name}");
        }
    }
    for (reference, names) in fine {
        for name in names {
            assert_eq!(certainty(reference, name), None, "{reference} in {name}");
        }
    }
    let tested: alloc::vec::Vec<&str> = had.iter().map(|(reference, _)| *reference).collect();
    assert!(FAULTS.iter().all(|fault| tested.contains(&fault.reference)), "a fault without a test of its versions");
}

#[test]
fn a_number_that_does_not_tell_accuses_nobody() {
    let igb = "CVE-2026-31691";
    assert_eq!(certainty(igb, "6.18.10+deb14-amd64"), Some(Certainty::Probably));
    assert_eq!(certainty(igb, "6.18.23+deb14-amd64"), None);
    assert_eq!(certainty(igb, "6.18.3-arch1-1"), Some(Certainty::Probably));
    assert_eq!(certainty(igb, "6.18.0-9-generic"), Some(Certainty::Perhaps));
    assert_eq!(certainty(igb, "6.8.0-51-generic"), None, "the fault is newer than that version");
    assert_eq!(certainty(igb, "5.14.0-570.el9.x86_64"), Some(Certainty::Perhaps), "drivers are newer there");
    assert_eq!(certainty(igb, "7.0.0-1.el11.x86_64"), None);
    let ice = "CVE-2024-46765";
    assert_eq!(certainty(ice, "6.8.12-5-pve"), Some(Certainty::Perhaps), "they take fixes over");
    assert_eq!(certainty(ice, "6.6.50-1-pve"), Some(Certainty::Perhaps));
    assert_eq!(certainty(ice, "6.6.51-1-pve"), None);
    assert_eq!(certainty(ice, "6.8.12-cloud"), Some(Certainty::Perhaps), "nobody upstream has fixed that branch");
    assert_eq!(certainty(ice, "6.6.50-cloud"), Some(Certainty::Probably));
    assert_eq!(certainty(HEADER, "6.18.44-cloud"), Some(Certainty::Probably), "nobody has fixed it anywhere");
    let any_driver = "CVE-2025-40290";
    assert_eq!(certainty(any_driver, "5.14.0-570.el9.x86_64"), None);
    let build = "#10-Ubuntu SMP PREEMPT_DYNAMIC";
    let ubuntu = |signature| Release::parse("6.17.0-9-generic", build, signature).unwrap();
    let certainty = |signature| fault(any_driver).certainty(&ubuntu(signature));
    assert_eq!(certainty(""), Some(Certainty::Perhaps));
    assert_eq!(certainty("Ubuntu 6.17.0-9.9-generic 6.17.4"), Some(Certainty::Perhaps), "they may have fixed it");
    assert_eq!(certainty("Ubuntu 6.17.0-19.19-generic 6.17.13"), None);
}

#[test]
fn a_candidate_may_have_what_comes_or_goes_with_its_version() {
    let igb = "CVE-2026-31691";
    assert_eq!(certainty(igb, "7.0.0-rc5"), Some(Certainty::Perhaps));
    assert_eq!(certainty(igb, "6.14.0-rc2"), Some(Certainty::Perhaps));
    assert_eq!(certainty(igb, "6.16.0-rc2"), Some(Certainty::Surely));
    assert_eq!(certainty(igb, "7.1.0-rc1"), None);
}

#[test]
fn only_what_is_done_on_a_link_is_told() {
    let references = |name: &str, doing: Doing<'_>| {
        findings(&release(name), &doing).iter().map(|found| found.fault.reference).collect::<alloc::vec::Vec<_>>()
    };
    let igb = Doing { driver: module("igb"), zero_copy: true, native: true, ..Doing::default() };
    assert_eq!(references("6.18.22", igb), ["CVE-2026-31691"]);
    assert_eq!(references("6.18.22", Doing { zero_copy: false, copies: true, ..igb }), [""; 0]);
    assert_eq!(references("6.18.22", Doing { driver: module("ixgbe"), ..igb }), [""; 0]);
    let veth = Doing { driver: module("veth"), copies: true, native: true, ..Doing::default() };
    assert_eq!(references("6.17.10", veth), ["CVE-2025-40290"]);
    assert_eq!(references("6.18.44", veth), [""; 0]);
    let ice = Doing { driver: module("ice"), zero_copy: true, native: true, polls_busily: true, ..Doing::default() };
    assert_eq!(references("6.1.15", ice), ["CVE-2024-46765", "CVE-2023-53240"]);
    assert_eq!(references("6.1.15", Doing { polls_busily: false, ..ice }), ["CVE-2024-46765"]);
}

#[test]
fn zero_copy_is_left_alone_where_the_number_says_so_and_not_on_a_suspicion() {
    let left_alone =
        |name: &str, driver| spoils_zero_copy(&release(name), module(driver)).map(|found| found.fault.reference);
    assert_eq!(left_alone("6.18.22", "igb"), Some("CVE-2026-31691"));
    assert_eq!(left_alone("6.18.22-custom", "igb"), Some("CVE-2026-31691"));
    assert_eq!(left_alone("6.18.23", "igb"), None);
    assert_eq!(left_alone("6.18.22", "ice"), None);
    assert_eq!(left_alone("5.14.0-570.el9.x86_64", "igb"), None);
    assert_eq!(left_alone("6.8.12-5-pve", "ice"), None);
    assert_eq!(left_alone("6.8.12-cloud", "ice"), None);
    assert_eq!(left_alone("6.8.12", "ice"), Some("CVE-2024-46765"));
    assert_eq!(left_alone("6.18.2", "idpf"), None, "that one is no matter of zero-copy");
    assert_eq!(left_alone("7.3.4+deb13-amd64", "virtio_net"), Some(HEADER));
    assert_eq!(left_alone("6.12.96+deb13-amd64", "virtio_net"), None);
    assert_eq!(left_alone("6.12.0-55.9.1.el10_0.x86_64", "virtio_net"), None);
}

#[test]
fn a_fault_of_modules_is_none_of_a_driver_that_is_part_of_the_kernel() {
    let told = |is_module| {
        let driver = Driver { name: "virtio_net", is_module };
        spoils_zero_copy(&release("7.3.4"), driver).map(|found| found.fault.reference)
    };
    assert_eq!((told(true), told(false)), (Some(HEADER), None));
    let igb = Driver { name: "igb", is_module: false };
    assert!(spoils_zero_copy(&release("6.18.22"), igb).is_some(), "the others have theirs either way");
}

#[test]
fn where_no_kernel_is_fixed_the_remedy_is_one_of_its_own_whoever_has_built_it() {
    let Fix::Unknown(instead) = fault(HEADER).fixed else { panic!("{HEADER} is fixed somewhere") };
    let doing = Doing { driver: module("virtio_net"), zero_copy: true, ..Doing::default() };
    let kernels = [
        ("7.3.4", Certainty::Surely),
        ("7.3.4+deb13-amd64", Certainty::Probably),
        ("6.17.0-9-generic", Certainty::Perhaps),
        ("6.12.0-55.9.1.el10_0.x86_64", Certainty::Perhaps),
        ("6.13.0-rc3", Certainty::Perhaps),
    ];
    for (name, certainty) in kernels {
        let found = findings(&release(name), &doing);
        assert_eq!(found.iter().map(|found| found.certainty).collect::<alloc::vec::Vec<_>>(), [certainty], "{name}");
        assert_eq!(found[0].remedy(), instead, "{name}");
    }
}

#[test]
fn the_text_says_how_sure_it_is_and_the_remedy_how_to_find_out() {
    let told = |name: &str, build: &str| {
        let release = Release::parse(name, build, "").unwrap();
        let found = spoils_zero_copy(&release, module("igb")).unwrap_or_else(|| {
            findings(&release, &Doing { driver: module("igb"), zero_copy: true, ..Doing::default() }).remove(0)
        });
        (found.text(), found.remedy())
    };
    let (text, remedy) = told("6.18.22", "");
    assert!(text.starts_with("Linux 6.18.22 has CVE-2026-31691: when a program"), "{text}");
    assert_eq!(remedy, "update the kernel to Linux 6.18.23 or newer");
    let (text, remedy) = told("6.17.0-3-amd64", "#1 SMP Debian 6.17.9-1 (2025-12-01)");
    assert!(text.starts_with("this kernel has CVE-2026-31691, by its number (6.17.9): "), "{text}");
    assert!(remedy.contains("security-tracker.debian.org/tracker/CVE-2026-31691"), "{remedy}");
    assert!(remedy.ends_with("update the kernel to Linux 6.18.23 or newer"), "{remedy}");
    let (text, remedy) = told("5.14.0-570.el9.x86_64", "");
    assert!(text.starts_with("this kernel may have CVE-2026-31691"), "{text}");
    assert!(remedy.contains("rpm -q --changelog kernel-core | grep CVE-2026-31691"), "{remedy}");
}

#[test]
fn an_update_stays_in_its_branch_if_it_can() {
    let fixed = fault("CVE-2026-31691").fixed.versions();
    assert_eq!(update(fixed, Version(6, 18, 2)), Version(6, 18, 23));
    assert_eq!(update(fixed, Version(6, 14, 2)), Version(6, 18, 23));
    assert_eq!(update(fixed, Version(6, 19, 2)), Version(6, 19, 13));
}

#[test]
fn the_table_is_in_order() {
    for fault in FAULTS {
        assert!(fault.since.is_sorted() && !fault.since.is_empty(), "{fault:?}");
        assert!(!fault.only_modules || !fault.drivers.is_empty(), "modules of which driver? {fault:?}");
        match fault.fixed {
            Fix::In(versions) => {
                assert!(versions.is_sorted() && versions.last() > fault.since.last(), "{fault:?}");
                assert_eq!(versions.last().unwrap().2, 0, "the last one is of all that follow: {fault:?}");
            }
            Fix::Unknown(instead) => assert!(!instead.is_empty(), "no fix and no remedy: {fault:?}"),
        }
    }
}
