/* The challenge in the browser: compute the proof, put it into the cookie, load the page again.

   The page's refresh is the way for browsers that do not run this. It stands right behind this script, so an open
   <template> makes it inert before it is ever seen, and giving the template's content back starts it again. A removed
   <meta> would still fire, and a <noscript> would not help where a foreign policy forbids this script. */
(() => {
  "use strict";
  document.write("<template>");

  const PUZZLES = 8;
  const RELOADS = 3;
  const FORGET_MS = 120000; // a load that is this long ago is no part of a loop
  const WORKERS = 4;
  const WORKER_START_MS = 3000; // some browsers refuse a worker without an error
  const SLICE = 4096; // hashes between two pauses of the main thread: 4 ms, or 25 on a slow phone
  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

  /* Returns search(token, bits, index, from, count): the first number from `from` on whose nonce solves that puzzle, -1
     if none of `count` does. SHA-256 (FIPS 180-4) of one block; its constants are the roots of the first primes.
     WebCrypto is missing without TLS, and a promise for each hash is ten times slower. */
  function makeSearch(alphabet) {
    const codes = Uint8Array.from(alphabet, (character) => character.charCodeAt(0));
    const K = new Int32Array(64);
    const H = new Int32Array(8);
    const w = new Int32Array(64);
    for (let number = 2, found = 0; found < 64; number++) {
      let divisor = 2;
      while (number % divisor) divisor++;
      if (divisor < number) continue;
      if (found < 8) H[found] = (number ** (1 / 2) * 4294967296) | 0;
      K[found++] = (number ** (1 / 3) * 4294967296) | 0;
    }

    /* The first word of the digest of the block in `w`. */
    function digest() {
      for (let t = 16; t < 64; t++) {
        const x = w[t - 15];
        const y = w[t - 2];
        const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
      }
      let a = H[0], b = H[1], c = H[2], d = H[3], e = H[4], f = H[5], g = H[6], h = H[7];
      for (let t = 0; t < 64; t++) {
        const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const one = (h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t]) | 0;
        const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
      }
      return (H[0] + a) | 0;
    }

    return (token, bits, index, from, count) => {
      w.fill(0);
      for (let at = 0; at < 44; at++) w[at >> 2] |= token.charCodeAt(at) << (24 - 8 * (at & 3));
      w[15] = 49 * 8; // bits: token, index, nonce
      for (let n = from; n < from + count; n++) {
        w[11] = (codes[index] << 24) | (codes[(n >> 18) & 63] << 16) | (codes[(n >> 12) & 63] << 8) | codes[(n >> 6) & 63];
        w[12] = (codes[n & 63] << 24) | 0x800000;
        if (digest() >>> (32 - bits) === 0) return n;
      }
      return -1;
    };
  }

  function makeWorker(search) {
    onmessage = ({ data: [token, bits, index] }) => postMessage([index, search(token, bits, index, 0, 1 << 24)]);
    postMessage([]); // ready
  }

  /* Resolves when all of `nonces` are there; rejects if workers are refused. */
  function solveInWorkers(token, bits, nonces, progress) {
    const source = `"use strict";(${makeWorker})((${makeSearch})("${ALPHABET}"))`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const crew = [];
    let next = 0;
    const solved = new Promise((resolve, reject) => {
      const late = setTimeout(reject, WORKER_START_MS);
      const hired = Math.max(1, Math.min(WORKERS, (navigator.hardwareConcurrency || 1) - 1)); // one core is the page's
      while (crew.length < hired) {
        const worker = new Worker(url);
        crew.push(worker);
        worker.onerror = reject;
        worker.onmessage = ({ data: [index, nonce] }) => {
          clearTimeout(late);
          if (index !== undefined) nonces[index] = nonce;
          if (next < PUZZLES) worker.postMessage([token, bits, next++]);
          if (progress() === PUZZLES) resolve();
        };
      }
    });
    const dismiss = () => {
      crew.forEach((worker) => worker.terminate());
      URL.revokeObjectURL(url);
    };
    solved.then(dismiss, dismiss);
    return solved;
  }

  async function solveHere(token, bits, nonces, progress) {
    const search = makeSearch(ALPHABET);
    const channel = new MessageChannel(); // a timer would add 4 ms to each slice, and a second in a hidden tab
    for (let index = 0; index < PUZZLES; index++) {
      for (let from = 0; !(nonces[index] >= 0); from += SLICE) {
        nonces[index] = search(token, bits, index, from, SLICE);
        progress();
        await new Promise((resume) => {
          channel.port1.onmessage = resume;
          channel.port2.postMessage(0);
        });
      }
    }
    channel.port1.close();
  }

  async function solve(token, difficulty, bar) {
    const nonces = [];
    const progress = () => (bar.value = nonces.filter((nonce) => nonce >= 0).length);
    const bits = difficulty - Math.log2(PUZZLES);
    await solveInWorkers(token, bits, nonces, progress).catch(() => solveHere(token, bits, nonces, progress));
    const word = (nonce) => [18, 12, 6, 0].map((shift) => ALPHABET[(nonce >> shift) & 63]).join("");
    return `${token}.${nonces.map(word).join("")}`;
  }

  /* The cookie that the server will see: the first of that name (RFC 6265 5.4 orders both lists alike). */
  const shown = () => (/(?:^|; *)datadome=([^;]*)/.exec(document.cookie) || [])[1];

  const write = (value, attributes) => (document.cookie = `datadome=${value}; SameSite=Lax${attributes}`);

  /* Older cookies of the same name with another path or domain would come before ours: they are let expire. */
  function expireOthers() {
    const labels = location.hostname.split(".");
    const domains = ["", ...labels.map((_, at) => `; Domain=${labels.slice(at).join(".")}`)];
    const parts = location.pathname.split("/").slice(0, 16);
    for (const domain of domains) {
      for (let at = 1; at <= parts.length; at++) {
        const path = parts.slice(0, at).join("/");
        write("", `; Path=${path || "/"}${domain}; Max-Age=0`);
        write("", `; Path=${path}/${domain}; Max-Age=0`);
      }
    }
  }

  /* True if the next request will carry the proof. */
  function keep(proof) {
    const attributes = `; Path=/; Max-Age=300${location.protocol === "https:" ? "; Secure" : ""}`;
    try {
      write(proof, attributes);
      if (shown() !== proof) {
        expireOthers();
        write(proof, attributes);
      }
      return shown() === proof;
    } catch (error) {
      return false; // a sandboxed frame has no cookies
    }
  }

  const memory = `challenge ${location.pathname}${location.search}`;

  /* Counts this load; true for the first RELOADS of them. Without a memory one reload is enough. */
  function mayTry() {
    try {
      const [count, at] = JSON.parse(sessionStorage.getItem(memory) || "[0,0]");
      const before = Date.now() - at < FORGET_MS ? count : 0;
      sessionStorage.setItem(memory, JSON.stringify([before + 1, Date.now()]));
      return before < RELOADS;
    } catch (error) {
      return performance.navigation.type !== 1;
    }
  }

  function tryAgain() {
    try {
      sessionStorage.removeItem(memory);
    } catch (error) {
      // nothing was counted
    }
    location.reload();
  }

  document.addEventListener("DOMContentLoaded", async () => {
    const main = document.querySelector("main");
    const status = main.querySelector("[role=status]");
    const bar = main.querySelector("progress");
    const again = main.querySelector("button");
    const { token, difficulty, working, done, resend, cookies, stopped, failed } = main.dataset;
    const tell = (text, isOver) => {
      status.textContent = text;
      bar.hidden = isOver;
      again.hidden = !isOver;
    };

    again.addEventListener("click", tryAgain);
    main.querySelectorAll(".waiting").forEach((element) => element.remove());
    if (!navigator.cookieEnabled) return tell(cookies, true);
    if (!mayTry()) return tell(stopped, true);
    tell(working, false);
    try {
      const proof = await solve(token, Number(difficulty), bar);
      if (!keep(proof)) return tell(cookies, true);
      if (resend) return tell(resend, true); // browsers ask before they send a form again: not out of the blue
      status.textContent = done;
      location.reload();
    } catch (error) {
      tell(failed, true);
      document.head.append(document.querySelector("template").content); // the refresh, after all
    }
  });
})();
