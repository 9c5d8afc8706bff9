// <flow-progress>: asks its `data-source` how far the flow is until it has ended, and shows it in place.
// The server has written what is to be seen at first, with the words for every stage: nothing here is a text.

const ENDED = ["completed", "failed", "gone"];
const SLOWEST = 30; // seconds between two tries while the site doesn't answer

class FlowProgress extends HTMLElement {
    #timer;
    #asking = false;
    #etag = "";
    #failures = 0;

    connectedCallback() {
        document.addEventListener("visibilitychange", this);
        this.#plan();
    }

    disconnectedCallback() {
        document.removeEventListener("visibilitychange", this);
        clearTimeout(this.#timer);
    }

    handleEvent() {
        clearTimeout(this.#timer);
        if (!this.#isOver()) this.#ask(); // at once: it may have gone on while nobody looked
    }

    #isOver() {
        return !this.isConnected || ENDED.includes(this.dataset.stage);
    }

    #plan() {
        clearTimeout(this.#timer);
        if (this.#isOver()) return;
        const interval = Number(this.dataset.interval);
        const pause = this.#failures ? Math.min(SLOWEST, interval * 2 ** this.#failures) : interval;
        this.#timer = setTimeout(() => this.#ask(), 1000 * pause);
    }

    async #ask() {
        if (this.#asking || document.hidden) return;
        this.#asking = true;
        try {
            const headers = this.#etag ? { "If-None-Match": this.#etag } : {};
            const response = await fetch(this.dataset.source, { headers, cache: "no-store" });
            if (response.ok) {
                this.#show(await response.json());
                this.#etag = response.headers.get("ETag") ?? "";
            } else if (response.status === 404 || response.status === 410) {
                this.#show({ stage: "gone" });
            } else if (response.status !== 304) {
                throw new Error(response.statusText);
            }
            this.#failures = 0;
        } catch {
            this.#failures += 1;
        }
        this.#asking = false;
        this.#plan();
    }

    #show({ stage, interval, ...figures }) {
        const before = { stage: this.dataset.stage, percent: this.querySelector("progress").value };
        this.dataset.stage = stage;
        if (interval) this.dataset.interval = interval;
        if (figures.percent) this.#fill(figures);
        for (const part of this.querySelectorAll("[data-stages]")) {
            part.hidden = !part.dataset.stages.split(" ").includes(stage);
        }
        this.#tell(before);
        if (ENDED.includes(stage)) {
            this.dispatchEvent(new CustomEvent("flow-progress-end", { bubbles: true, detail: { stage } }));
        }
    }

    #fill(figures) {
        this.querySelector("progress").value = figures.percent;
        for (const part of this.querySelectorAll("[data-text]")) {
            part.textContent = part.dataset.text.replace(/\{(\w+)\}/g, (whole, name) => figures[name] ?? whole);
        }
    }

    // for who doesn't see it: each stage and each quarter, and not every step
    #tell({ stage, percent }) {
        const quarter = Math.floor(this.querySelector("progress").value / 25);
        if (stage === this.dataset.stage && quarter === Math.floor(percent / 25)) return;
        const heading = [...this.querySelectorAll(".flow-progress-head [data-stages]")].filter((part) => !part.hidden);
        this.querySelector("[aria-live]").textContent = heading.map((part) => part.textContent).join(", ");
    }
}

customElements.define("flow-progress", FlowProgress);
