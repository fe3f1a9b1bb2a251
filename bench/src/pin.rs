//! `pin`: runs a program under the conditions of a measurement.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Parser;
use rustix::process::Signal;
use rustix::thread::CpuSet;

/// Runs a program on one core or some, with room for many sockets, until it or its parent ends
#[derive(Debug, Parser)]
#[command(name = "pin")]
pub struct Options {
    /// The core's number; more with commas between
    #[arg(long, value_delimiter = ',')]
    core: Vec<usize>,
    /// The process that the program must not outlive
    #[arg(long)]
    parent: Option<i32>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    program: Vec<OsString>,
}

/// Becomes the program; comes back only with the reason why not.
///
/// # Errors
/// When the core, the parent or the program does not exist.
pub fn run(options: &Options) -> io::Result<()> {
    // Kept across execve: the kernel ends the program when the thread that started us does.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Some(parent) = options.parent
        && rustix::process::getppid().map(rustix::process::Pid::as_raw_nonzero).map(i32::from) != Some(parent)
    {
        return Err(io::Error::other("the parent is gone"));
    }
    let mut cores = CpuSet::new();
    for &core in &options.core {
        cores.set(core);
    }
    rustix::thread::sched_setaffinity(None, &cores)?;
    tidewire_load::limits::raise_descriptor_limit()?;
    let Some((program, arguments)) = options.program.split_first() else {
        return Err(io::Error::other("no program"));
    };
    Err(Command::new(program).args(arguments).exec())
}
