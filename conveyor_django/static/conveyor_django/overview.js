/* The overview refreshes itself: while the tab is seen, every few seconds, and only if something is new. */

(() => {
    const EVERY = 5000;
    const LONGEST = 30000; // between tries while nothing is heard
    const SPEAK_EVERY = 10000;

    const region = document.getElementById("cv-live");
    const heard = document.getElementById("cv-heard");
    const heardText = document.getElementById("cv-heard-text");
    const heardIcon = heard.querySelector("use");
    const button = document.getElementById("cv-pause-live");
    const said = document.getElementById("cv-said");
    const storage = window.sessionStorage;

    let etag = null;
    let last = new Date();
    let wait = EVERY;
    let timer = null;
    let isAsking = false;
    let spoken = 0;
    let summary = region.firstElementChild.dataset.summary;

    const isPaused = () => storage.getItem("cv-paused") === "yes";

    function show(state) {
        heardText.textContent = heard.dataset[state].replace("%s", last.toTimeString().slice(0, 8));
        heard.classList.toggle("cv-lost", state === "lost");
        region.classList.toggle("cv-stale", state === "lost");
        const icon = { live: "live", paused: "paused", lost: "late" }[state];
        heardIcon.setAttribute("href", `#cv-icon-${icon}`);
    }

    function swap(html) {
        const selection = window.getSelection();
        if (!selection.isCollapsed && region.contains(selection.anchorNode)) {
            return false; // somebody is copying something: the next time
        }
        const focus = document.activeElement;
        const place = region.contains(focus) ? { id: focus.id, href: focus.getAttribute("href") } : null;
        region.innerHTML = html;
        if (place) {
            const same = place.id
                ? document.getElementById(place.id)
                : [...region.querySelectorAll("a")].find((link) => link.getAttribute("href") === place.href);
            same?.focus({ preventScroll: true });
        }
        return true;
    }

    function speak() {
        const now = region.firstElementChild.dataset.summary;
        if (now !== summary && Date.now() - spoken >= SPEAK_EVERY) {
            summary = said.textContent = now;
            spoken = Date.now();
        }
    }

    async function ask() {
        if (isAsking || isPaused() || document.hidden) {
            return;
        }
        isAsking = true;
        clearTimeout(timer);
        try {
            const headers = etag ? { "If-None-Match": etag } : {};
            const response = await fetch(region.dataset.url, {
                headers,
                cache: "no-store",
                redirect: "error", // to a page for logging in
                signal: AbortSignal.timeout(LONGEST),
            });
            if (response.status !== 304) {
                if (!response.ok) {
                    throw new Error(response.status);
                }
                if (swap(await response.text())) {
                    etag = response.headers.get("ETag");
                }
            }
            last = new Date();
            wait = EVERY;
            speak();
            if (!isPaused()) {
                show("live");
            }
        } catch {
            wait = Math.min(2 * wait, LONGEST);
            if (!isPaused()) {
                show("lost");
            }
        }
        isAsking = false;
        clearTimeout(timer);
        timer = setTimeout(ask, wait);
    }

    function label() {
        button.textContent = isPaused() ? button.dataset.goOn : button.dataset.pause;
    }

    button.addEventListener("click", () => {
        storage.setItem("cv-paused", isPaused() ? "no" : "yes");
        label();
        if (isPaused()) {
            clearTimeout(timer);
            show("paused");
        } else {
            ask();
        }
    });
    document.addEventListener("visibilitychange", ask);

    label();
    button.hidden = false;
    show(isPaused() ? "paused" : "live");
    timer = setTimeout(ask, EVERY);
})();
