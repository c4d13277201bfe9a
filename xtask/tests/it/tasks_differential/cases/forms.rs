//! Every form of a value, and keys that nobody knows.

use super::same;
use crate::tasks_differential::Tree;

pub(super) fn trees() -> Vec<Tree> {
    vec![
        same(
            "install_crate: every form",
            "=== Makefile.toml
@fast
[tasks.a]
install_crate = false
[tasks.b]
install_crate = 'cargo-x'
install_crate_args = ['--locked']
[tasks.c]
install_crate = { crate_name = 'x', binary = 'x', test_arg = '--help' }
[tasks.d]
install_crate = { crate_name = 'x', rustup_component_name = 'y', binary = 'x', test_arg = ['a', 'b'], min_version = '1', version = '2', install_command = 'c', force = false }
[tasks.e]
install_crate = { rustup_component_name = 'y', binary = 'x', test_arg = '--help' }
[tasks.f]
install_crate = { min_version = '1.0' }
[tasks.g]
install_crate = { crate_name = 'x', binary = 'not enough for the long form' }
[tasks.h]
install_crate = {}
",
        ),
        same(
            "condition: every key",
            "=== Makefile.toml
@fast
[tasks.a]
command = 'a'
condition_script = 'exit 0'
condition_script_runner_args = ['-x']
[tasks.a.condition]
condition_type = 'GroupOr'
fail_message = 'no'
profiles = ['p']
os = ['linux']
platforms = ['linux']
channels = ['stable']
env_set = ['A']
env_not_set = ['B']
env = { C = '1' }
env_not = { D = '1' }
env_true = ['E']
env_false = ['F']
env_contains = { G = '1' }
rust_version = { min = '1', max = '2', equal = '3' }
files_exist = ['x']
files_not_exist = ['y']
files_modified = { input = ['a'], output = ['b'] }
",
        ),
        same(
            "every other field",
            "=== Makefile.toml
@fast
[tasks.a]
deprecated = true
watch = true
ignore_errors = true
force = true
cwd = 'x'
env_files = ['x', { path = 'y' }]
toolchain = 'nightly'
plugin = 'p'
workspace = true
[tasks.b]
deprecated = 'use a'
watch = { version = '1', postpone = true, ignore_pattern = ['a', 'b'], no_git_ignore = true, why = false, watch = ['x'] }
toolchain = { channel = 'stable', min_version = '1.70' }
[tasks.c]
watch = { ignore_pattern = 'a' }
",
        ),
        same(
            "keys that nobody knows are left out, also within",
            "=== Makefile.toml
unknown = 1
@fast
unknown = 1
[tasks.a]
command = 'a'
unknown = 1
commnad = 'b'
[tasks.a.linux]
unknown = 1
alias = 'x'
[tasks.b]
run_task = { name = 'a', paralel = true }
dependencies = [{ name = 'a', unknown = 1 }]
install_crate = { crate_name = 'x', unknown = 1 }
script = { mian = 'x' }
[other]
x = 1
",
        ),
        same(
            "names with odd characters",
            "=== Makefile.toml
@fast
[tasks.\"a b\"]
command = 'a'
[tasks.'x::y']
extend = 'a b'
[tasks.\"é\\\"q\\\"\"]
command = 'tab\\t and \\\\ and \"q\"'
args = [\"line\\nline\", \"\\u00e9\"]
[tasks.empty-args]
args = []
",
        ),
        same(
            "tables of every form",
            "=== Makefile.toml
tasks.dotted.command = 'a'
tasks.dotted.env.A = '1'
tasks.dotted.linux.args = ['x']
[config]
skip_core_tasks = true
skip_git_env_info = true
skip_rust_env_info = true
skip_crate_env_info = true
[tasks.header]
command = 'h'
[tasks.header.env]
B = '2'
[[tasks.header.dependencies]]
name = 'dotted'
",
        ),
    ]
}
