"""What can become of a flow, whatever the order in which its jobs happen to run."""

from collections.abc import Mapping

from .jobs import Node


def verdicts(tree: Node, ends: Mapping[str, str]) -> dict[str, set[str]]:
    """What each job of a new flow can finally be: "completed", "failed" or "removed" (by the policy).

    `ends` says by name what the job's own processor comes to, if it ever runs: "completed" or "failed". Any objects
    with `name`, `policy` and `children` will do as the tree. That nobody cancels, retries or removes is assumed.
    """
    comes_to: dict[str, str] = {}
    _come_to(tree, ends, comes_to)
    allowed: dict[str, set[str]] = {}
    _allow(tree, comes_to, allowed, exposed=False, at_its_end=False)
    return allowed


def _come_to(node: Node, ends: Mapping[str, str], comes_to: dict[str, str]) -> None:
    """A job ends by its children's ends and its own, in whatever order they come, unless a removal meets it unrun."""
    for child in node.children:
        _come_to(child, ends, comes_to)
    if _failing(node, comes_to) and node.policy != "ignore":
        comes_to[node.name] = "failed" if node.policy == "fail" else "removed"
    else:
        comes_to[node.name] = ends[node.name]


def _failing(node: Node, comes_to: Mapping[str, str]) -> list[Node]:
    return [child for child in node.children if comes_to[child.name] == "failed"]


def _allow(
    node: Node, comes_to: Mapping[str, str], allowed: dict[str, set[str]], *, exposed: bool, at_its_end: bool
) -> None:
    """`exposed`: a removal above may meet it unrun; `at_its_end`: its failure is what sets off a removal above."""
    allowed[node.name] = {comes_to[node.name], "removed"} if exposed else {comes_to[node.name]}
    failing = _failing(node, comes_to)
    strikes = comes_to[node.name] == "removed" or (at_its_end and node.policy == "fail" and bool(failing))
    for child in node.children:
        # of a removal that must have been set off by this one, this one knows; its siblings may not have run by then
        sets_off = strikes and failing == [child]
        _allow(child, comes_to, allowed, exposed=exposed or (strikes and not sets_off), at_its_end=sets_off)
