// The side that owns the pool: it fills blocks and sends them. The same in Node.js, in a Worker and in an AudioWorklet.

export const SIZE = 1024;
const COUNT = 16;
const TURN = 65536;

const ramp = Float32Array.from({ length: TURN + SIZE }, (_, place) => place % TURN);

/** What the block of this number must hold. */
export function due(seq) {
  return ramp.subarray(seq % TURN, (seq % TURN) + SIZE);
}

export function detached(buffer, samples) {
  return buffer.byteLength === 0 && samples.length === 0;
}

/** The seed's pool: an empty one falls back to allocation. */
export class Pool {
  #buffers = Array.from({ length: COUNT }, () => new ArrayBuffer(4 * SIZE));
  fallbacks = 0;

  acquire() {
    const buffer = this.#buffers.pop();
    if (buffer) return buffer;
    this.fallbacks++;
    return new ArrayBuffer(4 * SIZE);
  }

  release(buffer) {
    if (this.#buffers.length < COUNT) this.#buffers.push(buffer);
  }
}

/** Answer each order { flight, trips, whole } with so many blocks, `flight` of them under way, then { attached }. */
export function serve(post, listen) {
  const pool = new Pool();
  let order, sent, back, attached;

  function send() {
    const buffer = pool.acquire();
    const samples = new Float32Array(buffer);
    samples.set(due(sent));
    sent++;
    post(buffer, [buffer]);
    if (order.whole && !detached(buffer, samples)) attached++;
  }

  listen((data) => {
    if (data instanceof ArrayBuffer) {
      pool.release(data);
      back++;
      if (sent < order.trips) send();
      else if (back === order.trips) post({ attached });
    } else {
      order = data;
      sent = back = attached = 0;
      while (sent < Math.min(order.flight, order.trips)) send();
    }
  });
}
