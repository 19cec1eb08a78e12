"""`import axiograph as ax`: every name is there, and none costs anything before it is used."""

import subprocess
import sys

import axiograph as ax


def test_every_name_of_the_face_is_there():
    assert all(callable(getattr(ax, name)) for name in ax.__all__ if name != "__version__")
    assert set(dir(ax)) == set(ax.__all__)


def test_importing_it_imports_nothing():
    code = (
        "import sys\nbefore = set(sys.modules)\nimport axiograph\n"
        "print([m for m in set(sys.modules) - before if m.split('.')[0] not in sys.stdlib_module_names])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['axiograph']"


def test_progress_is_shown_where_it_is_asked_for(capfd):
    from axiograph.cluster.sampling.progress import progress

    with progress("silent", 2, "things") as advance:
        advance(2)
    assert capfd.readouterr() == ("", "")
    with ax.progress(), progress("shown", 2, "things") as advance:
        advance(2)
    assert "shown: 2 of 2 things" in capfd.readouterr().err
