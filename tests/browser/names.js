// Controls without a name for a screen reader, pictures without words, ids that occur twice (WCAG 2.2, 4.1.2 and 1.1.1).
() => {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const say = (what, element) => wrong.push(`${what}: ${element.outerHTML.slice(0, 80)}`);
  const named = (element) => (element.getAttribute("aria-label") || element.textContent || element.title || "").trim();
  for (const each of all("a[href], button, summary")) if (!named(each)) say("no name", each);
  for (const each of all("input:not([type=hidden]), select, textarea"))
    if (!each.hidden && !each.labels?.length && !each.getAttribute("aria-label")) say("no label", each);
  for (const each of all("svg")) if (!each.closest("[aria-hidden]") && !each.getAttribute("aria-label")) say("no words", each);
  const ids = all("[id]").map((each) => each.id);
  for (const id of new Set(ids)) if (ids.filter((each) => each === id).length > 1) wrong.push(`twice: ${id}`);
  if (all("h1").length !== 1) wrong.push(`one h1, not ${all("h1").length}`);
  return wrong;
}
