"""Which type is it? Cross-validation, devices never seen, calibration, on IoT SENTINEL, with peers in the same run.

    .venv/bin/python bench/identification.py [--quick] [--plot FILE.svg]

Whole set-ups are held out: part k of ten is the k-th set-up of every device. The peers get the same parts: our learner with
the maker's address prefix only, with headers only (prefix, ports, protocols), with serial numbers left in the words (which
remembers units, not types), and scikit-learn's ExtraTrees on the same tokens (in a virtual environment of its own under the
user's cache folder; left out where it cannot be installed).
"""

import argparse
import json
import os
import subprocess
import sys
import time
import venv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from bastide.network.traffic.identity import tokens as words
from bastide.network.traffic.identity.evaluate import cross_validated, figures
from bastide.network.traffic.identity.facets import FACET_OF
from bastide.network.traffic.identity.learn import Sample, learn
from bastide.network.traffic.identity.match import Matcher
from bench._machine import facts
from bench._sentinel import Setup, folder, setups

DRAWS, LEFT_OUT, SEED = 20, 5, 20261123
HEADERS = ("maker", "ports", "speaks")
SKLEARN = "scikit-learn==1.9.1"

_PEER = r"""
import json, sys
import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
job = json.load(sys.stdin)
tokens = sorted({token for one in job["samples"] for token in one["tokens"]})
number = {token: at for at, token in enumerate(tokens)}
x = np.zeros((len(job["samples"]), len(tokens)), np.float32)
for row, one in enumerate(job["samples"]):
    for token in one["tokens"]:
        x[row, number[token]] = 1
y = np.array([one["label"] for one in job["samples"]])
out = []
for taught, asked in job["splits"]:
    model = ExtraTreesClassifier(300, random_state=0, n_jobs=1).fit(x[taught], y[taught])
    each = model.predict_proba(x[asked])
    out.append([[str(model.classes_[row.argmax()]), float(row.max())] for row in each])
json.dump(out, sys.stdout)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="five parts, five draws, no peer")
    parser.add_argument("--plot", type=Path, help="write the calibration as an SVG")
    options = parser.parse_args()
    print(facts("numpy"))
    if not folder().is_dir():
        raise SystemExit(f"the captures are not at {folder()}; set BASTIDE_SENTINEL")
    began = time.perf_counter()
    seen = setups()
    print(
        f"inputs: IoT SENTINEL, {len(seen)} captures, {len({one.type for one in seen})} types; "
        f"read in {time.perf_counter() - began:.1f} s"
    )
    samples = [Sample(words.tokens_of(one.seen), one.type) for one in seen]
    parts = [(one.number - 1) % (5 if options.quick else 10) for one in seen]

    began = time.perf_counter()
    answers = cross_validated(samples, parts)
    told = figures(answers, frozenset(sample.label for sample in samples))
    print(f"\nours, whole set-ups held out ({max(parts) + 1} parts, {time.perf_counter() - began:.0f} s)")
    _print(told)
    if options.plot:
        options.plot.write_text(_plot(told["calibration"]))
        print(f"calibration plot: {options.plot}")

    blockless = [
        Sample(frozenset(token for token in one.tokens if not token.startswith(words.BLOCK)), one.label)
        for one in samples
    ]
    plain = figures(cross_validated(blockless, parts), frozenset(sample.label for sample in samples))
    print("\npeers on the same parts (accuracy)")
    print(
        f"  ours, without blocks of addresses {plain['accuracy']:.4f} siblings allowed {plain['accuracy_with_siblings']:.4f}"
    )
    print(
        f"  ours, tokens of all facets      {told['accuracy']:.4f}   siblings allowed {told['accuracy_with_siblings']:.4f}"
    )
    for name, kept in (("address prefix only", ("maker",)), ("headers only", HEADERS)):
        less = [Sample(_only(sample.tokens, kept), sample.label) for sample in samples]
        share = figures(cross_validated(less, parts), frozenset(one.label for one in less))["accuracy"]
        print(f"  ours, {name:<26}{share:.4f}")
    serial = [Sample(_with_serials(one), one.type) for one in seen]
    share = figures(cross_validated(serial, parts), frozenset(one.label for one in serial))["accuracy"]
    print(f"  ours, serials kept (remembers units) {share:.4f}")
    python = None if options.quick else _peer()
    if python:
        splits = [
            ([at for at, own in enumerate(parts) if own != part], [at for at, own in enumerate(parts) if own == part])
            for part in sorted(set(parts))
        ]
        for name, given in (("our tokens", blockless), ("serials kept", serial)):
            got = _ask(python, given, splits)
            right = sum(
                answer[0] == given[at].label
                for (_, asked), rows in zip(splits, got, strict=True)
                for at, answer in zip(asked, rows, strict=True)
            )
            print(f"  {SKLEARN} ExtraTrees, {name:<13}{right / len(given):.4f}")

    print("\nevery type left out in turn")
    _each_left_out(samples)
    print(
        f"\n{LEFT_OUT} types left out, {5 if options.quick else DRAWS} draws (seed {SEED}); known: set-ups 9 and 10, not learned"
    )
    _draws(seen, samples, 5 if options.quick else DRAWS, python)


def _print(told: dict[str, Any]) -> None:
    print(
        f"  accuracy {told['accuracy']:.4f} (n {told['n']}, {told['types']} types), siblings allowed "
        f"{told['accuracy_with_siblings']:.4f}, answered unknown {told['unknown']['known_answered_unknown']}"
    )
    for name, row in told["per_type"].items():
        if row["right"] < row["n"]:
            print(
                f"    {name:<20} {row['right']} of {row['n']}, unknown {row['unknown']}, taken for {row['taken_for']}"
            )
    print("  calibration: stated confidence against share right")
    for row in told["calibration"]:
        print(
            f"    {row['from']:.2f} to {row['to']:.2f}  n {row['n']:>3}  "
            f"stated {row['confidence']:.3f}  right {row['accuracy']:.3f}"
        )
    print(f"    expected calibration error {told['calibration_error']}")


def _only(tokens: frozenset[str], kept: Sequence[str]) -> frozenset[str]:
    return frozenset(token for token in tokens if FACET_OF[token.split("=", 1)[0]] in kept)


def _with_serials(one: Setup) -> frozenset[str]:
    """The tokens with names as they were said, unit and all."""
    usual = vars(words)["generalise"]
    vars(words)["generalise"] = lambda text, _: text.lower()
    try:
        return words.tokens_of(one.seen)
    finally:
        vars(words)["generalise"] = usual


def _each_left_out(samples: Sequence[Sample]) -> None:
    shares = {}
    for kind in sorted({sample.label for sample in samples}):
        matcher = Matcher(learn([sample for sample in samples if sample.label != kind]))
        answers = [matcher.answer(sample.tokens) for sample in samples if sample.label == kind]
        shares[kind] = (
            sum(answer.value is None for answer in answers),
            len(answers),
            Counter(answer.value for answer in answers if answer.value).most_common(1),
        )
    for kind, (unknown, total, taken) in shares.items():
        if unknown < total:
            print(f"    {kind:<20} unknown {unknown} of {total}, taken for {taken[0][0]}")
    print(
        f"  {sum(u for u, _, _ in shares.values())} of {sum(n for _, n, _ in shares.values())} captures answered unknown; "
        f"all of them for {sum(u == n for u, n, _ in shares.values())} of {len(shares)} types"
    )


def _draws(seen: Sequence[Setup], samples: Sequence[Sample], draws: int, python: Path | None) -> None:
    chance = np.random.default_rng(SEED)
    kinds = sorted({sample.label for sample in samples})
    lost: list[int] = []
    known: list[int] = []
    caught: list[float] = []
    sizes: list[tuple[int, int]] = []
    cuts: list[float] = []
    splits = []
    for _ in range(draws):
        left = set(chance.choice(kinds, LEFT_OUT, replace=False).tolist())
        taught = [at for at, one in enumerate(seen) if one.type not in left and one.number <= 8]
        held = [at for at, one in enumerate(seen) if one.type not in left and one.number > 8]
        # Of types with five set-ups none is left to hold out: they are taught, and asked about in the cross-validation.
        strange = [at for at, one in enumerate(seen) if one.type in left]
        base = learn([samples[at] for at in taught])
        matcher = Matcher(base)
        cuts.append(base.cut_off)
        lost.append(sum(matcher.answer(samples[at].tokens).value is None for at in held))
        known.append(len(held))
        caught.append(sum(matcher.answer(samples[at].tokens).value is None for at in strange) / len(strange))
        sizes.append((len(held), len(strange)))
        splits.append((taught, held + strange))
    print(
        f"  ours: known answered unknown {sum(lost)} of {sum(known)} ({sum(lost) / sum(known):.3f}); left out answered unknown: "
        f"mean {np.mean(caught):.3f}, least {min(caught):.3f}, "
        f"draws with at least 0.80: {sum(c >= 0.8 for c in caught)} of {draws}; "
        f"cut-off {min(cuts):.3f} to {max(cuts):.3f}"
    )
    if python:
        got = _ask(python, samples, splits)
        certain = [[row[1] for row in rows] for rows in got]
        cut = float(np.quantile([c for row, (n, _) in zip(certain, sizes, strict=True) for c in row[:n]], 0.05))
        peer = [float(np.mean([c < cut for c in row[n:]])) for row, (n, _) in zip(certain, sizes, strict=True)]
        print(
            f"  {SKLEARN} ExtraTrees, one cut-off at which 5 % of the known are lost: "
            f"mean {np.mean(peer):.3f}, least {min(peer):.3f}, "
            f"draws with at least 0.80: {sum(c >= 0.8 for c in peer)} of {draws}"
        )


def _peer() -> Path | None:
    """The Python of an environment with scikit-learn; None where there is none and none can be made."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bastide" / "bench" / SKLEARN
    python = root / "bin" / "python"
    try:
        if not (root / "ready").exists():
            venv.create(root, with_pip=True, clear=True)
            subprocess.run([python, "-m", "pip", "install", "-q", SKLEARN], check=True, timeout=300)
            (root / "ready").touch()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"  scikit-learn is left out: {error}")
        return None
    return python


def _ask(
    python: Path, samples: Sequence[Sample], splits: Sequence[tuple[list[int], list[int]]]
) -> list[list[tuple[str, float]]]:
    job = {"samples": [{"tokens": sorted(one.tokens), "label": one.label} for one in samples], "splits": splits}
    done = subprocess.run([python, "-c", _PEER], input=json.dumps(job), capture_output=True, text=True, check=True)
    answer: list[list[tuple[str, float]]] = json.loads(done.stdout)
    return answer


def _plot(bins: Sequence[dict[str, Any]]) -> str:
    """Stated confidence (across) against share right (up); the area of a point is the number of answers."""
    points = "".join(
        f'<circle cx="{40 + 300 * row["confidence"]:.1f}" cy="{340 - 300 * row["accuracy"]:.1f}" '
        f'r="{2 + row["n"] ** 0.5 / 1.6:.1f}" fill="#2a6f97" fill-opacity="0.7"><title>n {row["n"]}</title></circle>'
        for row in bins
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 380 380" font-family="sans-serif" font-size="12">'
        '<rect width="380" height="380" fill="#fff"/><path d="M40 40V340H340" fill="none" stroke="#333"/>'
        '<path d="M40 340L340 40" stroke="#aaa" stroke-dasharray="4"/>'
        '<text x="40" y="358">0</text><text x="334" y="358">1</text><text x="28" y="46">1</text>'
        '<text x="120" y="372">stated confidence</text><text transform="translate(22 240) rotate(-90)">share right</text>'
        f"{points}</svg>\n"
    )


if __name__ == "__main__":
    main()
