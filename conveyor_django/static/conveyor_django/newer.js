/* The list of jobs never moves by itself: it says how many are newer. Choices in its form take effect at once. */

(() => {
    const EVERY = 5000;
    const LONGEST = 30000; // between tries while nothing is heard

    const form = document.getElementById("cv-strip");
    form.addEventListener("change", (event) => {
        if (event.target.matches("select, input[type=checkbox]")) {
            form.requestSubmit();
        }
    });

    const place = document.getElementById("cv-newer");
    if (!place) {
        return;
    }
    const words = document.getElementById("cv-newer-text");
    const said = document.getElementById("cv-newer-said");
    let etag = null;
    let wait = EVERY;
    let timer = null;
    let isAsking = false;

    async function ask() {
        if (isAsking || document.hidden) {
            return;
        }
        isAsking = true;
        clearTimeout(timer);
        try {
            const response = await fetch(place.dataset.url, {
                headers: etag ? { "If-None-Match": etag } : {},
                cache: "no-store",
                redirect: "error", // to a page for logging in
                signal: AbortSignal.timeout(LONGEST),
            });
            if (response.ok) {
                const { count, text } = await response.json();
                etag = response.headers.get("ETag");
                words.textContent = text;
                place.hidden = !count;
                said.textContent ||= text; // once
            } else if (response.status !== 304) {
                throw new Error(response.status);
            }
            wait = EVERY;
        } catch {
            wait = Math.min(2 * wait, LONGEST);
        }
        isAsking = false;
        timer = setTimeout(ask, wait);
    }

    document.addEventListener("visibilitychange", ask);
    timer = setTimeout(ask, EVERY);
})();
