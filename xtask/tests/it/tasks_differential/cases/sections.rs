//! `[config]`, `[env]`, env files and scripts, plugins.

use super::same;
use crate::tasks_differential::Tree;

pub(super) fn trees() -> Vec<Tree> {
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
