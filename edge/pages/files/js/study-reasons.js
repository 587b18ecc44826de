// Why images did not get to a device: what the box says in English, in the language of who reads.

import { make } from "./dom.js";
import { _ } from "./words.js";

// As `edge/dimse` says it: sending.py, carrying.py and giving.py.
const REASONS = {
  "only the archive has it, and that is out of reach": _("only the archive has it, and that is out of reach"),
  "the archive did not give it": _("the archive did not give it"),
  "it is not here any more": _("it is not here any more"),
  "it is damaged here": _("it is damaged here"),
  "too many pixels are being made for others": _("too many pixels are being made for others"),
  "it can't be made a transfer syntax that is taken": _("it can't be made a transfer syntax that is taken"),
  "it could not be opened here": _("it could not be opened here"),
  "too many instances broke off": _("too many instances broke off"),
  "the box was stopped": _("the box was stopped"),
  "a defect: see the log": _("a defect: see the log"),
  "the destination can't be reached": _("the destination can't be reached"),
  "the destination and this box do not agree on TLS": _("the destination and this box do not agree on TLS"),
  "the destination aborts the association": _("the destination aborts the association"),
  "the destination hangs up": _("the destination hangs up"),
  "the destination does not answer": _("the destination does not answer"),
  "the data come to a halt on the way to the destination": _("the data come to a halt on the way to the destination"),
  "the destination does not speak DICOM at that port": _("the destination does not speak DICOM at that port"),
  "the destination breaks the rules of DICOM": _("the destination breaks the rules of DICOM"),
  "the destination does not know the AE title of this box": _("the destination does not know the AE title of this box"),
  "the destination goes by another AE title": _("the destination goes by another AE title"),
  "the destination is too busy": _("the destination is too busy"),
  "the destination rejects us": _("the destination rejects us"),
};
// As doctor_statuses.py says it.
const STATUSES = {
  "it could not do it": _("it could not do it"),
  "it does not know what that is about": _("it does not know what that is about"),
  "it does not take that SOP class": _("it does not take that SOP class"),
  "it does not allow that": _("it does not allow that"),
  "it does not know that operation": _("it does not know that operation"),
  "it has no room or no time for it": _("it has no room or no time for it"),
  "it is out of resources": _("it is out of resources"),
  "the data set is not what it expects for that SOP class": _("the data set is not what it expects for that SOP class"),
  "it can't understand or use what it was sent": _("it can't understand or use what it was sent"),
  "it refused": _("it refused"),
};
const STATUS = /^C-STORE was answered with ([0-9A-F]{4}): (.+)$/;
const SOP_CLASS = /^SOP class (\S+) is not accepted$/;

/** Translated; what is not ours stands as it was said. */
export function reasonOf(said) {
  if (REASONS[said]) return REASONS[said];
  const [, status, why] = STATUS.exec(said) ?? [];
  if (STATUSES[why]) return _("the device answered %(status)s: %(why)s", { status, why: STATUSES[why] });
  const [, uid] = SOP_CLASS.exec(said) ?? [];
  if (uid) return _("the device does not accept images of the SOP class %(uid)s", { uid });
  return make("span", { lang: "en", dir: "auto" }, said);
}
