//! Trees by hand: one for each piece of cargo-make's semantics.

use xtask::makefile::ProblemKind;

use super::{Expected, Tree};

/// `@fast` in a file: the `[config]` with which cargo-make starts quickly, open for more keys.
const FAST: &str = "[config]
skip_core_tasks = true
skip_git_env_info = true
skip_rust_env_info = true
skip_crate_env_info = true";

/// Without `skip_core_tasks`.
const QUICK: &str = "[config]
skip_git_env_info = true
skip_rust_env_info = true
skip_crate_env_info = true";

fn tree(name: &str, expected: Expected, files: &str) -> Tree {
    Tree {
        name: name.to_owned(),
        files: files.replace("@fast", FAST).replace("@quick", QUICK),
        directory: "",
        expected,
    }
}

fn same(name: &str, files: &str) -> Tree {
    tree(name, Expected::Same, files)
}

fn within(name: &str, directory: &'static str, files: &str) -> Tree {
    Tree {
        directory,
        ..same(name, files)
    }
}

fn refused(name: &str, kind: ProblemKind, files: &str) -> Tree {
    tree(name, Expected::Refused(kind), files)
}

fn no_plan(name: &str, task: &'static str, files: &str) -> Tree {
    tree(name, Expected::NoPlan(task), files)
}

pub(super) fn trees() -> Vec<Tree> {
    let mut all = extends();
    all.extend(sections());
    all.extend(tasks());
    all.extend(core());
    all.extend(forms());
    all.extend(faults());
    all
}

fn extends() -> Vec<Tree> {
    vec![
        same(
            "extend: a string",
            "=== Makefile.toml
extend = 'shared/base.toml'
@fast
[tasks.a]
command = 'own'
=== shared/base.toml
[tasks.a]
command = 'base'
args = ['x']
[tasks.b]
script = 'echo b'
",
        ),
        same(
            "extend: a table",
            "=== Makefile.toml
extend = { path = 'base.toml' }
@fast
=== base.toml
[tasks.a]
command = 'base'
",
        ),
        same(
            "extend: an optional file that is not there",
            "=== Makefile.toml
extend = { path = 'none.toml', optional = true }
@fast
[tasks.a]
command = 'own'
",
        ),
        same(
            "extend: an optional directory",
            "=== Makefile.toml
extend = { path = 'sub', optional = true }
@fast
[tasks.a]
command = 'own'
=== sub/x
",
        ),
        same(
            "extend: of a list the later wins, and the file over all",
            "=== Makefile.toml
extend = [{ path = 'one.toml' }, { path = 'two.toml' }]
@fast
[tasks.a]
cwd = 'own'
=== one.toml
[config]
init_task = 'one'
end_task = 'one'
[tasks.a]
command = 'one'
args = ['one']
cwd = 'one'
[tasks.one]
command = 'one'
=== two.toml
[config]
init_task = 'two'
[tasks.a]
command = 'two'
[tasks.two]
command = 'two'
",
        ),
        same(
            "extend: an empty list",
            "=== Makefile.toml
extend = []
@fast
[tasks.a]
command = 'own'
",
        ),
        same(
            "extend: a list with an optional one between",
            "=== Makefile.toml
extend = [{ path = 'one.toml' }, { path = 'none.toml', optional = true }, { path = 'sub/two.toml', optional = true }]
@fast
=== one.toml
[tasks.a]
command = 'one'
=== sub/two.toml
[tasks.a]
command = 'two'
",
        ),
        same(
            "extend: of a table's array, three values are its three fields",
            "=== Makefile.toml
extend = ['none.toml', true, 'makefile']
@fast
[tasks.a]
command = 'a'
",
        ),
        same(
            "extend: an array of tables with headers",
            "=== Makefile.toml
[[extend]]
path = 'one.toml'
[[extend]]
path = 'two.toml'
@fast
=== one.toml
[tasks.a]
command = 'one'
args = ['1']
=== two.toml
[tasks.a]
command = 'two'
",
        ),
        same(
            "extend: nested, each relative to its own file",
            "=== Makefile.toml
extend = 'x/one.toml'
@fast
[tasks.a]
description = 'own'
=== x/one.toml
extend = 'y/two.toml'
[tasks.a]
command = 'one'
=== x/y/two.toml
extend = '../../three.toml'
[tasks.a]
args = ['two']
=== three.toml
[tasks.a]
category = 'three'
[tasks.b]
command = 'three'
",
        ),
        same(
            "extend: a diamond",
            "=== Makefile.toml
extend = [{ path = 'left.toml' }, { path = 'right.toml' }]
@fast
=== left.toml
extend = 'base.toml'
[tasks.a]
command = 'left'
=== right.toml
extend = 'base.toml'
[tasks.b]
command = 'right'
=== base.toml
[tasks.a]
command = 'base'
args = ['base']
[tasks.b]
command = 'base'
",
        ),
        within(
            "extend: upwards from a member",
            "crates/one",
            "=== crates/one/Makefile.toml
extend = '../../cargo-make/base.toml'
[env]
CRATE = 'one'
[tasks]
build = { extend = 'base-build', private = false }
=== cargo-make/base.toml
extend = 'config.toml'
[tasks.base-build]
private = true
command = 'cargo'
args = ['build', '${CRATE}']
=== cargo-make/config.toml
@fast
",
        ),
        within(
            "extend: relative to the git root",
            "crates/one",
            "=== .git/HEAD
=== crates/one/Makefile.toml
extend = { path = 'shared.toml', relative = 'git' }
@fast
=== shared.toml
[tasks.a]
command = 'git'
",
        ),
        within(
            "extend: relative to the crate",
            "crates/one/inner",
            "=== crates/one/Cargo.toml
=== crates/one/inner/Makefile.toml
extend = { path = 'shared.toml', relative = 'crate' }
@fast
=== crates/one/shared.toml
[tasks.a]
command = 'crate'
",
        ),
        within(
            "extend: relative to the workspace, one directory up",
            "one",
            "=== Cargo.toml
=== one/Cargo.toml
=== one/Makefile.toml
extend = { path = 'shared.toml', relative = 'workspace' }
@fast
=== shared.toml
[tasks.a]
command = 'workspace'
",
        ),
        within(
            "extend: relative to the workspace, two directories up, is the crate",
            "crates/one",
            "=== Cargo.toml
=== crates/one/Cargo.toml
=== crates/one/Makefile.toml
extend = { path = 'shared.toml', relative = 'workspace' }
@fast
=== crates/one/shared.toml
[tasks.a]
command = 'crate'
=== shared.toml
[tasks.a]
command = 'workspace'
",
        ),
        within(
            "extend: relative in a file that is reached by `..`",
            "crates/one",
            "=== Cargo.toml
=== crates/Cargo.toml
=== crates/one/Makefile.toml
extend = '../../shared/a.toml'
@fast
=== shared/a.toml
extend = { path = 'b.toml', relative = 'crate', optional = true }
[tasks.a]
command = 'a'
=== b.toml
[tasks.b]
command = 'root'
=== crates/b.toml
[tasks.b]
command = 'crates'
",
        ),
        same(
            "extend: an unknown `relative` is the makefile's",
            "=== Makefile.toml
extend = { path = 'base.toml', relative = 'cwd' }
@fast
=== base.toml
[tasks.a]
command = 'base'
",
        ),
    ]
}

fn sections() -> Vec<Tree> {
    vec![
        same(
            "config: key by key",
            "=== Makefile.toml
extend = 'base.toml'
@fast
on_error_task = 'own'
additional_profiles = ['a']
[tasks.own]
command = 'own'
=== base.toml
[config]
on_error_task = 'base'
additional_profiles = ['b', 'c']
default_to_workspace = false
min_version = '0.30.0'
reduce_output = true
time_summary = true
main_project_member = 'x'
disable_install = true
",
        ),
        same(
            "config: features add up",
            "=== Makefile.toml
extend = 'base.toml'
@fast
unstable_features = ['CTRL_C_HANDLING']
=== base.toml
[config]
unstable_features = ['CTRL_C_HANDLING']
",
        ),
        same(
            "config: a load script in sections",
            "=== Makefile.toml
extend = 'base.toml'
@fast
windows_load_script = { main = 'own' }
=== base.toml
[config]
windows_load_script = { pre = 'base', main = 'base' }
mac_load_script = ['a', 'b']
",
        ),
        same(
            "env: values of every form",
            "=== Makefile.toml
@fast
[env]
TEXT = 'a'
FLAG = true
NUMBER = -4
LIST = ['a', 'b']
UNSET = { unset = true }
SCRIPT = { script = ['echo x'], multi_line = true }
DEPENDS = { script = ['echo $X'], depends_on = ['TEXT'] }
DECODE = { source = '${TEXT}', default_value = 'd', mapping = { a = 'b' } }
CONDITION = { value = '${TEXT}', condition = { env_not_set = ['X'], platforms = ['linux'] } }
GLOB = { glob = './*.x', include_files = true, include_dirs = false, ignore_type = 'git' }
[env.production]
TEXT = 'p'
[tasks.a]
command = 'a'
",
        ),
        same(
            "env: a table that is none of the forms is a profile",
            "=== Makefile.toml
@fast
[env]
ODD = { script = 'echo x' }
[env.other]
A = { value = 'x', more = 'y' }
[tasks.a]
command = 'a'
",
        ),
        same(
            "env: merged name by name, profiles too",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[env]
A = 'own'
[env.production]
P = 'own'
=== base.toml
[env]
A = 'base'
B = { value = 'base', condition = { profiles = ['production'] } }
[env.production]
P = 'base'
Q = 'base'
[env.development]
D = 'base'
[tasks.a]
command = 'a'
",
        ),
        same(
            "env: a profile over a value, and a value over a profile",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[env]
one = 'value'
[env.two]
A = '1'
=== base.toml
[env]
two = 'value'
[env.one]
A = '1'
[tasks.a]
command = 'a'
",
        ),
        same(
            "env: names that read each other in a row",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[env]
A = '${B}'
PATH = '${PATH}:x'
=== base.toml
[env]
B = '${C}'
C = 'c'
[tasks.a]
command = '${A}'
",
        ),
        same(
            "env: cargo-make's own names keep the least",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[env]
CARGO_MAKE_CURRENT_TASK_X = 'own'
CARGO_MAKE_CURRENT_TASK_Y = 'own'
=== base.toml
[env]
CARGO_MAKE_CURRENT_TASK_X = 'base'
[tasks.a]
command = 'a'
",
        ),
        same(
            "env files and scripts: the file's before what it extends",
            "=== Makefile.toml
extend = [{ path = 'one.toml' }, { path = 'sub/two.toml' }]
env_files = ['own.env', { path = 'more.env', profile = 'x', defaults_only = true }]
env_scripts = ['echo own']
@fast
=== one.toml
env_files = ['one.env']
env_scripts = ['echo one']
=== sub/two.toml
env_files = [{ path = 'two.env', base_path = 'other' }, 'three.env']
env_scripts = ['echo two', 'echo three']
[tasks.a]
command = 'a'
=== own.env
=== one.env
=== two.env
=== three.env
=== other/two.env
=== sub/three.env
",
        ),
        same(
            "plugins: names and aliases",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[plugins.aliases]
x = 'own'
[plugins.impl.own]
script = 'echo own'
=== base.toml
[plugins.aliases]
x = 'base'
y = 'base'
[plugins.impl.own]
script = 'echo base'
[plugins.impl.base]
script = 'echo base'
[tasks.a]
plugin = 'x'
command = 'a'
",
        ),
        same(
            "no task file at all",
            "=== x/y
",
        ),
        same(
            "an empty file",
            "=== Makefile.toml
",
        ),
    ]
}

fn tasks() -> Vec<Tree> {
    vec![
        same(
            "task: field by field over a file",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[tasks.a]
args = ['own']
description = 'own'
private = false
dependencies = []
=== base.toml
[tasks.a]
command = 'base'
args = ['base', 'more']
category = 'base'
private = true
cwd = 'base'
dependencies = ['b']
[tasks.b]
command = 'b'
",
        ),
        same(
            "task: clear over a file",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[tasks.a]
clear = true
script = 'own'
[tasks.b]
clear = false
script = 'own'
=== base.toml
[tasks.a]
command = 'base'
description = 'base'
env = { A = '1' }
[tasks.b]
command = 'base'
description = 'base'
env = { A = '1' }
",
        ),
        same(
            "task: clear stays, and clears again",
            "=== Makefile.toml
extend = [{ path = 'one.toml' }, { path = 'two.toml' }]
@fast
=== one.toml
[tasks.a]
command = 'one'
description = 'one'
[tasks.c]
command = 'one'
extend = 'd'
[tasks.d]
args = ['d']
=== two.toml
extend = 'three.toml'
[tasks.a]
args = ['two']
=== three.toml
[tasks.a]
clear = true
command = 'three'
[tasks.c]
clear = true
",
        ),
        same(
            "task: env is replaced as a whole, also by none",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[tasks.a]
env = { B = '2' }
[tasks.b]
command = 'own'
[tasks.c]
env = {}
=== base.toml
[tasks.a]
env = { A = '1' }
[tasks.b]
env = { A = '1' }
[tasks.c]
env = { A = '1' }
",
        ),
        same(
            "task extend: env is replaced, and kept where there is none",
            "=== Makefile.toml
@fast
[tasks.base]
env = { A = '1' }
[tasks.none]
extend = 'base'
[tasks.some]
extend = 'base'
env = { B = '2' }
[tasks.empty]
extend = 'base'
env = {}
[tasks.cleared]
extend = 'base'
clear = true
",
        ),
        same(
            "task extend: private is inherited",
            "=== Makefile.toml
@fast
[tasks.base]
private = true
command = 'x'
[tasks.hidden]
extend = 'base'
[tasks.seen]
extend = 'base'
private = false
",
        ),
        same(
            "task extend: three deep, with fields from each",
            "=== Makefile.toml
@fast
[tasks.one]
command = 'one'
description = 'one'
install_crate = false
[tasks.two]
extend = 'one'
args = ['two']
category = 'two'
[tasks.three]
extend = 'two'
description = 'three'
[tasks.four]
extend = 'three'
clear = true
args = ['four']
",
        ),
        same(
            "task extend: through an alias",
            "=== Makefile.toml
@fast
[tasks.real]
command = 'real'
[tasks.other]
alias = 'real'
description = 'nobody sees it'
[tasks.user]
extend = 'other'
",
        ),
        same(
            "task extend: over two files",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[tasks.a]
description = 'own'
[tasks.base]
args = ['changed']
=== base.toml
[tasks.base]
command = 'base'
args = ['base']
[tasks.a]
extend = 'base'
category = 'base'
",
        ),
        same(
            "task extend: an extend replaced",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[tasks.a]
extend = 'two'
=== base.toml
[tasks.one]
command = 'one'
cwd = 'one'
[tasks.two]
command = 'two'
[tasks.a]
extend = 'one'
args = ['a']
",
        ),
        same(
            "scripts: sections merge part by part",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[tasks.a]
script = { main = 'own' }
[tasks.b]
script = 'plain does not replace sections'
[tasks.c]
script = { post = 'sections replace plain' }
[tasks.d]
extend = 'a'
script = { post = 'd' }
[tasks.e]
clear = true
script = { post = 'e' }
[tasks.f]
install_script = { pre = 'own' }
=== base.toml
[tasks.a]
script = { pre = 'base', main = 'base' }
[tasks.b]
script = { pre = 'base' }
[tasks.c]
script = ['plain']
[tasks.e]
script = { pre = 'base' }
[tasks.f]
install_script = { pre = 'base', post = 'base' }
",
        ),
        same(
            "scripts: every form",
            "=== Makefile.toml
@fast
[tasks.text]
script = '''
echo a
echo b
'''
[tasks.lines]
script = ['echo a', 'echo b']
script_runner = '@duckscript'
script_runner_args = ['-x']
script_extension = 'ds'
[tasks.file]
script = { file = 'x.sh', absolute_path = true }
[tasks.short]
script = { file = 'x.sh' }
[tasks.sections]
script = { pre = 'a', main = 'b', post = 'c' }
[tasks.nothing]
script = {}
",
        ),
        same(
            "alias: of this and other platforms",
            "=== Makefile.toml
@fast
[tasks.real]
command = 'real'
[tasks.linux-only]
command = 'linux'
[tasks.one]
alias = 'real'
[tasks.two]
linux_alias = 'linux-only'
mac_alias = 'real'
windows_alias = 'real'
alias = 'real'
[tasks.three]
alias = 'two'
[tasks.four]
windows_alias = 'nowhere'
command = 'four'
",
        ),
        same(
            "alias: also with a body of its own",
            "=== Makefile.toml
@fast
[tasks.real]
command = 'real'
[tasks.one]
alias = 'real'
command = 'never'
dependencies = ['nowhere']
private = true
",
        ),
        same(
            "platform: fields over the task's",
            "=== Makefile.toml
@fast
[tasks.a]
command = 'all'
args = ['all']
description = 'all'
env = { A = '1' }
[tasks.a.linux]
command = 'linux'
[tasks.a.windows]
command = 'windows'
[tasks.b]
command = 'all'
env = { A = '1' }
[tasks.b.linux]
env = { B = '2' }
[tasks.c]
command = 'all'
[tasks.c.mac]
command = 'mac'
dependencies = ['nowhere']
",
        ),
        same(
            "platform: clear keeps description, category, workspace",
            "=== Makefile.toml
@fast
[tasks.a]
command = 'all'
args = ['all']
description = 'all'
category = 'all'
workspace = false
private = true
env = { A = '1' }
[tasks.a.linux]
clear = true
script = 'linux'
",
        ),
        same(
            "platform: an extend only there",
            "=== Makefile.toml
@fast
[tasks.base]
command = 'base'
args = ['base']
[tasks.base.linux]
args = ['linux']
[tasks.a]
description = 'a'
[tasks.a.linux]
extend = 'base'
[tasks.b]
extend = 'base'
linux = { command = 'b' }
",
        ),
        same(
            "platform: replaced as a whole by a file",
            "=== Makefile.toml
extend = 'base.toml'
@fast
[tasks.a.linux]
args = ['own']
=== base.toml
[tasks.a]
command = 'base'
[tasks.a.linux]
command = 'linux'
args = ['linux']
",
        ),
        same(
            "dependencies: every form",
            "=== Makefile.toml
@fast
[tasks.a]
dependencies = ['b', { name = 'c' }, { name = 'd', path = 'sub' }, { name = 'e', path = 'sub' }, 'b']
[tasks.b]
command = 'b'
[tasks.c]
dependencies = ['b']
=== sub/Makefile.toml
[tasks.d]
command = 'd'
",
        ),
        same(
            "dependencies: a disabled task has none",
            "=== Makefile.toml
@fast
[tasks.a]
dependencies = ['b', 'c']
[tasks.b]
disabled = true
dependencies = ['nowhere']
[tasks.c]
extend = 'd'
disabled = false
[tasks.d]
disabled = true
command = 'd'
",
        ),
        same(
            "run_task: every form",
            "=== Makefile.toml
@fast
[tasks.a]
run_task = 'b'
[tasks.b]
run_task = { name = 'c' }
[tasks.c]
run_task = { name = ['d', 'e'], fork = true, parallel = true, cleanup_task = 'd' }
[tasks.d]
run_task = [{ name = 'e', condition = { platforms = ['mac'] } }, { name = ['e'], condition_script = ['exit 1'], condition_script_runner_args = ['-x'], fork = false }, { name = 'e' }]
[tasks.e]
command = 'e'
",
        ),
        same(
            "init and end: of the file's own",
            "=== Makefile.toml
@fast
init_task = 'mine'
end_task = 'off'
[tasks.mine]
command = 'mine'
[tasks.off]
disabled = true
[tasks.other]
alias = 'mine'
",
        ),
        same(
            "init and end: over cargo-make's",
            "=== Makefile.toml
@fast
[tasks.init]
command = 'mine'
[tasks.end]
extend = 'init'
[tasks.default]
alias = 'a'
[tasks.a]
command = 'a'
[tasks.empty]
private = true
",
        ),
    ]
}

fn core() -> Vec<Tree> {
    vec![
        same(
            "core tasks: all of them, underneath",
            "=== Makefile.toml
@quick
[tasks.mine]
command = 'mine'
",
        ),
        same(
            "core tasks: changed, with their env kept",
            "=== Makefile.toml
extend = 'base.toml'
@quick
[tasks.build]
args = ['build', '--mine']
[tasks.clean]
clear = true
script = 'mine'
[tasks.pre-build]
dependencies = ['mine']
[tasks.mine]
extend = 'test'
description = 'mine'
[tasks.docs]
env = { A = '1' }
=== base.toml
[tasks.build]
description = 'base'
[tasks.format]
disabled = true
",
        ),
        same(
            "core tasks: private",
            "=== Makefile.toml
@quick
modify_core_tasks = { private = true }
[tasks.mine]
extend = 'build'
private = false
",
        ),
        same(
            "core tasks: in a namespace",
            "=== Makefile.toml
@quick
modify_core_tasks = { namespace = 'core' }
[tasks.mine]
extend = 'core::build'
[tasks.default]
alias = 'core::default'
",
        ),
        same(
            "core tasks: a modification that modifies nothing leaves them out",
            "=== Makefile.toml
@quick
modify_core_tasks = { private = false, namespace = '' }
[tasks.mine]
command = 'mine'
",
        ),
        same(
            "core tasks: skipped by an extended file, and not skipped after all",
            "=== Makefile.toml
extend = 'base.toml'
[config]
skip_core_tasks = false
[tasks.mine]
command = 'mine'
=== base.toml
@fast
",
        ),
        same(
            "cargo aliases are tasks",
            "=== .cargo/config.toml
[alias]
mine = 'run --package mine'
b = ['build', '--release']
taken = 'x'
=== Makefile.toml
@quick
skip_core_tasks = false
load_cargo_aliases = true
[tasks.taken]
command = 'taken'
",
        ),
    ]
}

fn forms() -> Vec<Tree> {
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

fn faults() -> Vec<Tree> {
    use ProblemKind::{EnvCycle, Malformed, MissingExtend, WrongType};
    vec![
        refused("malformed", Malformed, "=== Makefile.toml\n[tasks\n"),
        refused(
            "the same key twice",
            Malformed,
            "=== Makefile.toml\n[tasks.a]\ncommand = 'a'\ncommand = 'b'\n",
        ),
        refused(
            "the same table twice",
            Malformed,
            "=== Makefile.toml\n[tasks.a]\n[tasks.a]\n",
        ),
        refused(
            "an inline table over lines",
            Malformed,
            "=== Makefile.toml\n[tasks]\na = {\n  command = 'a' }\n",
        ),
        refused(
            "a comma at the end of an inline table",
            Malformed,
            "=== Makefile.toml\n[tasks]\na = { command = 'a', }\n",
        ),
        refused(
            "an escape of a newer TOML",
            Malformed,
            "=== Makefile.toml\n[tasks.a]\ncommand = \"\\x41\"\n",
        ),
        same(
            "lines within an array within an inline table",
            "=== Makefile.toml\n@fast\n[tasks]\na = { args = [\n  'a',\n  'b',\n], script = '''\nx, }\n''' }\n",
        ),
        refused(
            "a missing file",
            MissingExtend,
            "=== Makefile.toml\nextend = 'none.toml'\n",
        ),
        refused(
            "a missing file, two deep",
            MissingExtend,
            "=== Makefile.toml\nextend = 'one.toml'\n=== one.toml\nextend = { path = 'none.toml', optional = false }\n",
        ),
        refused(
            "an extend that is a list of strings",
            WrongType,
            "=== Makefile.toml\nextend = ['one.toml', 'two.toml']\n=== one.toml\n=== two.toml\n",
        ),
        refused(
            "a number where a string stands",
            WrongType,
            "=== Makefile.toml\n[tasks.a]\ncommand = 1\n",
        ),
        refused(
            "a float in env",
            WrongType,
            "=== Makefile.toml\n[env]\nA = 1.5\n",
        ),
        refused(
            "a list with a number in env",
            WrongType,
            "=== Makefile.toml\n[env]\nA = ['a', 1]\n",
        ),
        refused(
            "a run_task without a name",
            WrongType,
            "=== Makefile.toml\n[tasks.a]\nrun_task = { fork = true }\n",
        ),
        refused(
            "a condition of an unknown type",
            WrongType,
            "=== Makefile.toml\n[tasks.a]\ncondition = { condition_type = 'Xor' }\n",
        ),
        refused(
            "plugins without impl",
            WrongType,
            "=== Makefile.toml\n[plugins.aliases]\na = 'b'\n",
        ),
        refused(
            "args that are a string",
            WrongType,
            "=== Makefile.toml\n[tasks.a]\nargs = 'x'\n",
        ),
        refused(
            "variables in a circle",
            EnvCycle,
            "=== Makefile.toml\n@fast\n[env]\nA = '${B}'\nB = { value = 'x ${C}' }\nC = { script = ['echo $A'] }\n",
        ),
        refused(
            "variables in a circle over two files",
            EnvCycle,
            "=== Makefile.toml\nextend = 'one.toml'\n@fast\n[env]\nA = '${B}'\n=== one.toml\n[env]\nB = '${ A }'\n",
        ),
        refused(
            "a variable that reads itself, and nobody else sets",
            EnvCycle,
            "=== Makefile.toml\n@fast\n[env]\nNOBODY_SETS_IT = '${NOBODY_SETS_IT}'\n",
        ),
        no_plan("no such task", "b", "=== Makefile.toml\n@fast\n[tasks.a]\n"),
        no_plan(
            "a dependency that is not there",
            "a",
            "=== Makefile.toml\n@fast\n[tasks.a]\ndependencies = ['b']\n",
        ),
        no_plan(
            "an extend that is not there",
            "a",
            "=== Makefile.toml\n@fast\n[tasks.a]\nextend = 'b'\n",
        ),
        no_plan(
            "aliases in a circle",
            "a",
            "=== Makefile.toml\n@fast\n[tasks.a]\nalias = 'b'\n[tasks.b]\nalias = 'a'\n",
        ),
        no_plan(
            "a private task",
            "a",
            "=== Makefile.toml\n@fast\n[tasks.a]\nprivate = true\n",
        ),
        no_plan(
            "a task that is private by its base",
            "a",
            "=== Makefile.toml\n@fast\n[tasks.a]\nextend = 'b'\n[tasks.b]\nprivate = true\n",
        ),
        no_plan(
            "an init task that is not there",
            "a",
            "=== Makefile.toml\n@fast\ninit_task = 'nowhere'\n[tasks.a]\n",
        ),
    ]
}
