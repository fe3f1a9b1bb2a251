//! How far it is, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tidewire_load::Progress;

/// One line on standard error; nothing where that is no terminal.
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{msg:<14} {bar:40} {prefix}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar }
    }

    pub fn show(&mut self, progress: Progress) {
        let (message, done, all, beside) = match progress {
            Progress::Opening { open, wanted } => ("connecting", open as u64, wanted as u64, format!("{open} of {wanted}")),
            Progress::WarmingUp => ("warming up", 0, 1, String::new()),
            Progress::Settling => ("looking at the memory", 0, 1, String::new()),
            Progress::Measuring { elapsed, length, count } => {
                let rate = count as f64 / elapsed.max(Duration::from_millis(1)).as_secs_f64();
                ("measuring", milliseconds(elapsed), milliseconds(length), format!("{rate:.0} per second"))
            }
        };
        self.bar.set_message(message);
        self.bar.set_prefix(beside);
        self.bar.set_length(all);
        self.bar.set_position(done.min(all));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
