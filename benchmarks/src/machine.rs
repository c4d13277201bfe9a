//! What it was measured on: figures of another machine mean nothing here.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::lab::Lab;

/// A machine and the tools on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many threads it runs at once.
    pub cores: usize,
    /// Bytes of memory; 0 where that could not be told.
    pub memory: u64,
    /// The operating system.
    pub os: String,
    /// Its kernel.
    pub kernel: String,
    /// Tools: name and version.
    pub tools: Vec<(String, String)>,
    /// How many processes wanted to run, on average over the minute before the start: above 0, others
    /// were at work too. Absent where that could not be told.
    pub load: Option<f64>,
}

impl Machine {
    /// This machine. What it does not tell stays empty.
    #[must_use]
    pub fn here(lab: &Lab) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let said = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args);
            xtask::proc::capture(&mut command).map(|text| text.trim().to_owned())
        };
        let sysctl = |name: &str| said("sysctl", &["-n", name]).unwrap_or_default();
        let linux = cfg!(target_os = "linux");
        let cpu = if linux {
            cpu_model(&read("/proc/cpuinfo")).unwrap_or_default()
        } else if cfg!(windows) {
            std::env::var("PROCESSOR_IDENTIFIER").unwrap_or_default()
        } else {
            sysctl("machdep.cpu.brand_string")
        };
        let memory = if linux {
            memory(&read("/proc/meminfo")).unwrap_or_default()
        } else {
            sysctl("hw.memsize").parse().unwrap_or_default()
        };
        let os = os_name(&read("/etc/os-release")).unwrap_or_else(|| std::env::consts::OS.into());
        let tools = [
            ("rustc", lab.version("rustc", &["--version"])),
            ("cargo-make", lab.version("cargo", &["make", "--version"])),
            ("just", lab.version("just", &["--version"])),
            ("bash", lab.version("bash", &["--version"])),
            ("postgres", lab.version("postgres", &["--version"])),
        ];
        Machine {
            cpu,
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            memory,
            os,
            kernel: said("uname", &["-sr"]).unwrap_or_default(),
            tools: tools
                .into_iter()
                .filter_map(|(name, version)| Some((name.to_owned(), version?)))
                .collect(),
            load: load(&read("/proc/loadavg")),
        }
    }

    /// Whether two descriptions are of one machine with one set of tools, however busy it was.
    #[must_use]
    pub fn same_as(&self, other: &Machine) -> bool {
        let idle = |machine: &Machine| Machine {
            load: None,
            ..machine.clone()
        };
        idle(self) == idle(other)
    }

    /// One paragraph.
    #[must_use]
    pub fn markdown(&self) -> String {
        let tools: Vec<String> = self
            .tools
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let gib = self.memory as f64 / f64::from(1 << 30);
        let mut text = format!(
            "{}, {} cores, {gib:.0} GiB of memory, {}, {}; {}.",
            self.cpu,
            self.cores,
            self.os,
            self.kernel,
            tools.join(", ")
        );
        if let Some(load) = self.load {
            text.push_str(&format!(" Load before the start: {load:.1}."));
        }
        text.push('\n');
        text
    }
}

fn field<'a>(text: &'a str, name: &str, separator: char) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(separator)?;
        (key.trim() == name).then_some(value.trim())
    })
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    field(cpuinfo, "model name", ':').map(str::to_owned)
}

fn memory(meminfo: &str) -> Option<u64> {
    let kib: u64 = field(meminfo, "MemTotal", ':')?
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()?;
    Some(kib * 1024)
}

fn os_name(os_release: &str) -> Option<String> {
    field(os_release, "PRETTY_NAME", '=').map(|name| name.trim_matches('"').to_owned())
}

fn load(loadavg: &str) -> Option<f64> {
    loadavg.split(' ').next()?.parse().ok()
}

/// 1.95.0 of `rustc 1.95.0 (59807616e 2026-04-14)`.
#[must_use]
pub fn version_in(text: &str) -> Option<String> {
    text.split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(|word| word.split('(').next().unwrap_or(word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A: B 7\nflags\t: x\n";
        assert_eq!(cpu_model(cpuinfo).as_deref(), Some("A: B 7"));
        assert_eq!(memory("MemTotal:       2048 kB\n"), Some(2 << 20));
        assert_eq!(memory("MemFree: 1 kB\n"), None);
        assert_eq!(
            os_name("NAME=x\nPRETTY_NAME=\"An OS 12\"\n").as_deref(),
            Some("An OS 12")
        );
        assert_eq!(load("1.25 0.80 0.60 2/300 4242\n"), Some(1.25));
    }

    #[test]
    fn a_version_is_the_first_dotted_number() {
        for (text, version) in [
            ("rustc 1.95.0 (59807616e 2026-04-14)", Some("1.95.0")),
            (
                "GNU bash, version 5.2.15(1)-release (x86_64)",
                Some("5.2.15"),
            ),
            ("just", None),
        ] {
            assert_eq!(version_in(text).as_deref(), version, "{text}");
        }
    }

    #[test]
    fn a_busier_machine_is_the_same_machine() {
        let quiet = Machine {
            cpu: "x".into(),
            ..Machine::default()
        };
        let busy = Machine {
            load: Some(3.0),
            ..quiet.clone()
        };
        assert!(quiet.same_as(&busy));
        assert!(!quiet.same_as(&Machine::default()));
        assert!(busy.markdown().contains("Load before the start: 3.0."));
    }
}
