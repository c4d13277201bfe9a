//! What cargo-make refuses, and tasks that it has no plan for.

use xtask::makefile::ProblemKind::{EnvCycle, Malformed, MissingExtend, WrongType};

use super::{no_plan, refused, same};
use crate::tasks_differential::Tree;

pub(super) fn trees() -> Vec<Tree> {
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
            "an optional that is a string",
            WrongType,
            "=== Makefile.toml\nextend = { path = 'x', optional = 'yes' }\n",
        ),
        refused(
            "dependencies that are a string",
            WrongType,
            "=== Makefile.toml\n[tasks.a]\ndependencies = 'x'\n",
        ),
        refused(
            "a task that is a string",
            WrongType,
            "=== Makefile.toml\n[tasks]\na = 'x'\n",
        ),
        refused(
            "an unstable feature that is none",
            WrongType,
            "=== Makefile.toml\n[config]\nunstable_features = ['X']\n",
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
