// Passkeys (WebAuthn level 2): the server makes the options and checks the answer, this hands them to the browser.
"use strict";
(() => {
  const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
  const encode = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const place = document.querySelector("[data-passkey-error]");
  const complain = (words) => { if (place) { place.textContent = words; place.hidden = false; } };
  const csrf = () => JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRF-Token"] || "";
  const send = async (address, body) => {
    const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf() }, body: body && JSON.stringify(body) });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.error || said.detail || `Bastide answered ${answer.status}.`);
    return said;
  };
  const ids = (list) => (list || []).map((each) => ({ ...each, id: decode(each.id) }));

  const signIn = async (then) => {
    const { challenge, options } = await send("/api/v1/sign-in/passkey/challenge");
    const made = await navigator.credentials.get({ publicKey: { ...options, challenge: decode(options.challenge), allowCredentials: ids(options.allowCredentials) } });
    await send("/api/v1/sign-in/passkey", { challenge, answer: {
      id: made.id, rawId: encode(made.rawId), type: made.type, clientExtensionResults: made.getClientExtensionResults(),
      response: { clientDataJSON: encode(made.response.clientDataJSON), authenticatorData: encode(made.response.authenticatorData), signature: encode(made.response.signature), userHandle: made.response.userHandle ? encode(made.response.userHandle) : null } } });
    location.assign(then);
  };

  const register = async (then) => {
    const { challenge, options } = await send("/api/v1/me/passkeys/challenge");
    const made = await navigator.credentials.create({ publicKey: { ...options, challenge: decode(options.challenge), user: { ...options.user, id: decode(options.user.id) }, excludeCredentials: ids(options.excludeCredentials) } });
    await send("/api/v1/me/passkeys", { challenge, label: document.querySelector("[data-passkey-label]").value, answer: {
      id: made.id, rawId: encode(made.rawId), type: made.type, clientExtensionResults: made.getClientExtensionResults(),
      response: { clientDataJSON: encode(made.response.clientDataJSON), attestationObject: encode(made.response.attestationObject), transports: made.response.getTransports?.() || [] } } });
    location.assign(then);
  };

  const box = document.querySelector("[data-passkey-origin]");
  if (box && box.dataset.passkeyOrigin !== location.origin) {
    document.querySelector("[data-passkey-elsewhere]").hidden = false;
    document.querySelectorAll("[data-passkey]").forEach((button) => { button.disabled = true; });
  }
  for (const button of document.querySelectorAll("[data-passkey]")) {
    if (!window.PublicKeyCredential) { complain("This browser knows no passkeys."); continue; }
    button.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      if (place) place.hidden = true;
      try { await (button.dataset.passkey === "register" ? register : signIn)(button.dataset.then || "/"); }
      catch (error) { complain(error.name === "NotAllowedError" ? "The browser was not asked to the end, or it has no passkey for this place." : error.message); button.disabled = false; }
    });
  }
})();
