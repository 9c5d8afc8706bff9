// Pages of the admin that keep themselves up to date. While the tab is seen, #cv-live asks its `data-url` every few
// seconds for what changes: elements with `data-live` are filled anew by their id, rows with `data-key` cell by cell.
// The order of rows, what is open, focus and selection stay. A link with `data-swap` opens or folds without a page load.

const EVERY = 5000;
const LONGEST = 30000; // between tries while nothing is heard
const SPEAK_EVERY = 10000;
const STATES_OF_A_ROW = ["cv-row--failed", "cv-row--current"]; // how deep it is stays as it is

const page = document.getElementById("cv-live");
const heard = document.getElementById("cv-heard");
const heardText = document.getElementById("cv-heard-text");
const button = document.getElementById("cv-pause-live");
const said = document.getElementById("cv-said");

let etag = null;
let last = new Date();
let wait = EVERY;
let timer = null;
let isAsking = false;
let spoken = 0;
let summary = summaryNow();

const isPaused = () => sessionStorage.getItem("cv-paused") === "yes";
const isOver = () => page.querySelector("[data-ended]") !== null;

function summaryNow() {
    return page.querySelector("[data-summary]")?.dataset.summary;
}

function show(state) {
    heardText.textContent = heard.dataset[`${state}Text`].replace("%s", last.toTimeString().slice(0, 8));
    heard.classList.toggle("cv-lost", state === "lost");
    page.classList.toggle("cv-stale", state === "lost");
    const icon = { live: "live", paused: "paused", lost: "late" }[state];
    heard.querySelector("use").setAttribute("href", `#cv-icon-${icon}`);
}

// In place

// by which an element is known again
function nameOf(element) {
    return element.id || element.getAttribute("href") || element.form?.getAttribute("action") || element.textContent.trim();
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
    if (contentOf(here) !== contentOf(there) && !isBeingCopied(here)) {
        const known = new Map([...here.querySelectorAll("details")].map((each) => [titleOf(each), each.open]));
        keepingFocus(here, () => here.replaceChildren(...document.importNode(there, true).childNodes));
        for (const each of here.querySelectorAll("details")) each.open = known.get(titleOf(each)) ?? each.open;
    }
    for (const name of ["class", "data-summary", "data-ended"]) {
        if (there.hasAttribute(name)) here.setAttribute(name, there.getAttribute(name));
        else here.removeAttribute(name);
    }
}

const titleOf = (details) => details.querySelector("summary").textContent.trim();

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

function patch(html) {
    const doc = new DOMParser().parseFromString(html, "text/html");
    for (const there of doc.querySelectorAll("[data-live]")) {
        const here = document.getElementById(there.id);
        if (here) fill(here, there);
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
            if (old) fill(old, cell);
        }
    }
}

// Asking

function url() {
    const asked = new URL(page.dataset.url, location.href);
    if (!asked.search) asked.search = location.search; // what is open
    const keys = [...page.querySelectorAll("[data-key]")].map((row) => row.dataset.key);
    if (keys.length) asked.searchParams.set("keys", keys.filter((key) => !key.endsWith(".more")).join(","));
    return asked;
}

async function get(address, headers = {}) {
    const response = await fetch(address, {
        headers,
        cache: "no-store",
        redirect: "error", // to a page for logging in
        signal: AbortSignal.timeout(LONGEST),
    });
    if (!response.ok && response.status !== 304) throw new Error(response.status);
    return response;
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
        const response = await get(url(), etag ? { "If-None-Match": etag } : {});
        if (response.status !== 304) {
            patch(await response.text());
            etag = response.headers.get("ETag");
        }
        last = new Date();
        wait = EVERY;
        speak();
        if (!isPaused()) show("live");
    } catch {
        wait = Math.min(2 * wait, LONGEST);
        if (!isPaused()) show("lost");
    }
    isAsking = false;
    clearTimeout(timer);
    if (isOver()) hideHeard();
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
        etag = null;
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
