// Two AudioWorklet processors: one serves as a Worker does, as fast as messages go, one fills blocks in its callbacks.

import { Pool, SIZE, detached, due, serve } from "./pool.mjs";

class Trips extends AudioWorkletProcessor {
  constructor() {
    super();
    serve(
      (message, transferred) => this.port.postMessage(message, transferred ?? []),
      (handler) => {
        this.port.onmessage = ({ data }) => handler(data);
      },
    );
  }

  process() {
    return true;
  }
}

class Callbacks extends AudioWorkletProcessor {
  #pool = new Pool();
  #buffer = null;
  #samples = null;
  #filled = 0;
  #seq = 0;
  #back = 0;
  #attached = 0;
  #blocks;

  constructor({ processorOptions }) {
    super();
    this.#blocks = processorOptions.trips;
    this.port.onmessage = ({ data }) => {
      this.#pool.release(data);
      this.#back++;
      this.port.postMessage("back");
      if (this.#back === this.#blocks) {
        this.port.postMessage({ attached: this.#attached, fallbacks: this.#pool.fallbacks });
      }
    };
  }

  process(_, [[frames]]) {
    if (this.#seq === this.#blocks) return false;
    if (this.#buffer === null) {
      this.#buffer = this.#pool.acquire();
      this.#samples = new Float32Array(this.#buffer);
    }
    const end = this.#filled + frames.length;
    this.#samples.set(due(this.#seq).subarray(this.#filled, end), this.#filled);
    this.#filled = end;
    if (end === SIZE) this.#send();
    return true;
  }

  #send() {
    const buffer = this.#buffer;
    this.port.postMessage(buffer, [buffer]);
    if (!detached(buffer, this.#samples)) this.#attached++;
    this.#buffer = null;
    this.#filled = 0;
    this.#seq++;
  }
}

registerProcessor("trips", Trips);
registerProcessor("callbacks", Callbacks);
