// The main thread's side: it checks each block and posts it back. The same in Node.js and in Chromium.

import { SIZE, detached, due } from "./pool.mjs";

function right(samples, seq, whole) {
  const expected = due(seq);
  if (samples.length !== SIZE) return false;
  if (!whole) return samples[0] === expected[0] && samples[SIZE - 1] === expected[SIZE - 1];
  return expected.every((sample, place) => samples[place] === sample);
}

/** Checks blocks and posts them back, and keeps the books of it. Times are milliseconds. */
class Books {
  arrived = 0;
  wrong = 0;
  attached = 0;

  constructor(order, post) {
    this.order = order;
    this.post = post;
    const stamps = order.stamped ? order.trips : 0;
    this.came = new Float64Array(stamps);
    this.went = new Float64Array(stamps);
  }

  block(buffer) {
    const { stamped, whole } = this.order;
    if (stamped) this.came[this.arrived] = performance.now();
    if (this.arrived === 0) this.first = performance.now();
    const samples = new Float32Array(buffer);
    if (!right(samples, this.arrived, whole)) this.wrong++;
    if (stamped) this.went[this.arrived] = performance.now();
    this.post(buffer, [buffer]);
    if (whole && !detached(buffer, samples)) this.attached++;
    this.arrived++;
    if (this.arrived === this.order.trips) this.seconds = (performance.now() - this.first) / 1e3;
  }

  /** What the pool's side said at its end completes the books. */
  close(times, { attached, fallbacks = 0 }) {
    const sorted = Float64Array.from(times).sort();
    const quantile = (share) => sorted[Math.floor(share * (sorted.length - 1))] * 1e3;
    return {
      arrived: this.arrived,
      wrong: this.wrong,
      attached: this.attached + attached,
      seconds: this.seconds,
      fallbacks,
      p50: quantile(0.5),
      p99: quantile(0.99),
    };
  }
}

/** Order { flight, trips, whole, stamped } from the pool's side and receive it. */
export function receive(order, post, listen) {
  const books = new Books(order, post);
  return new Promise((resolve) => {
    listen((data) => {
      if (data instanceof ArrayBuffer) {
        books.block(data);
      } else {
        // A block that goes back comes again as the one `flight` later: filled anew.
        const times = books.came.subarray(order.flight).map((came, place) => came - books.went[place]);
        resolve(books.close(times, data));
      }
    });
    post(order);
  });
}

/** Receive what callbacks send, until they end. Each return is acknowledged, for want of a clock over there. */
export function receivePaced(order, post, listen) {
  const books = new Books({ ...order, stamped: true }, post);
  const times = [];
  return new Promise((resolve) => {
    listen((data) => {
      if (data instanceof ArrayBuffer) books.block(data);
      else if (data === "back") times.push(performance.now() - books.went[times.length]);
      else resolve(books.close(times, data));
    });
  });
}
