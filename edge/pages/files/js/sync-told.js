// What the box owes devices and other systems: storage commitment, and messages that did not get through.

import { ask } from "./api.js";
import { confirm } from "./dialog.js";
import { make, toast } from "./dom.js";
import { Paged } from "./paged.js";
import { _, ago, moment, ngettext } from "./words.js";

const english = { lang: "en", dir: "auto" };
const button = (text, onclick) => make("button", { type: "button", class: "button quiet small", onclick }, text);

export function promises() {
  const state = (one) => {
    if (one.outcome === "REPORTED") return [_("told"), "safe"];
    if (one.outcome === "GIVEN_UP") return [_("could not be told"), "alarm"];
    return one.decided ? [_("is told soon"), "busy"] : [_("waits until it is safe"), "busy"];
  };

  async function decideCommitment(one, decision) {
    const isRetry = decision === "retry";
    if (await confirm({
      title: isRetry ? _("Tell the device now?") : _("Forget this question?"),
      action: isRetry ? _("Tell it now") : _("Forget it"), danger: !isRetry,
      consequences: isRetry
        ? [_("The box calls the device at once."), _("It has to be switched on, and on the network.")]
        : [_("The device never gets an answer. Perhaps it never deletes its own images."), _("The images here stay as they are.")],
      act: async () => {
        const { done } = await ask("/api/v1/commitments", { body: { decision, transaction_uids: [one.transaction_uid] } });
        toast(done ? _("Done.") : _("It was decided already."));
      },
    })) commitments.renew();
  }

  const commitments = new Paged("commitments", {
    path: "/api/v1/commitments",
    id: (one) => one.transaction_uid,
    make: (one) => {
      const [text, level] = state(one);
      const notes = [];
      if (one.absent) notes.push(ngettext("%(n)s is not here yet", "%(n)s are not here yet", one.absent));
      if (one.unsafe) notes.push(ngettext("%(n)s is not safe yet", "%(n)s are not safe yet", one.unsafe));
      if (one.failed) notes.push(ngettext("%(n)s was not vouched for", "%(n)s were not vouched for", one.failed));
      return make("li", {},
        make("p", { class: "who" }, one.peer),
        make("p", { class: "when" }, make("span", { class: "badge", data: { level } }, text)),
        make("p", { class: "what" }, [ngettext("%(n)s image", "%(n)s images", one.instances), _("asked %(when)s", { when: ago(one.asked) }), ...notes].join(" · ")),
        make("p", { class: "when" }, one.outcome === "REPORTED" ? moment(one.ended) : one.tries ? ngettext("%(n)s try", "%(n)s tries", one.tries) : ""),
        one.reason && one.outcome !== "REPORTED" ? make("p", { class: "words span", ...english }, one.reason) : null,
        one.outcome === "REPORTED" || !one.decided ? null : make("div", { class: "cluster span" },
          button(_("Tell it now"), () => decideCommitment(one, "retry")),
          button(_("Forget it"), () => decideCommitment(one, "forget"))));
    },
  });

  async function decideMessage(one, drop) {
    if (await confirm({
      title: drop ? _("Never send this message?") : _("Send it again now?"), action: drop ? _("Never send it") : _("Send it again"), danger: drop,
      consequences: drop
        ? [_("%(peer)s never hears of it. Its own records may stay open.", { peer: one.peer })]
        : [_("%(peer)s is called at once, and gets what waits before it, too.", { peer: one.peer })],
      act: async () => {
        await ask("/api/v1/outbox", { body: { message_ids: [one.message_id], drop } });
        toast(_("Done."));
      },
    })) outbox.renew();
  }

  const messages = { DUE: [_("waits"), "busy"], SENT: [_("is being sent"), "busy"], REFUSED: [_("was refused"), "alarm"], DROPPED: [_("is never sent"), "warning"] };
  const outbox = new Paged("outbox", {
    path: "/api/v1/outbox",
    id: (one) => one.message_id,
    make: (one) => {
      const [text, level] = messages[one.state] ?? [one.state, "busy"];
      return make("li", {},
        make("p", { class: "who" }, one.peer),
        make("p", { class: "when" }, make("span", { class: "badge", data: { level } }, text)),
        make("p", { class: "what" }, one.study_uid ? _("Where a study can be had") : _("How far an examination is"), " · ", moment(one.queued)),
        make("p", { class: "when" }, one.tries ? ngettext("%(n)s try", "%(n)s tries", one.tries) : ""),
        one.reason ? make("p", { class: "words span", ...english }, one.reason) : null,
        one.state === "SENT" ? null : make("div", { class: "cluster span" },
          button(_("Send it again"), () => decideMessage(one, false)),
          one.state === "DROPPED" ? null : button(_("Never send it"), () => decideMessage(one, true))));
    },
  });
  return { commitments, outbox };
}
