//! The Autobahn test suite on this machine: its program, wstest, is Python 2 code, and systems have no Python 2 any more.
//!
//! On Debian a PyPy of an older release is unpacked, never installed, into the target folder, with the two old libraries that it
//! wants; apt works there on sources and lists of its own, so the machine's stay as they are. The suite's packages come from pip.
//! Elsewhere `TIDEWIRE_PYTHON2` names a Python 2.7.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::needs;
use crate::process;
use crate::workspace::Workspace;

/// Names a Python 2.7 (or PyPy for it) to use instead of Debian's.
const OVERRIDE: &str = "TIDEWIRE_PYTHON2";
/// Debian's last release with a PyPy for Python 2, and the packages to unpack: interpreter, library, headers (one package has a part in
/// C), and what these are linked with.
const RELEASE: &str = "bullseye";
const PACKAGES: [&str; 5] = ["pypy", "pypy-lib", "pypy-dev", "libffi7", "libssl1.1"];
/// What must work in the interpreter.
const PROBE: &str = "import ssl, sys, zlib; assert sys.version_info[:2] == (2, 7)";

/// wstest, ready to run.
#[derive(Debug)]
pub struct Wstest {
    python: Python,
    site: PathBuf,
    launcher: PathBuf,
}

/// A Python 2.7, and the folders with its libraries.
#[derive(Debug)]
struct Python {
    program: PathBuf,
    libraries: Option<std::ffi::OsString>,
}

impl Python {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    fn works(&self) -> bool {
        process::works(self.command().args(["-c", PROBE]))
    }
}

impl Wstest {
    /// Finds it in the target folder, or puts it there.
    pub fn install(workspace: &Workspace) -> Result<Self> {
        let (source, folder) = (workspace.root.join("tests/conformance"), workspace.target.join("autobahn"));
        fs::create_dir_all(&folder).context(folder.display())?;
        let lock = folder.join("lock");
        let lock = File::create(&lock).context(lock.display())?;
        lock.lock().context("waiting for another setup")?;

        let python = python(&folder)?;
        let wstest = Self { python, site: folder.join("site"), launcher: source.join("wstest.py") };
        let (installer, requirements) = (source.join("installer.txt"), source.join("requirements.txt"));
        // Whatever this depends on is in it: a change of a version is a new installation.
        let wanted = [&installer, &requirements].map(|file| fs::read_to_string(file).context(file.display()));
        let [a, b] = wanted;
        let wanted = format!("{}\n{}{}", wstest.python.program.display(), a?, b?);
        let stamp = folder.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && wstest.works() {
            return Ok(wstest);
        }
        println!("setting up the Autobahn test suite in {}", folder.display());
        wstest.packages(&folder, &installer, &requirements)?;
        if !wstest.works() {
            let why = process::output(wstest.command().arg("--help")).err().map_or_else(String::new, |why| why.to_string());
            return Err(Failure::new(format!("the Autobahn test suite was installed and does not start: {why}")));
        }
        fs::write(&stamp, wanted).context(stamp.display())?;
        Ok(wstest)
    }

    /// A command that starts it.
    pub fn command(&self) -> Command {
        let mut command = self.python.command();
        command.arg("-u").arg(&self.launcher).env("AUTOBAHN_SITE", &self.site);
        command
    }

    fn works(&self) -> bool {
        process::works(self.command().arg("--help"))
    }

    /// Today's Python fetches an installer that runs on Python 2.7, and that one installs the suite.
    fn packages(&self, folder: &Path, installer: &Path, requirements: &Path) -> Result {
        needs::python()?;
        let today = folder.join("python3");
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&today))?;
        let boot = folder.join("installer");
        for folder in [&self.site, &boot] {
            remove(folder)?;
            let mut pip = Command::new(today.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]);
            pip.args(["--python-version", "2.7", "--implementation", "py", "--abi", "none", "--platform", "any"]);
            pip.args(["--only-binary", ":all:", "--target"]).arg(folder).arg("--requirement").arg(installer);
            process::run(&mut pip).context("pip must reach its package index")?;
        }
        let mut pip = self.python.command();
        pip.env("PYTHONPATH", &boot).env("PYTHONDONTWRITEBYTECODE", "1");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]);
        pip.args(["--no-deps", "--no-compile", "--no-build-isolation", "--no-use-pep517", "--upgrade"]);
        pip.arg("--target").arg(&self.site).arg("--requirement").arg(requirements);
        process::run(&mut pip).context("pip must reach its package index, and Twisted needs a C compiler")?;
        remove(&boot)?;
        remove(&today)
    }
}

/// A Python 2.7: the one that is named, or Debian's old PyPy.
fn python(folder: &Path) -> Result<Python> {
    if let Some(program) = std::env::var_os(OVERRIDE) {
        let python = Python { program: program.into(), libraries: None };
        let found = python.works();
        return if found { Ok(python) } else { Err(Failure::new(format!("{OVERRIDE} names no Python 2.7 with ssl and zlib"))) };
    }
    let root = folder.join("root");
    let libraries = [root.join("usr/lib"), root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))];
    let libraries = std::env::join_paths(libraries).context("the target folder's name")?;
    let python = Python { program: root.join("usr/lib/pypy/bin/pypy-c"), libraries: Some(libraries) };
    let complete = |python: &Python| python.works() && root.join("usr/lib/pypy/include/Python.h").is_file();
    if complete(&python) {
        return Ok(python);
    }
    println!("unpacking Debian {RELEASE}'s PyPy into {}", root.display());
    let elsewhere = format!("{OVERRIDE} may name a Python 2.7 instead");
    unpack(folder, &root).context(format_args!("no PyPy of Debian {RELEASE} ({elsewhere})"))?;
    if complete(&python) {
        Ok(python)
    } else {
        Err(Failure::new(format!("Debian {RELEASE}'s PyPy does not run here; {elsewhere}")))
    }
}

/// Fetches packages with an apt that knows nothing but one release of the machine's own mirror, and unpacks them.
fn unpack(folder: &Path, root: &Path) -> Result {
    if ["apt-get", "dpkg"].into_iter().any(|program| process::on_path(program).is_none()) {
        return Err(Failure::new("this is no Debian"));
    }
    let (apt, packages) = (folder.join("apt"), folder.join("apt/packages"));
    remove(&apt)?;
    for part in ["packages", "lists/partial", "cache/archives/partial", "sources.d"] {
        fs::create_dir_all(apt.join(part)).context(apt.display())?;
    }
    let sources = machine_sources()?;
    let source = Source::of(&sources).ok_or_else(|| Failure::new("the machine's apt sources name no Debian mirror"))?;
    let list = format!("deb [signed-by={}] {} {RELEASE} main\n", source.keyring, source.mirror);
    fs::write(apt.join("sources.list"), list).context(apt.display())?;
    let configuration = apt.join("apt.conf");
    fs::write(&configuration, apt_configuration(&apt)).context(apt.display())?;
    let get = || {
        let mut command = Command::new("apt-get");
        command.env("APT_CONFIG", &configuration).arg("--quiet=2").current_dir(&packages);
        command
    };
    process::run(get().arg("update"))?;
    process::run(get().arg("download").args(PACKAGES))?;
    for entry in fs::read_dir(&packages).context(packages.display())? {
        let package = entry.context(packages.display())?.path();
        process::run(Command::new("dpkg").arg("--extract").arg(package).arg(root))?;
    }
    remove(&apt)
}

/// Everything that apt keeps is under one folder, and only what is needed is fetched.
fn apt_configuration(apt: &Path) -> String {
    let apt = apt.display();
    format!(
        "Dir::Etc::sourcelist \"{apt}/sources.list\";\nDir::Etc::sourceparts \"{apt}/sources.d\";\nDir::State::Lists \"{apt}/lists\";\n\
         Dir::Cache \"{apt}/cache\";\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    )
}

/// The text of all files that say where the machine's packages come from.
fn machine_sources() -> Result<String> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir(folder) {
        files.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
    }
    let texts: Vec<_> =
        files.iter().filter(|file| file.is_file()).map(|file| fs::read_to_string(file).context(file.display())).collect();
    Ok(texts.into_iter().collect::<Result<Vec<_>>>()?.join("\n"))
}

/// Where Debian's packages come from, and who signs them.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    mirror: String,
    keyring: String,
}

impl Source {
    /// The first mirror of Debian itself among the machine's sources, in either of their forms.
    fn of(sources: &str) -> Option<Self> {
        let is_mirror = |word: &&str| word.trim_end_matches('/').ends_with("/debian");
        let mut fields = sources.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            matches!(words.next(), Some("URIs:" | "deb")).then_some(words)
        });
        let mirror = fields.find_map(|mut words| words.find(is_mirror))?;
        let mut words = sources.split(|c: char| c.is_whitespace() || "[]=,".contains(c));
        let keyring = words.find(|word| word.starts_with('/') && word.contains("debian-archive-keyring"));
        let keyring = keyring.unwrap_or("/usr/share/keyrings/debian-archive-keyring.gpg");
        Some(Self { mirror: mirror.to_owned(), keyring: keyring.to_owned() })
    }
}

fn remove(folder: &Path) -> Result {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(folder.display()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_of_the_machine_is_found_in_both_forms() {
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg".to_owned();
        let source = |mirror: &str| Some(Source { mirror: mirror.to_owned(), keyring: keyring.clone() });
        let fields = "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: x\n\nTypes: deb\n\
            # URIs: http://old.example/debian\nURIs: http://mirror.example/debian\nSuites: x\n\
            Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        assert_eq!(Source::of(fields), source("http://mirror.example/debian"));
        let lines = "# deb http://old.example/debian x main\ndeb [arch=amd64] https://mirror.example/debian/ x main\n\
            deb-src https://other.example/debian/ x main\n";
        assert_eq!(Source::of(lines), source("https://mirror.example/debian/"));
        assert_eq!(Source::of("deb http://mirror.example/ubuntu x main\n"), None);
        let signed = "deb [arch=amd64 signed-by=/etc/keys/debian-archive-keyring.asc] http://mirror.example/debian x main\n";
        assert_eq!(Source::of(signed).unwrap().keyring, "/etc/keys/debian-archive-keyring.asc");
    }

    #[test]
    fn apt_keeps_everything_in_its_folder() {
        let text = apt_configuration(Path::new("/here"));
        assert_eq!(text.matches("\"/here/").count(), 4, "{text}");
    }

    #[test]
    fn what_is_not_there_is_removed_already() {
        assert_eq!(remove(Path::new("no-such-folder")), Ok(()));
    }
}
