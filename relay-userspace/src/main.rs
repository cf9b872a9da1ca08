//! The binary `mcr`: arguments, then a command, then an exit code.

use anyhow::Context;
use clap::Parser;
use relay_common::facts::Facts;
use relay_common::plan::Plan;
use relay_userspace::args::{Check, Cli, Command, LogFormat, Run};
use relay_userspace::control::{driver, facts};
use relay_userspace::events::logging::{self, LogHandle};
use relay_userspace::{check, lane, links};
use std::io::{self, Write};
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli.command) {
        Ok(code) => code,
        // Whoever read our output has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mcr: {error:#}");
            ExitCode::FAILURE
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
        Command::Lane { number } => lane::run().with_context(|| format!("lane {number}")).map(|()| ExitCode::SUCCESS),
    }
}

fn run(options: &Run) -> anyhow::Result<ExitCode> {
    let _log = start_log(options.log_format, options.debug_ebpf);
    match relay(options) {
        // A program that reads the log reads its last line too.
        Err(error) if options.log_format == LogFormat::Json && !is_broken_pipe(&error) => {
            tracing::error!("{error:#}");
            Ok(ExitCode::FAILURE)
        }
        ended => ended.map(|()| ExitCode::SUCCESS),
    }
}

fn relay(options: &Run) -> anyhow::Result<()> {
    let driven = driver::Options {
        config: options.config.clone(),
        run_dir: options.run_dir.clone(),
        debug_ebpf: options.debug_ebpf,
    };
    let report = runtime()?.block_on(driver::run(&driven))?;
    let mut out = io::stdout().lock();
    if options.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}

fn check(asked: &Check) -> anyhow::Result<ExitCode> {
    let options = check::Options { strict: asked.strict, json: asked.json };
    let runtime = runtime()?;
    let look = |plan: &Plan| {
        runtime.block_on(facts::look_at(plan)).unwrap_or_else(|error| {
            let _ = writeln!(io::stderr(), "mcr: {error:#}: checked as if there were no interfaces");
            Facts::default()
        })
    };
    let good = check::run(&asked.file, look, options, &mut io::stdout().lock())?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start")
}

fn start_log(format: LogFormat, debug_ebpf: bool) -> LogHandle {
    logging::start(format, if debug_ebpf { "info,relay_ebpf=debug" } else { "info" })
}
