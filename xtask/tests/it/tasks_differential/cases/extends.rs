//! What a file extends, and relative to what.

use super::{same, within};
use crate::tasks_differential::Tree;

pub(super) fn trees() -> Vec<Tree> {
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
            "extend: a file that begins with a byte order mark",
            "=== Makefile.toml
\u{feff}extend = 'base.toml'
@fast
=== base.toml
\u{feff}[tasks.a]
command = 'base'
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
    .into_iter()
    .chain(links())
    .collect()
}

/// Links: the system follows `..` after them, cargo-make looks upwards along the text.
#[cfg(unix)]
fn links() -> Vec<Tree> {
    vec![
        same(
            "extend: a task file that is a link is relative to where the link is",
            "=== Makefile.toml -> sub/real.toml
=== base.toml
[tasks.a]
command = 'beside the link'
=== sub/base.toml
[tasks.a]
command = 'beside the file'
=== sub/real.toml
extend = 'base.toml'
@fast
",
        ),
        within(
            "extend: `..` of a linked directory is that of the real one",
            "link",
            "=== far/away/Makefile.toml
extend = '../base.toml'
@fast
=== far/base.toml
[tasks.a]
command = 'far'
=== base.toml
[tasks.a]
command = 'near'
=== link -> far/away
",
        ),
        same(
            "extend: a linked directory, from which another is relative to the crate",
            "=== Makefile.toml
extend = 'link/../one.toml'
@fast
=== Cargo.toml
=== far/Cargo.toml
=== far/away/x
=== far/one.toml
extend = { path = 'two.toml', relative = 'crate' }
[tasks.a]
command = 'one'
=== far/two.toml
[tasks.b]
command = 'far'
=== two.toml
[tasks.b]
command = 'near'
=== link -> far/away
",
        ),
    ]
}

/// A link needs a right there that a test may not have.
#[cfg(not(unix))]
fn links() -> Vec<Tree> {
    Vec::new()
}
