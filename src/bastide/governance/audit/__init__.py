"""The rules of the ledger: what a record's bytes are, the tree over them, its proofs, and the bundle that an auditor gets.

- RFC 6962 section 2.1: the Merkle tree, audit paths and consistency proofs (the verifier's half is ``core.merkle``)
- c2sp.org/tlog-tiles: the tree is kept as tiles of 256 hashes; c2sp.org/tlog-checkpoint: tree heads are signed notes
  (``wire.checkpoint``)

Nothing here reads a database or a clock: records, tiles and salts are handed in.
"""
