// Pages of the admin that keep themselves up to date. While the tab is seen, #cv-live asks its `data-url` every few
// seconds for what changes: elements with `data-live` are filled anew by their id, rows with `data-key` cell by cell.
// The order of rows, what is open, focus and selection stay. A link with `data-swap` opens or folds without a page load.

const EVERY = 5000;
const LONGEST = 30000; // between tries while nothing is heard
const SPEAK_EVERY = 10000;
const KEYS = 100; // of rows that one request asks for
const STATES_OF_A_ROW = ["cv-row--failed", "cv-row--current"]; // how deep it is stays as it is

const page = document.getElementById("cv-live");
const heard = document.getElementById("cv-heard");
const heardText = document.getElementById("cv-heard-text");
const button = document.getElementById("cv-pause-live");
const said = document.getElementById("cv-said");

let etags = new Map(); // by address
let isGone = false; // what the page shows was removed
let last = new Date();
let wait = EVERY;
let timer = null;
let isAsking = false;
let spoken = 0;
let summary = summaryNow();

const isPaused = () => sessionStorage.getItem("cv-paused") === "yes";
const isOver = () => isGone || page.querySelector("[data-ended]") !== null;

function summaryNow() {
    return page.querySelector("[data-summary]")?.dataset.summary;
}

function show(state) {
    heardText.textContent = heard.dataset[`${state}Text`].replace("%s", last.toTimeString().slice(0, 8));
    const isStale = state === "lost" || state === "gone";
    heard.classList.toggle("cv-lost", isStale);
    page.classList.toggle("cv-stale", isStale);
    const icon = { live: "live", paused: "paused", lost: "late", gone: "late" }[state];
    heard.querySelector("use").setAttribute("href", `#cv-icon-${icon}`);
}

// In place

// by which an element is known again: what stands in it may be new
function nameOf(element) {
    const names = ["data-name", "id", "href", "aria-label"].map((name) => element.getAttribute(name));
    return names.find(Boolean) ?? element.form?.getAttribute("action") ?? element.textContent.trim();
}

function keepingFocus(inside, change) {
    const focus = document.activeElement;
    const name = inside.contains(focus) ? nameOf(focus) : null;
    change();
    if (name && !document.contains(focus)) {
        const same = [...document.querySelectorAll("a, button, summary, [tabindex]")].find((each) => nameOf(each) === name);
        same?.focus({ preventScroll: true });
    }
}

function isBeingCopied(element) {
    const selection = getSelection();
    return !selection.isCollapsed && element.contains(selection.anchorNode);
}

// without the tokens of forms, which are new each time
const contentOf = (element) => element.innerHTML.replace(/(name="csrfmiddlewaretoken" value=")[^"]*/g, "$1");

function fill(here, there) {
    const isNew = contentOf(here) !== contentOf(there);
    const isHeld = isNew && isBeingCopied(here);
    if (isNew && !isHeld) {
        const isOpen = new Map(detailsIn(here).map(([title, each]) => [title, each.open]));
        const scrolled = new Map(scrollableIn(here).map((each) => [nameOf(each), each.scrollTop]));
        keepingFocus(here, () => here.replaceChildren(...document.importNode(there, true).childNodes));
        for (const [title, each] of detailsIn(here)) each.open = isOpen.get(title) ?? each.open;
        for (const each of scrollableIn(here)) each.scrollTop = scrolled.get(nameOf(each)) ?? 0;
    }
    for (const name of ["class", "data-summary"]) {
        if (there.hasAttribute(name)) here.setAttribute(name, there.getAttribute(name));
        else here.removeAttribute(name);
    }
    return !isHeld;
}

// each by its title, and by how many before it have the same
function detailsIn(element) {
    const times = {};
    return [...element.querySelectorAll("details")].map((each) => {
        const title = each.querySelector("summary").textContent.trim();
        times[title] = (times[title] ?? 0) + 1;
        return [`${times[title]} ${title}`, each];
    });
}

const scrollableIn = (element) => [...element.querySelectorAll("[tabindex]")];

const rowOf = (key, within = page) => within.querySelector(`[data-key="${CSS.escape(key)}"]`);

// a group that has come up: at its place among the groups of the same jobs, in the order in which they were sent
function insert(row, doc) {
    const parent = row.dataset.key.split(".")[0];
    const list = rowOf(parent)?.querySelector(":scope > ul");
    if (!list || !row.dataset.key.includes(".")) return;
    const siblings = [...doc.querySelectorAll(`[data-key^="${CSS.escape(parent)}."]`)];
    const later = siblings.slice(siblings.indexOf(row) + 1).map((sibling) => rowOf(sibling.dataset.key, list));
    const added = document.importNode(row, true);
    const neighbour = list.firstElementChild?.firstElementChild;
    for (const name of neighbour?.classList ?? []) {
        if (name.startsWith("cv-indent-")) added.firstElementChild.classList.replace("cv-indent-0", name);
    }
    list.insertBefore(added, later.find((sibling) => sibling?.parentElement === list) ?? null);
}

// false where something is left as it was, since somebody is about to copy it
function patch(doc) {
    let isWhole = true;
    for (const there of doc.querySelectorAll("[data-live]")) {
        const here = document.getElementById(there.id);
        if (here) isWhole = fill(here, there) && isWhole;
    }
    for (const row of doc.querySelectorAll("[data-key]")) {
        const here = rowOf(row.dataset.key);
        if (!here) {
            insert(row, doc);
            continue;
        }
        for (const name of STATES_OF_A_ROW) {
            here.firstElementChild.classList.toggle(name, row.firstElementChild.classList.contains(name));
        }
        for (const cell of row.firstElementChild.querySelectorAll("[data-cell]")) {
            const old = here.firstElementChild.querySelector(`[data-cell="${cell.dataset.cell}"]`);
            if (old) isWhole = fill(old, cell) && isWhole;
        }
    }
    return isWhole;
}

function end(doc) {
    for (const there of doc.querySelectorAll("[data-live]")) {
        document.getElementById(there.id)?.toggleAttribute("data-ended", there.hasAttribute("data-ended"));
    }
}

// Asking

// servers take a line of 4,000 characters: so many keys of 23, and what is open
function addresses() {
    const asked = new URL(page.dataset.url, location.href);
    if (!asked.search) asked.search = location.search; // what is open
    const rows = [...page.querySelectorAll("[data-key]")];
    const keys = rows.map((row) => row.dataset.key).filter((key) => !key.endsWith(".more"));
    const found = [];
    for (let start = 0; start < Math.max(keys.length, 1); start += KEYS) {
        const some = keys.slice(start, start + KEYS).join(","); // searchParams would make three characters of each comma
        found.push(some ? `${asked}${asked.search ? "&" : "?"}keys=${some}` : `${asked}`);
    }
    return found;
}

async function get(address, headers = {}) {
    const response = await fetch(address, {
        headers: { "X-Conveyor-Live": "yes", ...headers }, // a job that is gone is a 404 then, and no message
        cache: "no-store",
        redirect: "error", // to a page for logging in
        signal: AbortSignal.timeout(LONGEST),
    });
    if (!response.ok && response.status !== 304) throw new Error(response.status, { cause: response });
    return response;
}

async function refresh() {
    const known = etags;
    const heardOf = new Map();
    const docs = [];
    for (const address of addresses()) {
        const etag = known.get(address);
        const response = await get(address, etag ? { "If-None-Match": etag } : {});
        heardOf.set(address, response.headers.get("ETag") ?? etag);
        if (response.status !== 304) docs.push(new DOMParser().parseFromString(await response.text(), "text/html"));
    }
    const isWhole = docs.map(patch).every(Boolean);
    if (known !== etags) return; // something was opened meanwhile
    etags = isWhole ? heardOf : new Map();
    if (isWhole) docs.forEach(end);
}

function speak() {
    const now = summaryNow();
    if (now !== summary && (Date.now() - spoken >= SPEAK_EVERY || isOver())) {
        summary = said.textContent = now;
        spoken = Date.now();
    }
}

async function ask() {
    if (isAsking || isPaused() || document.hidden || isOver()) return;
    isAsking = true;
    clearTimeout(timer);
    try {
        await refresh();
        last = new Date();
        wait = EVERY;
        speak();
        if (!isPaused()) show("live");
    } catch (error) {
        isGone = error.cause?.status === 404;
        wait = Math.min(2 * wait, LONGEST);
        if (isGone) tellGone();
        else if (!isPaused()) show("lost");
    }
    isAsking = false;
    clearTimeout(timer);
    if (isGone) button.hidden = true;
    else if (isOver()) hideHeard();
    else timer = setTimeout(ask, wait);
}

// Opening and folding

async function open(link) {
    try {
        const response = await get(link.href);
        const doc = new DOMParser().parseFromString(await response.text(), "text/html");
        for (const there of doc.querySelectorAll("[data-part]")) {
            const here = document.getElementById(there.id);
            keepingFocus(here, () => here.replaceWith(document.importNode(there, true)));
        }
        history.replaceState(null, "", link.href);
        etags = new Map();
    } catch {
        location.assign(link.href);
    }
}

page.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (link && !event.defaultPrevented && !event.button && !(event.metaKey || event.ctrlKey || event.shiftKey)) {
        event.preventDefault();
        open(link);
    }
});

function label() {
    button.textContent = isPaused() ? button.dataset.goOn : button.dataset.pause;
}

button.addEventListener("click", () => {
    sessionStorage.setItem("cv-paused", isPaused() ? "no" : "yes");
    label();
    if (isPaused()) {
        clearTimeout(timer);
        show("paused");
    } else {
        ask();
    }
});
document.addEventListener("visibilitychange", ask);

function tellGone() {
    show("gone");
    said.textContent = heardText.textContent;
}

function hideHeard() {
    heard.hidden = button.hidden = true;
}

if (isOver()) {
    hideHeard();
} else {
    label();
    button.hidden = false;
    show(isPaused() ? "paused" : "live");
    timer = setTimeout(ask, EVERY);
}
