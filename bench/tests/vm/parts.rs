//! What `cargo xtask test vm` has brought: an emulator, kernels and a shell; and one file system of them and mcr.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use crate::cpio::Archive;

/// Where the parts lie.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    root: PathBuf,
}

/// Kernel modules that guests may need. Those that a kernel does not have are left out: the cloud flavours have no igb,
/// and what is built in needs no module.
const MODULES: [&str; 5] = ["virtio_pci", "virtio_net", "igb", "8021q", "bonding"];

/// What of Debian no guest looks at.
const LEFT_OUT: [&str; 3] = ["usr/share/doc", "usr/share/locale", "usr/share/man"];

/// What deploy/ has, and where docs/operating.md puts it.
const DEPLOYED: [(&str, &str); 3] = [
    ("mcr.service", "etc/systemd/system/mcr.service"),
    ("sysusers.conf", "etc/sysusers.d/mcr.conf"),
    ("tmpfiles.conf", "etc/tmpfiles.d/mcr.conf"),
];

impl Parts {
    /// As the variable `MCR_VM` says.
    pub(crate) fn find() -> Result<Self> {
        let root = env::var_os("MCR_VM").context("MCR_VM is not set: run this by `cargo xtask test vm`")?;
        Ok(Self { root: root.into() })
    }

    /// A new folder for a guest's sockets, its console and its file system; what an earlier run left there is removed.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join("run").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(folder)
    }

    /// The emulator, started by its own loader with its own libraries: it may be of another Debian than this machine.
    pub(crate) fn emulator(&self) -> Command {
        let usr = self.root.join("emulator/usr");
        let libraries = usr.join("lib/x86_64-linux-gnu");
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries).arg(usr.join("bin/qemu-system-x86_64"));
        for firmware in ["qemu", "seabios"] {
            command.arg("-L").arg(usr.join("share").join(firmware));
        }
        command
    }

    /// The image of a kernel.
    pub(crate) fn image(&self, kernel: &str) -> Result<PathBuf> {
        let all = self.files(kernel);
        let is_image =
            |file: &&PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"));
        all.iter().find(is_image).cloned().with_context(|| format!("no image of the kernel {kernel}"))
    }

    /// The first file system of a guest with this kernel: the shell, mcr, the modules, and `init`.
    pub(crate) fn file_system(&self, kernel: &str, init: &str) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for folder in ["bin", "lib", "lib/x86_64-linux-gnu", "lib64", "modules", "dev", "proc", "sys", "tmp", "run"] {
            archive.folder(folder);
        }
        self.begin(&mut archive, kernel, init)?;
        let mut shared = BTreeSet::new();
        let holder = PathBuf::from(env!("CARGO_BIN_EXE_hold-rtnl"));
        for (name, program) in [("mcr", bench::relay::binary()), ("hold-rtnl", holder)] {
            archive.file(&format!("bin/{name}"), &read(&program)?);
            shared.extend(libraries(&program)?);
        }
        for library in shared {
            archive.file(&library, &read(&Path::new("/").join(&library))?);
        }
        Ok(archive.finish())
    }

    /// The first file system of a guest that systemd runs: Debian's, with mcr installed in it as docs/operating.md says.
    pub(crate) fn file_system_with_systemd(&self, kernel: &str, init: &str, config: &str) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        archive.tree(&self.root.join("systemd"), &LEFT_OUT)?;
        for folder in ["modules", "usr/local", "usr/local/bin", "etc/mcr", "etc/sysusers.d", "etc/tmpfiles.d"] {
            archive.folder(folder);
        }
        self.begin(&mut archive, kernel, init)?;
        archive.file("usr/local/bin/mcr", &read(&bench::relay::binary())?);
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
        for (from, to) in DEPLOYED {
            archive.file(to, &read(&deploy.join(from))?);
        }
        archive.file("etc/mcr/relay.toml", config.as_bytes());
        // With one, this is no first boot, on which systemd would start everything that is there.
        archive.file("etc/machine-id", format!("{:032x}\n", 1).as_bytes());
        Ok(archive.finish())
    }

    /// What every guest has: its first program, the shell and the modules.
    fn begin(&self, archive: &mut Archive, kernel: &str, init: &str) -> Result<()> {
        archive.file("init", init.as_bytes());
        archive.file("bin/busybox", &read(&self.root.join("shell/usr/bin/busybox"))?);
        for (number, (name, content)) in self.modules(kernel)?.iter().enumerate() {
            archive.file(&format!("modules/{number:02}-{name}.ko"), content);
        }
        Ok(())
    }

    /// The modules in an order in which they can be loaded.
    fn modules(&self, kernel: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let files = self.files(kernel);
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in MODULES {
            self.module(name, &files, &mut seen, &mut order)?;
        }
        Ok(order)
    }

    fn module(
        &self,
        name: &str,
        files: &[PathBuf],
        seen: &mut BTreeSet<String>,
        order: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        let wanted = [format!("{name}.ko.xz"), format!("{}.ko.xz", name.replace('_', "-")), format!("{name}.ko")];
        let is_it = |file: &&PathBuf| wanted.iter().any(|wanted| file.ends_with(wanted));
        let Some(file) = files.iter().find(is_it).filter(|_| seen.insert(name.to_owned())) else { return Ok(()) };
        let content = if file.extension().is_some_and(|end| end == "xz") { self.unpacked(file)? } else { read(file)? };
        for dependency in dependencies(&content) {
            self.module(&dependency, files, seen, order)?;
        }
        order.push((name.to_owned(), content));
        Ok(())
    }

    fn unpacked(&self, file: &Path) -> Result<Vec<u8>> {
        let shell = self.root.join("shell/usr/bin/busybox");
        let output = Command::new(&shell).arg("xzcat").arg(file).output().context("start busybox")?;
        ensure!(output.status.success(), "cannot unpack {}", file.display());
        Ok(output.stdout)
    }

    fn files(&self, kernel: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.join(kernel)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => files.push(entry.path()),
                    _ => {}
                }
            }
        }
        files
    }

    /// Writes the lines of the table that a guest's cases made: xtask prints those of all guests.
    pub(crate) fn write_table(&self, guest: &str, lines: &str) -> Result<()> {
        let folder = self.root.join("table");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(guest), lines).context("write the table")
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("read {}", file.display()))
}

/// What a program is linked with, the loader too, without the first slash: guests run the very mcr that is shipped.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let output = Command::new("ldd").arg(program).output().context("start ldd")?;
    ensure!(output.status.success(), "ldd cannot read {}", program.display());
    Ok(paths(&String::from_utf8_lossy(&output.stdout)))
}

/// The paths that `ldd` prints. Not each library has one: what the kernel maps has none.
fn paths(printed: &str) -> Vec<String> {
    printed.split_whitespace().filter_map(|word| word.strip_prefix('/')).map(str::to_owned).collect()
}

#[test]
fn libraries_are_read_from_what_ldd_prints() {
    let printed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f72)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f73)\n";
    assert_eq!(paths(printed), ["lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2"]);
}

/// The modules that a module says it needs, in its section of facts about itself.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let rest = &module[at + KEY.len()..];
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
    let names = String::from_utf8_lossy(&rest[..end]);
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn a_module_names_what_it_needs() {
    let module = b"\x7fELF\0license=GPL\0depends=dca,i2c-algo-bit\0vermagic=7\0";
    assert_eq!(dependencies(module), ["dca", "i2c-algo-bit"]);
    assert!(dependencies(b"license=GPL\0depends=\0").is_empty());
    assert!(dependencies(b"").is_empty());
}
