//! Tasks over tasks: files, `extend`, `clear`, aliases, platforms, what they name.

use super::same;
use crate::tasks_differential::Tree;

pub(super) fn trees() -> Vec<Tree> {
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
            "platform: an override drops the aliases of the others",
            "=== Makefile.toml
@fast
[tasks.a]
command = 'a'
mac_alias = 'b'
windows_alias = 'b'
linux = { args = ['a'] }
[tasks.b]
extend = 'a'
mac_alias = 'a'
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
