"""Which standing a device gets: the fold of evidence, the rules as data, and the decision.

1. Everything is evidence, an operator's act too. Rules count evidence; nothing else takes standing away.
2. A passive source (packets that can be forged) never takes standing away alone.
3. A rule that held keeps its cap for its ``hold`` after the last evidence, or until a person releases it: no flapping.
4. Not hearing from a device is not a reason to distrust it.
5. A waiver sets one rule aside until it ends; break-glass sets all aside until it ends. Both are shown in the decision.
"""
