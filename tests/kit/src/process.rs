//! What a process uses, as Linux counts it.

use std::fs;
use std::io;

/// Resident bytes of this process (`VmRSS`).
///
/// # Errors
/// Where there is no `/proc`.
pub fn resident_bytes() -> io::Result<u64> {
    resident("self")
}

/// Resident bytes of another process.
///
/// # Errors
/// When it does not exist, or where there is no `/proc`.
pub fn resident_bytes_of(pid: u32) -> io::Result<u64> {
    resident(&pid.to_string())
}

/// How many descriptors this process has open.
///
/// # Errors
/// Where there is no `/proc`.
pub fn open_descriptors() -> io::Result<usize> {
    // The directory that is being read is one of them.
    Ok(descriptors("self")?.saturating_sub(1))
}

/// How many descriptors another process has open.
///
/// # Errors
/// When it does not exist, may not be looked into, or where there is no `/proc`.
pub fn open_descriptors_of(pid: u32) -> io::Result<usize> {
    descriptors(&pid.to_string())
}

fn resident(process: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    let kilobytes: u64 = kilobytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "there is no VmRSS"))?;
    Ok(kilobytes * 1024)
}

fn descriptors(process: &str) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_is_resident() {
        const SIZE: usize = 64 << 20;
        let before = resident_bytes().unwrap();
        let touched = std::hint::black_box(vec![1_u8; SIZE]);
        let after = resident_bytes_of(std::process::id()).unwrap();
        assert!(after > before + SIZE as u64 / 2, "{before} -> {after}");
        drop(touched);
    }

    #[test]
    fn open_files_are_counted() {
        // Other tests of this process open files as well, so only a lower bound is certain.
        let files: Vec<_> = (0..100).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(open_descriptors().unwrap() >= 100);
        assert!(open_descriptors_of(std::process::id()).unwrap() >= 100);
        drop(files);
    }
}
