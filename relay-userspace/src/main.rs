//! The binary `mcr`: arguments, then a command, then an exit code.

use anyhow::Context;
use clap::Parser;
use nix::sys::signal::{Signal, raise};
use relay_api::serve;
use relay_cli as cli;
use relay_cli::args::{Check, Cli, Command, LogFormat, Run};
use relay_config as config;
use relay_control::certificate::Certificate;
use relay_control::driver::{Becomes, Ended};
use relay_control::events::logging::{self, LogHandle};
use relay_control::handover::{self, Given};
use relay_control::observe::report::Brief;
use relay_control::running::Running;
use relay_control::sources::hold_signals;
use relay_control::upgrade::Layouts;
use relay_control::{driver, lock, starting, stop};
use relay_control::{notify, preflight};
use relay_engine::lane;
use relay_userspace::check::machine::{self, Folders};
use relay_userspace::local::Machine;
use relay_userspace::{check, links, probe};
use std::io::{self, Write};
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(code) => code,
        // Whoever read our output has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mcr: {error:#}");
            cli::Exit::of(&error).into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(options) => run(&options),
        Command::Check(asked) => check(&asked),
        Command::Links(asked) => {
            runtime()?.block_on(links::run(&asked, &mut io::stdout().lock()))?;
            Ok(ExitCode::SUCCESS)
        }
        // Whoever does not listen at its socket any more, and lanes without a control, are found by the run folder.
        Command::Stop(asked)
            if !asked.names_a_socket()
                || lock::was_taken(&asked.folder())?
                || starting::find(&asked.folder())?.is_some() =>
        {
            let ended = runtime()?.block_on(stop::stop(&asked.folder()))?;
            writeln!(io::stdout().lock(), "{ended}")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Layouts => {
            serde_json::to_writer(io::stdout().lock(), &Layouts::own())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Probe(asked) => {
            runtime()?.block_on(probe::run(&asked, &mut io::stdout().lock()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Lane { number, user, group } => {
            lane::run(user.zip(group)).with_context(|| format!("lane {number}")).map(|()| ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            Ok(cli::complete(shell, &mut io::stdout().lock()).map(|()| ExitCode::SUCCESS)?)
        }
        Command::Man => Ok(cli::manual(&mut io::stdout().lock()).map(|()| ExitCode::SUCCESS)?),
        Command::HashToken(asked) => Ok(cli::hash_token(&asked, &mut cli::standard())?.into()),
        asked => Ok(runtime()?.block_on(cli::run(&asked, &Machine, &mut cli::standard()))?.into()),
    }
}

fn run(options: &Run) -> anyhow::Result<ExitCode> {
    // A stop that comes while mcr starts waits until somebody listens (`control::sources`), and takes down what was begun:
    // who dies here leaves lanes that relay.
    hold_signals().context("cannot block signals")?;
    handover::keep_name();
    let log = start_log(options.log_format, options.debug_ebpf)?;
    let code = match follow(options, &log) {
        // A program that reads the log reads its last line too.
        Err(error) if options.log_format == LogFormat::Json && !is_broken_pipe(&error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
        Err(error) if !is_broken_pipe(&error) => {
            log.say(&format!("mcr: {error:#}"));
            cli::Exit::of(&error).into()
        }
        _ => ExitCode::SUCCESS,
    };
    log.flush();
    Ok(code)
}

/// Relays where another control stood in this process, or beside that. What goes wrong is told to it, or it comes back.
fn follow(options: &Run, log: &LogHandle) -> anyhow::Result<()> {
    let given = handover::given()?;
    let (before, handover) = (given.before.clone(), given.handover.clone());
    handover.come_back_in_time(log.clone())?;
    let Err(error) = relay(options, log, given) else { return Ok(()) };
    if let Some(before) = before {
        before.failed(&error);
    }
    Err(handover.come_back(log, &error).unwrap_or(error))
}

fn relay(options: &Run, log: &LogHandle, given: Given) -> anyhow::Result<()> {
    let driven = driver::Options {
        // Whoever reads of it stands elsewhere.
        config: std::path::absolute(&options.config).context("cannot tell where the configuration file is")?,
        run_dir: options.run_dir.clone(),
        state_dir: options.state_dir.clone(),
        debug_ebpf: options.debug_ebpf,
    };
    if let Some(before) = &given.before {
        let file = config::load(&driven.config)?;
        let ran = Running::in_folder(&driven.run_dir)?.understood().context(
            "this version does not understand all that runs: have the older one take a file that both understand",
        )?;
        preflight::check()?;
        // The one that runs has it in memory, also where its files are no more.
        ran.unwrap_or(file).settings.http.tls.as_ref().map(Certificate::open).transpose()?;
        before.prepared()?;
    }
    let listening = given.listening.clone();
    let (run_dir, lent) = (options.run_dir.clone(), log.clone());
    let serve = move |settings: &_, desk, node: &mut _, begins| {
        serve::start(settings, desk, node, &lent, &run_dir, (listening.as_deref(), begins))
    };
    let report = match runtime()?.block_on(driver::run(&driven, given, serve))? {
        Ended::Stopped(report) => report,
        Ended::GaveUp | Ended::Followed(_) => return Ok(()),
        // Whoever waits for this process sees it go on under its number.
        Ended::Becomes(becomes) => return Err(become_binary(&becomes, log)),
    };
    let mut out = io::stdout().lock();
    if options.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else if notify::is_journal(&out) {
        // Each relay by itself would push everything else out of it.
        write!(out, "{}", Brief(&report))?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}

/// Returns only if that failed.
fn become_binary(Becomes { binary, handover, comes_back, is_to_end }: &Becomes, log: &LogHandle) -> anyhow::Error {
    // The thread that writes the log ends with this binary.
    log.flush();
    if *is_to_end {
        // What was heard here is said again to the next one.
        let waits = hold_signals().and_then(|()| raise(Signal::SIGTERM));
        if let Err(error) = waits {
            return anyhow::Error::new(error).context("cannot pass the signal on");
        }
    }
    let error = handover.become_binary(binary, *comes_back);
    if *comes_back {
        tracing::error!("cannot become {}: {error}; this binary goes on", binary.display());
        log.flush();
        let error = handover.become_binary(&handover::own_path(), false);
        return anyhow::Error::new(error).context("cannot begin anew");
    }
    anyhow::Error::new(error).context(format!("cannot become {}", binary.display()))
}

fn check(asked: &Check) -> anyhow::Result<ExitCode> {
    let options = check::Options { strict: asked.strict, json: asked.json, offline: asked.offline };
    let runtime = runtime()?;
    let Some(file) = &asked.file else {
        let runs = runtime.block_on(check::kernel::run(asked.json, &mut io::stdout().lock()))?;
        return Ok(if runs { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    let folders = Folders { run_dir: asked.run_dir.clone(), state_dir: asked.state_dir.clone() };
    let look = |configuration: &_| runtime.block_on(machine::look(file, configuration, &folders));
    let good = check::run(file, look, options, &mut io::stdout().lock())?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start")
}

fn start_log(format: LogFormat, debug_ebpf: bool) -> anyhow::Result<LogHandle> {
    let format = match format {
        LogFormat::Text => logging::LogFormat::Text,
        LogFormat::Json => logging::LogFormat::Json,
    };
    logging::start(format, if debug_ebpf { "info,relay_ebpf=debug" } else { "info" })
}
