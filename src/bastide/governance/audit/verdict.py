"""What a check found: problems, each of which names the thing that is wrong."""

from dataclasses import dataclass, field

from bastide.core.audit import Checkpoint

# A thousand named problems are more than anybody reads; the rest is counted.
MAX_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """``where`` is the table or line, ``index`` the record's place in the tree and ``record`` its id, where they are known."""

    where: str
    sentence: str
    index: int | None = None
    record: str | None = None


@dataclass(slots=True)
class Verdict:
    """The sum of a check. It is good where there is no problem.

    ``pruned`` records have no body left, ``pending`` ones are not under a checkpoint yet, ``erased`` counts personal facts, as
    ``hidden`` does those that a bundle does not show.
    """

    records: int = 0
    pruned: int = 0
    erased: int = 0
    hidden: int = 0
    pending: int = 0
    tiles: int = 0
    checkpoints: int = 0
    signatures: int = 0
    checkpoint: Checkpoint | None = None
    problems: list[Problem] = field(default_factory=list)
    untold: int = 0
    notices: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.problems

    def found(self, where: str, sentence: str, index: int | None = None, record: str | None = None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(where, sentence, index, record))
        else:
            self.untold += 1
