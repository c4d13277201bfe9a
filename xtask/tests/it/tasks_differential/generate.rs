//! Trees by chance, the same for the same seed: files that extend each other in a row or as lists, and
//! tasks over the same few names. Names refer to lesser ones only, so that nothing leads in a circle.

use super::{Expected, Tree};

/// xorshift64*: good enough to pick, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(mixed).unwrap() % below
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.next(n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.next(from.len())]
    }
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Keys and what they may be.
const FIELDS: [(&str, &[&str]); 18] = [
    ("clear", &["true", "false"]),
    ("description", &["'one'", "'two'"]),
    ("category", &["'C'", "'D'"]),
    ("private", &["true", "false"]),
    ("command", &["'echo'", "'${X}'"]),
    ("args", &["[]", "['x']", "['x', 'y']"]),
    (
        "script",
        &[
            "'s'",
            "['s', 't']",
            "{ pre = 'p' }",
            "{ main = 'm', post = 'q' }",
            "{ file = 'f' }",
        ],
    ),
    (
        "install_script",
        &["'s'", "{ pre = 'p' }", "{ main = 'm' }"],
    ),
    (
        "env",
        &[
            "{}",
            "{ A = '1' }",
            "{ A = '2', B = ['x'] }",
            "{ C = { unset = true } }",
        ],
    ),
    ("cwd", &["'x'", "'y'"]),
    (
        "condition",
        &[
            "{ env_set = ['X'] }",
            "{ platforms = ['linux'], env = { A = 'b' } }",
        ],
    ),
    ("ignore_errors", &["true"]),
    ("workspace", &["false"]),
    (
        "toolchain",
        &["'stable'", "{ channel = 'x', min_version = '1' }"],
    ),
    (
        "install_crate",
        &[
            "false",
            "'x'",
            "{ crate_name = 'x', binary = 'b', test_arg = 't' }",
        ],
    ),
    ("env_files", &["['x']", "[{ path = 'y', profile = 'z' }]"]),
    ("watch", &["true", "{ watch = ['x'] }"]),
    ("deprecated", &["true", "'no'"]),
];

/// Those that a platform's override does not have.
const NOT_THERE: [&str; 3] = ["description", "category", "workspace"];

fn task(random: &mut Random, at: usize, text: &mut String) {
    let name = NAMES[at];
    text.push_str(&format!("[tasks.{name}]\n"));
    let override_too = random.one_in(3);
    fields(random, at, false, text);
    if override_too {
        let platform = random.pick(&["linux", "linux", "windows", "mac"]);
        text.push_str(&format!("[tasks.{name}.{platform}]\n"));
        fields(random, at, true, text);
    }
}

fn fields(random: &mut Random, at: usize, platform: bool, text: &mut String) {
    for (key, values) in FIELDS {
        let rare = if key == "clear" { 9 } else { 4 };
        if random.one_in(rare) && !(platform && NOT_THERE.contains(&key)) {
            text.push_str(&format!("{key} = {}\n", random.pick(values)));
        }
    }
    if at == 0 {
        return;
    }
    let lesser = &NAMES[..at];
    if random.one_in(3) {
        text.push_str(&format!("extend = '{}'\n", random.pick(lesser)));
    }
    if random.one_in(4) {
        let (one, two) = (random.pick(lesser), random.pick(lesser));
        text.push_str(&format!("dependencies = ['{one}', {{ name = '{two}' }}]\n"));
    }
    if random.one_in(5) {
        text.push_str(&format!("run_task = '{}'\n", random.pick(lesser)));
    }
    if !platform && random.one_in(10) {
        let key = random.pick(&["alias", "linux_alias", "mac_alias"]);
        text.push_str(&format!("{key} = '{}'\n", random.pick(lesser)));
    }
}

fn extend(random: &mut Random, files: &[&str], text: &mut String) {
    match (files, random.next(3)) {
        ([], _) => {}
        (files, 0) => {
            text.push_str(&format!("extend = '{}'\n", random.pick(files)));
        }
        (files, 1) => {
            let path = random.pick(files);
            text.push_str(&format!(
                "extend = {{ path = '{path}', optional = true }}\n"
            ));
        }
        (files, _) => {
            let (one, two) = (random.pick(files), random.pick(files));
            text.push_str(&format!(
                "extend = [{{ path = '{one}' }}, {{ path = 'none', optional = true }}, {{ path = '{two}' }}]\n"
            ));
        }
    }
}

pub(super) fn tree(seed: u64) -> Tree {
    let mut random = Random((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut files = String::new();
    const FILES: [&str; 4] = ["Makefile.toml", "w.toml", "x.toml", "y.toml"];
    for (n, file) in FILES.iter().enumerate() {
        files.push_str(&format!("=== {file}\n"));
        // The least of them defines every name.
        let least = n + 1 == FILES.len();
        if n == 0 {
            let path = random.pick(&FILES[1..3]);
            files.push_str(&format!(
                "extend = [{{ path = '{path}' }}, {{ path = 'y.toml' }}, {{ path = '{}' }}]\n",
                random.pick(&FILES[1..3])
            ));
        } else {
            extend(&mut random, &FILES[n + 1..], &mut files);
        }
        if least {
            files.push_str(
                "[config]\nskip_core_tasks = true\nskip_git_env_info = true\n\
                 skip_rust_env_info = true\nskip_crate_env_info = true\n",
            );
        }
        files.push_str("[env]\n");
        for name in ["K", "L", "M"] {
            if random.one_in(2) {
                let value = random.pick(&[
                    "'1'",
                    "'${N}'",
                    "{ value = '2', condition = { env_set = ['K'] } }",
                    "['a', '${N}']",
                    "{ unset = true }",
                ]);
                files.push_str(&format!("{name} = {value}\n"));
            }
        }
        if random.one_in(2) {
            files.push_str(&format!(
                "[env.prof]\nP{} = 'x'\nQ = '{n}'\n",
                random.next(3)
            ));
        }
        for at in 0..NAMES.len() {
            if least || random.one_in(2) {
                task(&mut random, at, &mut files);
            }
        }
    }
    Tree {
        name: format!("seed {seed}"),
        files,
        directory: "",
        under: None,
        expected: Expected::Same,
    }
}
