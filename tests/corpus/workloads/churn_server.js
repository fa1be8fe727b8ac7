// An HTTP service that holds and leaks memory as each request says: GET /?leaked=&working=&churn= (see churn.c).
// usage: node churn_server.js PORT SEED STYLE, STYLE being what leaks: `array`, `closure` or `buffer` (off the heap).
"use strict";
const http = require("http");
const [port, seed, style] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];

let state = seed >>> 0 || 1;
function chance() {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 4294967296;
}

const leaked = [];
const working = new Map();
let leakedBytes = 0;
let workingBytes = 0;
let serial = 0;

function text(size) {
  return Buffer.alloc(size, 97 + (serial % 26)).toString("latin1");
}

function leak() {
  const size = 600 + Math.floor(chance() * 3400);
  serial++;
  if (style === "buffer") {
    leaked.push(Buffer.alloc(size + 4096, 1));
    leakedBytes += size + 4096 + 200;
  } else if (style === "closure") {
    const payload = text(size);
    leaked.push(() => payload.length);
    leakedBytes += size + 130;
  } else {
    leaked.push({ id: serial, payload: text(size) });
    leakedBytes += size + 70;
  }
}

function add() {
  const size = Math.floor(32 * 2 ** (8 * chance()));
  serial++;
  working.set(serial, { id: serial, payload: text(size) });
  workingBytes += size + 100;
}

function drop(key) {
  workingBytes -= working.get(key).payload.length + 100;
  working.delete(key);
}

function reach(leakTo, workTo, churn) {
  while (leakedBytes < leakTo) leak();
  const keys = churn > 0 ? working.keys() : [];
  let left = churn;
  for (const key of keys) {
    if (left-- <= 0) break;
    drop(key);
    add();
  }
  while (workingBytes < workTo) add();
  if (workingBytes > workTo) {
    for (const key of working.keys()) {
      if (workingBytes <= workTo) break;
      drop(key);
    }
  }
}

http
  .createServer((request, response) => {
    const wanted = new URL(request.url, "http://localhost").searchParams;
    reach(Number(wanted.get("leaked")), Number(wanted.get("working")), Number(wanted.get("churn")));
    // What a service makes for a reply and forgets: the food of the collector.
    const reply = JSON.stringify(Array.from({ length: 500 }, (_, i) => ({ i, word: "word" + i })));
    response.end(reply.slice(0, 20));
  })
  .listen(port, "127.0.0.1");
