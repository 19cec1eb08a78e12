"""The class of a DAG, compiled: all DAGs of the same score, and of them those that agree with what is known.

Skeleton and unshielded colliders make the class (Verma & Pearl 1990); arrows that knowledge fixes and Meek's
four rules (Meek 1995, UAI, "Causal Inference and Causal Explanation with Background Knowledge") orient all
that is the same in every member. Without knowledge the fourth rule never applies: the result is the CPDAG.
"""

from __future__ import annotations

from axiograph.discovery.numerics.arrays import ByteArray
from axiograph.discovery.numerics.compiled import inlined, jit_inner
from axiograph.discovery.pc.orientation import ARROW, NONE, TAIL, directed, undirected


@jit_inner
def fill_class(dag: ByteArray, known: ByteArray, marks: ByteArray) -> None:
    """Fill marks [p, p], those of discovery.graph.causal_graph, from dag [p, p], entry [i, j] 1 for i → j.

    known [p, p]: [i, j] is 1 where an edge i → j of the DAG is settled by knowledge."""
    p = len(dag)
    for i in range(p):
        for j in range(p):
            marks[i, j] = TAIL if dag[i, j] or dag[j, i] else NONE
    for y in range(p):
        for x in range(p):
            if not dag[x, y]:
                continue
            if known[x, y]:
                marks[x, y] = ARROW
            for z in range(x + 1, p):
                if dag[z, y] and marks[x, z] == NONE:
                    marks[x, y] = ARROW
                    marks[z, y] = ARROW
    changed = True
    while changed:
        changed = False
        for i in range(p):
            for j in range(p):
                if undirected(marks, i, j) and _is_settled(marks, i, j):
                    marks[i, j] = ARROW
                    changed = True


@inlined
def _is_settled(marks: ByteArray, i: int, j: int) -> bool:
    """Whether i — j has to be i → j: the other way would make a new collider or a directed cycle, at once
    (rules 1 and 2) or with the edges that it then settles (3 and 4)."""
    p = len(marks)
    for a in range(p):
        if directed(marks, a, i) and a != j and marks[a, j] == NONE:
            return True
        if directed(marks, i, a) and directed(marks, a, j):
            return True
        if not undirected(marks, i, a) or a == j:
            continue
        for b in range(p):
            if marks[i, b] == NONE or b in (a, j) or not directed(marks, b, j):
                continue
            # i — a → j and i — b → j; or i — a → b → j
            third = undirected(marks, i, b) and directed(marks, a, j) and marks[a, b] == NONE
            if third or (directed(marks, a, b) and marks[a, j] == NONE):
                return True
    return False
