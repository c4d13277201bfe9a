//! The tasks that cargo-make itself brings.

use super::{same, under};
use crate::tasks_differential::Tree;

pub(super) fn trees() -> Vec<Tree> {
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
            "core tasks: a task with an env, over which there is none, an empty one, and one",
            "=== Makefile.toml
@quick
[tasks.test-verbose]
description = 'mine'
[tasks.setup-musl]
env = {}
[tasks.coverage]
env = { A = '1' }
[tasks.build-verbose]
clear = true
command = 'mine'
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
        under(
            "a workspace's file underneath",
            "one",
            "shared/root.toml",
            "=== shared/root.toml
extend = 'more.toml'
[config]
end_task = 'root'
[env]
A = 'root'
B = 'root'
[tasks.root]
command = 'root'
[tasks.a]
command = 'root'
args = ['root']
=== shared/more.toml
[tasks.a]
cwd = 'more'
=== one/Makefile.toml
@fast
[env]
A = 'one'
[tasks.a]
command = 'one'
",
        ),
        under(
            "a workspace's file that is not there",
            "one",
            "shared/none.toml",
            "=== one/Makefile.toml
@fast
[tasks.a]
command = 'one'
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
