"""Sessions for those who know nox: `nox -l`, `nox -s tests-3.13 -- -k name`, `nox -s cpp -- g++-asan`, `nox -s lint`.

The environments are those of tools/environment, under .venv/, so that nox and the commands of the Makefile share one build
of the extension. `make check` runs every suite, several at a time; see docs/dependencies.md.
"""

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests-3.13"]


def tests(session: nox.Session) -> None:
    """tests/python on one interpreter; arguments go to pytest."""
    made = session.run("python3", "tools/environment", session.name.removeprefix("tests-"), silent=True, external=True)
    python = made.split()[-1]
    gil = ["-X", "gil=0"] if session.name.endswith("t") else []  # no extension module may turn the GIL on for all
    session.run(python, *gil, "-m", "pytest", "-p", "no:cacheprovider", "tests/python", *session.posargs, external=True)


# A name for each: nox does not tell interpreters apart where an environment is not its own.
for version in ("3.10", "3.11", "3.12", "3.13", "3.13t", "3.14", "3.14t", "3.15"):
    nox.session(tests, name=f"tests-{version}")


@nox.session
def plain(session: nox.Session) -> None:
    """tests/python on the newest interpreter without the engine, in plain Python; arguments go to pytest."""
    made = session.run("python3", "tools/environment", "3.13", silent=True, external=True)
    engine = [f"--ignore=tests/python/test_{name}.py" for name in ("rewriting", "fast_paths", "packaging")]
    command = [made.split()[-1], "-m", "pytest", "-p", "no:cacheprovider", "tests/python", *engine, *session.posargs]
    session.run(*command, external=True, env={"ASYNC_GENERATOR_ENGINE": "plain"})


@nox.session
def cpp(session: nox.Session) -> None:
    """The C++ tests; arguments are names of presets."""
    session.run("python3", "tools/test-cpp", *session.posargs, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and static checks."""
    session.run("python3", "tools/lint", *session.posargs, external=True)
