// Passkeys: what the box says and hears as JSON, as browsers want it (WebAuthn 5.1).

import { _ } from "./words.js";

// A page that was opened by an address says by which names they can be made.
export const canPasskeys = window.PublicKeyCredential !== undefined && window.isSecureContext && !document.querySelector(".by-name");

const raw = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
const text = (data) => btoa(String.fromCharCode(...new Uint8Array(data))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const named = (list) => (list ?? []).map((one) => ({ ...one, id: raw(one.id) }));

function written(credential) {
  const said = credential.response;
  const response = { clientDataJSON: text(said.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (said[name]) response[name] = text(said[name]);
  }
  if (said.getTransports) response.transports = said.getTransports();
  const attachment = credential.authenticatorAttachment;
  return {
    id: credential.id, rawId: text(credential.rawId), type: credential.type, response,
    clientExtensionResults: credential.getClientExtensionResults(),
    ...(attachment ? { authenticatorAttachment: attachment } : {}),
  };
}

async function asked(call) {
  try {
    return written(await call);
  } catch (error) {
    throw error.name === "NotAllowedError" ? new Error(_("No passkey was used. Try again, or go on otherwise.")) : error;
  }
}

/** Have the browser prove that it has one; what to send back. */
export const use = (said) => asked(navigator.credentials.get({
  publicKey: { ...said, challenge: raw(said.challenge), allowCredentials: named(said.allowCredentials) },
}));

/** Have the browser make one; what to send back. */
export const create = (said) => asked(navigator.credentials.create({
  publicKey: {
    ...said, challenge: raw(said.challenge), user: { ...said.user, id: raw(said.user.id) },
    excludeCredentials: named(said.excludeCredentials),
  },
}));

/** What to call one that this device keeps. */
export const label = () => navigator.userAgentData?.platform ?? "";
