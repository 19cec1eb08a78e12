"""`axiograph compare` on directories as `discover` leaves them, and on files as a person writes them."""

import json

import polars as pl
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import write_graph
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.stored import GraphChoice, StoredDiscovery
from axiograph.engine.errors import InputError
from tests.discovery.graph.test_packed import pack

AB = CausalGraph.from_edges("abcd", [("a", "b"), ("c", "d")])
BA = CausalGraph.from_edges("abcd", [("b", "a"), ("b", "c")], [("c", "d")])


def stored(folder, graph, replicates, **settings):
    """What `discover` leaves, as far as it is read."""
    write_graph(graph, folder, "graph")
    write_graph(CausalGraph.empty(graph.names), folder, "all_roles")
    if replicates:
        pack(replicates).save(folder / "replicates.npz")
    about = {"alpha": 0.05, "n_roles": 20, "rows_per_replicate": 10, "resample": "half_of_roles"} | settings
    (folder / "discovery.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def runs(tmp_path):
    first = stored(tmp_path / "one" / "graph", AB, [AB, AB, AB, BA]).parent
    return first, stored(tmp_path / "two", BA, [BA, BA, BA])


def test_two_runs(axiograph, runs, tmp_path):
    code, out, err = axiograph("compare", *runs, "--out", tmp_path / "new")
    assert code == 0, err
    assert "A  one (consensus of the replicates" in out and "4 replicates" in out
    # Joined in both: ab (reversed), cd; only in B: bc.
    assert "SHD" in out and "3 of 6" in out
    words = " ".join(out.split())
    assert "skeleton, precision 1.00 (2/2)" in words and "skeleton, recall 0.67 (2/3)" in words
    assert "Of the run with more replicates, the first 3 are compared." in out
    assert "than two of A in 100 %, than two of B in 100 % of comparisons" in words
    files = {path.name for path in (tmp_path / "new").iterdir()}
    assert files == {
        "comparison.json",
        "edges.csv",
        "edges.parquet",
        *(f"comparison.{s}" for s in ("png", "svg", "pdf")),
    }
    document = json.loads((tmp_path / "new" / "comparison.json").read_text())
    assert document["shd"] == {
        "value": 3,
        "graph_only": 0,
        "reference_only": 1,
        "differing_marks": 2,
        "reversed": 1,
    }
    pairs = document["replicate_pairs"]
    assert set(pairs) == {"same", "other", "graph", "reference"}
    assert pairs["same"]["pairs"] == 3 and pairs["same"]["shd"]["median"] == 3
    assert pairs["graph"]["shd"]["high"] == 0 == pairs["reference"]["shd"]["high"]
    assert document["further_apart_than_within"] == {"a": 1.0, "b": 1.0}
    table = pl.read_parquet(tmp_path / "new" / "edges.parquet")
    assert table.height == 6 and pl.read_csv(tmp_path / "new" / "edges.csv").columns == table.columns
    row = table.filter((pl.col("a") == "b") & (pl.col("b") == "c")).row(0, named=True)
    assert (row["graph_adjacent"], row["reference_adjacent"], row["difference"]) == (0.25, 1, -0.75)


def test_a_run_and_a_graph_that_somebody_wrote(axiograph, runs, tmp_path):
    path = tmp_path / "human.csv"
    path.write_text("a,b\nb,c\n")
    code, out, err = axiograph("compare", runs[0], path, "--names", "Gemma, Schwartz")
    assert code == 0, err
    assert "3 values in both." in out and "Only in A, left out (1): d" in out
    assert "Schwartz is a list of edges" in out and "1 of 3" in out and "each replicate" in out
    code, out, err = axiograph("compare", runs[0], path, "--complete")
    assert code == 0, err
    assert "4 values in both." in out and "2 of 6" in out and "does not name d: taken as without edges" in out


def test_the_chosen_graph_is_the_one_compared(axiograph, runs, tmp_path):
    found = {}
    for option in ((), ("--graph", "all_roles"), ("--threshold", "0.9"), ("--threshold", "0.2")):
        code, out, err = axiograph("compare", *runs, *option)
        assert code == 0, err
        (found[option],) = (line.split()[1] for line in out.splitlines() if line.startswith("SHD"))
    # all_roles.json has no edges; at 0.9 the replicates of A join ab and cd, at 0.2 bc too.
    assert list(found.values()) == ["3", "0", "3", "2"]


def test_nothing_to_compare_with_is_said(axiograph, tmp_path):
    for name, text in (("a.csv", "a,b\n"), ("b.csv", "a,b\nb,a\n")):
        (tmp_path / name).write_text(text)
    code, out, err = axiograph("compare", tmp_path / "a.csv", tmp_path / "b.csv")
    assert code == 0, err
    assert "listed in both directions and read as undirected: a and b" in out
    assert "- arrowheads, recall: B has no arrowhead" in out
    assert "Over replicates" not in out and "adjacent A" not in out


def test_a_pag_and_a_list_of_arrows(axiograph, tmp_path):
    pag = CausalGraph.from_kinds("abc", [("a", "o->", "b")], GraphKind.PAG)
    write_graph(pag, tmp_path, "graph")
    (tmp_path / "arrows.csv").write_text("a,b\nb,c\n")
    (tmp_path / "lines.csv").write_text("a,b,---\n")
    code, out, err = axiograph("compare", tmp_path, tmp_path / "arrows.csv")
    assert code == 0 and "o→" in out, err
    code, _, err = axiograph("compare", tmp_path, tmp_path / "lines.csv")
    assert code == 2 and "a PAG and a CPDAG" in err


def test_settings_that_differ_and_cycles_are_said(axiograph, tmp_path):
    cycle = CausalGraph.from_edges("abc", [("a", "b"), ("b", "c"), ("c", "a")])
    stored(tmp_path / "one", cycle, [], alpha=0.01)
    stored(tmp_path / "two", cycle, [cycle], n_roles=40)
    code, out, err = axiograph("compare", tmp_path / "one", tmp_path / "two")
    assert code == 0, err
    assert "The runs differ in alpha (0.01 and 0.05), n_roles (20 and 40)" in out
    assert "one has a directed cycle: a, b, c." in out and "one has no replicates.npz" in out
    code, _, err = axiograph(
        "compare", tmp_path / "one", tmp_path / "two", "--reduced", "--out", tmp_path / "new"
    )
    assert code == 2 and "no directed cycle" in err and not (tmp_path / "new").exists()


MISTAKES = [
    (("{one}", "{one}/none"), "none"),
    (("{one}", "{empty}"), "a run or a folder with graph.json"),
    (("{one}", "{two}", "--threshold", "2"), "a share in (0, 1]"),
    (("{one}", "{two}", "--threshold", "0.5", "--graph", "graph"), "expected one of them"),
    (("{one}", "{two}", "--graph", "averaged"), "averaged.json"),
    (("{one}", "{two}", "--names", "Gemma"), "--names: expected two names"),
    (("{list}", "{list}", "--graph", "all_roles"), "two files of graphs"),
    (("{one}", "{other}"), "Did you mean 'A a' by 'a a'?"),
    (("{old}", "{two}", "--threshold", "0.5"), "replicates.npz beside graph.json"),
    (("{broken}", "{two}"), "graphs of replicates (.npz)"),
    (("{mixed}", "{two}"), "not of one run"),
]


@pytest.mark.parametrize(("arguments", "says"), MISTAKES)
def test_mistakes_are_one_paragraph(arguments, says, axiograph, tmp_path):
    graph = CausalGraph.empty(("a a", "b b"))
    places = {name: tmp_path / name for name in ("one", "two", "empty", "old", "broken", "mixed")}
    for name in ("one", "two"):
        stored(places[name], graph, [graph])
    places["empty"].mkdir()
    stored(places["old"], graph, [])
    stored(places["broken"], graph, [graph])
    packed = places["broken"] / "replicates.npz"
    packed.write_bytes(packed.read_bytes()[:100])
    stored(places["mixed"], graph, [CausalGraph.empty(("x", "y"))])
    places |= {name: tmp_path / f"{name}.csv" for name in ("list", "other")}
    places["list"].write_text("a a,b b\n")
    places["other"].write_text("A a,B b\n")
    code, out, err = axiograph("compare", *(argument.format(**places) for argument in arguments))
    assert code == 2, out
    assert says in err and "Traceback" not in err and err.count("\n") == 1


def test_stored_discovery(tmp_path):
    folder = stored(tmp_path / "graph", AB, [AB, BA])
    found = StoredDiscovery.find(tmp_path)
    assert found.directory == folder
    assert found.graph() == AB and found.graph(GraphChoice.ALL_ROLES).n_edges == 0
    assert isinstance(found.replicates, PackedGraphs) and found.settings["n_roles"] == 20
    assert found.consensus(1).n_edges == 2
    (folder / "discovery.json").write_text("{")
    with pytest.raises(InputError, match="settings of a discovery"):
        _ = StoredDiscovery.find(folder).settings
