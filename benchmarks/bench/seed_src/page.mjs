// Chromium's main thread: asks the server for the next order, and posts the report.

import { receive, receivePaced } from "./main.mjs";

const SAMPLERATE = 48000;

const to = (port) => (message, transferred) => port.postMessage(message, transferred ?? []);
const from = (port) => (handler) => {
  port.onmessage = ({ data }) => handler(data);
};

const worker = new Worker("worker.mjs", { type: "module" });
const context = new AudioContext({ sampleRate: SAMPLERATE });
await context.audioWorklet.addModule("worklet.mjs");
const node = new AudioWorkletNode(context, "trips");
node.connect(context.destination);
await context.suspend();

/** Do something while the audio thread runs its callbacks; it rests between the orders. */
async function running(work) {
  await context.resume();
  try {
    return await work();
  } finally {
    await context.suspend();
  }
}

/** Receive what callbacks of this context send; `begin` starts them. */
async function callbacks(order, where, begin) {
  const made = new AudioWorkletNode(where, "callbacks", { numberOfInputs: 0, processorOptions: order });
  made.connect(where.destination);
  const report = receivePaced(order, to(made.port), from(made.port));
  await begin();
  try {
    return await report;
  } finally {
    made.disconnect();
  }
}

const kinds = {
  worker: (order) => receive(order, to(worker), from(worker)),
  worklet: (order) => running(() => receive(order, to(node.port), from(node.port))),
  callbacks: (order) => running(() => callbacks(order, context, () => {})),
  // The same callbacks as fast as they can be called: no message arrives there before the rendering ends.
  offline: async (order) => {
    const offline = new OfflineAudioContext(1, order.trips * 1024, SAMPLERATE);
    await offline.audioWorklet.addModule("worklet.mjs");
    return callbacks(order, offline, () => offline.startRendering());
  },
};

for (;;) {
  const response = await fetch("next");
  if (response.status !== 200) continue;
  const order = await response.json();
  let report;
  try {
    report = await kinds[order.kind](order);
  } catch (error) {
    report = { error: `${error}` };
  }
  await fetch("report", { method: "POST", body: JSON.stringify(report) });
}
