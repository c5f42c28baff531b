// Checks an inclusion proof (RFC 6962, 2.1.1) and the signed note (C2SP signed-note) with the browser's own SHA-256 and Ed25519.
"use strict";
(() => {
  const bytes = (base64) => Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
  const hex = (array) => [...array].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const same = (a, b) => a.length === b.length && a.every((byte, place) => byte === b[place]);
  const join = (...parts) => { const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0)); let at = 0; for (const part of parts) { all.set(part, at); at += part.length; } return all; };
  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
  const leafHash = (leaf) => sha256([0], leaf);
  const nodeHash = (left, right) => sha256([1], left, right);

  // RFC 9162 2.1.3.2, which gives the algorithm that RFC 6962 leaves to the reader. Sizes stay below 2^53.
  const rootOf = async (leaf, index, size, path) => {
    if (index >= size) throw new Error("the index lies outside the tree");
    let fn = BigInt(index), sn = BigInt(size) - 1n, hash = leaf;
    const steps = [];
    for (const node of path) {
      if (sn === 0n) throw new Error("the path is longer than the tree is high");
      if (fn & 1n || fn === sn) {
        hash = await nodeHash(node, hash);
        if (!(fn & 1n)) while (!(fn & 1n) && fn !== 0n) { fn >>= 1n; sn >>= 1n; }
      } else hash = await nodeHash(hash, node);
      steps.push(hash);
      fn >>= 1n; sn >>= 1n;
    }
    if (sn !== 0n) throw new Error("the path is shorter than the tree is high");
    return [hash, steps];
  };

  const readNote = (note) => {
    const end = note.indexOf("\n\n");
    if (end < 0) throw new Error("the note has no signatures");
    const text = note.slice(0, end + 1), [origin, size, root] = text.split("\n");
    const signatures = note.slice(end + 2).split("\n").filter(Boolean).map((line) => {
      const [, name, value] = /^\u2014 (\S+) (\S+)$/.exec(line) || [];
      if (!value) throw new Error("a signature line cannot be read");
      return { name, value: bytes(value) };
    });
    return { text, origin, size: Number(size), root: bytes(root), signatures };
  };

  // A verifier key: name+hash+base64(algorithm byte, key). Algorithm 1 is Ed25519.
  const signed = async (note, vkey) => {
    const [, name, id, key] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/.exec((vkey || "").trim()) || [];
    if (!key) throw new Error("there is no verifier key");
    const raw = bytes(key);
    if (raw[0] !== 1) throw new Error("the key is of a kind that this browser's check does not know");
    const keyHash = (await sha256(new TextEncoder().encode(name + "\n"), raw)).slice(0, 4);
    if (hex(keyHash) !== id) throw new Error("the verifier key is damaged");
    const imported = await crypto.subtle.importKey("raw", raw.slice(1), { name: "Ed25519" }, false, ["verify"]);
    for (const each of note.signatures) {
      if (each.name !== name || !same(each.value.slice(0, 4), keyHash)) continue;
      if (await crypto.subtle.verify({ name: "Ed25519" }, imported, each.value.slice(4), new TextEncoder().encode(note.text))) return true;
    }
    return false;
  };

  const box = document.querySelector("[data-proof]");
  const show = (step, state, words) => {
    const item = box.querySelector(`[data-step=${step}]`);
    item.dataset.state = state;
    if (state !== "waiting") item.querySelector(".mark").replaceChildren(box.querySelector(`[data-${state}]`).content.cloneNode(true));
    item.querySelector("small").textContent = words;
  };

  const verify = async () => {
    const button = box.querySelector("[data-verify]");
    button.disabled = true;
    box.removeAttribute("data-verdict");
    let step = "leaf";
    try {
      const answer = await fetch(box.dataset.proof);
      if (!answer.ok) throw new Error(`Bastide answered ${answer.status}`);
      const proof = await answer.json();
      const leaf = bytes(proof.leaf);
      const hash = await leafHash(leaf);
      if (!new TextDecoder().decode(leaf).includes(proof.record)) throw new Error("the bytes do not name this record");
      show("leaf", "held", `Record ${proof.index} of ${proof.size}, ${leaf.length} bytes, ${hex(hash).slice(0, 16)}…`);
      step = "path";
      const [root, steps] = await rootOf(hash, proof.index, proof.size, proof.path.map(bytes));
      if (!same(root, bytes(proof.root))) throw new Error("the path leads to another root");
      show("path", "held", `${steps.length} steps, ${hex(root).slice(0, 16)}…`);
      const path = box.querySelector("[data-path]");
      path.replaceChildren(...[hash, ...steps].map((each) => Object.assign(document.createElement("span"), { textContent: hex(each).slice(0, 32) + "…" })));
      box.querySelector("#path-details").hidden = false;
      step = "note";
      const note = readNote(proof.note);
      if (note.size !== proof.size || note.origin !== proof.origin || !same(note.root, root)) throw new Error("the note is about another tree");
      show("note", "held", `${note.origin}, ${note.size} records`);
      step = "signature";
      if (!(await signed(note, proof.key))) throw new Error("no signature on the note holds under the signer's key");
      show("signature", "held", `Ed25519, key ${proof.key.split("+")[1]}. Compare it with the key that you were given.`);
      box.dataset.verdict = "held";
    } catch (error) {
      const unknown = error.name === "NotSupportedError";
      show(step, unknown ? "waiting" : "failed", unknown ? "This browser cannot check Ed25519; `bastide audit check` can." : `It does not hold: ${error.message}.`);
      box.dataset.verdict = unknown ? "unknown" : "failed";
    }
    button.disabled = false;
  };

  box?.querySelector("[data-verify]").addEventListener("click", verify);
})();
